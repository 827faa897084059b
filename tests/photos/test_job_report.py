"""A job on odd, uneven photos: what it says of them, and what one does next."""

import dataclasses
import functools
import http.server
import importlib
import json
import re
import shutil
import sys
import threading
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas
import processes
import pytest
from foreign_models import plain
from PIL import Image

import keras_resizable_command
from keras_resizable import data, errors, export, photos
from keras_resizable.export.flatbuffer import add_metadata
from keras_resizable.export.interpreters import run_tflite
from keras_resizable.workshop.data.image_set import Photo
from keras_resizable.workshop.data.photo_looks import look_at
from keras_resizable.workshop.photos import app_files, findings
from keras_resizable.workshop.photos.findings import (
    Answers,
    find,
    find_threshold,
    note_on_uneven,
)
from keras_resizable.workshop.photos.material import read
from keras_resizable.workshop.photos.photo_problems import doubtful_labels, examine
from keras_resizable.workshop.photos.predicting import share_right
from keras_resizable.workshop.photos.progress import Part, Progress

COMMAND = keras_resizable_command.__file__
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CLASSES = {"<b>red": 24, "green | x": 24, "blü e": 8}


def colored(channel, seed, size=28):
    """A photo of smooth noise, with a colour."""
    noise = np.random.default_rng(seed).normal(70, 50, (7, 7, 3))
    noise[..., channel] += 70
    pixels = noise.clip(0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


def make_photos(folder):
    for channel, (name, count) in enumerate(CLASSES.items()):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            path = folder / name / f"{number:02}.png"
            colored(channel, 100 * channel + number).save(path)
    (folder / "_unknown").mkdir()
    for number in range(12):
        gray = np.asarray(colored(0, 900 + number).convert("L"))
        Image.fromarray(gray).save(folder / "_unknown" / f"{number}.png")
    red, green, _ = CLASSES
    colored(0, 0).save(folder / green / "under two labels.jpg")
    colored(0, 3).resize((20, 20)).save(folder / red / "copy.jpg", quality=70)
    dark = np.asarray(colored(0, 77)) // 6
    Image.fromarray(dark.astype(np.uint8)).save(folder / red / "dark.png")
    colored(1, 78, 8).resize((64, 64)).save(folder / green / "blurred.png")
    colored(1, 79, 12).save(folder / green / "small.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    make_photos(folder / "my photos")
    labels = np.arange(120) % 3
    images = [np.asarray(colored(n % 3, 2000 + n, 24)) / 255 for n in range(120)]
    model = plain()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss)
    model.fit(np.stack(images), labels, epochs=15, verbose=0)
    model.save(folder / "mine.keras")
    return folder


@pytest.fixture(scope="module")
def job(folder):
    return photos.Job(
        images=folder / "my photos",
        model=folder / "mine.keras",
        input_range=(0.0, 1.0),
        scales=(1.0, 0.5),
        head_epochs=2,
        epochs=6,
        resizable_epochs=6,
        tuning_epochs=1,
        max_loss=0.5,
        max_flops=1e9,
        validation=0.3,
    )


@pytest.fixture(scope="module")
def result(job, folder):
    with warnings.catch_warnings():
        # Few photos tell little of int8.
        warnings.filterwarnings("ignore", ".* images cannot tell whether")
        return photos.to_phone(job, root=folder / "runs")


@pytest.fixture(scope="module")
def file(result):
    return result.folder / result.files["file"][0]


def test_the_top_of_the_folder_has_what_one_needs(result, file):
    names = {path.name for path in result.folder.iterdir()}
    assert names == {
        *(file.name, "labels.txt", "report.html", "card.md", "app", "more", "training"),
        *(".lock", "recipe.json"),
    }
    assert json.loads((result.folder / "more/findings.json").read_text())["classes"]


def test_results_of_classes_are_those_of_the_file_on_test_photos(job, result, file):
    """Against scikit-learn, from the file's answers to the photos."""
    metrics = pytest.importorskip("sklearn.metrics")
    found = json.loads((result.folder / "more/findings.json").read_text())
    images = data.load(job.images, validation=job.validation)
    batches = data.eval_dataset(images.test, (24, 24, 3), 8)
    answers = np.concatenate([run_tflite(file, x.numpy()) for x, _ in batches])
    labels = np.concatenate([y for _, y in batches])
    answers = answers.argmax(axis=1)
    expected = metrics.confusion_matrix(labels, answers, labels=[0, 1, 2])
    np.testing.assert_array_equal(found["confusion"], expected)
    assert found["top1"] == result.files["top1"][0] == np.mean(labels == answers)
    recalls = metrics.recall_score(labels, answers, average=None, labels=[0, 1, 2])
    assert found["balanced"] == pytest.approx(np.mean(recalls))
    assert [one["recall"][0] for one in found["classes"]] == pytest.approx(recalls)
    for one, count in zip(found["classes"], np.bincount(labels)):
        assert one["num_test"] == count
    totals = [
        one["num_train"] + one["num_validation"] + one["num_test"]
        for one in found["classes"]
    ]
    assert totals == [26, 8, 27]  # By their names.


def test_near_duplicates_and_poor_photos_are_listed(job):
    problems = examine(read(job))
    pairs = {frozenset(group) for group in problems.duplicates}
    red, green, _ = CLASSES
    two_labels = frozenset({f"{red}/00.png", f"{green}/under two labels.jpg"})
    assert {two_labels, frozenset({f"{red}/03.png", f"{red}/copy.jpg"})} <= pairs
    assert [*map(frozenset, problems.in_several_classes)] == [two_labels]
    assert problems.across_splits == []  # They were kept together.
    assert problems.in_one_split == problems.duplicates and problems.num_examined == 61
    assert problems.dark == [f"{red}/dark.png"]
    assert f"{green}/small.png" in problems.small
    counts = [count for count, _ in problems.more_photos]
    assert counts == sorted(counts) and len(counts) == 3
    assert all(0 <= accuracy <= 1 for _, accuracy in problems.more_photos)
    assert problems.more_photos[-1][1] > 0.5


def test_duplicates_in_given_folders_are_told_not_moved(job, folder, tmp_path):
    for split, seeds in (("train", range(8)), ("val", range(6, 9))):
        for channel, name in enumerate(("red", "green")):
            (tmp_path / split / name).mkdir(parents=True)
            for seed in seeds:
                photo = colored(channel, 50 * channel + seed)
                photo.save(tmp_path / split / name / f"{seed}.png")
    problems = examine(read(job.with_(images=tmp_path)))
    assert len(problems.across_splits) == 4 and problems.in_one_split == []
    assert ["train/green/6.png", "val/green/6.png"] in problems.across_splits


def test_a_blurred_photo_is_less_sharp():
    noise = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    small = Image.fromarray(noise[:8, :9])
    blurred = np.asarray(small.resize((90, 80), Image.Resampling.BICUBIC))
    assert look_at(blurred, 1).sharpness < 0.1 < look_at(noise, 1).sharpness


def test_doubtful_labels_are_those_of_confident_learning():
    labels = [0, 0, 0, 1, 1, 1]
    of_one = np.array([0.1, 0.2, 0.9, 0.8, 0.7, 0.45])
    photo = [Photo(f"{n}.png", label, None) for n, label in enumerate(labels)]
    found = doubtful_labels(photo, np.stack([1 - of_one, of_one], 1), ["a", "b"])
    # Thresholds are the means, 0.6 and 0.65: the third is like the second class, the
    # last is like none.
    assert [(one.path, one.label, one.suggestion) for one in found] == [
        ("2.png", "a", "b")
    ]
    assert found[0].probability == pytest.approx(0.1)


def answers(confidences, right):
    probabilities = np.array([[c, 1 - c] for c in confidences], np.float32)
    labels = np.where(right, 0, 1)
    return Answers(probabilities, labels, np.zeros(len(labels), int))


def test_the_threshold_is_the_least_that_reaches_the_aim(monkeypatch):
    monkeypatch.setattr(findings, "_FEWEST_ANSWERS", 2)
    validation = answers([0.99, 0.9, 0.8, 0.8, 0.7, 0.6], [1, 1, 1, 0, 1, 0])
    test = answers([0.95, 0.85, 0.75, 0.65], [1, 0, 1, 1])
    # 2 of 2 down to 0.9, 3 of 4 at the tied 0.8, 4 of 5 at 0.7, 4 of 6 at 0.6.
    for aim, confidence, coverage, precision in (
        (1.0, 0.9, 0.25, 1.0),
        (0.8, 0.7, 0.75, 2 / 3),
        (0.5, 0.6, 1.0, 0.75),
    ):
        found = find_threshold(aim, validation, test, None)
        assert found.confidence == pytest.approx(confidence)
        assert found.coverage == coverage and found.unknown is None
        assert found.precision == pytest.approx(precision)
    # Photos of no class are wrong answers; every second one is kept to report.
    unknown = np.array([0.95, 0.95, 0.5, 0.5], np.float32)
    found = find_threshold(0.6, validation, test, unknown)
    assert found.confidence == pytest.approx(0.7) and found.unknown == 0.5
    found = find_threshold(1.0, answers([0.9, 0.8], [0, 1]), test, None)
    assert found.confidence is None and found.coverage == 0


def test_the_file_says_unknown_from_its_threshold_on(result, file, tmp_path):
    """In its metadata, and by MediaPipe, a stranger's client."""
    found = json.loads((result.folder / "more/findings.json").read_text())
    about = export.read_metadata(file)
    assert about["thresholds"] == found["thresholds"]
    aimed = found["thresholds"][1]["confidence"]
    # There are photos of no class.
    assert about["score_threshold"] == aimed is not None
    mediapipe = pytest.importorskip("mediapipe")
    vision = pytest.importorskip("mediapipe.tasks.python.vision")
    shown = [colored(n % 3, n, 24) for n in range(30)]
    images = np.stack([np.asarray(photo) / 127.5 - 1 for photo in shown])
    scores = run_tflite(file, images.astype(np.float32))
    levels = np.unique(scores.max(axis=1))
    threshold = float(levels[len(levels) // 2 :][:2].mean())
    stricter = tmp_path / "stricter.tflite"
    shutil.copyfile(file, stricter)
    add_metadata(stricter, {"score_threshold": threshold})
    base = mediapipe.tasks.BaseOptions(model_asset_path=str(stricter))
    options = vision.ImageClassifierOptions(base, max_results=1)
    told = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for photo in shown:
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.asarray(photo))
            (answer,) = classifier.classify(image).classifications
            told.append([one.category_name for one in answer.categories])
    expected = [
        [sorted(CLASSES)[one.argmax()]] if one.max() >= threshold else []
        for one in scores
    ]
    assert told == expected and [] in told and any(told)
    assert export.read_metadata(stricter)["labels"] == sorted(CLASSES)


def test_uneven_classes_are_told_and_balanced(job):
    material = read(job)

    def note(numbers, **changes):
        photos = tuple(
            Photo("", label, None) for label, n in enumerate(numbers) for _ in range(n)
        )
        train = dataclasses.replace(material.photos.train, photos=photos)
        changed = dataclasses.replace(
            material,
            job=job.with_(**changes),
            photos=dataclasses.replace(material.photos, train=train),
        )
        return note_on_uneven(changed)

    assert note((40, 10, 20)) == note((40, 9, 20), balance=True) == note(()) == ""
    red, blue, green = sorted(CLASSES)
    assert f"photos of {blue!r} (9), against 40 of {red!r}" in note((40, 9, 20))
    balanced = read(job.with_(balance=True))
    labels = [int(label) for _, label in balanced.images.train.read(None)]
    assert len(set(np.bincount(labels))) == 1 and balanced.recipe.balance
    estimate = photos.estimate(job)
    assert estimate.by_class["blü e"] == (4, 2, 2) and estimate.note == ""


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.mark.parametrize("width", [390, 1300])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_shows_the_job_on_any_screen(browser, result, file, width, scheme):
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((result.folder / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").inner_text() == "my photos"
    first = page.locator(".facts").inner_text()
    assert f"{100 * result.files['top1'][0]:.0f} %" in first
    assert "the weakest class" in first
    assert page.locator(".facts").bounding_box()["y"] < 400
    assert page.locator("td b, th b").count() == 0  # Names are no markup.
    assert file.name in page.inner_text("body")
    wrong = result.files["num_images"][0] * (1 - result.files["top1"][0])
    assert page.locator("figcaption, figure").count() >= round(wrong)
    assert page.locator("img.grid").evaluate("image => image.naturalWidth") > 300
    assert not [url for url in asked if url.startswith("http")]
    page.close()


def test_the_card_is_markdown(result, file):
    card = (result.folder / "card.md").read_text()
    assert f"`{file.name}`" in card and r"| green \| x | " in card
    assert "to 100 %" in card or "%, 95 %)" in card


def test_the_app_runs_in_a_browser(browser, result, file, folder):
    """Offline: nothing is asked of another server."""
    root = result.folder / "app" / "browser"
    if not root.exists():
        pytest.skip("npm cannot fetch LiteRT.js")
    handler = functools.partial(Quiet, directory=root)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    page = browser.new_page(viewport={"width": 390, "height": 900})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(address)
        page.wait_for_function(
            "document.querySelector('#state').textContent.startsWith('Ready')",
            timeout=60_000,
        )
        assert page.locator("h1").inner_text() == "my photos"
        page.fill("#threshold", "0")
        expected = photos.predict(file, folder / "my photos", min_confidence=0.0)
        sure = expected[expected["confidence"] > 0.8].iloc[::7]
        assert len(sure) >= 3
        for photo, answer, confidence in sure.itertuples(index=False):
            page.set_input_files("#photo", photo)
            page.wait_for_function(
                "name => document.querySelector('#answer').textContent === name",
                arg=answer,
                timeout=10_000,
            )
            shown = page.locator("meter").first.evaluate("meter => meter.value")
            assert shown == pytest.approx(confidence, abs=0.1)
        page.fill("#threshold", "1")
        page.wait_for_function(
            "document.querySelector('#answer').textContent === 'unknown'"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert all(url.startswith((address, "blob:")) for url in asked)
    finally:
        page.close()
        server.shutdown()
        server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_the_program_answers_as_predict_does(result, file, folder):
    shown = sorted((folder / "my photos").glob("*/0[0-2].png"))
    done = processes.run(
        str(result.folder / "app" / "classify.py"),
        str(file),
        *map(str, shown),
        folder=folder,
    )
    assert done.returncode == 0, done.stderr
    expected = photos.predict(file, shown)
    for line, (photo, answer, confidence) in zip(
        done.stdout.splitlines(), expected.itertuples(index=False), strict=True
    ):
        path, told = line.rsplit(": ", 1)
        assert Path(path).samefile(photo)
        assert told.rsplit(" (", 1)[0] == answer
        assert float(told.rsplit("(", 1)[1][:-1]) == pytest.approx(confidence, abs=0.1)


def test_kotlin_has_the_threshold_and_the_crop_of_the_file(result, file, tmp_path):
    text = (result.folder / "app" / "Classify.kt").read_text()
    assert f'setModelAssetPath("{file.name}")' in text
    threshold = export.read_metadata(file).get("score_threshold", 0.0)
    assert threshold and f"setScoreThreshold({threshold}f)" in text
    assert "FILE" not in text and "crop: Double? = null" in text
    cropped = tmp_path / "cropped.tflite"
    shutil.copyfile(file, cropped)
    add_metadata(cropped, {"center_crop": 0.875, "io": "int8"})
    app_files.write_app(cropped, tmp_path / "app", "x")
    assert "crop: Double? = 0.875" in (tmp_path / "app" / "Classify.kt").read_text()
    # Browsers run no file that takes int8.
    assert not (tmp_path / "app" / "browser").exists()
    assert "browser" not in (tmp_path / "app" / "README.txt").read_text()


def test_without_npm_there_is_no_page(file, tmp_path, monkeypatch, caplog):
    def fail():
        raise errors.DeviceError("install npm", [])

    monkeypatch.setattr(app_files, "runtime_folder", fail)
    app_files.write_app(file, tmp_path / "app", "x")
    assert not (tmp_path / "app" / "browser").exists()
    assert "no page for browsers: install npm" in caplog.text


def test_predict_answers_for_photos_and_folders(file, folder, tmp_path):
    done = processes.run(
        *(COMMAND, "predict", f"--file={file}"),
        *("--csv=answers.csv", "--min_confidence=0", str(folder / "my photos")),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert "Wrote answers.csv" in done.stdout
    answered = pandas.read_csv(tmp_path / "answers.csv")
    expected = photos.predict(file, folder / "my photos", min_confidence=0.0)
    assert answered["answer"].tolist() == expected["answer"].tolist()
    # As the evaluation of the file prepares them.
    images = data.load(folder / "my photos", validation=0.3)
    by_photo = dict(zip(expected["photo"], expected["answer"]))
    batches = data.eval_dataset(images.test, (24, 24, 3), 8)
    scores = np.concatenate([run_tflite(file, x.numpy()) for x, _ in batches])
    for one, answer in zip(images.test.photos, scores.argmax(axis=1)):
        (path,) = [path for path in by_photo if path.endswith(one.path)]
        assert by_photo[path] == images.class_names[answer]
    few = processes.run(
        *(COMMAND, "predict", f"--file={file}"),
        str(folder / "my photos" / "blü e"),
        "--min_confidence=1.1",
        folder=tmp_path,
    )
    assert few.stdout.count(": unknown (") == 8
    assert "Of 8 photos 0.0 % right, 100.0 % unknown" in few.stdout
    # Photos of no class are rightly unknown.
    everything = photos.predict(file, folder / "my photos", min_confidence=1.1)
    assert share_right(everything, sorted(CLASSES)) == pytest.approx(12 / 73)


def test_one_output_is_the_second_of_two_classes(folder, tmp_path):
    """In Python's two programs alike; logits are refused."""
    images = keras.Input((24, 24, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(1, 3)(images))
    model = keras.Model(images, keras.layers.Activation("sigmoid")(x))
    about = {"labels": ["no", "yes"], "input_range": (0, 1)}
    file = export.to_tflite(model, tmp_path / "binary.tflite", **about).path
    shown = sorted((folder / "my photos").glob("*/0[0-2].png"))
    answered = photos.predict(file, shown)
    pixels = np.stack([np.asarray(Image.open(p).resize((24, 24))) for p in shown])
    expected = np.where(model.predict(pixels / 255, verbose=0)[:, 0] > 0.5, "yes", "no")
    assert answered["answer"].tolist() == expected.tolist()
    sys.path.insert(0, str(Path(app_files.__file__).parent / "app"))
    classify = importlib.import_module("classify")
    program = classify.Classifier(file)
    told = [program.labels[program.scores(path).argmax()] for path in shown]
    assert told == expected.tolist()


def test_what_predict_cannot_do_is_told(file, tmp_path):
    plain_file = export.to_tflite(plain(), tmp_path / "plain.tflite").path
    colored(0, 1).save(tmp_path / "photo.png")
    with pytest.raises(ValueError, match="no labels or no input range"):
        photos.predict(plain_file, tmp_path / "photo.png")
    with pytest.raises(FileNotFoundError, match="There is no .*nothing.png"):
        photos.predict(file, tmp_path / "nothing.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no readable photos in .*empty"):
        photos.predict(file, tmp_path / "empty")
    logits = export.to_tflite(
        plain(),
        tmp_path / "logits.tflite",
        labels=["a", "b", "c"],
        input_range=(0, 900),
    )
    with pytest.raises(ValueError, match="must answer with probabilities"):
        photos.predict(logits.path, tmp_path / "photo.png")


def test_later_settings_keep_what_is_trained(job, result, folder, monkeypatch, caplog):
    """Other scale factors and epochs keep the model; fine-tuning keeps both."""
    caplog.set_level("INFO", "keras_resizable")
    module = sys.modules["keras_resizable.workshop.photos.to_phone"]

    def stop(*args):
        raise InterruptedError

    def train(*args, **kwargs):
        raise AssertionError("It trains.")

    with monkeypatch.context() as context:
        context.setattr(keras.Model, "fit", train)
        context.setattr(module, "choose", stop)
        with pytest.raises(InterruptedError):
            photos.to_phone(job.with_(tuning_epochs=2), root=folder / "runs")
        context.setattr(module, "train_network", stop)
        with pytest.raises(InterruptedError):
            photos.to_phone(job.with_(resizable_epochs=3), root=folder / "runs")
    assert f"Using the trained model of {result.folder}" in caplog.text
    sources = [*(folder / "runs").glob("photos/2*/training/source.keras")]
    assert len(sources) == 2 and len({path.read_bytes() for path in sources}) == 1
    with monkeypatch.context() as context:
        context.setattr(module, "train_source", stop)
        with pytest.raises(InterruptedError):
            photos.to_phone(job, root=folder / "runs", new=True)
    # What starts again trains its own.
    assert {*sources} == {*(folder / "runs").glob("photos/2*/training/source.keras")}


def test_other_photos_are_told(job, result, folder, monkeypatch, caplog, tmp_path):
    caplog.set_level("INFO", "keras_resizable")

    def stop(*args):
        raise InterruptedError

    module = sys.modules["keras_resizable.workshop.photos.to_phone"]
    monkeypatch.setattr(module, "train_source", stop)
    more = folder / "my photos" / "blü e" / "new.png"
    colored(2, 500).save(more)
    try:
        with pytest.raises(InterruptedError):
            photos.to_phone(job, root=folder / "runs")
    finally:
        more.unlink()
    assert re.search(r"Photos since .*: 1 new, 0 gone; all is", caplog.text)


def test_progress_tells_parts_and_time(caplog, monkeypatch):
    caplog.set_level("INFO", "keras_resizable")
    clock = iter(np.arange(0, 1000, 2.0))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = Progress({"resizable": Part(30, 4.0), "fine-tuning": Part(10, 8.0)})
    progress.begin("resizable")
    for _ in range(15):
        progress.step()
    # 2 s for a cost of 4; 60 are done of 120 + 20 + 80 + 20.
    assert str(progress) == (
        "Part 1 of 4, training the resizable network: 25 % of all, about 2 min left"
    )
    progress.resume(20)
    assert "33 % of all" in str(progress)  # Steps of an earlier call.
    progress.begin("choosing")
    progress.begin("fine-tuning")
    assert caplog.messages[0] == (
        "Part 1 of 4, training the resizable network: 0 % of all"
    )
    assert caplog.messages[-1] == (
        "Part 3 of 4, fine-tuning it: 58 % of all, about 50 s left"
    )


def test_findings_of_a_class_that_is_never_answered(job):
    material = read(job)
    labels = np.array([0, 0, 1, 2])
    probabilities = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]
    test = Answers(probabilities, labels, np.array([0, 1, 1, 1]))
    found = find(material, test, test)
    assert found.classes[2].recall[0] == 0 and found.classes[2].precision is None
    assert found.weakest.name == sorted(CLASSES)[2]
    assert found.mistakes == (3,) and found.changed == (1,)
    assert found.commonest == (sorted(CLASSES)[0], 0.5)
