"""How far TFLite float32 is from the super-network, before softmax.

    python benchmarks/tflite_agreement.py

Every configuration of ResNet-20 and a seeded dozen of ResNet-50, at odd image sizes,
after giving every row of batch normalisation its own random values. Prints the largest
difference as a share of the largest logit, and writes all to
benchmarks/results/tflite_agreement.json.
"""

import json
import pathlib
import tempfile

import numpy as np
from absl import app

from keras_resizable import ResNet20, ResNet50
from keras_resizable.export import run_tflite, to_tflite
from keras_resizable.files import replacing

RESULTS = pathlib.Path(__file__).parent / "results" / "tflite_agreement.json"


def randomize_batch_norms(network, generator):
    for part in (network.stem, *network.stages):
        for layer in part.layers:
            if hasattr(layer, "num_scales"):
                for variable in layer.variables:
                    variable.assign(generator.uniform(0.5, 1.5, variable.shape))


def differences(network, configs, folder, generator):
    randomize_batch_norms(network, generator)
    images = generator.random((1, *network.stem.input_shape[1:]), np.float32)
    path = pathlib.Path(folder) / "model.tflite"
    found = {}
    for config in configs:
        expected = network(images, config=config).numpy()
        to_tflite(network.sub_network(config), path)
        difference = np.abs(run_tflite(path, images) - expected).max()
        text = network.space.format(config)
        found[text] = float(difference / np.abs(expected).max())
        print(f"  {network.name} {text}: {found[text]:.1e}", flush=True)
    return found


def main(argv):
    generator = np.random.default_rng(0)
    small = ResNet20(input_shape=(29, 33, 3), classifier_activation=None)
    large = ResNet50(input_shape=(65, 97, 3), classifier_activation=None)
    dozen = generator.choice(list(large.space.configs()), 12, replace=False)
    with tempfile.TemporaryDirectory() as folder:
        results = {
            "resnet20": differences(small, small.space.configs(), folder, generator),
            "resnet50": differences(large, dozen, folder, generator),
        }
    with replacing(RESULTS) as path:
        path.write_text(json.dumps(results, indent=2) + "\n")
    for name, found in results.items():
        print(f"{name}: {max(found.values()):.1e}")


if __name__ == "__main__":
    app.run(main)
