"""Measures the latency of TFLite models on this machine.

    python tflite/benchmark.py
    python tflite/benchmark.py one.tflite another.tflite --threads 2 --runs 100

Without files it takes all of runs/latest. One image at a time; the runs of all
models are interleaved.
"""

import pathlib

from absl import flags

from keras_resizable import devices, runs, scripts

FLAGS = flags.FLAGS
flags.DEFINE_integer("threads", 1, "Threads of each model.", lower_bound=1)
flags.DEFINE_integer("warmup", 5, "Runs not timed.", lower_bound=0)
flags.DEFINE_integer("runs", 50, "Runs timed.", lower_bound=1)


def main(argv):
    paths = argv[1:] or sorted(runs.LATEST.glob("*.tflite"))
    if not paths:
        raise FileNotFoundError(
            f"No .tflite files in {runs.LATEST}. Make one: python tflite/convert.py"
        )
    results = devices.Host().measure(paths, FLAGS.threads, FLAGS.warmup, FLAGS.runs)
    print(
        f"{FLAGS.threads} threads, {FLAGS.warmup} warm-up runs, "
        f"{FLAGS.runs} runs; milliseconds"
    )
    width = max(len(pathlib.Path(path).name) for path in paths)
    print(f"{'':{width}}   median       5 %      95 %")
    for result in results:
        name = pathlib.Path(result["path"]).name
        print(
            f"{name:{width}} {result['median_ms']:8.2f}  {result['p5_ms']:8.2f}"
            f"  {result['p95_ms']:8.2f}"
        )


if __name__ == "__main__":
    scripts.run_script(main)
