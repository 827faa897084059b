"""Files in other people's clients: MediaPipe, by TFLite's standard metadata."""

import zipfile

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite_schema
from keras import layers

from keras_resizable.export import (
    run_tflite,
    to_bundle,
    to_tflite,
    to_tflite_files,
)
from keras_resizable.export.interpreters import open_tflite
from keras_resizable.export.standard_metadata import files_in

COLORS = ("red", "grün", "blue")
KINDS = {
    "float32": ("none", "int8"),
    "float16": ("float16", "int8"),
    "dynamic": ("dynamic", "int8"),
    "int8 of int8": ("int8", "int8"),
    "int8 of uint8": ("int8", "uint8"),
    "int8 of float32": ("int8", "float32"),
}


def tells_colors(low, high):
    """A classifier of the strongest color, for pixels from `low` to `high`."""
    images = keras.Input((16, 16, 3))
    x = layers.Conv2D(3, 1, use_bias=False)(images)
    model = keras.Model(images, layers.Softmax()(layers.GlobalAveragePooling2D()(x)))
    model.set_weights([12 / (high - low) * np.eye(3)[np.newaxis, np.newaxis]])
    return model


def photos():
    """uint8 photos of all brightnesses, with the strongest color."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 1, 1, 3)) + random.integers(
        -9, 9, (16, 16, 3)
    )
    return images.clip(0, 255).astype(np.uint8), images.mean(axis=(1, 2)).argmax(1)


def write_all_kinds(folder, low=-1.0, high=1.0):
    images = low + (high - low) * photos()[0].astype(np.float32) / 255
    for name, (quantize, io) in KINDS.items():
        yield to_tflite(
            tells_colors(low, high),
            folder / f"{name}.tflite",
            quantize,
            io=io,
            calibrate_with=images,
            labels=COLORS,
            input_range=(low, high),
            metadata={"signature": name},
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    return dict(zip(KINDS, write_all_kinds(folder)))


@pytest.fixture(scope="module")
def vision():
    """MediaPipe's vision tasks, and its images."""
    mediapipe = pytest.importorskip("mediapipe")
    return pytest.importorskip("mediapipe.tasks.python.vision"), mediapipe


def answers(vision, path, images):
    """The best label and its score for each image, by MediaPipe."""
    tasks, mediapipe = vision
    base = mediapipe.tasks.BaseOptions(model_asset_path=str(path))
    options = tasks.ImageClassifierOptions(base_options=base, max_results=1)
    with tasks.ImageClassifier.create_from_options(options) as classifier:
        for pixels in images:
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, pixels)
            (best,) = classifier.classify(image).classifications[0].categories
            yield best.category_name, best.score


@pytest.mark.parametrize("kind", KINDS)
def test_mediapipe_answers_as_keras(files, vision, kind):
    if kind == "int8 of int8":
        with pytest.raises(ValueError, match="uint8/float32, got INT8"):
            list(answers(vision, files[kind], []))
        return
    images, colors = photos()
    labels, scores = zip(*answers(vision, files[kind], images))
    expected = tells_colors(-1, 1)(images / 127.5 - 1).numpy()
    assert list(labels) == [COLORS[color] for color in colors]
    np.testing.assert_allclose(scores, expected.max(axis=1), atol=0.02)


@pytest.mark.parametrize("low, high", [(0.0, 255.0), (0.0, 1.0)])
def test_mediapipe_takes_other_ranges(vision, tmp_path, low, high):
    images, colors = photos()
    for file in write_all_kinds(tmp_path, low, high):
        if file.metadata.get("io") != "int8":
            labels, _ = zip(*answers(vision, file, images))
            assert list(labels) == [COLORS[color] for color in colors]


def test_mediapipe_takes_no_bundle_of_several(files, vision, tmp_path):
    paths = [files["int8 of uint8"], files["float32"]]
    bundle = to_bundle(paths, tmp_path / "bundle.tflite")
    with pytest.raises(ValueError, match="single subgraph"):
        list(answers(vision, bundle, []))
    images, colors = photos()
    bundle = to_bundle(paths[:1], bundle)
    labels, _ = zip(*answers(vision, bundle, images))
    assert list(labels) == [COLORS[color] for color in colors]


def test_the_schema_reads_it(files):
    name = "mediapipe.tasks.metadata.metadata_schema_py_generated"
    schema = pytest.importorskip(name)
    file = files["int8 of uint8"]
    model = tflite_schema.ModelT.InitFromPackedBuf(file.path.read_bytes(), 0)
    (entry,) = (e for e in model.metadata if e.name == b"TFLITE_METADATA")
    content = bytes(model.buffers[entry.buffer].data)
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(content, 0)
    metadata = schema.ModelMetadataT.InitFromPackedBuf(content, 0)
    assert metadata.name.decode() == file.metadata["name"]
    assert metadata.version.decode() == file.metadata["version"]
    (graph,) = metadata.subgraphMetadata
    (image,), (output,) = graph.inputTensorMetadata, graph.outputTensorMetadata
    (unit,) = image.processUnits
    assert list(unit.options.mean) == list(unit.options.std) == [127.5] * 3
    assert image.content.contentProperties.colorSpace == schema.ColorSpaceType.RGB
    (labels,) = output.associatedFiles
    assert labels.name == b"labels.txt"
    assert labels.type == schema.AssociatedFileType.TENSOR_AXIS_LABELS


def test_labels_are_packed_into_files(files, tmp_path):
    for file in files.values():
        with zipfile.ZipFile(file) as archive:
            assert archive.read("labels.txt").decode().splitlines() == list(COLORS)
        assert file.metadata["labels"] == list(COLORS)
    bundle = to_bundle(files.values(), tmp_path / "bundle.tflite")
    content = bundle.path.read_bytes()
    assert files_in(content)["labels.txt"].decode().splitlines() == list(COLORS)
    again = to_bundle(files.values(), tmp_path / "again.tflite")
    assert again.path.read_bytes() == content


def test_uint8_is_int8_of_the_pixels(files):
    """The same graph behind other inputs: bytes in, bytes out."""
    images, _ = photos()
    signed, unsigned = (open_tflite(files[f"int8 of {io}"]) for io in ("int8", "uint8"))
    (details,) = unsigned.get_input_details()
    assert details["dtype"] == np.uint8
    scale, zero = details["quantization"]
    pixels = np.arange(256)
    off = np.abs((pixels - zero) * scale - (pixels / 127.5 - 1))
    assert off.max() <= 0.51 / 127.5  # Half a step: -1 and 1 are no two bytes apart.
    for image in images:
        outputs = []
        for one, values in ((signed, image.astype(int) - 128), (unsigned, image)):
            (into,), (out,) = one.get_input_details(), one.get_output_details()
            one.set_tensor(into["index"], values[np.newaxis].astype(into["dtype"]))
            one.invoke()
            outputs.append(one.get_tensor(out["index"]).astype(int))
        np.testing.assert_array_equal(outputs[0] + 128, outputs[1])
    expected = tells_colors(-1, 1)(images / 127.5 - 1).numpy()
    outputs = run_tflite(files["int8 of uint8"], images / np.float32(127.5) - 1)
    assert np.abs(outputs - expected).max() <= 0.02


def test_dim_images_are_still_pixels(tmp_path):
    """Images that reach no extreme do not narrow the range of bytes."""
    images = photos()[0].astype(np.float32) / 255 * 0.2
    file = to_tflite(
        tells_colors(0, 1),
        tmp_path / "dim.tflite",
        "int8",
        io="uint8",
        calibrate_with=images,
        input_range=(0, 1),
    )
    ((scale, zero),) = (
        d["quantization"] for d in open_tflite(file).get_input_details()
    )
    assert (scale, zero) == (pytest.approx(1 / 255), 0)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": ["a", "b"]}, r"name the 3 classes.*Received 2: \['a', 'b'\]"),
        ({"labels": ["a", "b", "c\nd"]}, r"line breaks. Received: 'c\\nd'"),
        ({"labels": ["a", "b", ""]}, "line breaks. Received: ''"),
        ({"labels": ["a", "b", 3]}, "non-empty strings.*Received: 3"),
        ({"labels": ["a", "b", "\udcff"]}, "'utf-8' codec"),
        ({"labels": COLORS, "input_range": None}, "`labels` need `input_range`"),
        ({"input_range": None, "io": "uint8"}, "'uint8'` takes the pixels"),
        ({"input_range": (1, -1)}, r"the smaller first. Received.*\(1, -1\)"),
    ],
)
def test_bad_labels_and_ranges_are_told_before_the_work(
    tmp_path, monkeypatch, options, message
):
    monkeypatch.setattr("keras_resizable.export.tflite._converted", None)
    images = np.zeros((4, 16, 16, 3), np.float32)
    given = {"input_range": (-1, 1), "calibrate_with": images} | options
    with pytest.raises(ValueError, match=message):
        to_tflite(tells_colors(-1, 1), tmp_path / "a.tflite", "int8", **given)


def test_sub_networks_have_labels_too(make_network, tmp_path):
    options = {"labels": ["a", "b", "c"], "input_range": (0, 1)}
    (file,) = to_tflite_files(make_network(), ["0.5"], tmp_path, **options)
    assert file.metadata["labels"] == ["a", "b", "c"]
    assert file.metadata["input_range"] == [0.0, 1.0]
    with zipfile.ZipFile(file) as archive:
        assert archive.read("labels.txt") == b"a\nb\nc\n"
