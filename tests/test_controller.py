"""The controllers of examples/, on a device that heats up."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))
from controller import Controller, read_slices  # noqa: E402

# Milliseconds on a cool device, and top-1, of four sub-networks.
COSTS = [10.0, 7.0, 4.0, 2.0]
TOP1 = np.array([0.76, 0.74, 0.71, 0.66])
BUDGET = 12.5


def slowness(frame):
    """Cool, twice as slow over 100 frames, hot, and cool again; with some noise."""
    heat = np.interp(frame, [0, 200, 300, 600, 700, 1000], [1, 1, 2, 2, 1, 1])
    return heat * (1 + 0.03 * np.sin(12.9898 * frame))


def levels_of(update):
    levels, times, level = [], [], 0
    for frame in range(1000):
        levels.append(level)
        times.append(COSTS[level] * slowness(frame))
        level = update(times[-1])
    return np.array(levels), np.array(times)


def check(levels, times):
    within = np.mean(times <= BUDGET)
    fixed = np.array([slowness(frame) for frame in range(1000)])
    always_largest = np.mean(COSTS[0] * fixed <= BUDGET)
    assert within > 0.97 > always_largest + 0.3
    # Hot, the third fits; cool, the first. The smallest alone is less accurate.
    assert (levels[330:580] == 2).mean() > 0.95
    assert (levels[:180] == 0).all() and (levels[900:] == 0).all()
    assert TOP1[levels].mean() > TOP1[3] + 0.06
    # It does not swing: one step down for each that is needed, and up again.
    assert np.count_nonzero(np.diff(levels)) <= 6


def test_a_frame_time_is_kept():
    check(*levels_of(Controller(COSTS, BUDGET).update))


def test_what_never_fits_takes_the_cheapest():
    controller = Controller(COSTS, budget=0.1)
    assert [controller.update(5.0) for _ in range(3)] == [3, 3, 3]


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_both_controllers_are_the_same(tmp_path):
    levels, times = levels_of(Controller(COSTS, BUDGET).update)
    shutil.copy(EXAMPLES / "controller.js", tmp_path / "controller.mjs")
    program = f"""
    import {{Controller}} from './controller.mjs';
    const controller = new Controller({COSTS}, {BUDGET});
    const times = {json.dumps(times.tolist())};
    console.log(JSON.stringify(times.map((time) => controller.update(time))));
    """
    (tmp_path / "run.mjs").write_text(program)
    result = subprocess.run(
        ["node", tmp_path / "run.mjs"], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout)[:-1] == levels[1:].tolist()


SLICES = [
    {"signature": "small", "flops": 2, "latency_ms": {"phone": 3.0}},
    {"signature": "large", "flops": 9, "latency_ms": {"phone": 2.5}},
]


def test_a_bundle_tells_its_costs(tmp_path):
    path = tmp_path / "bundle.slices.json"
    path.write_text(json.dumps(SLICES))
    assert read_slices(path) == (["large", "small"], [9, 2])
    assert read_slices(path, "phone") == (["small", "large"], [3.0, 2.5])
    path.write_text(json.dumps([SLICES[0] | {"flops": None}]))
    with pytest.raises(ValueError, match="has no FLOPs"):
        read_slices(path)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_a_bundle_tells_its_costs_to_a_browser(tmp_path):
    shutil.copy(EXAMPLES / "controller.js", tmp_path / "controller.mjs")
    program = f"""
    import {{ofSlices}} from './controller.mjs';
    const slices = {json.dumps(SLICES)};
    console.log(JSON.stringify([ofSlices(slices), ofSlices(slices, 'phone')]));
    """
    (tmp_path / "run.mjs").write_text(program)
    result = subprocess.run(
        ["node", tmp_path / "run.mjs"], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout) == [
        {"names": ["large", "small"], "costs": [9, 2]},
        {"names": ["small", "large"], "costs": [3, 2.5]},
    ]
