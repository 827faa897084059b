"""Writes sub-networks of a run as a TensorFlow SavedModel, for servers.

    keras-resizable export --config=1.0 --config=0.75,0.5
    keras-resizable export --with_preprocessing
    keras-resizable export --run=runs/latest --output=model
    keras-resizable export --run=runs/latest/finetuned/latest

It loads with TensorFlow alone. It has a signature for each --config, and `any`, which
takes scale factors as a second input. Batch statistics are re-estimated for each
configuration with the images in calibration.npz. With --with_preprocessing, signatures
take uint8 images of any size. For phones see `keras-resizable convert`.
"""

import functools
import pathlib
from typing import Any

from absl import flags

import keras_resizable
from keras_resizable import export
from keras_resizable.export.saved_model import signature_name
from keras_resizable.workshop import data
from keras_resizable.workshop.commands.command_line import refuse_arguments, say
from keras_resizable.workshop.recipes.building import has_center_crop
from keras_resizable.workshop.runs import Run
from keras_resizable.workshop.runs.folders import LATEST
from keras_resizable.workshop.runs.keras_files import load_model

FLAGS = flags.FLAGS
flags.DEFINE_string("run", str(LATEST), "Folder of the run.")
flags.DEFINE_multi_string(
    "config", None, "Scale factors of a sub-network; by default 1.0 everywhere."
)
flags.DEFINE_bool("with_preprocessing", False, "Take uint8 images of any size.")
flags.DEFINE_string("output", None, "Folder; by default saved_model in the run.")


def main(argv):
    refuse_arguments(argv)
    run = Run(FLAGS.run)
    network = load_model(run.model_path)
    options: dict[str, Any] = {}
    names = ["serving_default"]
    if isinstance(network, keras_resizable.ResizableNetwork):
        network = network.with_factors_of(FLAGS.config or ())
        configs = network.space.select(FLAGS.config) if FLAGS.config else []
        options = {"configs": configs or None, "calibrate_with": run.calibration()}
        names += [signature_name(network.space, config) for config in configs]
        names.append("any")
    elif FLAGS.config:
        raise ValueError(f"{run.model_path} is one sub-network: it has no --config.")
    preprocess = None
    if FLAGS.with_preprocessing:
        preprocess = functools.partial(
            data.preprocess,
            image_shape=network.input_shape[1:],
            center_crop=has_center_crop(run.recipe),
        )
    output = pathlib.Path(FLAGS.output or run.folder / "saved_model")
    export.to_saved_model(network, output, preprocess=preprocess, **options)
    size = sum(path.stat().st_size for path in output.rglob("*"))
    say(f"Wrote {output}, {size / 1e6:.1f} MB")
    say(f"Signatures: {', '.join(names)}")
