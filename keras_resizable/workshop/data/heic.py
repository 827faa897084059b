"""HEIC photos, as iPhones take them: TensorFlow reads them after a conversion."""

import hashlib
import pathlib

from PIL import Image, ImageOps

from keras_resizable.utils.extras import import_extra
from keras_resizable.utils.files import cache_folder, replacing

SUFFIXES = {".heic", ".heif"}
_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}
_QUALITY = 95


def is_heic(content: bytes) -> bool:
    """Whether a file begins like a HEIC photo."""
    return content[4:8] == b"ftyp" and content[8:12] in _BRANDS


def as_jpeg(path: pathlib.Path) -> pathlib.Path:
    """A JPEG file of a HEIC photo, upright, which is kept in the cache.

    Raises:
        ImportError: If pillow-heif is not installed.
        OSError: If the photo is damaged.
    """
    heif = import_extra("pillow_heif", "photos")
    content = path.read_bytes()
    name = hashlib.sha256(content).hexdigest()[:32]
    jpeg = cache_folder() / "heic" / f"{name}.jpg"
    if not jpeg.exists():
        heif.register_heif_opener()
        jpeg.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as opened, replacing(jpeg) as temporary:
            image = ImageOps.exif_transpose(opened).convert("RGB")
            image.save(temporary, "JPEG", quality=_QUALITY)
    return jpeg
