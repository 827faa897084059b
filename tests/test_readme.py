"""What README.md shows runs: its Python as one program, its commands by their flags."""

import functools
import importlib.util
import pathlib
import re
import shlex
import shutil
import textwrap

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from absl import flags
from narrow_networks import convolutions

import keras_resizable
from keras_resizable import devices, export, photos
from keras_resizable.export.flatbuffer import with_metadata
from keras_resizable.runs import saving
from keras_resizable.search import latency

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROGRAMS = [
    textwrap.dedent(program)
    for program in re.findall(
        r"^ *```python\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE
    )
]
COMMANDS = re.findall(
    r"python ((?:train|tflite|benchmarks)/\w+\.py)([^\n`'#|;]*)", README
)

# In the place of ResNet50: four stages too, in seconds.
narrow_network = functools.partial(
    convolutions, (2,) * 5, input_shape=(16, 16, 1), classes=3, name="narrow"
)


@pytest.fixture
def names(monkeypatch, tmp_path):
    """What the text leaves open: images, and that all is small and measured soon."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(keras_resizable, "ResNet50", narrow_network)
    # Latencies of 256 sub-networks would be those of 60 files.
    monkeypatch.setattr(latency, "convert", lambda model, path: path.touch())
    monkeypatch.setattr(
        devices.Host, "measure", lambda self, paths, *_: [{"median_ms": 1}] * len(paths)
    )
    generator = np.random.default_rng(0)
    images = generator.random((8, 16, 16, 1), np.float32)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(8) % 3)).batch(8)
    # One for all, as a router is trained with results on its own images.
    return {
        "dataset": dataset,
        "train_set": dataset,
        "test_set": dataset,
        "images": images,
        "train_images": images,
    }


def leave_files(program, names):
    """What scripts have left where a program looks for it, of any three signatures."""
    if "Run(" in program:
        run = pathlib.Path("runs/latest")
        saving.save_network(names["model"], run / "supernet.keras")
        pixels = np.rint(255 * names["train_images"]).astype(np.uint8)
        np.savez(run / "calibration.npz", images=pixels)
        shutil.copy("mine/table.csv", run)
    for path in map(pathlib.Path, re.findall(r'Interpreter\("(.*?)"\)', program)):
        inputs = keras.Input((16, 16, 1))
        answer = keras.layers.Dense(2)(keras.layers.Flatten()(inputs))
        export.tflite.convert(keras.Model(inputs, answer), "one.tflite")
        parts = []
        for number in range(3):
            parts.append(pathlib.Path(f"{number}.tflite"))
            content = pathlib.Path("one.tflite").read_bytes()
            signature = {"signature": f"signature{number}"}
            parts[-1].write_bytes(with_metadata(content, signature))
        path.parent.mkdir(parents=True, exist_ok=True)
        export.to_bundle(parts, path)


@pytest.fixture
def without_photos(monkeypatch):
    """What tests/photos does is not done here; a job is made."""
    files = pandas.DataFrame({"file": ["a.tflite"], "config": ["1.0"], "top1": [1.0]})

    def to_phone(job):
        assert isinstance(job, photos.Job)
        return photos.ForPhone(
            folder=None, run=None, config=None, table=None, files=files
        )

    monkeypatch.setattr(photos, "to_phone", to_phone)


# Keras says so of every data set.
@pytest.mark.filterwarnings("ignore:.shuffle=True. was passed:UserWarning")
def test_the_python_runs_from_top_to_bottom(names, without_photos):
    assert len(PROGRAMS) >= 5
    images = names["images"]
    for number, program in enumerate(PROGRAMS, 1):
        leave_files(program, names)
        one_by_one = "for image in images" in program
        names["images"] = images[:, np.newaxis] if one_by_one else images
        names["image"] = images[:1]
        exec(compile(program, f"README.md, program {number}", "exec"), names)
    assert isinstance(names["model"], keras_resizable.ResizableNetwork)
    assert names["probabilities"].shape == (1, 2)
    for name in ("sub.keras", "adaptive.keras"):
        keras.saving.load_model(name)
    assert pathlib.Path("sub.tflite").exists()
    assert pathlib.Path("mine/table.csv").exists()


@pytest.mark.parametrize("script", sorted({script for script, _ in COMMANDS}))
def test_the_commands_have_flags_that_exist(script, monkeypatch):
    path = ROOT / script
    assert path.is_file()
    if path.parent.name == "benchmarks":
        assert {
            arguments.strip() for name, arguments in COMMANDS if name == script
        } == {""}
        return
    # Flags of several scripts would clash.
    own = flags.FlagValues()
    monkeypatch.setattr(flags, "FLAGS", own)
    for name in dir(flags):
        if name.startswith("DEFINE_"):
            define = functools.partial(getattr(flags, name), flag_values=own)
            monkeypatch.setattr(flags, name, define)
    monkeypatch.syspath_prepend(path.parent)
    spec = importlib.util.spec_from_file_location(f"readme_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, arguments in COMMANDS:
        if name == script:
            own.unparse_flags()
            words = [word for word in shlex.split(arguments) if word != "--help"]
            rest = own([script, *words])[1:]
            takes_more = "refuse_arguments" not in path.read_text()
            assert takes_more or not rest, arguments
