"""Files, folders of runs, and saved networks."""

import json
import os

import filelock
import keras
import pytest

from keras_resizable.utils.files import remove_temporaries, replacing
from keras_resizable.workshop.runs.folders import _locks, count_epochs, open_run
from keras_resizable.workshop.runs.keras_files import load_network, save_network


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        assert temporary.suffix == ".txt" and temporary.parent == path.parent
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()
    assert list(path.parent.iterdir()) == [path]


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("before")
    with pytest.raises(error), replacing(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"), replacing(tmp_path / "file" / "x"):
        pass
    with pytest.raises(IsADirectoryError, match=str(tmp_path)), replacing(tmp_path):
        pass


def test_a_run_is_new_unless_the_same_was_interrupted(tmp_path):
    def run(epochs=2, **options):
        return open_run(
            "name",
            {"sizes": (1, 2), "epochs": epochs},
            lambda folder: count_epochs(folder) >= epochs,
            **options,
        )

    options = {"root": tmp_path}
    first = run(**options)
    assert first.is_dir() and first.name.endswith("-name")
    assert run(**options) == first
    other = run(epochs=3, **options)
    new = run(new=True, **options)
    assert len({first, other, new}) == 3
    assert (tmp_path / "latest").resolve() == new.resolve()
    assert not os.path.isabs(os.readlink(tmp_path / "latest"))
    (new / "history.csv").write_text("epoch\n1\n")
    assert run(**options) == new
    (new / "history.csv").write_text("epoch\n1\n2\n")
    assert run(**options) == first
    contents = json.loads((first / "recipe.json").read_text())
    assert contents["sizes"] == [1, 2] and contents["versions"]["keras"]
    (own,) = (lock for lock in _locks if lock.lock_file == str(other / ".lock"))
    own.release(force=True)
    with filelock.FileLock(other / ".lock", is_singleton=False):  # Another process's.
        with pytest.raises(OSError, match=f"Another process trains in {other}"):
            run(epochs=3, **options)
    (first / "recipe.json").write_text("{")
    assert run(**options) not in (first, other, new)


def test_what_killed_processes_left_is_removed(tmp_path):
    (tmp_path / "file.txt").write_text("kept")
    (tmp_path / ".temporary-file-123.txt").write_text("half")
    remove_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_network_round_trip(make_network, tmp_path, batch):
    network = make_network()
    save_network(network, tmp_path / "network.keras")
    copy = load_network(tmp_path / "network.keras")
    assert (copy(batch[0]).numpy() == network(batch[0]).numpy()).all()
    with pytest.raises(ValueError, match="network.h5"):
        save_network(network, tmp_path / "network.h5")


def test_bad_network_files_are_named(make_network, tmp_path):
    path = tmp_path / "network.keras"
    with pytest.raises(FileNotFoundError, match="network.keras"):
        load_network(path)
    make_network().save(path)
    content = path.read_bytes()
    for damaged in (b"", b"something else", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{path} is damaged or of another kind"):
            load_network(path)
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(path)
    with pytest.raises(ValueError, match="holds a Functional, not a Resizable"):
        load_network(path)
