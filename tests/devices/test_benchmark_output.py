import pytest

from keras_resizable.devices.benchmark_output import parse

# As the tool of TensorFlow 2.16 prints it, shortened.
OUTPUT = """
STARTING!
Graph: [/data/local/tmp/m.tflite]
Loaded model /data/local/tmp/m.tflite
Initialized session in 17.187ms.
Running benchmark for at least 1 iterations and at least 0.5 seconds.
count=1 curr=3512391

Running benchmark for at least 50 iterations and at least 1 seconds.
count=50 first=2990275 curr=2913402 min=2727568 max=3189954 avg=2.95034e+06 std=109798

Inference timings in us: Init: 17187, First inference: 3512391, \
Warmup (avg): 3.51239e+06, Inference (avg): 2.95034e+06
"""


def test_figures_are_in_milliseconds():
    assert parse(OUTPUT) == {
        "median_ms": 2950.34,
        "mean_ms": 2950.34,
        "first_ms": 3512.391,
        "init_ms": 17.187,
    }
    with_percentiles = OUTPUT.replace(
        "std=109798", "std=109798 p5=2730000 median=2.9e+06 p95=3100000"
    )
    results = parse(with_percentiles.replace("\n", "\r\n"))
    assert results["median_ms"] == 2900 and results["p95_ms"] == 3100


def test_what_is_not_understood_is_named():
    with pytest.raises(ValueError, match="not understood at: nothing"):
        parse("")
    with pytest.raises(ValueError, match="not understood at: count=50 first"):
        parse(OUTPUT[: OUTPUT.index("Inference timings")])
    for text in ("fast", "1.2.3", "-1", "1e999", "nan"):
        with pytest.raises(ValueError, match=f"not understood.*Init: {text}"):
            parse(OUTPUT.replace("Init: 17187", f"Init: {text}"))
        with pytest.raises(ValueError, match=f"not understood.*p95={text}"):
            parse(OUTPUT.replace("std=109798", f"p5=1 median=2 p95={text}"))
