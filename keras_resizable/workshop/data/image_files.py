"""Which files of a folder are readable images, and their orientations."""

import concurrent.futures
import functools
import hashlib
import io
import json
import logging
import os
import pathlib
import time
import typing
import warnings
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image

from keras_resizable.utils.files import cache_folder, replacing
from keras_resizable.utils.quiet import quiet_libraries
from keras_resizable.workshop.data import heic
from keras_resizable.workshop.data.photo_looks import MOST_COMPARED, Look, look_at

_LOG = logging.getLogger(__name__)
# Suffixes of readable files, if this version of TensorFlow knows the format.
SUFFIXES = {
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".jxl", ".png", ".webp"),
    *heic.SUFFIXES,
}
_OTHER_SUFFIXES = {".avif", ".ico", ".jp2", ".tif", ".tiff"}
_PNG = b"\x89PNG\r\n\x1a\n"
_SIGNATURES = (
    *(b"\xff\xd8\xff", _PNG, b"GIF8", b"BM", b"RIFF"),
    *(b"\xff\x0a", b"\x00\x00\x00\x0cJXL "),
)
_OTHER_SIGNATURES = (b"II*\x00", b"MM\x00*", b"\x00\x00\x00\x0cjP  ")
_HEIC_NOT_READ = "HEIC: pip install 'keras-resizable[photos]' to read them"
_DARK = 64  # A maximum below this, of 255, means fewer than 14 used bits.
_AT_ONCE = 1000
_SECONDS_TO_TELL = 10  # Longer checks print their progress, and keep the result.


class Checked(typing.NamedTuple):
    """Why a file cannot be read, or None; its EXIF orientation (1 to 8, 1 is upright).

    `is_dark` marks images of 16 bits per pixel that are nearly black in 8 bits; `jpeg`
    is the converted file of a HEIC photo. Images of large sets have no look.
    """

    problem: str
    orientation: int = 1
    is_dark: bool = False
    look: Look | None = None
    jpeg: str | None = None


def is_named_as_image(name: str) -> bool:
    """Whether a file has the suffix of an image of any format."""
    return pathlib.PurePath(name).suffix.lower() in SUFFIXES | _OTHER_SUFFIXES


def begins_as_image(path: str | os.PathLike) -> bool:
    """Whether a file begins like an image of any format, whatever its name."""
    try:
        with open(path, "rb") as file:
            start = file.read(32)
    except OSError:
        return False
    return _is_known(start) or _is_of_other_format(start)


def check_images(
    paths: Sequence[str | os.PathLike], folder: str | os.PathLike
) -> list[Checked]:
    """Decodes all images of a folder once as in training, on all cores.

    The result of a long check is kept until a file changes.
    """
    kept = _path_of_result(paths)
    try:
        results = [_from_json(values) for values in json.loads(kept.read_text())]
    except (OSError, TypeError, ValueError):  # Missing or damaged.
        results = []
    if len(results) == len(paths) and not any(map(_is_outdated, results)):
        return results
    start = told = time.monotonic()
    results = []
    check = functools.partial(_check, with_look=len(paths) <= MOST_COMPARED)
    with (
        warnings.catch_warnings(),
        quiet_libraries(),
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        warnings.simplefilter("ignore")  # On large images and odd EXIF data.
        for first in range(0, len(paths), _AT_ONCE):
            results += pool.map(check, paths[first : first + _AT_ONCE])
            now = time.monotonic()
            if now - told > _SECONDS_TO_TELL and len(results) < len(paths):
                _LOG.info(
                    f"Checked {len(results):,} of {len(paths):,} images of {folder}"
                )
                told = now
    if time.monotonic() - start > _SECONDS_TO_TELL:
        try:
            with replacing(kept) as temporary:
                temporary.write_text(json.dumps(results))
        except OSError:
            pass  # The next check is not faster, then.
    return results


def _path_of_result(paths):
    """The path of the kept result for these files, sizes and times."""
    files = hashlib.sha256(tf.__version__.encode())
    for path in paths:
        try:
            status = os.stat(path)
            state = (status.st_size, status.st_mtime_ns)
        except OSError:
            state = (0, 0)
        files.update(f"{os.path.abspath(path)!r} {state}\n".encode())
    return cache_folder() / "images" / f"{files.hexdigest()[:32]}.json"


def _is_outdated(result):
    """Whether a kept result may no longer be true, though its file is the same."""
    is_gone = result.jpeg is not None and not os.path.exists(result.jpeg)
    return is_gone or result.problem == _HEIC_NOT_READ


def _from_json(values):
    problem, orientation, is_dark, look, jpeg = values
    look = look and Look(*look)
    return Checked(problem, orientation, is_dark, look, jpeg)


def _check(path, with_look):
    try:
        image = pathlib.Path(path).read_bytes()
    except OSError as error:
        return Checked(f"not readable: {error.strerror}")
    if not image:
        return Checked("empty")
    if heic.is_heic(image):
        return _check_heic(path, with_look)
    if _is_of_other_format(image):
        return Checked("of a format that is not read")
    if not _is_known(image):
        return Checked("without an image in it")
    orientation = 1
    try:
        with Image.open(io.BytesIO(image)) as opened:
            orientation = _orientation_of(opened)
            # TensorFlow ignores palettes and compression.
            if opened.format == "BMP" and not np.array_equal(
                np.asarray(opened.convert("RGB")), _decoded(image)
            ):
                return Checked("BMP with a palette or compressed")
    except Image.DecompressionBombError:
        return Checked("larger than TensorFlow decodes")
    except OSError:  # Such as JPEG XL, which Pillow does not read.
        pass
    except tf.errors.OpError:
        return Checked("BMP with a palette or compressed")
    try:
        pixels = _decoded(image)
    except tf.errors.OpError:
        return Checked("cut off, damaged or unknown to TensorFlow")
    has_16_bits = image.startswith(_PNG) and image[24] == 16
    is_dark = bool(has_16_bits and pixels.max() < _DARK)
    look = look_at(pixels, orientation) if with_look else None
    return Checked("", orientation, is_dark, look)


def _check_heic(path, with_look):
    try:
        jpeg = heic.as_jpeg(pathlib.Path(os.fsdecode(path)))
    except ImportError:
        return Checked(_HEIC_NOT_READ)
    except (OSError, ValueError, RuntimeError):  # By where the damage is.
        return Checked("a damaged HEIC photo")
    return _check(jpeg, with_look)._replace(jpeg=str(jpeg))


def _decoded(image):
    with tf.device("CPU"):
        return tf.io.decode_image(image, 3, expand_animations=False).numpy()


def _orientation_of(opened):
    try:
        orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Damaged EXIF data raises errors of any type.
        return 1
    return orientation if orientation in range(1, 9) else 1


def _is_known(image):
    if image.startswith(b"RIFF"):
        return image[8:12] == b"WEBP"
    return image.startswith(_SIGNATURES)


def _is_of_other_format(image):
    return image.startswith(_OTHER_SIGNATURES) or image[4:8] == b"ftyp"
