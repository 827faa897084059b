"""Folders of runs."""

import json

import numpy as np
import pytest

from keras_resizable import data
from keras_resizable.workshop.runs import fine_tune, train
from keras_resizable.workshop.runs import folders as runs
from keras_resizable.workshop.runs.folders import open_run

NAMES = ["cat", "two\nlines", "\r", "", " a ", "caf\udce9", '"\\', "猫", "\u2028"]


def test_every_class_name_comes_back(tmp_path):
    runs.write_labels(NAMES, tmp_path)
    assert runs.read_labels(tmp_path) == NAMES
    assert json.loads((tmp_path / "labels.json").read_text()) == NAMES


def test_labels_are_read_and_damaged_ones_named(tmp_path):
    assert runs.read_labels(tmp_path) is None
    runs.write_labels(["fox"], tmp_path)
    assert runs.read_labels(tmp_path) == ["fox"]
    for text in ("[", "{}", "[1]"):
        (tmp_path / runs.LABELS).write_text(text)
        with pytest.raises(ValueError, match=r"labels.json is damaged"):
            runs.read_labels(tmp_path)


def test_a_run_of_other_images_than_its_recipe_s(tmp_path):
    options = {"root": tmp_path, "epochs": 1, "network": "narrow_networks:narrow"}
    options |= {"batch_size": 8, "scales": (1.0, 0.5), "strategy": "none"}
    generator = np.random.default_rng(0)
    made = [
        data.from_arrays(
            (generator.integers(0, 256, (16, 16, 16, 1), np.uint8), np.arange(16) % 3),
            (generator.integers(0, 256, (9, 16, 16, 1), np.uint8), np.arange(9) % 3),
            ("a", "b", "c"),
        )
        for _ in range(2)
    ]
    run = train("sample_resnet20", images=made[0], **options)
    assert run.labels() == ["a", "b", "c"]
    for call in (run.images, run.test_data, lambda: fine_tune(run, "0.5", epochs=1)):
        with pytest.raises(ValueError, match="other images than its recipe's"):
            call()
    tuned = fine_tune(run, "0.5", epochs=1, images=made[0])
    assert tuned.table.right("after").shape == (9,)
    # What was interrupted goes on with its own images only.
    (run.folder / "history.csv").unlink()
    assert train("sample_resnet20", images=made[1], **options).folder != run.folder
    again = train("sample_resnet20", images=made[0], **options)
    assert again.folder.resolve() == run.folder.resolve()


@pytest.mark.parametrize("name", ["net", "net[0]", "n?t*"])
def test_a_run_is_found_again_by_whatever_name(tmp_path, name):
    def opened():
        return open_run(name, {"epochs": 1}, lambda folder: False, root=tmp_path)

    first = opened()
    assert name in first.name and opened() == first
