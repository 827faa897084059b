"""A stand-in for TensorFlow Lite's benchmark_model: runs by LiteRT, prints as it does.

The lines are those of benchmark_model.cc, stats_calculator.h and
profile_summarizer.cc, as the tool of 2024 and later prints them, and, with FAULT=old in
the environment, as those before. Other faults: crash, garbled, silent, slow.
"""

import os
import signal
import sys
import time

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def statistics(microseconds, fault):
    if len(microseconds) == 1:
        line = f"count=1 curr={microseconds[0]}"
    else:
        line = (
            f"count={len(microseconds)} first={microseconds[0]} "
            f"curr={microseconds[-1]} min={min(microseconds)} "
            f"max={max(microseconds)} avg={np.mean(microseconds):.6g} "
            f"std={np.std(microseconds):.0f}"
        )
    if fault != "old":
        p5, median, p95 = np.percentile(
            microseconds, (5, 50, 95), method="higher"
        ).astype(int)
        line += f" p5={p5} median={median} p95={p95}"
    return line


def main(arguments):
    flags = dict(argument.removeprefix("--").split("=", 1) for argument in arguments)
    fault = os.environ.get("FAULT", "")
    print("INFO: STARTING!")
    print(f"INFO: Graph: [{flags['graph']}]")
    if fault == "crash":
        print("ERROR: Failed to apply the delegate.", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "slow":
        print("INFO: slow", flush=True)
        time.sleep(60)
    start = time.perf_counter()
    interpreter = Interpreter(flags["graph"], num_threads=int(flags["num_threads"]))
    interpreter.allocate_tensors()
    signatures = list(interpreter.get_signature_list())
    signature = flags.get("signature_to_run_for", signatures[0])
    if signature not in signatures or (
        len(signatures) > 1 and "signature_to_run_for" not in flags
    ):
        print("ERROR: Signature not specified or incorrect for graph with multiple")
        return 1
    runner = interpreter.get_signature_runner(signature)
    inputs = {
        name: np.zeros(details["shape"], details["dtype"])
        for name, details in runner.get_input_details().items()
    }
    init = round(1e6 * (time.perf_counter() - start))
    print(f"INFO: Loaded model {flags['graph']}")
    size = os.path.getsize(flags["graph"]) / 1e6
    print(f"INFO: The input model file size (MB): {size:g}")
    print(f"INFO: Initialized session in {init / 1e3}ms.")

    def run(count):
        count = max(count, 1)
        print(
            f"INFO: Running benchmark for at least {count} iterations and at least 0 "
            "seconds but terminate if exceeding 150 seconds."
        )
        taken = []
        for _ in range(count):
            start = time.perf_counter()
            runner(**inputs)
            taken.append(max(1, round(1e6 * (time.perf_counter() - start))))
        print(f"INFO: {statistics(taken, fault)}\n")
        return taken

    warmup = run(int(flags["warmup_runs"]))
    if fault == "silent":
        return 0
    taken = run(int(flags["num_runs"]))
    mean = "much" if fault == "garbled" else f"{np.mean(taken):.6g}"
    print(
        f"INFO: Inference timings in us: Init: {init}, First inference: {warmup[0]}, "
        f"Warmup (avg): {np.mean(warmup):.6g}, Inference (avg): {mean}"
    )
    print(
        "INFO: Memory footprint delta from the start of the tool (MB): init=1 overall=2"
    )
    if flags["report_peak_memory_footprint"] == "true":
        print(
            "INFO: Overall peak memory footprint (MB) via periodic monitoring: 12.3438"
        )
    if flags.get("enable_op_profiling") == "true":
        for title, rows in (
            (
                "Profiling Info for Benchmark Initialization:",
                [("AllocateTensors", 1.0)],
            ),
            (
                "Operator-wise Profiling Info for Regular Benchmark Runs:",
                [("CONV_2D", 0.75), ("RESIZE_BILINEAR", 0.25)],
            ),
        ):
            print(f"INFO: {title}")
            for table in ("Run Order", "Summary by node type"):
                print(f"{30 * '='} {table} {30 * '='}")
                print(
                    "\t             [Node type]\t  [count]\t  [avg ms]\t    [avg %]"
                    "\t    [cdf %]\t  [mem KB]\t[times called]"
                )
                for kind, milliseconds in rows:
                    print(
                        f"\t{kind:>24}\t        1\t{milliseconds:>10.3f}"
                        "\t  50.000%\t  50.000%\t     0.000\t        1"
                    )
                print()
            print(
                "Timings (microseconds): count=9 first=1 curr=1 min=1 max=1 avg=1 std=0"
            )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
