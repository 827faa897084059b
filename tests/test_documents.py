"""What README and guides show runs: their Python, and commands by their flags."""

import functools
import importlib
import inspect
import pathlib
import re
import shlex
import sys
import textwrap

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from absl import flags
from keras import layers
from narrow_networks import convolutions

import keras_resizable
import keras_resizable_command
from keras_resizable import devices, export, photos, search
from keras_resizable.export.flatbuffer import with_metadata
from keras_resizable.search import latency
from keras_resizable.workshop.runs import keras_files

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (
        ROOT / "README.md",
        ROOT / "docs/index.md",
        *sorted(ROOT.glob("docs/guides/*.md")),
    )
}
COMMANDS = [
    command
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    for command in re.findall(
        r"(?<!/)\b(?:keras-resizable ([a-z]+)|"
        r"python ((?:train|tflite|benchmarks)/\w+\.py))"
        r"([^\n`'#|;)]*)",
        path.read_text(),
    )
    if "$" not in command[2]
]
SHAPE = (16, 16, 3)

# In the place of ResNet50: four stages too, in seconds.
narrow_network = functools.partial(
    convolutions, (2,) * 5, input_shape=SHAPE, classes=3, name="narrow"
)


def small_model(*_, **__):
    """In the place of MobileNetV3Small with its weights."""
    x = images = keras.Input(SHAPE)
    for filters, strides in ((4, 1), (4, 1), (4, 2), (4, 1), (8, 2), (8, 1)):
        x = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, layers.Dense(3, activation="softmax")(x))
    model.layers[-1].bias.assign([3, 0, 0])  # All sub-networks agree.
    return model


class Subclassed(keras.Model):
    """A model as many users write it."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, images):
        return self.dense(keras.ops.mean(images, axis=(1, 2)))


def programs_of(document):
    found = re.findall(r"^ *```python\n(.*?)^ *```", document, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(program) for program in found]


@pytest.fixture
def names(monkeypatch, tmp_path):
    """What the text leaves open: images, and that all is small and measured soon."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(keras_resizable, "ResNet50", narrow_network)
    monkeypatch.setattr(keras.applications, "MobileNetV3Small", small_model)
    # Latencies of 256 sub-networks would be those of 60 files.
    monkeypatch.setattr(latency, "convert", lambda model, path: path.touch())
    monkeypatch.setattr(
        devices.Host, "measure", lambda self, paths, *_: [{"median_ms": 1}] * len(paths)
    )
    generator = np.random.default_rng(0)
    images = generator.random((64, *SHAPE), np.float32)
    labels = generator.integers(3, size=64)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(64)
    pixels = generator.random((4, 64, 64, 3), np.float32)
    of_pixels = generator.integers(5, size=(4, 64, 64))
    # One for all, as a router is trained with results on its own images.
    return {
        "dataset": dataset,
        "train_set": dataset,
        "validation_set": dataset,
        "pixels_set": tf.data.Dataset.from_tensors((pixels, of_pixels)),
        "images": images,
        "subclassed": Subclassed(),
    }


def leave_files(program, names):
    """What scripts have left where a program looks for it, of any three signatures."""
    run = pathlib.Path("runs/latest")
    if "Run(" in program:
        network = narrow_network(scales=[1.0, 0.9, 0.8, 0.7])
        network.compile("sgd", "sparse_categorical_crossentropy")
        network.fit(names["dataset"], verbose=0)
        keras_files.save_network(network, run / "supernet.keras")
        pixels = np.rint(255 * names["images"]).astype(np.uint8)
        labels = np.arange(len(pixels)) % 3
        np.savez(run / "calibration.npz", images=pixels, labels=labels)
        if ".table()" in program or "latest/table.npz" in program:
            configs = ["1.0", network.space.smallest]
            search.build_table(network, names["dataset"], configs, folder=run)
    if "mediapipe" in program or "compare_tflite" in program:
        inputs = keras.Input((8, 8, 3))
        x = layers.GlobalAveragePooling2D()(inputs)
        names["model"] = keras.Model(inputs, layers.Dense(2, "softmax")(x))
        random = np.random.default_rng(0)
        some = random.uniform(-1, 1, (200, 1, 1, 3)).repeat(8, 1).repeat(8, 2)
        names["photos"] = names["other_photos"] = some.astype(np.float32)
        for name in ("mine_int8.tflite", "of_another_tool.tflite"):
            options = {"labels": ["cat", "dog"], "input_range": (-1, 1)}
            export.to_tflite(names["model"], name, **options)
        keras.utils.save_img("photo.jpg", np.zeros((9, 9, 3)), scale=False)
    for path in map(pathlib.Path, re.findall(r'Interpreter\("(.*?)"\)', program)):
        if path.name == "sub_int8.tflite":
            sub = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(3, 16)])
            sub.add(layers.Flatten())
            calibration = 2 * names["images"] - 1
            export.to_tflite(sub, path, "int8", calibrate_with=calibration)
            continue
        inputs = keras.Input(SHAPE)
        answer = layers.Dense(2)(layers.Flatten()(inputs))
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
            folder=pathlib.Path("job"),
            **dict.fromkeys(("run", "config", "table")),
            files=files,
            notes=[],
        )

    monkeypatch.setattr(photos, "to_phone", to_phone)
    monkeypatch.setattr(photos, "predict", lambda file, folder: files)


# Keras says so of every data set, and the shares of these few images are small.
@pytest.mark.filterwarnings("ignore:.shuffle=True. was passed:UserWarning")
@pytest.mark.filterwarnings("ignore:Each sub-network of a step gets:UserWarning")
@pytest.mark.filterwarnings("ignore:.* images cannot tell whether:UserWarning")
@pytest.mark.filterwarnings("ignore:Calibration changed the largest:UserWarning")
@pytest.mark.parametrize(
    "document", [d for d in DOCUMENTS if programs_of(DOCUMENTS[d])]
)
def test_the_python_runs_from_top_to_bottom(document, names, without_photos):
    images = names["images"]
    for number, program in enumerate(programs_of(DOCUMENTS[document]), 1):
        leave_files(program, names)
        one_by_one = "for image in images" in program
        names["images"] = images[:, np.newaxis] if one_by_one else images
        names["image"] = images[:1]
        names["photo"] = np.rint(255 * images[:1]).astype(np.uint8)
        exec(compile(program, f"{document}, program {number}", "exec"), names)
    for path in pathlib.Path().glob("*.keras"):
        keras.saving.load_model(path)


def test_all_that_is_public_is_in_a_guide():
    """What nobody is told of is not public; and it is little enough to know."""
    texts = [*DOCUMENTS.values()]
    texts += [path.read_text() for path in ROOT.glob("docs/notebooks/*.ipynb")]
    words = set(re.findall(r"\w+", "\n".join(texts)))
    public = set(keras_resizable.__all__)
    for name in keras_resizable.__all__:
        public |= set(getattr(getattr(keras_resizable, name), "__all__", ()))
    assert public <= words, public - words
    assert len(public) <= 125


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name):
    """Of what is not in the site, whose links its build checks."""
    for link in re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text()):
        assert "://" in link or (ROOT / link).exists(), link


def test_the_readme_is_short():
    assert len(DOCUMENTS["README.md"].splitlines()) <= 160


@pytest.mark.parametrize("name", sorted({name for name, _, _ in COMMANDS if name}))
def test_the_commands_have_flags_that_exist(name, monkeypatch):
    assert name in keras_resizable_command.COMMANDS
    # Flags of several commands would clash.
    own = flags.FlagValues()
    monkeypatch.setattr(flags, "FLAGS", own)
    for definition in dir(flags):
        if definition.startswith(("DEFINE_", "mark_", "register_")):
            define = functools.partial(getattr(flags, definition), flag_values=own)
            monkeypatch.setattr(flags, definition, define)
    modules = [f"keras_resizable.workshop.commands.{name}"]
    if name == "demo":  # Its flags are those of training.
        modules.insert(0, "keras_resizable.workshop.commands.train")
    for module in modules:
        monkeypatch.delitem(sys.modules, module, raising=False)
        module = importlib.import_module(module)
    for other, _, arguments in COMMANDS:
        if other == name and arguments.strip():
            own.unparse_flags()
            words = [word for word in shlex.split(arguments) if word != "--help"]
            rest = own([name, *words])[1:]
            takes_more = "refuse_arguments" not in inspect.getsource(module)
            assert takes_more or not rest, arguments


def test_the_scripts_that_are_named_are_there():
    for _, script, arguments in COMMANDS:
        if script:
            assert (ROOT / script).is_file(), script
            assert not script.startswith("benchmarks") or not arguments.strip()
