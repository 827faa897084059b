"""Reading the output of TensorFlow Lite's `benchmark_model`.

The lines are printed by its sources `benchmark_model.cc`, `stats_calculator.cc` and
`profile_summarizer.cc`; percentiles only since 2024.
"""

import re
from typing import Any

# Neither negative nor infinite.
_NUMBER = r"(?<![-\w.])(\d+(?:\.\d+)?(?:e[-+]?\d\d)?)(?![\w.])"
_TIMINGS = (
    rf"Inference timings in us: Init: {_NUMBER}, First inference: {_NUMBER}, "
    rf"Warmup \(avg\): {_NUMBER}, Inference \(avg\): {_NUMBER}"
)
_PERCENTILES = rf"p5={_NUMBER} median={_NUMBER} p95={_NUMBER}"
_PEAK = rf"Overall peak memory footprint \(MB\).*: {_NUMBER}"


def parse(output: str) -> dict[str, Any]:
    """The figures in the output of one run.

    These are `mean_ms`, `first_ms` and `init_ms`; `median_ms`, `p5_ms` and `p95_ms`, or
    the mean as the median where no percentiles are printed; and if they were asked for,
    `peak_memory_mb` and `operators`, milliseconds per run by kind. Raises a ValueError
    with the line that is not understood, the last one if the timings are missing.
    """
    lines = [line for line in output.splitlines() if line.strip()] or ["nothing"]
    ends = [n for n, line in enumerate(lines) if "Inference timings in us" in line]
    end = (ends or [-1])[-1]
    init, first, _, mean = _numbers(_TIMINGS, lines[end])
    results = {"median_ms": mean, "mean_ms": mean, "first_ms": first, "init_ms": init}
    # The last line with counts is about the runs, the one before about the warm-up.
    counts = [line for line in lines[:end] if "count=" in line]
    if counts and "median=" in counts[-1]:
        p5, median, p95 = _numbers(_PERCENTILES, counts[-1])
        results |= {"median_ms": median, "p5_ms": p5, "p95_ms": p95}
    results = {name: value / 1000 for name, value in results.items()}
    for line in lines:
        if "Overall peak memory footprint" in line:
            (results["peak_memory_mb"],) = _numbers(_PEAK, line)
    operators = _operators(lines)
    return results | ({"operators": operators} if operators else {})


def _operators(lines):
    """Milliseconds per run by kind of operator, which may also be a delegate."""
    operators = {}
    in_runs = in_table = False
    for line in lines:
        in_runs |= "Profiling Info for Regular Benchmark Runs" in line
        cells = [cell.strip() for cell in line.split("\t")[1:]]
        if "Summary by node type" in line:
            in_table = in_runs
        elif in_table and len(cells) >= 3:
            if not cells[0].startswith("["):  # Skip the heading.
                (operators[cells[0]],) = _numbers(_NUMBER, cells[2])
        else:
            in_table = False
    return operators


def _numbers(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise ValueError(
            f"The output of benchmark_model is not understood at: {text.strip()}"
        )
    return list(map(float, found.groups()))
