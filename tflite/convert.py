"""Cuts a sub-network out of a trained network and converts it to TFLite.

    python tflite/convert.py --config 0.75,0.5
    python tflite/convert.py --config 0.75,0.5 --quantize float16
    python tflite/convert.py --model runs/latest/supernet.keras --output my.tflite

A configuration is one scale factor per stage; stages left out are at the largest
scale. The sub-network's batch statistics are re-estimated with the images in
calibration.npz beside the network.
"""

import pathlib

from absl import flags

from keras_resizable import data, export, runs, saving, scripts, search

FLAGS = flags.FLAGS
flags.DEFINE_string("config", None, "Scale factors; all the largest if absent.")
flags.DEFINE_string(
    "model",
    str(runs.LATEST / "supernet.keras"),
    "The trained network.",
)
flags.DEFINE_enum(
    "quantize", "none", ["none", "float16"], "Numbers that weights are kept in."
)
flags.DEFINE_string("output", None, "File to write; beside the network if absent.")


def parse_config(space):
    if FLAGS.config is None:
        return space.largest
    try:
        return space.parse(FLAGS.config)
    except ValueError as error:
        valid = space.format(space.smallest)
        raise ValueError(
            f"{error}\nValid is: python tflite/convert.py --config {valid}"
        ) from error


def main(argv):
    if argv[1:]:
        raise ValueError(f"Not a flag: {' '.join(argv[1:])}. See --help.")
    model = pathlib.Path(FLAGS.model)
    network = saving.load_network(model)
    config = parse_config(network.space)
    calibration = model.with_name("calibration.npz")
    dataset = None
    if calibration.exists():
        dataset = data.load_calibration(calibration)
    else:
        print(f"No {calibration}: the batch statistics are those of training.")
    sub_network = network.sub_network(config, calibrate_with=dataset)
    output = FLAGS.output or model.with_name(
        export.file_name(network, config, FLAGS.quantize)
    )
    export.to_tflite(sub_network, output, FLAGS.quantize)
    flops = search.count_flops(sub_network)
    size = pathlib.Path(output).stat().st_size
    print(
        f"Wrote {output}: {network.space.format(config)}, "
        f"{flops / 1e6:.1f} M FLOPs, {size / 1e6:.2f} MB"
    )


if __name__ == "__main__":
    scripts.run_script(main)
