"""Folders of images by class."""

import os
import pathlib
import warnings

import numpy as np
import tensorflow as tf

from keras_resizable.data.image_files import (
    SUFFIXES,
    begins_as_image,
    check_images,
    is_named_as_image,
)
from keras_resizable.data.image_set import ImageSet, Split, shuffled
from keras_resizable.data.orientation import orientation_tag

_TRAIN_FOLDER = "train"
_TEST_FOLDERS = ("validation", "valid", "val", "test")
_NAMES_SHOWN = 3
_warned: set[str] = set()


def load_folder(folder: str | os.PathLike, *, validation: float = 0.0) -> ImageSet:
    """Images in a folder for each class, as Keras and others lay them out.

    Either `train/<class>/` and the first of `validation/<class>/`, `valid/<class>/`,
    `val/<class>/` and `test/<class>/` that exists; or `<class>/` alone, and then every
    tenth image of a class, in the order of names, is a test image.

    With `validation` there are validation images: those of `validation/` (or
    `valid/`, `val/`), if there is a `test/` too; or else this part of the training
    images of each class, always the same. Of `<class>/` alone the same part of each
    class is for tests. A class of three images or more has one of each at least.

    All images are decoded once, before training. A warning says how many files are
    skipped, and why: those that cannot be decoded, have formats that TensorFlow does
    not read, lie in deeper folders, or are hidden; and which folders are not classes,
    because no image is left in them; and which files have 16 bits a pixel that are
    nearly black in 8. Images are turned upright by their EXIF orientation.

    Args:
        folder: Path of the folder.
        validation: Share of a class for validation, less than a half.

    Returns:
        An `ImageSet` of JPEG, PNG, BMP or GIF files, and of WebP and JPEG XL where
        TensorFlow reads them, of three channels.

    Raises:
        FileNotFoundError: If there are no folders of images, or only training or only
            test folders.
        ValueError: If a class has only test images, or there are no test images or
            no validation images.
    """
    if not 0 <= validation < 0.5:
        raise ValueError(
            f"`validation` is at least 0 and less than 0.5. Received: {validation}"
        )
    folder = pathlib.Path(folder)
    chosen: dict[str, list] | None = None
    train_folder = folder / _TRAIN_FOLDER
    tests = [folder / name for name in _TEST_FOLDERS if (folder / name).is_dir()]
    if train_folder.is_dir() and tests:
        train, test = _by_class(train_folder), _by_class(tests[0])
        if validation and len(tests) > 1 and tests[-1].name == "test":
            chosen, test = test, _by_class(tests[-1])
        elif validation:
            train, chosen = _parted(train, validation, 1)
    elif _holds_classes(train_folder):
        raise FileNotFoundError(
            f"{folder.resolve()} has {_TRAIN_FOLDER}/, but no folder of images to "
            f"test beside it: one of {', '.join(_TEST_FOLDERS)}."
        )
    elif tests and _holds_classes(tests[0]):
        raise FileNotFoundError(
            f"{folder.resolve()} has {tests[0].name}/, but no {_TRAIN_FOLDER}/ beside "
            "it with images to train."
        )
    else:
        images = _by_class(folder)
        if validation:
            train, test, chosen = _parted(images, validation, 2)
        else:
            train, test = _with_every_tenth(images)
    names = tuple(sorted(train))
    unknown = sorted({*test, *(chosen or ())} - set(names))
    is_flat = not (train_folder.is_dir() and tests)
    fewest = (3 if is_flat else 2) if validation else 10
    advice = (
        f"move the classes into {train_folder} and put test images into "
        f"{folder / _TEST_FOLDERS[0]}."
    )
    if not is_flat:
        advice = "add images, or a folder of validation images."
    if not any(test.values()) or (chosen is not None and not any(chosen.values())):
        raise ValueError(
            f"No class in {folder} has {fewest} images, of which one would be kept to "
            f"test: {advice}"
        )
    if unknown:
        raise ValueError(f"{folder} has test images of {unknown}, but none to train.")
    return ImageSet(
        _split(train, names),
        _split(test, names),
        names,
        (None, None, 3),
        validation=None if chosen is None else _split(chosen, names),
    )


def _with_every_tenth(images):
    """Images by class to train with, and every tenth to test."""
    test = {name: found[9::10] for name, found in images.items()}
    train = {
        name: [image for i, image in enumerate(found) if i % 10 != 9]
        for name, found in images.items()
    }
    return train, test


def _parted(images, fraction, parts):
    """Images by class to train with, and parts of each class for other purposes."""
    taken: list[dict[str, list]] = [{} for _ in range(1 + parts)]
    for name, found in images.items():
        order = np.random.default_rng(0).permutation(len(found))
        count = round(fraction * len(found))
        if len(found) > parts:
            count = max(1, count)
        while count * parts >= len(found):
            count -= 1
        for part in range(parts):
            chosen = order[part * count : (part + 1) * count]
            taken[1 + part][name] = [found[i] for i in sorted(chosen)]
        taken[0][name] = [found[i] for i in sorted(order[parts * count :])]
    return taken


def _holds_classes(folder):
    """Whether a folder holds folders, rather than the images of a class."""
    if not folder.is_dir():
        return False
    entries = [entry for entry in folder.iterdir() if not _is_hidden(entry.name)]
    return any(entry.is_dir() for entry in entries) and not any(
        entry.is_file() and is_named_as_image(entry.name) for entry in entries
    )


def _by_class(folder):
    """Images, as paths and tags of their orientation, by the name of their class."""
    left_out: dict[str, list[str]] = {}
    candidates = {}
    for entry in _visible(folder, left_out):
        if entry.is_dir():
            candidates[entry.name] = _candidates(entry, left_out)
        elif is_named_as_image(entry.name):
            _leave_out(left_out, "in no class's folder", entry)
    paths = [path for found in candidates.values() for path in found]
    checked = dict(zip(paths, check_images(paths, folder)))
    images = {}
    for name, found in candidates.items():
        for path in found:
            if checked[path].problem:
                _leave_out(left_out, checked[path].problem, path)
        good = [path for path in found if not checked[path].problem]
        if good:
            images[name] = [
                (os.fsencode(path), orientation_tag(checked[path].orientation))
                for path in good
            ]
    told = _in_words(left_out, folder)
    if not images:
        raise FileNotFoundError(
            f"No images in {folder.resolve()}. A set of images has a folder for "
            f"each class, with files of {sorted(SUFFIXES)}.{told and ' ' + told}"
        )
    if told:
        _warn_once(told)
    dark = [path.relative_to(folder) for path in paths if checked[path].is_dark]
    if dark:
        _warn_once(
            f"{_count(dark, 'file')} in {folder} will be nearly black, as the upper "
            f"bits of their 16 are empty: {_first(dark)}. Scale them to 8 bits."
        )
    without = [name for name in candidates if name not in images]
    if without:
        _warn_once(
            f"Left out {_count(without, 'class', 'classes')} of {folder}, in which no "
            f"image can be read: {_first(without)}."
        )
    return images


def _warn_once(message):
    """Warns, unless this process has done so: a folder is read again and again."""
    if message not in _warned:
        _warned.add(message)
        warnings.warn(message, stacklevel=4)


def _candidates(folder, left_out):
    """Files of a class that may be images; others are noted as left out."""
    paths = []
    for entry in _visible(folder, left_out):
        suffix = entry.suffix.lower()
        if entry.is_dir():
            deeper = _deeper(entry)
            for path in deeper:
                _leave_out(left_out, "in deeper folders", path)
            if not deeper and suffix in SUFFIXES:
                _leave_out(left_out, "a folder", entry)
        elif suffix in SUFFIXES:
            paths.append(entry)
        elif is_named_as_image(entry.name):
            _leave_out(left_out, "of a format that is not read", entry)
        elif begins_as_image(entry):
            _leave_out(left_out, "named unlike an image", entry)
    return paths


def _visible(folder, left_out):
    for entry in sorted(folder.iterdir()):
        if not _is_hidden(entry.name):
            yield entry
        elif is_named_as_image(entry.name):
            _leave_out(left_out, "hidden", entry)


def _is_hidden(name):
    return name.startswith(".")


def _deeper(folder):
    paths = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        paths += [
            pathlib.Path(parent, name)
            for name in sorted(names)
            if is_named_as_image(name) and not _is_hidden(name)
        ]
    return paths


def _leave_out(left_out, problem, path):
    left_out.setdefault(problem, []).append(path)


def _in_words(left_out, folder):
    """One line of what is left out; an empty one if nothing is."""
    if not left_out:
        return ""
    reasons = (
        f"{len(paths):,} {problem} ({_first(p.relative_to(folder) for p in paths)})"
        for problem, paths in left_out.items()
    )
    paths = [path for group in left_out.values() for path in group]
    return f"Left out {_count(paths, 'file')} in {folder}: {'; '.join(reasons)}."


def _count(things, one, many=None):
    return f"{len(things):,} {one if len(things) == 1 else many or one + 's'}"


def _first(names):
    names = [repr(str(name)) for name in names]
    more = ["..."] if len(names) > _NAMES_SHOWN else []
    return ", ".join(names[:_NAMES_SHOWN] + more)


def _split(images, names):
    labelled = [
        (path, tag, label)
        for label, name in enumerate(names)
        for path, tag in images.get(name, ())
    ]
    paths, tags, labels = map(list, zip(*labelled))

    def read(seed=None):
        files = tf.data.Dataset.from_tensor_slices(
            (paths, tags, tf.cast(labels, tf.int64))
        )
        if seed is not None:
            files = shuffled(files, len(paths), seed)
        return files.map(
            lambda path, tag, label: (tf.io.read_file(path) + tag, label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    return Split(len(paths), read)
