"""Folders of runs."""

import json

import pytest

from keras_resizable.runs import folders as runs

NAMES = ["cat", "two\nlines", "\r", "", " a ", "caf\udce9", '"\\', "猫", "\u2028"]


def test_every_class_name_comes_back(tmp_path):
    runs.write_labels(NAMES, tmp_path)
    assert runs.read_labels(tmp_path) == NAMES
    assert json.loads((tmp_path / "labels.json").read_text()) == NAMES


def test_labels_of_older_runs_are_read_and_damaged_ones_named(tmp_path):
    assert runs.read_labels(tmp_path) is None
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    assert runs.read_labels(tmp_path) == ["cat", "dog"]
    runs.write_labels(["fox"], tmp_path)
    assert runs.read_labels(tmp_path) == ["fox"]
    for text in ("[", "{}", "[1]"):
        (tmp_path / runs.LABELS).write_text(text)
        with pytest.raises(ValueError, match=r"labels.json is damaged"):
            runs.read_labels(tmp_path)


@pytest.mark.parametrize("name", ["net", "net[0]", "n?t*"])
def test_a_run_is_found_again_by_whatever_name(tmp_path, name):
    def open_run():
        return runs.open_run(name, {"epochs": 1}, lambda folder: False, root=tmp_path)

    first = open_run()
    assert name in first.name and open_run() == first
