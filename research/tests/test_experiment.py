"""Tests the list of claims, and regenerates a tiny claim."""

import pathlib

import arms
import claims
import pandas
import processes
import pytest
from image_folders import write_random_set

from keras_resizable import recipes
from keras_resizable.workshop.runs import load_network

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = f"""
import sys
sys.path.insert(0, {str(ROOT / "research")!r})
import arms
import claims
arms.RECIPE = "sample_resnet20"
changes = {{"num_images": 48, "batch_size": 16, "epochs": 1}}
changes["validation"] = 0.0
changes["image_size"] = 8
changes["precision"] = "mixed_bfloat16"
changes["network"] = "narrow_networks:narrow"
arms.SETTINGS["fashion_mnist"] = arms.Setting(
    "fashion_mnist", changes, (8, 8, 3), classes=2
)
claims.CLAIMS = {{
    "tiny": claims.Claim(
        "A tiny claim",
        "not given",
        [
            claims.Row("alone 0.5", arms.SMALLEST),
            claims.Row("resizable", arms.SMALLEST, "alone 0.5"),
            claims.Row("resizable", None),
            claims.Row("fine-tuned 0.5", arms.SMALLEST, "resizable"),
        ],
        seeds=1,
    )
}}
import experiment
from keras_resizable.workshop.commands import command_line
command_line.run_script(experiment.main)
"""


@pytest.mark.parametrize("name", claims.CLAIMS)
def test_claims_compare_what_is_trained(name):
    claim = claims.CLAIMS[name]
    rows = {(row.arm, row.config) for row in claim.rows}
    for row in claim.rows:
        arm = arms.ARMS[row.arm]
        changes = arms.SETTINGS[arm.setting].changes | arm.changes
        recipes.resolve(arms.RECIPE, arm.mode, changes)
        assert row.against is None or (row.against, row.config) in rows
        assert arm.fine_tuned_from is None or arm.fine_tuned_from in arms.ARMS
        largest = arms.SETTINGS[arm.setting].uniform(1.0)
        if arm.mode != "resizable" and arm.config != largest:
            assert row.config == arm.config


def test_a_claim_is_regenerated_and_goes_on(tmp_path):
    write_random_set(tmp_path / "data", (64, 32), size=8)

    def run(*arguments):
        return processes.run(
            "-c", PROGRAM, *arguments, "--fashion_mnist=data", folder=tmp_path
        )

    result = run("tiny", "--results_dir=results")
    assert "A tiny claim. Paper: not given." in result.stdout, result.stderr
    table = pandas.read_csv(tmp_path / "results" / "tiny.csv")
    assert table.arm.tolist() == [
        "alone 0.5",
        "resizable",
        "resizable",
        "fine-tuned 0.5",
    ]
    assert table.difference[1] == pytest.approx(table.top1[1] - table.top1[0])
    assert (tmp_path / "results" / "tiny.png").exists()
    runs = tmp_path / "runs" / "experiments"
    trained = {path: path.stat().st_mtime for path in runs.glob("*/seed0/*.keras")}
    assert len(trained) == 3
    network = load_network(runs / "resizable" / "seed0" / "supernet.keras")
    assert network.compute_dtype == "bfloat16"

    other = runs / "fine-tuned_0.5" / "seed0" / "recipe.json"
    settings = other.read_text()
    other.write_text("{}")
    assert "delete it" in run("tiny").stderr
    other.write_text(settings)

    # Simulates a stop during the evaluation of a trained network.
    stopped = runs / "alone_0.5" / "seed0"
    (stopped / "table.npz").unlink()
    stopped.rename(stopped.with_name("seed0.unfinished"))
    result = run("tiny", "--results_dir=results")
    assert "Resuming from step 3" in result.stdout
    assert "A tiny claim" in result.stdout, result.stderr
    again = pandas.read_csv(tmp_path / "results" / "tiny.csv")
    pandas.testing.assert_frame_equal(again, table)
    for path, time in trained.items():
        assert path.stat().st_mtime == time
