"""Checkpoints of runs: whole or not at all."""

import errno
import os
import resource
import signal

import keras
import numpy as np
import pytest
from conftest import small_network

from keras_resizable.workshop.runs.checkpoint_file import (
    load_checkpoint,
    save_checkpoint,
)


def compiled(**options):
    network = small_network(**options)
    network.compile(keras.optimizers.SGD(momentum=0.9), "categorical_crossentropy")
    return network


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    network = compiled()
    save_checkpoint(network, tmp_path, {"step": 1})
    kept = (tmp_path / "checkpoint.npz").read_bytes()
    # The kernel ends writing at this size, as it does where no room is left.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError) as raised:
            save_checkpoint(network, tmp_path, {"step": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert raised.value.errno == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]
    assert (tmp_path / "checkpoint.npz").read_bytes() == kept
    assert load_checkpoint(network, tmp_path)[0] == {"step": 1}


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "text"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_kept(tmp_path, damage):
    network = compiled()
    for step in (1, 2):
        save_checkpoint(network, tmp_path, {"step": step})
    path = tmp_path / "checkpoint.npz"
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(
        {
            "truncated": contents[: len(contents) // 2],
            "flipped": contents,
            "empty": b"",
            "text": b"not a checkpoint",
        }[damage]
    )
    before = network.get_weights()
    with pytest.raises(
        ValueError, match=r"checkpoint.npz is damaged.* checkpoint.previous.npz"
    ):
        load_checkpoint(network, tmp_path)
    for old, new in zip(before, network.get_weights()):
        np.testing.assert_array_equal(old, new)
    path.unlink()
    assert load_checkpoint(network, tmp_path)[0] == {"step": 1}
    os.truncate(tmp_path / "checkpoint.previous.npz", 100)
    with pytest.raises(ValueError, match="previous.npz is damaged.*starts again"):
        load_checkpoint(network, tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    save_checkpoint(compiled(), tmp_path, {})
    with pytest.raises(ValueError, match="for another network"):
        load_checkpoint(compiled(classes=4), tmp_path)
