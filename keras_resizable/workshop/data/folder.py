"""Folders of images, by class or without labels."""

import collections
import functools
import os
import pathlib
import warnings

import numpy as np
import tensorflow as tf

from keras_resizable.utils.arguments import number
from keras_resizable.workshop.data.image_files import (
    SUFFIXES,
    begins_as_image,
    check_images,
    is_named_as_image,
)
from keras_resizable.workshop.data.image_set import ImageSet, Split, shuffled
from keras_resizable.workshop.data.orientation import orientation_tag

_TEST_FOLDERS = ("validation", "valid", "val", "test")
_NAMES_SHOWN = 3
_NO_CLASS = ""  # Instead of a class's name, of images without labels.


def load_folder(folder: str | os.PathLike, *, validation: float = 0.0) -> ImageSet:
    """Images in a folder for each class, in the layout that Keras uses.

    The layout is either `train/<class>/` and the first that exists of
    `validation/<class>/`, `valid/<class>/`, `val/<class>/` and `test/<class>/`; or
    `<class>/` alone, where every tenth image of a class, in the order of names, is a
    test image.

    With `validation`, validation images come from `validation/` (or `valid/`, `val/`)
    if there is also a `test/`; otherwise they are this share of each class's training
    images, always the same ones. With `<class>/` alone, another such share is for
    tests. A class with three or more images gets at least one of each kind.

    A folder of images without folders of classes has no labels, and is split in the
    same way.

    All images are decoded once, before training, and turned upright by their EXIF
    orientation. Warnings list skipped files with the reason (not decodable, of a format
    that TensorFlow does not read, in deeper folders, or hidden), folders without any
    image left, and files with 16 bits per pixel that are nearly black in 8.

    Args:
        folder: Path of the folder.
        validation: Share of each class for validation, less than a half.

    Returns:
        An `ImageSet` of JPEG, PNG, BMP or GIF files, and of WebP and JPEG XL where
        TensorFlow reads them, with three channels. Without labels, `class_names` is
        empty.

    Raises:
        FileNotFoundError: If there are no folders of images, or only training or only
            test folders.
        ValueError: If a class has only test images, or there are no test images or
            no validation images.
    """
    number("validation", validation, 0, below=0.5)
    folder = pathlib.Path(folder)
    train_folder = folder / "train"
    tests = [folder / name for name in _TEST_FOLDERS if (folder / name).is_dir()]
    chosen: dict[str, list] | None = None
    if train_folder.is_dir() and tests:
        train, test = _by_class(train_folder), _by_class(tests[0])
        if validation and len(tests) > 1 and tests[-1].name == "test":
            chosen, test = test, _by_class(tests[-1])
        elif validation:
            train, chosen = _parted(train, validation, 1)
        fewest = 2 if validation else 10
        advice = "add images, or a folder of validation images."
    else:
        if any(map(_holds_classes, (train_folder, *tests))):
            raise FileNotFoundError(
                f"{folder.resolve()} has only one of train/ and a folder of test "
                f"images next to it: {', '.join(_TEST_FOLDERS)}."
            )
        train = _by_class(folder)
        if validation:
            train, test, chosen = _parted(train, validation, 2)
        else:
            test = {name: found[9::10] for name, found in train.items()}
            for found in train.values():
                del found[9::10]
        fewest = 3 if validation else 10
        advice = (
            f"move the classes into {train_folder} and put test images into "
            f"{folder / _TEST_FOLDERS[0]}."
        )
    if not any(test.values()) or (chosen is not None and not any(chosen.values())):
        raise ValueError(
            f"No class in {folder} has {fewest} images, of which one would be kept to "
            f"test: {advice}"
        )
    names = tuple(sorted(train))
    if unknown := sorted({*test, *(chosen or ())} - set(names)):
        raise ValueError(f"{folder} has only test images of {unknown}.")
    if train.keys() == {_NO_CLASS}:
        parts = [found[_NO_CLASS] for found in (train, test, chosen) if found]
        train_split, test_split, *others = map(_unlabelled, parts)
        return ImageSet(
            *(train_split, test_split, (), (None, None, 3)),
            validation=others[0] if others else None,
            is_labelled=False,
        )
    return ImageSet(
        _split(train, names),
        _split(test, names),
        names,
        (None, None, 3),
        validation=None if chosen is None else _split(chosen, names),
    )


def _holds_classes(folder):
    """Whether a folder holds folders rather than images."""
    if not folder.is_dir():
        return False
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return any(entry.is_dir() for entry in entries) and not any(
        entry.is_file() and is_named_as_image(entry.name) for entry in entries
    )


def has_images_alone(folder: pathlib.Path) -> bool:
    """Whether a folder has images, but no folder of images."""
    entries = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return any(is_named_as_image(entry.name) for entry in entries) and not any(
        is_named_as_image(path.name)
        for entry in entries
        if entry.is_dir()
        for path in entry.rglob("*")
    )


def _parted(images, fraction, parts):
    """Training images by class, and `parts` disjoint fractions of each class."""
    taken: list[dict[str, list]] = [{} for _ in range(1 + parts)]
    for name, found in images.items():
        count = min(max(1, round(fraction * len(found))), (len(found) - 1) // parts)
        order = np.random.default_rng(0).permutation(len(found))
        *others, rest = np.split(order, count * np.arange(1, 1 + parts))
        for part, chosen in zip(taken, (rest, *others)):
            part[name] = [found[i] for i in sorted(chosen)]
    return taken


def _by_class(folder):
    """Images, as paths and tags of their orientation, by name of the class.

    The name is `_NO_CLASS` for images without labels.
    """
    depth = 0 if has_images_alone(folder) else 1  # Of images below the folder.
    left_out: dict[str, list] = collections.defaultdict(list)  # Paths by the problem.
    classes, paths = [], []
    for entry in sorted(folder.iterdir()):
        is_class = entry.is_dir() and not entry.name.startswith(".")
        if is_class and depth:
            classes.append(entry)
        for path in sorted(entry.rglob("*")) if is_class else [entry]:
            problem = _problem(path, folder, depth)
            if problem:
                left_out[problem].append(path)
            elif problem is not None:
                paths.append(path)
    checked = dict(zip(paths, check_images(paths, folder)))
    images = collections.defaultdict(list)
    for path in paths:
        if problem := checked[path].problem:
            left_out[problem].append(path)
        else:
            tag = orientation_tag(checked[path].orientation)
            name = path.parent.name if depth else _NO_CLASS
            images[name].append((os.fsencode(path), tag))
    told = ""
    if left_out:
        reasons = (
            f"{len(skipped):,} {problem} ({_first(skipped, folder)})"
            for problem, skipped in left_out.items()
        )
        count = sum(map(len, left_out.values()))
        told = f"Left out {_files(count)} in {folder}: {'; '.join(reasons)}."
    if not images:
        raise FileNotFoundError(
            f"No images in {folder.resolve()}. A set of images needs a folder for "
            f"each class, with files of {sorted(SUFFIXES)}.{told and ' ' + told}"
        )
    if told:
        _warn_once(told)
    dark = [path for path in paths if checked[path].is_dark]
    if dark:
        _warn_once(
            f"{_files(len(dark))} in {folder} will be nearly black, as the upper bits "
            f"of their 16 are empty: {_first(dark, folder)}. Scale them to 8 bits."
        )
    without = [entry for entry in classes if entry.name not in images]
    if without:
        number = "1 class" if len(without) == 1 else f"{len(without):,} classes"
        _warn_once(
            f"Left out {number} of {folder}, without any readable image: "
            f"{_first(without, folder)}."
        )
    return images


@functools.cache
def _warn_once(message):
    """Warns once per process, as a folder is read again and again."""
    warnings.warn(message, stacklevel=4)


def _problem(path, folder, depth):
    """Why a path is not an image; "" if it may be one, None to ignore it."""
    *folders, name = path.relative_to(folder).parts
    is_named = is_named_as_image(name)
    has_suffix = path.suffix.lower() in SUFFIXES
    if any(parent.startswith(".") for parent in folders):
        return None
    if name.startswith("."):
        return "hidden" if is_named and len(folders) < 2 else None
    if path.is_dir():
        return "a folder" if has_suffix and len(folders) == depth else None
    if len(folders) != depth:
        where = "in deeper folders" if folders else "in no class's folder"
        return where if is_named else None
    if has_suffix:
        return ""
    if is_named:
        return "of a format that is not read"
    return "named unlike an image" if begins_as_image(path) else None


def _files(count):
    return "1 file" if count == 1 else f"{count:,} files"


def _first(paths, folder):
    """The first few paths, relative to a folder and quoted."""
    names = [repr(str(path.relative_to(folder))) for path in paths[:_NAMES_SHOWN]]
    return ", ".join(names + ["..."] * (len(paths) > _NAMES_SHOWN))


def _split(images, names):
    return _files_split(
        (path, tag, label)
        for label, name in enumerate(names)
        for path, tag in images.get(name, ())
    )


def _unlabelled(images):
    return _files_split((*image, number) for number, image in enumerate(images))


def _files_split(labelled):
    paths, tags, labels = map(list, zip(*labelled))

    def read(seed=None):
        files = tf.data.Dataset.from_tensor_slices(
            (paths, tags, tf.cast(labels, tf.int64))
        )
        return shuffled(files, len(paths), seed).map(
            lambda path, tag, label: (tf.io.read_file(path) + tag, label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    return Split(len(paths), read)
