"""Folders of images as people have them, with all that gets into them."""

import os
import pathlib
import struct
import sys
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from keras_resizable import data
from keras_resizable.utils.files import cache_folder
from keras_resizable.workshop.data import folder as folders
from keras_resizable.workshop.data import image_files, preprocessing
from keras_resizable.workshop.data.answers import with_answers

RED = (200, 20, 20)
# 30 x 20 pixels of that red, without loss.
WEBP = bytes.fromhex(
    "524946461e000000574542505650384c110000002f1dc0040007508a2297a2ff8188e87f0000"
)


def encoded(color=RED, size=(20, 30), encode=tf.io.encode_jpeg):
    return encode(np.full((*size, 3), color, np.uint8)).numpy()


def write(folder, name, contents=None):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded() if contents is None else contents)


def write_classes(folder, *names, count=3):
    for name in names:
        for number in range(count):
            write(folder, f"{name}/{number}.jpg")


def bmp(bits, palette=b"", pixels=None):
    """A BMP of 4 x 2 pixels, of which the first of the palette, or the red, is all."""
    stride = 4 * (-(-4 * bits // 32))
    pixels = pixels or (b"\0" * stride if bits == 8 else bytes(RED[::-1]) * 4) * 2
    start = 54 + len(palette)
    header = struct.pack("<2sIII", b"BM", start + len(pixels), 0, start)
    sizes = (40, 4, 2, 1, bits, 0, len(pixels), 0, 0, len(palette) // 4, 0)
    return header + struct.pack("<IiiHHIIiiII", *sizes) + palette + pixels


def with_exif(jpeg, orientation, order=">"):
    """A JPEG with EXIF data: its maker, then its orientation."""
    entries = struct.pack(f"{order}HHII", 0x010F, 2, 4, 0)
    entries += struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = {">": b"MM", "<": b"II"}[order] + struct.pack(f"{order}HIH", 42, 8, 2)
    segment = b"Exif\0\0" + exif + entries + struct.pack(f"{order}I", 0)
    length = struct.pack(">H", len(segment) + 2)
    return jpeg[:2] + b"\xff\xe1" + length + segment + jpeg[2:]


def warnings_of(folder, **options):
    """The image set, and what is told of it when it is read for the first time."""
    folders._warn_once.cache_clear()
    with pytest.warns(UserWarning) as told:
        images = data.load(str(folder), **options)
    lines = [str(warning.message) for warning in told]
    assert not any("\n" in line for line in lines)
    return images, lines


def decoded(split):
    return [
        preprocessing.decode(image, 3).numpy() for image, _ in split.read().prefetch(1)
    ]


ODD = {
    "zero.jpg": (b"", "empty"),
    "text.jpg": (b"not an image", "without an image in it"),
    "._x.jpg": (b"\0\5\x16\7", "hidden"),
    "cut.jpg": (encoded(size=(60, 60))[:-40], "cut off, damaged"),
    "short.jpg": (encoded()[:300], "cut off, damaged"),
    "cut.png": (encoded(encode=tf.io.encode_png)[:-20], "cut off, damaged"),
    "palette.bmp": (bmp(8, bytes((*RED[::-1], 0)) * 2), "BMP with a palette"),
    "scan.tif": (b"II*\0" + bytes(50), "of a format that is not read"),
    "phone.jpg": (b"\0\0\0\x18ftypheic" + bytes(50), "a damaged HEIC photo"),
    "IMG_1": (None, "named unlike an image"),
    "deeper/1.jpg": (None, "in deeper folders"),
}


def test_odd_files_are_told_and_left_out(tmp_path):
    write_classes(tmp_path / "train", "cat", "dog\n")
    write_classes(tmp_path / "valid", "cat", "dog\n", count=1)
    for name, (contents, _) in ODD.items():
        write(tmp_path / "train" / "cat", name, contents)
    write(tmp_path / "train" / "dog\n", "\n.jpg", b"")
    write(tmp_path / "train", "loose.jpg")
    write(tmp_path / "train" / "cat", "notes.txt", b"no image, and none by name")
    (tmp_path / "train" / "cat" / "z.jpg").mkdir()
    images, (told,) = warnings_of(tmp_path)
    assert images.class_names == ("cat", "dog\n")
    assert (images.train.num_images, images.test.num_images) == (6, 2)
    assert all(image.shape == (20, 30, 3) for image in decoded(images.train))
    assert told.startswith(f"Left out 14 files in {tmp_path / 'train'}: ")
    for name, (_, problem) in ODD.items():
        (part,) = (part for part in told.split("; ") if f" {problem}" in part)
        assert f"'cat/{name}'" in part
    assert "1 a folder ('cat/z.jpg')" in told
    assert "1 in no class's folder ('loose.jpg')" in told
    assert r"2 empty ('cat/zero.jpg', 'dog\n/\n.jpg')" in told


def test_folders_without_an_image_are_told_and_hidden_ones_no_classes(tmp_path):
    write_classes(tmp_path / "train", "cat", "dog")
    write_classes(tmp_path / "val", "cat", "dog")
    write(tmp_path / "train", ".ipynb_checkpoints/0-checkpoint.jpg")
    write(tmp_path / "train", "fox/0.tif", b"MM\0*")
    (tmp_path / "train" / "owl").mkdir()
    images, told = warnings_of(tmp_path)
    assert images.class_names == ("cat", "dog")
    assert told[0].endswith("1 of a format that is not read ('fox/0.tif').")
    assert told[1] == (
        f"Left out 2 classes of {tmp_path / 'train'}, without any readable image: "
        "'fox', 'owl'."
    )


def test_many_files_are_told_by_their_number_and_first_names(tmp_path):
    write_classes(tmp_path / "train", "cat")
    write_classes(tmp_path / "test", "cat")
    for number in range(5):
        write(tmp_path / "train", f"cat/sub/{number}.png")
    _, (told,) = warnings_of(tmp_path)
    assert told.endswith(
        ": 5 in deeper folders ('cat/sub/0.png', 'cat/sub/1.png', 'cat/sub/2.png', "
        "...)."
    )


@pytest.mark.parametrize("name", ["validation", "valid", "val", "test", "testing"])
@pytest.mark.parametrize("train", ["train", "training"])
def test_all_usual_names_of_test_folders_are_known(tmp_path, name, train):
    write_classes(tmp_path / train, "cat", "dog")
    write_classes(tmp_path / name, "cat", "dog", count=2)
    images = data.load_folder(tmp_path)
    assert (images.train.num_images, images.test.num_images) == (6, 4)


def test_what_is_missing_beside_a_part_is_named(tmp_path):
    write_classes(tmp_path / "a" / "train", "cat", "dog")
    told = "only one of train/ and .* validation, valid, val, test, testing"
    with pytest.raises(FileNotFoundError, match=told):
        data.load_folder(tmp_path / "a")
    write_classes(tmp_path / "b" / "valid", "cat", "dog")
    with pytest.raises(FileNotFoundError, match=told):
        data.load_folder(tmp_path / "b")
    write_classes(tmp_path / "c" / "training", "cat", "dog")
    with pytest.raises(FileNotFoundError, match=told):
        data.load_folder(tmp_path / "c")
    write(tmp_path / "d", "more/cat/1.jpg")
    with pytest.raises(
        FileNotFoundError, match="No images in .* 1 in deeper folders .'more/cat/1"
    ):
        data.load_folder(tmp_path / "d")


def test_a_class_may_be_named_as_a_part(tmp_path):
    write_classes(tmp_path, "plane", "train", count=10)
    (tmp_path / "train" / ".cache").mkdir()
    assert data.load_folder(tmp_path).class_names == ("plane", "train")


def test_bmps_are_read_right_or_not_at_all(tmp_path):
    grays = b"".join(bytes((i, i, i, 0)) for i in range(256))
    write(tmp_path / "train" / "cat", "1.bmp", bmp(24))
    write(tmp_path / "train" / "cat", "2.bmp", bmp(8, grays, bytes((7,)) * 8))
    write_classes(tmp_path / "test", "cat", count=1)
    color, gray = decoded(data.load_folder(tmp_path).train)
    assert (color == RED).all() and (gray == 7).all()


@pytest.mark.skipif(not hasattr(tf.io, "decode_webp"), reason="It reads no WebP.")
def test_webp_is_read(tmp_path):
    write(tmp_path / "train" / "cat", "1.webp", WEBP)
    write_classes(tmp_path / "test", "cat", count=1)
    (image,) = decoded(data.load_folder(tmp_path).train)
    assert image.shape == (20, 30, 3) and (image == RED).all()


UPRIGHT = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: np.rot90(image),
}


KINDS = ["jpg", "png"] + ["webp"] * hasattr(tf.io, "decode_webp")


def turned_images(folder, kind):
    """An image of four colours for each orientation, and what it is upright."""
    colors = np.random.default_rng(0).integers(0, 256, (2, 2, 3), np.uint8)
    colors = colors.repeat(40, 0).repeat(64, 1)
    jpeg = tf.io.encode_jpeg(colors, quality=100).numpy()
    (folder / "train" / "cat").mkdir(parents=True)
    for orientation in UPRIGHT:
        path = folder / "train" / "cat" / f"{orientation}.{kind}"
        if kind == "jpg":
            path.write_bytes(with_exif(jpeg, orientation, "<>"[orientation % 2]))
            continue
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        Image.fromarray(colors).save(path, exif=exif, lossless=True)
    write_classes(folder / "test", "cat", count=1)
    stored = tf.io.decode_jpeg(jpeg).numpy() if kind == "jpg" else colors
    images = [image for image, _ in data.load_folder(folder).train.read()]
    return images, [turn(stored) for turn in UPRIGHT.values()]


@pytest.mark.parametrize("kind", KINDS)
def test_orientations_of_cameras_are_applied(tmp_path, kind):
    images, expected = turned_images(tmp_path, kind)
    for image, upright in zip(images, expected, strict=True):
        np.testing.assert_array_equal(preprocessing.decode(image, 3), upright)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_training", [True, False])
def test_crops_of_turned_images_equal_those_of_upright_ones(
    tmp_path, is_training, kind
):
    shape = (24, 24, 3)
    images, expected = turned_images(tmp_path, kind)
    for number, (image, upright) in enumerate(zip(images, expected)):
        seed = tf.constant([5, number])

        def crop(image, seed=seed):
            if is_training:
                return preprocessing.train_image(image, shape, "inception", seed)
            return preprocessing.eval_image(image, shape, True)

        np.testing.assert_allclose(crop(image), crop(tf.constant(upright)), atol=8)


def test_images_that_look_turned_to_no_decoder_stay_as_they_are():
    for contents in (b"", b"\xff\xd8", b"orientation 9", b"orientation 3"):
        with pytest.raises(tf.errors.InvalidArgumentError):
            preprocessing.decode(tf.constant(contents), 3)


def test_a_long_check_tells_how_far_it_is_and_is_kept(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "keras_resizable")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    write_classes(tmp_path / "set" / "train", "cat", "dog")
    write_classes(tmp_path / "set" / "test", "cat", "dog", count=1)
    write(tmp_path / "set" / "train", "cat/zero.jpg", b"")
    warnings_of(tmp_path / "set")
    assert not (tmp_path / "keras").exists() and not caplog.records

    monkeypatch.setattr(image_files, "_SECONDS_TO_TELL", -1)
    monkeypatch.setattr(image_files, "_AT_ONCE", 2)
    _, told = warnings_of(tmp_path / "set")
    assert f"Checked 2 of 7 images of {tmp_path}/set/train" in caplog.text

    def check(path, with_look):
        raise AssertionError(path)

    with monkeypatch.context() as context:
        context.setattr(image_files, "_check", check)
        assert warnings_of(tmp_path / "set")[1] == told
        write(tmp_path / "set" / "train", "dog/0.jpg", encoded(size=(9, 9)))
        with pytest.raises(AssertionError):
            data.load_folder(tmp_path / "set")
    for path in (tmp_path / "keras").rglob("*.json"):
        path.write_text("[[1]]")
    warnings_of(tmp_path / "set")


@pytest.mark.skipif(os.geteuid() == 0, reason="The superuser reads everything.")
def test_unreadable_files_are_told(tmp_path):
    write_classes(tmp_path / "train", "cat")
    write_classes(tmp_path / "test", "cat")
    (tmp_path / "train" / "cat" / "0.jpg").chmod(0)
    _, (told,) = warnings_of(tmp_path)
    assert "1 not readable: Permission denied ('cat/0.jpg')" in told


def test_names_that_are_no_text_are_read(tmp_path):
    folder = os.fsencode(tmp_path) + b"/train/caf\xe9"
    try:
        os.makedirs(folder)
    except OSError:
        pytest.skip("This file system has only names that are text.")
    with open(folder + b"/\xe9.jpg", "wb") as file:
        file.write(encoded())
    write_classes(tmp_path / "train", "cat", count=1)
    write_classes(tmp_path / "test", "cat", count=1)
    images = data.load_folder(tmp_path)
    assert images.class_names == ("caf\udce9", "cat")
    assert len(decoded(images.train)) == 2


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=4),
    st.floats(0.01, 0.49),
)
@settings(max_examples=20, deadline=None)
def test_every_image_has_one_purpose(tmp_path_factory, counts, fraction):
    folder = tmp_path_factory.mktemp("parted")
    for number, count in enumerate(counts):
        write_classes(folder, f"class{number}", count=count)
    if max(counts) < 3:
        with pytest.raises(ValueError, match="has 3 images"):
            data.load_folder(folder, validation=fraction)
        return
    images = data.load_folder(folder, validation=fraction)
    again = data.load_folder(folder, validation=fraction)
    parts = (images.train, images.validation, images.test)
    labels = [labels_of(part) for part in parts]
    assert [labels_of(p) for p in (again.train, again.validation, again.test)] == labels
    for number, count in enumerate(counts):
        train, chosen, test = (part.count(number) for part in labels)
        assert train + chosen + test == count and train >= 1 and chosen == test
        if count >= 3:
            assert chosen >= 1
            assert abs(chosen - fraction * count) <= 1 or train <= 2


def labels_of(split):
    return [int(label) for _, label in split.read().as_numpy_iterator()]


def test_images_to_choose_with_beside_those_to_test(tmp_path):
    for part, count in {"train": 9, "valid": 2, "test": 4}.items():
        write_classes(tmp_path / part, "cat", "dog", count=count)
    images = data.load(str(tmp_path), validation=0.3)
    counts = [images.train.num_images, images.validation.num_images]
    assert [*counts, images.test.num_images] == [18, 4, 8]
    images = data.load(str(tmp_path))
    assert images.validation is None and images.test.num_images == 4
    for path in (tmp_path / "valid").glob("*/*"):
        path.unlink()
    for path in [*(tmp_path / "valid").iterdir(), tmp_path / "valid"]:
        path.rmdir()
    images = data.load(str(tmp_path), validation=0.3)
    counts = [images.train.num_images, images.validation.num_images]
    assert [*counts, images.test.num_images] == [12, 6, 8]
    with pytest.raises(ValueError, match="below 0.5. Received: validation=0.5"):
        data.load(str(tmp_path), validation=0.5)


def test_images_without_classes_have_no_labels(tmp_path):
    for number in range(20):
        write(tmp_path, f"{number}.jpg", encoded((10 * number,) * 3))
    write(tmp_path, ".thumbnails/1.jpg")
    images = data.load(tmp_path, validation=0.15)
    assert images.class_names == () and not images.is_labelled
    parts = (images.train, images.validation, images.test)
    assert [part.num_images for part in parts] == [14, 3, 3]
    shades = [float(np.mean(image)) for part in parts for image in decoded(part)]
    assert len({round(shade / 10) for shade in shades}) == 20
    for part in parts:  # A label is the number of an image, in any order.
        numbers = [int(n) for _, n in part.read(3).as_numpy_iterator()]
        assert sorted(numbers) == list(range(part.num_images))
    write_classes(tmp_path, "cat", count=9)
    with pytest.warns(UserWarning, match="20 in no class's folder"):
        assert data.load(tmp_path, validation=0.15).class_names == ("cat",)


def test_answers_of_a_model_follow_their_images(tmp_path):
    for number in range(12):
        write(tmp_path, f"{number}.png", encoded((20 * number,) * 3, (8, 8)))
    images = data.load(tmp_path)
    inputs = keras.Input((8, 8, 3))
    mean = keras.layers.GlobalAveragePooling2D()(inputs)[:, :1]
    bright = keras.layers.Activation("sigmoid")(1000 * mean)
    answered = with_answers(images, keras.Model(inputs, bright), (8, 8, 3))
    assert answered.class_names == ("0", "1") and not answered.is_labelled
    for seed in (None, 1, 2):
        for image, label in answered.train.read(seed):
            pixels = tf.io.decode_png(image)
            assert int(label) == (int(pixels[0, 0, 0]) > 127)


def test_other_sets_have_images_to_choose_with_too():
    images = data.load("sample", validation=0.1)
    assert (images.train.num_images, images.validation.num_images) == (7200, 800)
    assert images.test.num_images == data.load("sample").test.num_images


def png_of_16_bits(most):
    pixels = np.random.default_rng(0).integers(0, most, (20, 30, 3)).astype(np.uint16)
    return tf.io.encode_png(pixels).numpy()


def test_pixels_of_which_the_upper_bits_are_empty_are_told(tmp_path):
    write_classes(tmp_path / "train", "cat")
    write_classes(tmp_path / "test", "cat")
    write(tmp_path / "train", "cat/12_bits.png", png_of_16_bits(2**12))
    write(tmp_path / "train", "cat/16_bits.png", png_of_16_bits(2**16))
    images, (told,) = warnings_of(tmp_path)
    assert images.train.num_images == 5
    assert told.startswith("1 file in ") and "'cat/12_bits.png'" in told
    assert "nearly black" in told


def test_an_image_that_is_too_large_for_the_decoder_is_left_out(tmp_path):
    """Where reading it would end the training."""
    write_classes(tmp_path / "train", "cat")
    write_classes(tmp_path / "test", "cat")
    jpeg = encoded()
    frame = jpeg.index(b"\xff\xc0") + 5  # Height and width.
    large = jpeg[:frame] + struct.pack(">HH", 15000, 15000) + jpeg[frame + 4 :]
    write(tmp_path / "train", "cat/large.jpg", large)
    images, (told,) = warnings_of(tmp_path)
    assert images.train.num_images == 3
    assert "1 larger than TensorFlow decodes ('cat/large.jpg')" in told


def test_a_folder_is_warned_of_once(tmp_path):
    write_classes(tmp_path / "train", "cat")
    write_classes(tmp_path / "test", "cat")
    write(tmp_path / "train", "cat/zero.jpg", b"")
    warnings_of(tmp_path)
    data.load(str(tmp_path))  # A warning would be an error.


def test_a_user_without_a_home_has_folders_read(tmp_path, monkeypatch):
    def nobody(number):
        raise KeyError(number)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert os.path.expanduser("~") == "~"
    write_classes(tmp_path / "train", "cat")
    write_classes(tmp_path / "test", "cat")
    assert data.load(str(tmp_path)).train.num_images == 3
    assert cache_folder() == pathlib.Path(
        tempfile.gettempdir(), ".keras/keras_resizable"
    )
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    assert cache_folder() == tmp_path / "keras" / "keras_resizable"


def photo(seed, size=(40, 60)):
    """A smooth photo that looks like no other."""
    noise = np.random.default_rng(seed).uniform(0, 255, (5, 6, 3)).astype("uint8")
    return Image.fromarray(noise).resize(size[::-1], Image.Resampling.BICUBIC)


def write_photos(folder, name, count, seed):
    (folder / name).mkdir(parents=True)
    for number in range(count):
        photo(100 * seed + number).save(folder / name / f"{number:02}.png")


def names_of(split):
    return {photo.path for photo in split.photos}


def test_photos_that_look_the_same_get_the_same_purpose(tmp_path):
    write_photos(tmp_path, "cat", 12, 1)
    write_photos(tmp_path, "dog", 12, 2)
    copies = {}
    for number in range(8):  # Compressed, smaller, turned by EXIF, of another class.
        original = photo(100 + number)
        name = f"{'dog' if number == 7 else 'cat'}/copy{number}.jpg"
        exif = Image.Exif()
        if number % 2:
            exif[ExifTags.Base.Orientation] = 6
            original = original.transpose(Image.Transpose.ROTATE_90)
        small = original.resize([side * 3 // 4 for side in original.size])
        small.save(tmp_path / name, quality=60, exif=exif)
        copies[f"cat/{number:02}.png"] = name
    for fraction in (0.15, 0.3, 0.45):
        images = data.load_folder(tmp_path, validation=fraction)
        parts = [names_of(p) for p in (images.train, images.validation, images.test)]
        assert sum(map(len, parts)) == 32 and all(parts)
        for part in parts:
            for name, copy in copies.items():
                assert (name in part) == (copy in part)
    # Labels are those of the folders, and the photos are in the order of the images.
    for split in (images.train, images.test):
        for one, (image, label) in zip(split.photos, split.read(), strict=True):
            assert (tmp_path / one.path).read_bytes() == image.numpy()[
                : -13 if image.numpy()[-13:-1] == b"orientation " else None
            ]
            assert images.class_names[one.label] == one.path[:3] and one.label == label


def test_large_groups_are_for_training_and_count_once(tmp_path):
    write_photos(tmp_path, "cat", 10, 1)
    write_photos(tmp_path, "dog", 10, 2)
    for number in range(60):  # Frames of a camera that sees one cat.
        photo(100).save(tmp_path / f"cat/frame{number}.jpg", quality=60 + number % 30)
    images = data.load_folder(tmp_path, validation=0.2)
    for split in (images.validation, images.test):
        assert labels_of(split) == [0, 0, 1, 1]
    assert labels_of(images.train).count(0) == 66


def test_a_class_that_only_has_copies_of_test_photos_is_told(tmp_path):
    write_photos(tmp_path, "cat", 3, 1)
    for number in range(3):
        for copy in range(2 if number else 0):
            photo(100 + number).save(tmp_path / f"cat/{number}copy{copy}.jpg")
    (tmp_path / "dog").mkdir()
    photo(100).save(tmp_path / "dog/copy.jpg")  # The smallest group is for tests.
    with pytest.raises(ValueError, match="no training images of .'dog'. that do not"):
        data.load_folder(tmp_path, validation=0.2)


def test_photos_without_contrast_are_like_no_other(tmp_path):
    write_classes(tmp_path, "cat", "dog", count=5)
    images = data.load_folder(tmp_path, validation=0.2)
    assert images.train.num_images == 6


def test_smaller_classes_come_several_times(tmp_path):
    write_photos(tmp_path, "cat", 12, 1)
    write_photos(tmp_path, "dog", 5, 2)
    plain = data.load_folder(tmp_path, validation=0.2)
    images = data.load_folder(tmp_path, validation=0.2, balance=True)
    assert labels_of(images.train).count(0) == labels_of(images.train).count(1) == 8
    assert set(labels_of(plain.train)) == {0, 1} and plain.train.num_images == 11
    assert images.train.photos == plain.train.photos
    assert labels_of(images.test) == labels_of(plain.test)
    with pytest.raises(ValueError, match="needs a folder.*dataset='sample'"):
        data.load("sample", balance=True)


def test_photos_of_no_class_are_no_class(tmp_path):
    write_photos(tmp_path, "cat", 4, 1)
    write_photos(tmp_path, "dog", 4, 2)
    write_photos(tmp_path, "_unknown", 3, 3)
    images = data.load_folder(tmp_path, validation=0.2)
    assert images.class_names == ("cat", "dog")
    assert names_of(images.unknown) == {f"_unknown/0{n}.png" for n in range(3)}
    assert len(decoded(images.unknown)) == 3
    # Next to the classes of train/, and in deeper folders; an empty one is told.
    parts = tmp_path / "parts"
    write_classes(parts / "train", "cat", "dog")
    write_classes(parts / "val", "cat", "dog")
    write(parts, "train/_unknown/deeper/a.jpg")
    images = data.load_folder(parts)
    assert images.class_names == ("cat", "dog")
    assert names_of(images.unknown) == {"train/_unknown/deeper/a.jpg"}
    (parts / "train/_unknown/deeper/a.jpg").unlink()
    images, (told,) = warnings_of(parts)
    assert images.unknown is None and "no readable images in" in told


def test_heic_photos_are_read(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    write_photos(tmp_path / "set", "cat", 3, 1)
    write_photos(tmp_path / "set", "dog", 3, 2)
    taken = photo(100, (64, 96))
    taken.save(tmp_path / "set/cat/IMG_1.HEIC", quality=90)
    images = data.load_folder(tmp_path / "set", validation=0.2)
    splits = (images.train, images.validation, images.test)
    (found,) = (
        pixels
        for split in splits
        for one, pixels in zip(split.photos, decoded(split))
        if one.path == "cat/IMG_1.HEIC"
    )
    np.testing.assert_allclose(found, np.asarray(taken), atol=20)
    # It looks the same as the PNG that it was made from.
    (part,) = (names_of(s) for s in splits if "cat/IMG_1.HEIC" in names_of(s))
    assert "cat/00.png" in part
    content = (tmp_path / "set/cat/IMG_1.HEIC").read_bytes()
    for share in (0.1, 0.5, 0.9):
        cut = tmp_path / "set/cat/cut.heic"
        cut.write_bytes(content[: int(share * len(content))])
        _, (told,) = warnings_of(tmp_path / "set", validation=0.2)
        assert "1 a damaged HEIC photo ('cat/cut.heic')" in told
    cut.unlink()
    # Without the package it is named; a kept check does not repeat that later.
    monkeypatch.setattr(image_files, "_SECONDS_TO_TELL", -1)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    _, (told,) = warnings_of(tmp_path / "set", validation=0.2)
    assert "1 HEIC: pip install 'keras-resizable[photos]'" in told
    monkeypatch.setitem(sys.modules, "pillow_heif", heif)
    for _ in range(2):
        images = data.load_folder(tmp_path / "set", validation=0.2)
        assert sum(map(len, map(decoded, (images.train, images.test)))) == 5
        for path in (tmp_path / "keras").rglob("*.jpg"):
            path.unlink()


@pytest.mark.parametrize("header", ["", "file,class,comment\n", "\ufefffile,label\n"])
def test_a_csv_file_has_labels(tmp_path, header):
    write_photos(tmp_path, "images", 10, 1)
    lines = "".join(
        f'"images/{n:02}.png", {"cat" if n < 6 else "a dog"},x\n' for n in range(9)
    )
    path = tmp_path / "labels.csv"
    path.write_text(header + lines + "images/00.png,cat\n\n", encoding="utf-8")
    images = data.load(path, validation=0.2)
    assert images.class_names == ("a dog", "cat")
    parts = (images.train, images.validation, images.test)
    labels = {one.path: one.label for part in parts for one in part.photos}
    assert labels == {f"images/{n:02}.png": int(n < 6) for n in range(9)}


@pytest.mark.parametrize(
    "text, error, message",
    [
        ("images/0.png,cat", FileNotFoundError, "Line 1 of .*: there is no .*/0.png"),
        (
            "images/00.png,cat\nx.png,dog",
            FileNotFoundError,
            "Line 2 of .*: there is no",
        ),
        ("images/00.png,cat\nimages/00.png,dog", ValueError, "two labels.*'cat' and"),
        ("images/00.png,cat\nimages/01.png", ValueError, "Line 2 of .* needs the path"),
        ("images/00.png,cat\n,dog", ValueError, "Line 2 of .* needs the path"),
        ("", ValueError, "lists no images"),
        (b"images/00.png,\xe9", ValueError, "not in UTF-8"),
    ],
)
def test_what_is_wrong_in_a_csv_file_is_told(tmp_path, text, error, message):
    write_photos(tmp_path, "images", 2, 1)
    path = tmp_path / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(error, match=message):
        data.load_csv(path, validation=0.2)
    with pytest.raises(FileNotFoundError, match="There is no .*/nothing.csv"):
        data.load(tmp_path / "nothing.csv")
