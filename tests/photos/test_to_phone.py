"""From a folder of photos to files for the phone."""

import dataclasses
import json
import os
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pandas
import processes
import pytest
from foreign_models import plain
from PIL import ExifTags, Image

import keras_resizable
from keras_resizable import data, devices, errors, export, photos, recipes
from keras_resizable.search import Table
from keras_resizable.training import learning_rates
from keras_resizable.workshop.photos import source
from keras_resizable.workshop.photos.estimate import work_of
from keras_resizable.workshop.photos.material import (
    digest_of_model,
    digest_of_photos,
    read,
    settings_of,
)
from keras_resizable.workshop.photos.phone_files import notes_on
from keras_resizable.workshop.photos.progress import Progress
from keras_resizable.workshop.photos.steps import (
    Choice,
    better,
    find_rate,
    fine_tune,
    neighbours,
)
from keras_resizable.workshop.photos.to_phone import files_of_done
from keras_resizable.workshop.recipes import source_models

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))
import classify  # noqa: E402

COLORS = ("red", "green", "blü e")
COUNT = 20
SHAPE = (24, 24, 3)
NASNET = {"model": "NASNetMobile", "weights": None, "image_size": 32}


def write_photos(folder, counts, size=28):
    """Noise with a colour for each class."""
    random = np.random.default_rng(0)
    for channel, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = random.normal(60, 40, (size, size, 3))
            image[..., channel % 3] += 80
            path = str(folder / name / f"{number}.png")
            keras.utils.save_img(path, np.clip(image, 0, 255), scale=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos of three colours, and a model that knows other classes."""
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder / "photos", dict.fromkeys(COLORS, COUNT))
    plain().save(folder / "mine.keras")
    return folder


def make_job(folder, **changes):
    values = {
        "images": folder / "photos",
        "model": folder / "mine.keras",
        "input_range": (0.0, 1.0),
        "scales": (1.0, 0.5),
        "image_size": SHAPE[0],
        "max_flops": 1e9,
        "head_epochs": 2,
        "epochs": 4,
        "resizable_epochs": 4,
        "tuning_epochs": 2,
        "max_loss": 0.5,
    }
    return photos.Job(**values | changes)


class Counting(devices.Host):
    """A device that goes away when it is asked for the first time."""

    def __init__(self):
        super().__init__("desk")
        self.calls = 0

    def measure(self, *args):
        self.calls += 1
        if self.calls == 1:
            raise errors.DeviceError("desk is gone.", [])
        return super().measure(*args)


def test_photos_become_files_and_what_is_done_is_not_done_again(
    folder, tmp_path, monkeypatch
):
    job, device = make_job(folder), Counting()
    trained = []
    fit = keras.Model.fit

    def counted(model, *args, **kwargs):
        trained.append(model.name)
        return fit(model, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "fit", counted)
    with pytest.raises(errors.DeviceError, match="desk is gone"):
        photos.to_phone(job, device=device, root=tmp_path)
    assert len(trained) >= 6  # With three range tests.
    (done,) = tmp_path.glob("photos/*-mine")
    assert (done / "training/source.keras").exists()
    assert not (done / "more").exists()
    trained.clear()
    assert photos.estimate(job, root=tmp_path).folder == done
    trained.clear()
    result = photos.to_phone(job, device=device, root=tmp_path)
    assert not trained and result.folder == done
    assert result.run.images().class_names == tuple(sorted(COLORS))
    _check_again(result, job, device, tmp_path)
    table, files = result.table, result.files
    assert len(table) == 4 and result.config in table
    assert files["file"][0] == f"mine_{result.config.key}_int8.tflite"
    assert list(files["file"])[-1] == "more/source_int8.tflite"
    bundle = files[files["file"] == "more/mine_bundle_int8.tflite"]
    assert len(bundle) >= 2 and str(result.config) in set(bundle["config"])
    assert (files["latency_ms_desk"] > 0).all() and (files["flops"] > 0).all()
    # As it says, on the photos that nothing was chosen with.
    images = data.load(str(folder / "photos"), validation=0.15)
    test = data.eval_dataset(images.test, SHAPE, 8)
    for row in files.to_dict("records"):
        accuracy = export.evaluate_tflite(
            done / row["file"], test, signature=row["signature"] or None
        )
        assert accuracy.top1 == row["top1"]
    assert images.test.num_images == images.validation.num_images == 9
    assert files["top1"][0] > 0.5  # Colours are easy.
    read = pandas.read_csv(done / "more/files.csv")
    np.testing.assert_allclose(read["top1"], files["top1"])
    report = (done / "report.html").read_text()
    assert "Each class" in report and "source_int8.tflite" in report
    metadata = export.read_metadata(done / files["file"][0])
    assert metadata["labels"] == sorted(COLORS) and metadata["io"] == "uint8"
    assert (done / "labels.txt").read_text().splitlines() == sorted(COLORS)
    assert metadata["center_crop"] is None  # Of small images all is seen.
    assert metadata["accuracy"]["commonest_share"] == 1 / 3
    assert (files["top1_low"] <= files["top1"]).all()
    assert (files["top1"] <= files["top1_high"]).all()
    assert all("9 test photos can tell" in note for note in result.notes)
    assert metadata["config"] == str(result.config)
    # A file that somebody deleted is not done, and a choice of other limits neither.
    choice = json.loads((done / "training/choice.json").read_text())
    assert len(files_of_done(done, choice)) == len(files)
    assert files_of_done(done, choice | {"max_flops": 1.0}) is None
    away = (done / files["file"][0]).rename(tmp_path / "away")
    assert files_of_done(done, choice) is None
    for length in (0, -100):
        (done / files["file"][0]).write_bytes(away.read_bytes()[:length])
        assert files_of_done(done, choice) is None
    away.rename(done / files["file"][0])
    # Other limits need no other training, and replace the files when they are whole.
    with pytest.raises(ValueError, match="No sub-network has flops.*The nearest is"):
        photos.to_phone(make_job(folder, max_flops=1.0), device=device, root=tmp_path)
    device.calls = 0  # It goes away again.
    with pytest.raises(errors.DeviceError, match="desk is gone"):
        photos.to_phone(make_job(folder, max_flops=2e9), device=device, root=tmp_path)
    _check_again(result, job, device, tmp_path)
    own = done / "own.tflite"  # Somebody's.
    own.touch()
    least = float(table.to_frame()["flops"].min())
    cheapest = make_job(folder, max_flops=least, tuning_epochs=2)
    other = photos.to_phone(cheapest, device=device, root=tmp_path)
    assert other.folder == done and str(other.config) == "0.5,0.5"
    own.unlink()
    assert {
        path.relative_to(done).as_posix()
        for path in (*done.glob("*.tflite"), *done.glob("more/*.tflite"))
    } == set(other.files["file"])
    trained = [name for name in trained if name != "sub_network"]
    assert not trained
    recipe = result.run.recipe
    assert recipe.teacher == str(done / "training/source.keras")
    assert recipe.split_batch and recipe.validation == 0.15
    # By the rate at which the source learned, as batches are larger.
    rates = json.loads((done / "training/learning_rates.json").read_text())
    expected = min(rates["all"] * recipe.batch_size / 32, 0.05)
    assert recipe.learning_rate == expected


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    """Photos without labels, and a model that knows their colours."""
    folder = tmp_path_factory.mktemp("unlabelled")
    write_photos(folder / "by_class", dict.fromkeys(COLORS, COUNT))
    (folder / "photos").mkdir()
    for path in sorted((folder / "by_class").glob("*/*.png")):
        path.rename(folder / "photos" / f"{path.stem}{path.parent.name}.png")
    labels = np.arange(96) % 3
    images = np.random.default_rng(1).normal(0.24, 0.16, (96, *SHAPE))
    images[np.arange(96), ..., labels] += 0.31
    model = plain()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(images, labels, epochs=10, verbose=0)
    model.save(folder / "mine.keras")
    return folder


# The model was trained with other noise.
@pytest.mark.filterwarnings(
    "ignore:The images to calibrate with are unlike:UserWarning"
)
def test_photos_without_labels_teach_the_answers_of_a_model(unlabelled, tmp_path):
    job = make_job(unlabelled, min_top1=0.1)
    found = photos.estimate(job, root=tmp_path)
    assert (found.num_train, found.num_validation, found.num_test) == (42, 9, 9)
    assert "model" not in found.steps
    # There are no classes to balance.
    balanced = photos.estimate(job.with_(balance=True), root=tmp_path)
    assert balanced.num_train == 42
    result = photos.to_phone(job, root=tmp_path)
    # The model is not trained, and all results are of its answers.
    given = keras.saving.load_model(unlabelled / "mine.keras")
    source = keras.saving.load_model(result.folder / "training/source.keras")
    noise = np.random.default_rng(0).uniform(-1, 1, (4, *SHAPE))
    expected = keras.ops.softmax(given((noise + 1) / 2))
    np.testing.assert_allclose(source(noise), expected, atol=1e-6)
    assert result.run.recipe.distillation_weight == 1
    assert result.table.score == "agreement" and "top1" not in result.files
    whole_config = result.run.network().space.largest
    whole = result.table[whole_config]
    test = result.run.test_data()
    labelled = test.map(lambda x: (x, keras.ops.argmax(source(x), axis=-1)))
    sub = result.run.network().sub_network("1.0", result.run.calibration())
    sub.compile(metrics=["sparse_categorical_accuracy"])
    again = sub.evaluate(labelled, verbose=0)[-1]
    assert whole["agreement"] == pytest.approx(again)
    assert result.files["source_agreement"].iloc[-1] > 0.7  # The source in int8.
    # At full size nothing can improve the model itself.
    choice = Choice(result.table, result.run.network(), whole_config, [])
    material, given = read(job), result.folder / "training/source.keras"
    flops = material.count_flops(material.untrained())
    progress = Progress(work_of(material, flops))
    tuned = fine_tune(material, result.run, choice, given, progress)
    np.testing.assert_allclose(tuned(noise), expected, atol=1e-5)
    assert result.files["commonest_share"][0] < 0.8
    before = digest_of_photos(job)
    (unlabelled / "photos/0red.png").unlink()
    assert digest_of_photos(job) != before


def test_photos_without_labels_need_a_trained_model(unlabelled, tmp_path):
    images = keras.Input(SHAPE)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(1, 3)(images))
    binary = keras.Model(images, keras.layers.Activation("sigmoid")(x))
    binary.save(tmp_path / "binary.keras")
    with pytest.raises(ValueError, match=r"an output for each class.*\(None, 1\)"):
        read(make_job(unlabelled, model=tmp_path / "binary.keras"))
    job = make_job(unlabelled, model="MobileNetV2", input_range=None)
    with pytest.raises(ValueError, match="no folder for each class.*MobileNetV2"):
        read(job)
    recipe = recipes.resolve(
        "sample_resnet20", overrides={"dataset": str(unlabelled / "photos")}
    )
    with pytest.raises(ValueError, match="give it as `teacher`"):
        recipes.load_data(recipe)


def _check_again(result, job, device, root):
    """What is done is returned as it is, however the folder is spelled."""
    written = {path: path.stat().st_mtime_ns for path in result.folder.glob("*.*")}
    calls = device.calls
    spelled = dataclasses.replace(job, images=f"{os.path.relpath(job.images)}/")
    again = photos.to_phone(spelled, device=device, root=root)
    assert device.calls == calls and again.folder == result.folder
    assert again.config == result.config
    pandas.testing.assert_frame_equal(again.files, result.files, check_dtype=False)
    tables = (each.table.to_frame() for each in (again, result))
    pandas.testing.assert_frame_equal(*tables, check_dtype=False)
    assert {path: path.stat().st_mtime_ns for path in written} == written


def test_photos_are_the_same_however_their_folder_is_named(
    folder, tmp_path, monkeypatch
):
    """In a home folder, by links, and with what Finder leaves."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write_photos(tmp_path / "cats", {"cat": 4})
    write_photos(tmp_path / "photos", {"dog": 4})
    (tmp_path / "photos/cat").symlink_to(tmp_path / "cats/cat")
    jobs = [make_job(folder, images=name) for name in ("~/photos", "~/photos/")]
    first, other = (settings_of(job) for job in jobs)
    assert first == other
    (tmp_path / "photos/.DS_Store").touch()
    (tmp_path / "photos/dog/.DS_Store").touch()
    assert settings_of(jobs[0]) == first
    content = (tmp_path / "cats/cat/1.png").read_bytes()
    (tmp_path / "cats/cat/0.png").write_bytes(content[::-1])
    of_the_same_size = settings_of(jobs[0])
    (tmp_path / "cats/cat/0.png").write_bytes(content)
    assert of_the_same_size != settings_of(jobs[0]) != first


def test_what_cannot_be_is_told_before_training(folder, tmp_path, monkeypatch):
    def train(*args, **kwargs):
        raise AssertionError("It trains.")

    monkeypatch.setattr(keras.Model, "fit", train)
    write_photos(tmp_path / "one", {"cat": 5})
    write_photos(tmp_path / "few", {"cat": 2, "dog": 2})
    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Conv2D(4, 3)(inputs)
    keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)).save(
        tmp_path / "headless.keras"
    )
    # Squeezed and excited by dense layers, which are not its classifier.
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = keras.layers.Multiply()([x, keras.layers.Dense(4, "sigmoid")(gate)])
    x = keras.layers.Conv2D(5, 1)(keras.layers.GlobalAveragePooling2D(keepdims=True)(x))
    outputs = keras.layers.Softmax()(keras.layers.Flatten()(x))
    keras.Model(inputs, outputs).save(tmp_path / "convolution.keras")
    keras_resizable.ResNet20((1.0, 0.5)).save(tmp_path / "ours.keras")
    for changes, error, message in (
        ({"images": tmp_path / "one"}, ValueError, "has one class, 'cat'"),
        ({"images": tmp_path / "few"}, ValueError, "No class in .* has 3 images"),
        ({"images": tmp_path / "none"}, FileNotFoundError, "no folder"),
        ({"image_size": 32}, ValueError, r"\(None, 24, 24, 3\).*\(None, 32, 32, 3\)"),
        ({"model": str(tmp_path / "headless.keras")}, ValueError, "end in a Dense"),
        ({"model": str(tmp_path / "convolution.keras")}, ValueError, "end in a Dense"),
        ({"model": str(tmp_path / "ours.keras")}, ValueError, "already holds a"),
        (NASNET, ValueError, "stage 1 at scale 0.5 .* cannot run"),
        ({"model": "ResNet51"}, ValueError, "model='ResNet51'"),
        ({"max_flops": -1.0}, ValueError, "max_flops"),
        (
            {"max_flops": 1e3},
            errors.NotWithinLimitsError,
            "flops of at most 1000. The nearest is",
        ),
        ({"model": "no.keras"}, FileNotFoundError, "no.keras"),
        ({"io": "int4"}, ValueError, "io.*'uint8' or 'float32'.*'int4'"),
        ({"epochs": 0}, ValueError, "epochs.* greater than 0.*input_value=0"),
        ({"epochs": 1.5}, ValueError, "epochs.* valid integer.*=1.5"),
        ({"model": Path("mine.h5")}, ValueError, "model='mine.h5'"),
        ({"weights": "imagnet"}, ValueError, "weights.*not point to a file.*'imagnet'"),
        ({"scales": ()}, ValueError, r"scales=\[\]"),
        ({"scales": 0.5}, ValueError, "scales.*valid tuple.*input_value=0.5"),
        ({"scales": (0.5, 2.0)}, ValueError, "2.0"),
        ({"image_size": (32, 32)}, ValueError, "image_size.*valid integer"),
        ({"image_size": 0}, ValueError, "image_size.*greater than 0"),
        ({"input_range": ("0", "x")}, ValueError, "input_range.*valid number"),
        ({"validation": 0.5}, ValueError, "validation.*less than 0.5"),
        ({"input_range": (255.0,)}, ValueError, "input_range.*Field required"),
        ({"input_range": (1.0, 1.0)}, ValueError, "input_range=.1.0, 1.0."),
        ({"max_loss": 2.0}, ValueError, "max_loss.*less than or equal to 1"),
    ):
        with pytest.raises(error, match=f"(?s){message}"):
            photos.to_phone(make_job(folder, **changes), root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_browser_takes_no_int8(folder, tmp_path):
    browser = object.__new__(devices.Browser)  # Not opened.
    with pytest.raises(ValueError, match="--io=uint8"):
        photos.to_phone(make_job(folder, io="int8"), device=browser, root=tmp_path)
    arguments = (f"--images={folder / 'photos'}", "--device=browser", "--dry_run")
    arguments += ("--io=int8",)
    result = processes.run(ROOT / "train/photos.py", *arguments, folder=tmp_path)
    assert result.returncode == 1 and "--io=uint8" in result.stderr
    assert not any(tmp_path.iterdir())


def test_a_model_that_training_makes_no_better_stays(folder, caplog):
    caplog.set_level("INFO", "keras_resizable")
    job = make_job(folder)
    material = read(job)
    images, recipe = material.images, material.recipe
    inputs = keras.Input(SHAPE)
    colours = keras.layers.GlobalAveragePooling2D()(inputs)
    of_class = keras.layers.Dense(3, "softmax", use_bias=False)
    good = keras.Model(inputs, of_class(colours))
    # The classes are in alphabetical order: blue, green, red.
    of_class.kernel.assign(50 * np.eye(3)[::-1])
    bad = keras.Model(inputs, keras.layers.Dense(3, "softmax")(0 * colours))
    for before, after in ((good, bad), (bad, good)):
        assert better(before, after, recipe, images) is good
    assert "Training: 100.00 -> 33.33 % of the validation photos" in caplog.text
    other = keras.models.clone_model(good)
    other.set_weights(good.get_weights())
    assert better(good, other, recipe, images) is good
    assert "so the original model is used" in caplog.text
    assert source.has_classes(good, 3) and not source.has_classes(good, 4)


def test_a_dry_run(folder, tmp_path):
    result = processes.run(
        ROOT / "train/photos.py",
        f"--images={folder / 'photos'}",
        "--model=ResNet20",
        "--image_size=16",
        "--scales=1.0,0.5",
        "--dry_run",
        folder=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "classes        3: training, validation, test photos" in lines
    assert "  blü e                        14       3       3" in lines
    assert "photos         42 training, 9 validation, 9 test" in lines
    assert "size           16 x 16 x 3" in lines and "sub-networks   8" in lines
    assert any(re.fullmatch(r"FLOPs          .* million .*", line) for line in lines)
    assert any(line.startswith("training       about") for line in lines)
    assert not any(tmp_path.iterdir())


def test_a_network_of_this_library_starts_from_nothing(folder):
    job = make_job(folder, model="ResNet20", image_size=16)
    assert not job.is_pretrained
    material = read(job)
    recipe = material.recipe
    assert recipe.network == "ResNet20" and recipe.teacher is None
    assert recipe.batch_size == 42 and recipe.split_batch
    few = data.take_train(material.photos, 31)
    assert dataclasses.replace(material, photos=few).recipe.split_batch is False
    # A pass is one step; few steps make an epoch.
    assert recipe.epochs == 1 and recipe.steps_per_epoch == 4
    # Of Keras, where both have one of this name.
    assert make_job(folder, model="ResNet50").is_pretrained
    untrained = make_job(folder, model="ResNet50", weights=None)
    assert read(untrained).recipe.network == "keras.applications.ResNet50"
    assert make_job(folder, input_range=("0", "255")).input_range == (0.0, 255.0)
    default = photos.Job(images=folder / "photos")
    assert default.epochs_of("epochs", 100) == (20, 100)
    assert default.epochs_of("epochs", 2) == (25, 20)
    assert dataclasses.replace(default, epochs=3).epochs_of("epochs", 2) == (1, 6)


def test_other_photos_are_another_job(tmp_path):
    """Each photo's purpose follows from all of its class."""
    write_photos(tmp_path / "photos", {"cat": 4, "dog": 4}, size=8)
    job = photos.Job(images=tmp_path / "photos")
    before = digest_of_photos(job)
    assert before == digest_of_photos(photos.Job(images=str(tmp_path / "photos")))
    (tmp_path / "photos/cat/0.png").rename(tmp_path / "photos/cat/new.png")
    assert digest_of_photos(job) != before


def test_photos_of_no_class_belong_to_a_job(tmp_path):
    write_photos(tmp_path / "photos", {"cat": 4, "dog": 4}, size=8)
    path = tmp_path / "labels.csv"
    path.write_text("photos/cat/0.png,cat\nphotos/dog/0.png,dog\n")
    jobs = [photos.Job(images=images) for images in (tmp_path / "photos", path)]
    before = [*map(digest_of_photos, jobs)]
    for folder in (tmp_path, tmp_path / "photos"):
        write_photos(folder, {"_unknown": 1}, size=8)
    now = [*map(digest_of_photos, jobs)]
    assert now[0] != before[0] and now[1] != before[1]
    assert jobs[1].title == tmp_path.name


def test_another_model_of_the_same_name_is_another_job(folder, tmp_path):
    path = tmp_path / "mine.keras"
    digests = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        plain().save(path)
        digests.append(digest_of_model(make_job(folder, model=str(path))))
    assert digests[0] != digests[1]
    one, other = (make_job(folder, model=name) for name in ("ResNet50", "ResNet101"))
    assert digest_of_model(one) == digest_of_model(other)


def test_a_model_has_its_own_size(folder):
    job = make_job(folder, image_size=None)
    assert read(job).recipe.image_size == SHAPE[0]


def test_a_rate_that_no_range_test_finds(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "keras_resizable")

    def fail(*args):
        raise ValueError("The loss is nowhere lower.")

    monkeypatch.setattr(f"{learning_rates.__name__}.find_learning_rate", fail)
    assert find_rate(tmp_path, "all", None, None) == 0.01
    assert "so 0.01 is used: The loss is nowhere lower." in caplog.text
    found = learning_rates.RangeTest(np.ones(1), np.ones(1), 9.0)
    monkeypatch.setattr(
        f"{learning_rates.__name__}.find_learning_rate",
        lambda *args: found,
    )
    assert find_rate(tmp_path, "classifier", None, None) == 0.3
    assert find_rate(tmp_path, "all", None, None) == 0.01  # Known.


def test_neighbours_in_cost():
    rows = pandas.DataFrame(
        {
            "config": ["1.0,1.0", "0.75,1.0", "0.5,1.0", "0.5,0.75", "0.5,0.5"],
            "flops": [100.0, 70.0, 60.0, 40.0, 30.0],
            "top1": [0.9, 0.8, 0.7, 0.6, 0.65],
        }
    )
    configs = neighbours(Table(rows), (0.5, 1.0), "flops")
    assert configs == ["0.75,1.0", "0.5,1.0", "0.5,0.5"]


def files_of(**changes):
    """Of which the first is the chosen one, and the second its neighbour."""
    row = {
        "file": "mine_int8.tflite",
        "signature": "",
        "config": "1.0",
        "latency_ms_desk": 1.0,
        "top1": 0.74,
        "top1_low": 0.63,
        "top1_high": 0.83,
        "num_images": 77,
        "commonest": "Frösche",
        "commonest_share": 0.31,
    }
    other = {"file": "bundle.tflite", "signature": "scale_0.5", "latency_ms_desk": 0.4}
    return pandas.DataFrame([row | changes, row | other])


def test_what_has_to_be_said_of_the_files():
    assert notes_on(files_of(), "desk", None) == []
    (note,) = notes_on(files_of(top1=0.31, top1_low=0.21), "desk", None)
    assert note == (
        "No better than always answering 'Frösche' (31 %), as far as 77 test photos "
        "can tell."
    )
    assert notes_on(files_of(), "desk", 1.0) == []
    (note,) = notes_on(files_of(), "desk", 0.5)
    assert "takes 1.00 ms, beyond the limit of 0.5 ms" in note
    assert note.endswith("bundle.tflite scale_0.5 takes 0.40 ms.")
    (note,) = notes_on(files_of(), "desk", 0.3)
    assert "bundle" not in note


def starting_with(*first):
    images = keras.Input(SHAPE)
    x = images
    for layer in first:
        x = layer(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3)(x))
    return keras.Model(images, keras.layers.Dense(3, "softmax")(x))


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ([keras.layers.Rescaling(1 / 255)], (0, 255)),
        ([keras.layers.Rescaling(1 / 127.5, -1)], (0, 255)),
        ([keras.layers.RandomFlip(), keras.layers.Rescaling(1 / 255)], (0, 255)),
        (
            [
                keras.Sequential([keras.layers.RandomFlip()]),
                keras.layers.Rescaling(0.01),
            ],
            (0, 255),
        ),
        ([], (-1, 1)),
        ([keras.layers.Rescaling(2.0)], (-1, 1)),
        ([keras.layers.Conv2D(3, 3), keras.layers.Rescaling(1 / 255)], (-1, 1)),
    ],
)
def test_a_first_layer_tells_the_range_of_pixels(first, expected):
    assert source_models.range_of(starting_with(*first)) == expected


def test_a_tutorials_model_needs_no_range(folder, tmp_path):
    model = starting_with(keras.layers.Rescaling(1 / 255))
    model.save(tmp_path / "tutorial.keras")
    job = make_job(folder, model=tmp_path / "tutorial.keras", input_range=None)
    made = source.make_source(job, model, SHAPE, 3)
    pixels = np.random.default_rng(0).uniform(0, 255, (4, *SHAPE)).astype(np.float32)
    np.testing.assert_allclose(made(pixels / 127.5 - 1), model(pixels), atol=1e-5)


def test_a_folder_with_a_name_that_is_no_text_is_told_first(folder, tmp_path):
    root = os.fsencode(tmp_path) + b"/\xff"
    for call in (
        lambda: photos.to_phone(make_job(folder), root=os.fsdecode(root)),
        lambda: keras_resizable.train("sample_resnet20", root=os.fsdecode(root)),
    ):
        with pytest.raises(ValueError, match="surrogates not allowed"):
            call()
    assert not os.path.exists(root)


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """Photos as cameras leave them, and an int8 file that crops."""
    folder = tmp_path_factory.mktemp("classified")
    random = np.random.default_rng(0)
    for label, name in enumerate(COLORS):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(12):
            size = (150 + 10 * number, 190, 3)
            pixels = random.normal(90, 50, size)
            pixels[..., label] += 12
            pixels[: size[0] // 2, :, (label + 1) % 3] += 25  # Not in the middle alone.
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = 1 + number % 8
            kind = ("jpg", "png")[number % 2]
            image.save(folder / "photos" / name / f"{number}.{kind}", exif=exif)
    images = data.load_folder(folder / "photos", validation=0.3)
    shape = (96, 96, 3)
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(3, "softmax")(x))
    batches = data.eval_dataset(images.train, shape, 6, center_crop=True, order_seed=0)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(batches, epochs=12, shuffle=False, verbose=0)
    test = data.eval_dataset(images.test, shape, 6, center_crop=True)
    path = folder / "model.tflite"
    export.to_tflite(
        model,
        path,
        "int8",
        io="uint8",
        calibrate_with=batches,
        labels=images.class_names,
        input_range=(-1.0, 1.0),
        metadata={"center_crop": 0.875},
    )
    return folder, path, test


def test_the_program_to_copy_answers_as_was_measured(classified, capsys):
    folder, path, test = classified
    measured = export.evaluate_tflite(path, test)
    paths = sorted((folder / "photos").glob("*/*"))
    classify.main(path, *paths)
    lines = capsys.readouterr().out.splitlines()
    answers = dict(line.rsplit(": ", 1) for line in lines)
    right = {p: answers[str(p)].startswith(f"{p.parent.name} (") for p in paths}
    # Those that were measured are told by their pixels.
    classifier = classify.Classifier(path)
    pixels = {p: classifier.pixels(p) for p in paths}
    found = []
    for image, label in test.unbatch():
        distances = {p: np.abs(image - pixels[p]).mean() for p in paths}
        nearest = min(distances, key=distances.get)
        assert distances[nearest] < 0.01  # Of 2: a pixel of 255 is one of 0.008.
        assert classifier.labels[int(label)] == nearest.parent.name
        found.append(right[nearest])
    assert np.mean(found) == measured.top1
    assert 0.4 < measured.top1 < 1.0  # So that it could be another.
