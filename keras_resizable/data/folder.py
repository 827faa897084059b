"""Folders of images by class."""

import pathlib

import tensorflow as tf

from keras_resizable.data.image_set import ImageSet, Split, shuffled

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png"}
_TEST_FOLDERS = ("validation", "val", "test")


def load_folder(folder):
    """Images in a folder for each class, as Keras and others lay them out.

    With `train/<class>/` and one of `validation/<class>/`, `val/<class>/` and
    `test/<class>/`, in this order. Or `<class>/` alone; then every tenth image of a
    class, by the order of names, is a test image.

    Args:
        folder: Path of the folder.

    Returns:
        An `ImageSet` of JPEG, PNG, BMP or GIF files, of three channels.

    Raises:
        FileNotFoundError: If there are no folders of images.
        ValueError: If a class has test images only, or there are none to test.
    """
    folder = pathlib.Path(folder)
    tests = [folder / name for name in _TEST_FOLDERS if (folder / name).is_dir()]
    if (folder / "train").is_dir() and tests:
        train, test = _by_class(folder / "train"), _by_class(tests[0])
    else:
        images = _by_class(folder)
        test = {name: paths[9::10] for name, paths in images.items()}
        train = {
            name: [path for i, path in enumerate(paths) if i % 10 != 9]
            for name, paths in images.items()
        }
    names = tuple(sorted(train))
    unknown = sorted(set(test) - set(names))
    if not any(test.values()):
        raise ValueError(
            f"No class in {folder} has 10 images, of which one would be kept to test: "
            f"put test images into {folder / 'validation'}."
        )
    if unknown:
        raise ValueError(f"{folder} has test images of {unknown}, but none to train.")
    return ImageSet(_split(train, names), _split(test, names), names, (None, None, 3))


def _by_class(folder):
    """Paths of images by the name of their class."""
    images = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() in _SUFFIXES:
            images.setdefault(path.parent.name, []).append(str(path))
    if not images:
        raise FileNotFoundError(
            f"No images in {folder.resolve()}. A set of images has a folder for "
            f"each class, with files of {sorted(_SUFFIXES)}."
        )
    return images


def _split(images, names):
    paths, labels = [], []
    for label, name in enumerate(names):
        paths += images.get(name, [])
        labels += [label] * len(images.get(name, []))

    def read(seed=None):
        files = tf.data.Dataset.from_tensor_slices((paths, tf.cast(labels, tf.int64)))
        if seed is not None:
            files = shuffled(files, len(paths), seed)
        return files.map(
            lambda path, label: (tf.io.read_file(path), label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    return Split(len(paths), read)
