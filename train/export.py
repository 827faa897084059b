"""Writes sub-networks of a run as a TensorFlow SavedModel, for servers.

    python train/export.py --config=1.0 --config=0.75,0.5
    python train/export.py --with_preprocessing
    python train/export.py --run=runs/latest --output=model

It loads with TensorFlow alone. There is a signature for each configuration that is
given, and `any`, which takes scale factors beside the images. Batch statistics are
re-estimated for each configuration with the images in calibration.npz. With
--with_preprocessing, signatures take uint8 images of any size. For phones see
tflite/convert.py.
"""

import functools
import pathlib

import building
import recipes
from absl import flags

from keras_resizable import data, export, runs, saving, scripts

FLAGS = flags.FLAGS
flags.DEFINE_string("run", str(runs.LATEST), "Folder of the run.")
flags.DEFINE_multi_string(
    "config", None, "Scale factors of a sub-network; all the largest if absent."
)
flags.DEFINE_bool("with_preprocessing", False, "Take uint8 images of any size.")
flags.DEFINE_string("output", None, "Folder; saved_model in the run if absent.")


def main(argv):
    if argv[1:]:
        raise ValueError(f"Not a flag: {' '.join(argv[1:])}. See --help.")
    run = pathlib.Path(FLAGS.run)
    network = saving.load_network(run / "supernet.keras")
    recipe = recipes.resolve(str(run / "recipe.json"))
    configs = network.space.select(FLAGS.config or ())
    preprocess = None
    if FLAGS.with_preprocessing:
        preprocess = functools.partial(
            data.preprocess,
            image_shape=network.stem.input_shape[1:],
            center_crop=building.has_center_crop(recipe),
        )
    output = pathlib.Path(FLAGS.output or run / "saved_model")
    export.to_saved_model(
        network,
        output,
        configs or None,
        data.load_calibration(run / "calibration.npz"),
        preprocess,
    )
    size = sum(path.stat().st_size for path in output.rglob("*"))
    names = [export.signature_name(network.space, config) for config in configs]
    print(f"Wrote {output}, {size / 1e6:.1f} MB")
    print(f"Signatures: serving_default, {''.join(f'{n}, ' for n in names)}any")


if __name__ == "__main__":
    scripts.run_script(main)
