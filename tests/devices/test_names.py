import types

import pandas
import pytest

from keras_resizable import search
from keras_resizable.devices import Android, Host
from keras_resizable.devices.names import clean_name, printable
from keras_resizable.search.file_results import write_measurements


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "/tmp/x",
        "a/b",
        "a\\b",
        "..",
        ".hidden",
        "-rf",
        "=1+1",
        "",
        "a\n",
        "\x1b[2Jphone",
        "<img src=x>",
        "$(reboot)",
        "x" * 51,
        None,
    ],
)
def test_a_name_that_could_be_more_than_one_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    device = types.SimpleNamespace(name=name, description="Made up")
    calls = [
        lambda: Host(name),
        lambda: search.Table(pandas.DataFrame({"config": []})).add_latency(
            None, device
        ),
        lambda: write_measurements(
            [{"path": "a.tflite", "signature": None}],
            device,
            threads=1,
            warmup=1,
            runs=1,
        ),
    ]
    if name is not None:  # The device's own.
        calls.append(lambda: Android(name))
    for call in calls:
        with pytest.raises(
            ValueError, match="^A device's name has at most 50"
        ) as error:
            call()
        assert repr(name) in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Pixel 9", "Pixel_9"),
        ("SM-S928B/DS", "SM-S928B_DS"),
        ("../../x", "x"),
        ("192.168.0.7:5555", "192.168.0.7_5555"),
        ("Käse (2)", "Käse_(2)"),
        ("=HYPERLINK(0)", "HYPERLINK(0)"),
        ("\x1b]0;x\x07<b>", "0_x_b_"),
        ("  ..", ""),
        ("x" * 99, "x" * 50),
    ],
)
def test_what_a_device_says_becomes_a_name(said, name):
    assert clean_name(said) == name
    if name:
        assert Host(name).name == name


def test_terminals_get_no_commands():
    assert printable("a\x1b[2J\u202e\n é", keep="\n") == "a?[2J?\n é"
