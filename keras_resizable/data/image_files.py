"""Which files of a folder are images that can be read, and how cameras turned them."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import struct
import time
import typing
from collections.abc import Sequence

import tensorflow as tf

from keras_resizable.utils.files import cache_folder, replacing

# Names of files that are read, if this version of TensorFlow knows the format.
SUFFIXES = {
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg"),
    *(".jxl", ".png", ".webp"),
}
_OTHER_SUFFIXES = {".avif", ".heic", ".heif", ".ico", ".jp2", ".tif", ".tiff"}
_SIGNATURES = (
    *(b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"RIFF"),
    *(b"\xff\x0a", b"\x00\x00\x00\x0cJXL "),
)
_OTHER_SIGNATURES = (b"II*\x00", b"MM\x00*", b"\x00\x00\x00\x0cjP  ")
_AT_ONCE = 1000
_SECONDS_TO_TELL = 10  # From then on, the progress is told, and the result is kept.


class Checked(typing.NamedTuple):
    """What a file is.

    Attributes:
        problem: Why it cannot be read, in words after a number; empty if it can.
        orientation: That of its EXIF data, from 1 to 8; 1 is as it is stored.
    """

    problem: str
    orientation: int


def is_named_as_image(name: str) -> bool:
    """Whether a file's name says that it is an image, of whatever format."""
    return pathlib.PurePath(name).suffix.lower() in SUFFIXES | _OTHER_SUFFIXES


def begins_as_image(path: str | os.PathLike) -> bool:
    """Whether a file begins as one of an image format does, whatever its name."""
    try:
        with open(path, "rb") as file:
            start = file.read(32)
    except OSError:
        return False
    return _is_known(start) or _is_of_other_format(start)


def check_images(
    paths: Sequence[str | os.PathLike], folder: str | os.PathLike
) -> list[Checked]:
    """Decodes all images once, on all cores.

    JPEGs are decoded at an eighth of their size, which finds the same damage in half
    the time. If it takes long, it shows progress, and keeps the result: files are then
    checked again only when one has changed.

    Args:
        paths: Paths of files.
        folder: Their folder, for messages.

    Returns:
        A list of a `Checked` for each path.
    """
    kept = _path_of_result(paths)
    try:
        return [Checked(*values) for values in json.loads(kept.read_text())]
    except (OSError, TypeError, ValueError):  # None, or a damaged one.
        pass
    start = told = time.monotonic()
    results: list[Checked] = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for first in range(0, len(paths), _AT_ONCE):
            results += pool.map(_check, paths[first : first + _AT_ONCE])
            now = time.monotonic()
            if now - told > _SECONDS_TO_TELL and len(results) < len(paths):
                print(f"Checked {len(results):,} of {len(paths):,} images of {folder}")
                told = now
    if time.monotonic() - start > _SECONDS_TO_TELL:
        _keep(results, kept)
    return results


def _path_of_result(paths):
    """Where the result is kept, of these files as they are now."""
    files = hashlib.sha256(tf.__version__.encode())
    for path in paths:
        try:
            status = os.stat(path)
            state = (status.st_size, status.st_mtime_ns)
        except OSError:
            state = (0, 0)
        files.update(f"{os.path.abspath(path)!r} {state}\n".encode())
    return cache_folder() / "images" / f"{files.hexdigest()[:32]}.json"


def _keep(results, path):
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(results))
    except OSError:
        pass  # The next time, it takes as long again.


def _check(path):
    try:
        image = pathlib.Path(path).read_bytes()
    except OSError as error:
        return Checked(f"not readable: {error.strerror}", 1)
    orientation = 1
    if not image:
        return Checked("empty", 1)
    if _is_of_other_format(image):
        return Checked("of a format that is not read", 1)
    if not _is_known(image):
        return Checked("without an image in it", 1)
    if image.startswith(b"BM") and not _is_plain_bmp(image):
        return Checked("BMP with a palette or compressed", 1)
    is_cut_off = False
    if image.startswith(b"\xff\xd8"):
        orientation, is_cut_off = _read_jpeg(image)
    if is_cut_off or not _can_decode(image):
        return Checked("cut off, damaged or unknown to TensorFlow", 1)
    return Checked("", orientation)


def _is_known(image):
    if image.startswith(b"RIFF"):
        return image[8:12] == b"WEBP"
    return image.startswith(_SIGNATURES)


def _is_of_other_format(image):
    return image.startswith(_OTHER_SIGNATURES) or image[4:8] == b"ftyp"


def _can_decode(image):
    try:
        with tf.device("CPU"):
            if image.startswith(b"\xff\xd8"):
                tf.io.decode_jpeg(image, channels=3, ratio=8)
            else:
                tf.io.decode_image(image, 3, expand_animations=False)
    except tf.errors.OpError:
        return False
    return True


def _is_plain_bmp(image):
    """Whether TensorFlow, which ignores palettes and compression, reads it right."""
    try:
        header_size, bits, compression, used = (
            struct.unpack_from(kind, image, offset)[0]
            for kind, offset in (("<I", 14), ("<H", 28), ("<I", 30), ("<I", 46))
        )
    except struct.error:
        return False
    if header_size < 40:
        return False
    if bits != 8:
        return bits in (24, 32) and compression in (0, 3)
    start = 14 + header_size
    palette = image[start : start + 4 * (used or 256)]
    grays = b"".join(bytes((i, i, i)) for i in range(len(palette) // 4))
    colors = b"".join(palette[i : i + 3] for i in range(0, len(palette), 4))
    return compression == 0 and colors == grays


def _read_jpeg(image):
    """The orientation of a JPEG, and whether it surely lacks its end."""
    orientation, position = 1, 2
    while position + 4 <= len(image):
        if image[position] != 0xFF:
            return orientation, False  # The decoder may know.
        marker = image[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xDA:  # The pixels, up to the marker of the end.
            return orientation, image.rfind(b"\xff\xd9", position) < 0
        end = position + 2 + int.from_bytes(image[position + 2 : position + 4], "big")
        if marker == 0xE1 and image[position + 4 : position + 10] == b"Exif\0\0":
            orientation = _read_orientation(image[position + 10 : end])
        position = end
    return orientation, True


def _read_orientation(exif):
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (offset,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, offset)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, entry)
            if (tag, kind) == (0x0112, 3):
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
