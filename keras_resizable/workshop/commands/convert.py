"""Cuts sub-networks out of a trained network and converts them to TFLite.

    keras-resizable convert --config 0.75,0.5
    keras-resizable convert --config 0.75,0.5 --quantize int8
    keras-resizable convert --config 1.0 --config 0.75 --config 0.5 --bundle
    keras-resizable convert --all --quantize float16
    keras-resizable convert --model runs/latest/supernet.keras --output my.tflite
    keras-resizable convert --model runs/latest/finetuned/latest/sub_network.keras
    keras-resizable convert --model mine.keras --quantize int8 --images photos/

A configuration is one scale factor per stage; those omitted at the end are the largest.
With --bundle, one file holds all given sub-networks as signatures, by default in int8.
The images in calibration.npz next to the network serve to estimate batch statistics and
int8 ranges. Each file then runs on the images in evaluation.npz: its accuracy is
printed, and a file that loses more than --max_loss is an error. Existing files of a
resizable network are kept.

Any Keras model of one input can be converted. Half of the given images, 100 at most,
serve to estimate int8 ranges; on up to 1,000 others each output of the file is compared
with the model's. A file is an error if it loses more than --max_loss of the answers
(one for an image, or for each pixel) or of a quantity's variance. Images need no
labels.
"""

import contextlib
import pathlib
import tempfile
from typing import Any

from absl import flags

import keras_resizable
from keras_resizable import export
from keras_resizable.export.quantization import IO
from keras_resizable.export.tflite import QUANTIZE, suffix_of
from keras_resizable.utils import files
from keras_resizable.utils.arguments import with_suffix
from keras_resizable.utils.keras_graph import require_fixed_size
from keras_resizable.workshop import data
from keras_resizable.workshop.commands.command_line import refuse_arguments, say
from keras_resizable.workshop.recipes.source_models import range_of
from keras_resizable.workshop.runs import Run
from keras_resizable.workshop.runs.folders import SUB_NETWORK, write_label_lines
from keras_resizable.workshop.runs.keras_files import load_model

_BATCH = 8
_MAX_FOR_RANGES, _MAX_COMPARED = 100, 1000  # Images.
FLAGS = flags.FLAGS
flags.DEFINE_multi_string(
    "config", None, "Scale factors of a sub-network; by default the largest."
)
flags.DEFINE_bool("all", False, "Convert all sub-networks.")
flags.DEFINE_string(
    "model",
    str(Run().network_path),
    "The trained network, or a fine-tuned sub-network.",
)
flags.DEFINE_enum(
    "quantize",
    None,
    QUANTIZE,
    "none: float32 (default); float16: weights in float16; dynamic: weights in int8; "
    "int8: all in int8 (default with --bundle).",
)
flags.DEFINE_enum(
    "io",
    "int8",
    IO,
    "Input and output type of int8 files. MediaPipe and browsers: uint8 or float32.",
)
flags.DEFINE_bool("bundle", False, "Write one file with a signature per sub-network.")
flags.DEFINE_bool("evaluate", True, "Run each file on images, and compare it.")
flags.DEFINE_float(
    "max_loss", 0.02, "What a file may lose, such as 0.02 for two points.", 0.0
)
flags.DEFINE_string(
    "images",
    None,
    "For a model of your own: a folder of images, or the name of a data set.",
)
flags.DEFINE_list(
    "input_range",
    None,
    "Its input values for pixels 0 and 255; by default 0,255 if it begins with a "
    "Rescaling layer, otherwise -1,1.",
)
flags.DEFINE_string("labels", None, "A text file with the names of its classes.")
flags.DEFINE_string("output", None, "File to write; by default next to the network.")
flags.register_multi_flags_validator(
    ["images", "input_range", "labels"],
    lambda given: given["images"] or not (given["input_range"] or given["labels"]),
    "--input_range and --labels are for a model of your own, with --images.",
)
flags.register_validator(
    "input_range",
    lambda given: given is None or len(given) == 2,
    "Give two numbers, such as 0,255.",
)
flags.register_multi_flags_validator(
    ["all", "config"],
    lambda given: not (given["all"] and given["config"]),
    "Give either --config or --all.",
)


def choose_configs(network):
    """The configurations of the flags, and a network with their scale factors."""
    if FLAGS.all:
        return network, list(network.space.configs())
    network = network.with_factors_of(FLAGS.config or ())
    return network, network.space.select(FLAGS.config or [network.space.largest])


def options_of(run, quantize):
    """Options for the conversion, from the flags and the run's kept images."""
    options: dict[str, Any] = {"quantize": quantize, "io": FLAGS.io}
    options["max_loss"] = FLAGS.max_loss
    if run.has_settings():  # These describe the training images.
        options |= run.export_options()
    if run.has_calibration():
        options["calibrate_with"] = run.calibration()
    else:
        say(
            f"No images in {run.folder}: batch statistics are those of training, and "
            "int8 is not possible."
        )
    if FLAGS.evaluate and run.has_evaluation():
        options["evaluate_with"] = run.evaluation()
    elif FLAGS.evaluate:
        say(f"No labelled images in {run.folder}: outputs are compared instead.")
    return options


def options_of_images(model):
    """Options for the conversion of a model of the user's own, from the flags."""
    require_fixed_size(model.inputs[0].shape)
    low, high = map(float, FLAGS.input_range or range_of(model))
    say(f"Pixels from 0 to 255 are values from {low:g} to {high:g} (--input_range).")
    images, shape = data.load(FLAGS.images), tuple(model.inputs[0].shape[1:])
    parts = [
        data.eval_dataset(split, shape, _BATCH, order_seed=0)
        for split in (images.train, images.test)
    ]
    values = parts[0].concatenate(parts[1]).unbatch()
    values = values.map(lambda image, _: low + (image + 1) * (high - low) / 2)
    count = images.train.num_images + images.test.num_images
    first = min(count // 2, _MAX_FOR_RANGES)
    compared = values.skip(first).take(_MAX_COMPARED)
    labels = None
    if FLAGS.labels is not None:
        labels = pathlib.Path(FLAGS.labels).read_text(encoding="utf-8").splitlines()
    return {
        "quantize": FLAGS.quantize or "none",
        "io": FLAGS.io,
        "max_loss": FLAGS.max_loss,
        "calibrate_with": values.take(first).batch(_BATCH),
        "evaluate_with": compared.batch(_BATCH) if FLAGS.evaluate else None,
        "labels": labels,
        "input_range": (low, high),
    }


def print_result(file):
    """Prints the operators of a file and its accuracy."""
    operators = file.operators
    counts = operators.most_common()
    say("  " + ", ".join(f"{count} {name}" for name, count in counts))
    if FLAGS.quantize == "dynamic" and operators["DEPTHWISE_CONV_2D"]:
        say(
            "  Depthwise convolutions are slow with dynamic ranges: a MobileNetV2 took "
            "four times as long as float32. See keras-resizable benchmark"
        )
    if file.accuracy is not None:
        say(f"  {file.accuracy}")
    elif file.comparison:
        for output in file.comparison:
            say(f"  {output}")
    else:
        say(f"  off by {file.difference:.1g} of the largest output of Keras")


def convert(network, configs, folder, options):
    """Converts, prints the results, and returns the files."""
    files = []
    made = export.to_tflite_files(network, configs, folder, **options)
    for config, file in zip(configs, made):
        files.append(file)
        (flops,) = keras_resizable.count_flops_of_configs(network, [config])
        say(
            f"[{len(files)}/{len(configs)}] {file.path.name}: "
            f"{config}, {flops / 1e6:.1f} M FLOPs, {file.size_bytes / 1e6:.2f} MB"
        )
        if file.difference is None:
            say("  unchanged")
        else:
            print_result(file)
    return files


def convert_sub_network(model, run, output, options):
    """Converts a cut-out sub-network, such as a fine-tuned one."""
    if FLAGS.config or FLAGS.all or FLAGS.bundle:
        raise ValueError(
            f"{FLAGS.model} is one sub-network: --config, --all and --bundle are for "
            "a resizable network."
        )
    quantize = options["quantize"]
    if output is None:
        suffix = suffix_of(quantize, FLAGS.io)
        output = run.folder / f"{model.name}{suffix}.tflite"
    # Nothing is known of other sub-networks in the folder of a run.
    is_of_run = pathlib.Path(FLAGS.model).name == SUB_NETWORK and run.has_settings()
    config = run.settings.get("config") if is_of_run else None
    if config is not None:
        options.setdefault("metadata", {})["config"] = ",".join(map(str, config))
    file = export.to_tflite(model, output, **options)
    say(f"{output.name}: {file.size_bytes / 1e6:.2f} MB")
    print_result(file)
    print_written(output, run, options.get("labels"))


def main(argv):
    refuse_arguments(argv)
    quantize = FLAGS.quantize or ("int8" if FLAGS.bundle else "none")
    path = pathlib.Path(FLAGS.model)
    output = with_suffix(FLAGS.output, ".tflite") if FLAGS.output else None
    model, run = load_model(path), Run(path.parent)
    is_ours = isinstance(model, keras_resizable.ResizableNetwork)
    if FLAGS.images is not None:
        if is_ours:
            raise ValueError(
                "--images is for a model of your own. Those of a resizable network are "
                f"in {run.folder}."
            )
        options = options_of_images(model)
    else:
        options = options_of(run, quantize)
    if not is_ours:
        convert_sub_network(model, run, output, options)
        return
    network, configs = choose_configs(model)
    if output is not None and len(configs) > 1 and not FLAGS.bundle:
        raise ValueError("One --output is for one sub-network, or for a --bundle.")
    with contextlib.ExitStack() as stack:
        folder = run.folder
        if output is not None:
            temporary = stack.enter_context(tempfile.TemporaryDirectory())
            folder = pathlib.Path(temporary)
        parts = convert(network, configs, folder, options)
        if FLAGS.bundle:
            suffix = suffix_of(quantize, FLAGS.io)
            name = f"{network.name}_bundle{suffix}.tflite"
            output = output or path.with_name(name)
            print_bundle(export.to_bundle(parts, output), parts)
        elif output is not None:
            with files.replacing(output) as written:
                written.write_bytes(parts[0].path.read_bytes())
    print_written(output or run.folder, run, options.get("labels"))


def print_written(path, run, labels):
    """Prints where the files are, and writes their class names next to them."""
    say(f"Wrote {path}")
    if labels is not None:
        lines = pathlib.Path(path).with_suffix(".labels.txt")
        if path == run.folder:
            lines = run.folder / "labels.txt"
        write_label_lines(labels, lines)
        say(f"Wrote {lines}: the names of the classes in order")


def print_bundle(bundle, parts):
    """Prints the size of a bundle relative to one file."""
    largest = max(file.size_bytes for file in parts)
    say(f"\nA bundle of {len(parts)}: {bundle.size_bytes / largest:.2f} x one file")
