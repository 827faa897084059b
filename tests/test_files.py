"""Files, folders of runs, and saved networks."""

import os

import keras
import pytest

from keras_resizable.files import replacing
from keras_resizable.runs import create_run
from keras_resizable.saving import load_network, save_network


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


def test_latest_is_the_newest_run(tmp_path):
    folders = [create_run("name", tmp_path) for _ in range(3)]
    assert len(set(folders)) == 3
    for folder in folders:
        assert folder.is_dir() and "-name" in folder.name
    assert (tmp_path / "latest").resolve() == folders[-1].resolve()
    assert not os.path.isabs(os.readlink(tmp_path / "latest"))


def test_network_round_trip(make_network, tmp_path, batch):
    network = make_network()
    save_network(network, tmp_path / "network.keras")
    copy = load_network(tmp_path / "network.keras")
    assert (copy(batch[0]).numpy() == network(batch[0]).numpy()).all()
    with pytest.raises(ValueError, match="network.h5"):
        save_network(network, tmp_path / "network.h5")


def test_bad_network_files_are_named(make_network, tmp_path):
    path = tmp_path / "network.keras"
    with pytest.raises(FileNotFoundError, match=r"network.keras.*train/supernet.py"):
        load_network(path)
    make_network().save(path)
    content = path.read_bytes()
    for damaged in (b"", b"something else", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{path} is damaged or not"):
            load_network(path)
    inputs = keras.Input((2,))
    keras.Model(inputs, keras.layers.Dense(1)(inputs)).save(path)
    with pytest.raises(ValueError, match="holds a Functional, not a Resizable"):
        load_network(path)
