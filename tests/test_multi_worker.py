"""Two real worker processes on this machine."""

import json
import pathlib
import socket
import time

import numpy as np
import pandas
import processes
import pytest
from image_folders import write_random_set

from keras_resizable.training import distribution

TESTS = pathlib.Path(__file__).parent
SUPERNET = TESTS.parent / "train" / "supernet.py"
# Far more than the 15 s that it takes here.
SECONDS_UNTIL_NOTICED = 120


def start(arguments, folder, workers=2):
    """Starts the same command as each of the workers."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in sockets]
    for server in sockets:
        server.close()
    started = []
    for index in range(workers):
        task = {"type": "worker", "index": index}
        config = {"cluster": {"worker": addresses}, "task": task}
        started.append(
            processes.start(
                *(part.format(index) for part in arguments),
                folder=folder,
                output=folder / f"worker{index}.txt",
                env={"TF_CONFIG": json.dumps(config)},
            )
        )
    return started


def wait(process, seconds=300):
    """The exit code."""
    process.join(seconds)
    return process.exitcode


def log(folder, index):
    return (folder / f"worker{index}.txt").read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What two workers trained, and what one process did."""
    folder = tmp_path_factory.mktemp("workers")
    script = str(TESTS / "train_as_worker.py")
    workers = start([script, "multi_worker", "worker{}.npz"], folder)
    (folder / "alone").mkdir()
    alone = start([script, "multi_worker", "../alone.npz"], folder / "alone", workers=1)
    assert processes.run(script, "none", "one.npz", folder=folder).returncode == 0
    for index, process in enumerate(workers):
        assert wait(process) == 0, log(folder, index)
    assert wait(alone[0]) == 0, log(folder / "alone", 0)
    return [
        {name: value for name, value in np.load(folder / f"{name}.npz").items()}
        for name in ("worker0", "worker1", "one", "alone")
    ]


def results(outputs):
    return json.loads(str(outputs["results"]))


def assert_close(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == pytest.approx(other[name], rel=1e-4), name


def test_synchronized_workers_train_and_evaluate_as_one_process(trained):
    one = trained[2]
    for worker in (*trained[:2], trained[3]):
        name = "synchronized=True"
        assert_close(results(worker)[name], results(one)[name])
        for key in worker:
            if key.startswith("True_"):
                np.testing.assert_allclose(worker[key], one[key], rtol=1e-4, atol=1e-5)


def test_workers_agree(trained):
    first, second, one, _ = trained
    assert [results(worker)["agreed"] for worker in trained] == ["chief's ü"] * 4
    for key in first:
        if key.startswith("False_"):
            np.testing.assert_array_equal(first[key], second[key])
    differences = [
        np.abs(first[key] - one[key]).max() for key in first if key.startswith("False_")
    ]
    # Each worker normalises by its own part of the batch, or else this test shows
    # nothing.
    assert max(differences) > 1e-3


def test_workers_agree_when_batches_are_dealt(trained):
    first, second, *_ = trained
    dealt = [key for key in first if key.startswith("dealt_")]
    for key in dealt:
        np.testing.assert_array_equal(first[key], second[key])
    assert dealt and results(first)["dealt"] == results(second)["dealt"]
    assert results(first)["dealt"] != results(first)["synchronized=True"]


def test_keras_alone_cannot_train_on_several_workers(trained):
    """When it can, `distribution.MultiWorkerTraining` is no longer needed."""
    assert results(trained[0])["stock"] is not None


def test_a_worker_that_is_killed_ends_the_others_and_all_go_on(tmp_path):
    write_random_set(tmp_path / "data", (192, 33), size=12)
    command = (
        str(SUPERNET),
        "--dataset=data",
        "--image_size=12",
        "--network=narrow_networks:narrow",
        "--strategy=multi_worker",
        "--epochs=1",
        "--batch_size=16",
        "--checkpoint_steps=2",
    )
    workers = start(command, tmp_path)
    latest = tmp_path / "runs" / "latest"
    while not (latest / "checkpoint.npz").exists():
        assert [worker.exitcode for worker in workers] == [None] * 2, log(tmp_path, 0)
        time.sleep(0.1)
    workers[1].kill()
    assert wait(workers[0], SECONDS_UNTIL_NOTICED) == 1
    wait(workers[1])
    _, said, error = log(tmp_path, 0).partition("error: A worker has stopped or ")
    assert said, log(tmp_path, 0)
    run = latest.resolve()
    assert f"checkpoint in runs/{run.name}" in error
    assert "Traceback" not in log(tmp_path, 0)

    for process in start(command, tmp_path):
        assert wait(process) == 0
    assert latest.resolve() == run
    assert "Resuming from step" in log(tmp_path, 1)
    assert len(pandas.read_csv(run / "history.csv")) == 1
    assert (run / "supernet.keras").exists()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"cluster": {"worker": ["a:1"]}, "task": {}}']
)
def test_a_wrong_tf_config_is_named(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG, such as"):
        distribution.make_strategy("multi_worker")


def test_strategies_are_named():
    with pytest.raises(ValueError, match="none.*mirrored.*multi_worker.*'tpu'"):
        distribution.make_strategy("tpu")
