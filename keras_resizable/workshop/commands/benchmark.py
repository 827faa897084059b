"""Measures TFLite models on this machine, an Android device, or in a browser.

    keras-resizable benchmark
    keras-resizable benchmark one.tflite another.tflite --threads 2 --runs 100
    keras-resizable benchmark --device android
    keras-resizable benchmark --device android --delegate gpu --serial 0A1B2C
    keras-resizable benchmark --device browser --host 0.0.0.0

Without arguments it measures all files in runs/latest, every signature of each, one
image at a time; on this machine the runs of all models are interleaved. Prints a table
and writes benchmark_<device>.json next to the first model. If a table.npz is there, it
gets the latencies of sub-networks as latency_ms_<device>.

For Android you need `adb` and TensorFlow Lite's benchmark_model, built for the device:
give its path by --benchmark_binary, or run `litert benchmark --android` once, which
puts it into ~/.cache/litert-cli. See
https://ai.google.dev/edge/litert/models/measurement.

For a browser, open the printed address, on this machine or, with --host=0.0.0.0, on any
phone on the network. The page runs LiteRT.js, which npm fetches once. Files must take
float32 or uint8; make int8 files by convert --io=uint8.
"""

import pathlib
import threading

from absl import flags

from keras_resizable import devices, errors
from keras_resizable.devices.android import DELEGATES
from keras_resizable.devices.browser import ACCELERATORS
from keras_resizable.search.file_results import (
    metadata_of,
    result_name,
    write_measurements,
)
from keras_resizable.workshop.commands.command_line import say
from keras_resizable.workshop.runs.folders import LATEST

FLAGS = flags.FLAGS
flags.DEFINE_enum("device", "host", ["host", "android", "browser"], "Where to measure.")
flags.DEFINE_string("name", None, "The device's name in tables.")
flags.DEFINE_integer("threads", 1, "Threads of each model.", lower_bound=1)
flags.DEFINE_integer("warmup", 5, "Runs not timed.", lower_bound=0)
flags.DEFINE_integer("runs", 50, "Runs timed.", lower_bound=1)
flags.DEFINE_string("serial", None, "Android: serial number, if there are several.")
flags.DEFINE_string("benchmark_binary", None, "Android: path of benchmark_model.")
flags.DEFINE_enum("delegate", "xnnpack", DELEGATES, "Android: delegate.")
flags.DEFINE_string("affinity", None, "Android: mask of cores for taskset, such as f0.")
flags.DEFINE_bool("profile", False, "Android: also time each kind of operator.")
flags.DEFINE_string("host", "127.0.0.1", "Browser: address to serve the page on.")
flags.DEFINE_integer("port", 0, "Browser: port; 0 for any free one.", 0, 65535)
flags.DEFINE_enum("accelerator", "wasm", ACCELERATORS, "Browser: what computes.")
flags.DEFINE_bool(
    "show", False, "Browser: run a bundle on the camera's images, until Ctrl-C."
)


def open_device():
    """The device of the flags."""
    if FLAGS.device == "browser":
        return devices.Browser(
            FLAGS.name,
            host=FLAGS.host,
            port=FLAGS.port,
            accelerator=FLAGS.accelerator,
        )
    if FLAGS.device == "android":
        return devices.Android(
            FLAGS.name,
            FLAGS.serial,
            benchmark_binary=FLAGS.benchmark_binary,
            delegate=FLAGS.delegate,
            affinity=FLAGS.affinity,
            profile=FLAGS.profile,
        )
    return devices.Host(FLAGS.name or "host")


def print_results(results):
    """Prints a line for each model, and its operators."""
    columns = {
        "median": "median_ms",
        "5 %": "p5_ms",
        "95 %": "p95_ms",
        "first": "first_ms",
        "init": "init_ms",
        "memory": "peak_memory_mb",
    }
    names = [result_name(result) for result in results]
    width = max(map(len, names))
    heading = "".join(f"{title:>10}" for title in (*columns, "size"))
    say(f"{'':{width}}{heading}")
    for name, result in zip(names, results):
        values = [result.get(column) for column in columns.values()]
        values.append(result["size_bytes"] / 1e6)
        cells = "".join(f"{'-' if v is None else f'{v:.2f}':>10}" for v in values)
        of = metadata_of(result)
        what = "  ".join(of[key] for key in ("config", "quantize") if key in of)
        say(f"{name:{width}}{cells}  {what}")
        for kind, milliseconds in result.get("operators", {}).items():
            say(f"{'':{width}}{milliseconds:10.2f}  {kind}")


def show(device, results):
    """Makes the page run the first measured bundle."""
    bundles = [result["path"] for result in results if result["signature"]]
    if FLAGS.device != "browser" or not bundles:
        raise ValueError("--show needs --device=browser and a bundle.")
    device.show(bundles[0], results)
    say(f"{bundles[0]} runs on {device.address} until Ctrl-C.")
    threading.Event().wait()


def main(argv):
    paths = [pathlib.Path(path) for path in argv[1:]]
    # A file that begins with a dot was left by a killed conversion.
    paths = paths or sorted(LATEST.glob("[!.]*.tflite"))
    if not paths:
        raise FileNotFoundError(
            f"No .tflite files in {LATEST}. Make one: keras-resizable convert"
        )
    with open_device() as device:
        say(
            f"{device.name}: {device.description}; {FLAGS.threads} threads, "
            f"{FLAGS.warmup} warm-up runs, {FLAGS.runs} runs; milliseconds, MB"
        )
        error = None
        try:
            results = device.measure(paths, FLAGS.threads, FLAGS.warmup, FLAGS.runs)
        except errors.DeviceError as caught:
            error, results = caught, caught.results
        if results:
            print_results(results)
            written = write_measurements(
                results,
                device,
                threads=FLAGS.threads,
                warmup=FLAGS.warmup,
                runs=FLAGS.runs,
            )
            say(f"Wrote {', '.join(map(str, written))}")
        if error is not None:
            raise error
        if FLAGS.show:
            show(device, results)
