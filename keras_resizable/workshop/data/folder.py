"""Folders of images, by class, in a CSV file, or without labels."""

import collections
import functools
import os
import pathlib
import warnings
from collections.abc import Sequence

import tensorflow as tf

from keras_resizable.utils.arguments import number
from keras_resizable.workshop.data.csv_labels import read_csv
from keras_resizable.workshop.data.image_files import (
    SUFFIXES,
    begins_as_image,
    check_images,
    is_named_as_image,
)
from keras_resizable.workshop.data.image_set import ImageSet, Photo, Split, shuffled
from keras_resizable.workshop.data.orientation import orientation_tag
from keras_resizable.workshop.data.parting import Classes, File, parted

UNKNOWN = "_unknown"  # The folder of images that belong to no class.
_TRAIN_FOLDERS = ("train", "training")
_VALIDATION_FOLDERS = ("validation", "valid", "val")
_TEST_FOLDERS = ("test", "testing")
_NAMES_SHOWN = 3
_NO_CLASS = ""  # Instead of a class's name, of images without labels.


def load_folder(
    folder: str | os.PathLike, *, validation: float = 0.0, balance: bool = False
) -> ImageSet:
    """Images in a folder for each class, in the layout that Keras uses.

    The layout is either `train/<class>/` (or `training/`) and the first that exists of
    `validation/<class>/`, `valid/<class>/`, `val/<class>/`, `test/<class>/` and
    `testing/<class>/`; or `<class>/` alone, where every tenth image of a class, in the
    order of names, is a test image. A folder `_unknown/` next to the classes, or in
    `folder` itself, has images of no class.

    With `validation`, validation images come from `validation/` (or `valid/`, `val/`)
    if there is also a `test/`; otherwise they are this share of each class's training
    images, always the same ones. With `<class>/` alone, another such share is for
    tests. Images that look the same get the same purpose and count once; a class with
    three or more others gets at least one of each kind.

    A folder of images without folders of classes has no labels, and is split in the
    same way.

    All images are decoded once, before training, and turned upright by their EXIF
    orientation. Warnings list skipped files with the reason (not decodable, of a format
    that TensorFlow does not read, in deeper folders, or hidden), folders without any
    image left, and files with 16 bits per pixel that are nearly black in 8.

    Args:
        folder: Path of the folder.
        validation: Share of each class for validation, less than a half.
        balance: Whether an epoch has equally many training images of each class: those
            of smaller classes come several times.

    Returns:
        An `ImageSet` of JPEG, PNG, BMP or GIF files, of HEIC with the extra `photos`,
        and of WebP and JPEG XL where TensorFlow reads them, with three channels.
        Without labels, `class_names` is empty.

    Raises:
        FileNotFoundError: If there are no folders of images, or only training or only
            test folders.
        ValueError: If a class has only test images, or there are no test images or
            no validation images.
    """
    number("validation", validation, 0, below=0.5)
    folder = pathlib.Path(folder)
    train_folder = (_existing(folder, _TRAIN_FOLDERS) or [folder / "train"])[0]
    valid, tests = (_existing(folder, n) for n in (_VALIDATION_FOLDERS, _TEST_FOLDERS))
    unknown = _unknown_images(folder, train_folder)
    if train_folder.is_dir() and (valid or tests):
        train = _by_class(train_folder, folder)
        test = _by_class([*valid, *tests][0], folder)
        chosen = None
        if validation and valid and tests:
            chosen, test = test, _by_class(tests[0], folder)
        elif validation:
            train, chosen = parted(train, validation, 1)
        advice = "add images, or a folder of validation images."
        fewest = 2 if validation else 10
        return _image_set(folder, train, test, chosen, unknown, balance, fewest, advice)
    if any(map(_holds_classes, (train_folder, *valid, *tests))):
        names = ", ".join((*_VALIDATION_FOLDERS, *_TEST_FOLDERS))
        raise FileNotFoundError(
            f"{folder.resolve()} has only one of train/ and a folder of test "
            f"images next to it: {names}."
        )
    advice = (
        f"move the classes into {folder / 'train'} and put test images into "
        f"{folder / 'validation'}."
    )
    return _split_by_share(
        folder, _by_class(folder, folder), validation, unknown, balance, advice
    )


def load_csv(
    path: str | os.PathLike, *, validation: float = 0.0, balance: bool = False
) -> ImageSet:
    """Images listed in a CSV file with their labels.

    Each line has the path of an image, relative to the CSV file's folder, and its label
    in the next column; a first line that does not begin with the name of an image has
    names of columns, and further columns are ignored. Images are split and checked as
    in `load_folder` with `<class>/` alone.

    Args:
        path: Path of the CSV file.
        validation: Share of each class for validation, less than a half.
        balance: As in `load_folder`.

    Raises:
        FileNotFoundError: If there is no such file, or it names missing images.
        ValueError: If a line has no label, an image has two, or the file is empty or
            not in UTF-8.
    """
    number("validation", validation, 0, below=0.5)
    path = pathlib.Path(path)
    labels = read_csv(path)
    images, told = _readable(path.parent, list(labels), labels.__getitem__)
    if not images:
        raise FileNotFoundError(f"{path} lists no readable image.{told}")
    _warn_of(told)
    unknown = _unknown_images(path.parent)
    return _split_by_share(
        path, images, validation, unknown, balance, "list more images."
    )


def load_photos(paths: Sequence[str | os.PathLike]) -> Split:
    """Photos without labels: files, and all photos in folders and below them.

    Raises:
        FileNotFoundError: If a path is missing, or there are no readable photos.
    """
    found: list[pathlib.Path] = []
    for path in map(pathlib.Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"There is no {path}.")
        found += sorted(path.rglob("*")) if path.is_dir() else [path]
    photos = [path for path in found if _is_photo(path)]
    images, told = _readable(pathlib.Path(), photos)
    if not images:
        where = ", ".join(str(path) for path in paths)
        raise FileNotFoundError(f"There are no readable photos in {where}.{told}")
    _warn_of(told)
    return _unlabelled(images)


def _existing(folder, names):
    return [folder / name for name in names if (folder / name).is_dir()]


def _split_by_share(folder, images, validation, unknown, balance, advice):
    """An `ImageSet` of images that come without test images."""
    train, chosen = images, None
    if validation:
        train, test, chosen = parted(images, validation, 2)
    else:
        test = {name: found[9::10] for name, found in images.items()}
        for found in train.values():
            del found[9::10]
    fewest = 3 if validation else 10
    return _image_set(folder, train, test, chosen, unknown, balance, fewest, advice)


def _image_set(folder, train, test, chosen, unknown, balance, fewest, advice):
    """An `ImageSet` of images by class."""
    if not any(test.values()) or (chosen is not None and not any(chosen.values())):
        raise ValueError(
            f"No class in {folder} has {fewest} images, of which one would be kept to "
            f"test: {advice}"
        )
    names = tuple(sorted(train))
    if unseen := sorted({*test, *(chosen or ())} - set(names)):
        raise ValueError(f"{folder} has only test images of {unseen}.")
    if empty := sorted(name for name in names if not train[name]):
        raise ValueError(
            f"{folder} has no training images of {empty} that do not look the same as "
            "images of other classes: check their labels."
        )
    make = _split
    if is_unlabelled := train.keys() == {_NO_CLASS}:
        make, names = _unlabelled, ()
    return ImageSet(
        make(train, names, balance and not is_unlabelled),
        make(test, names),
        names,
        (None, None, 3),
        validation=None if chosen is None else make(chosen, names),
        is_labelled=not is_unlabelled,
        unknown=None if unknown is None else _unlabelled(unknown),
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
        if entry.is_dir() and entry.name != UNKNOWN
        for path in entry.rglob("*")
    )


def _by_class(folder: pathlib.Path, root: pathlib.Path) -> Classes:
    """Images by name of the class; their own names are relative to `root`.

    The name is `_NO_CLASS` for images without labels.
    """
    depth = 0 if has_images_alone(folder) else 1  # Of images below the folder.
    left_out: dict[str, list] = collections.defaultdict(list)  # Paths by the problem.
    classes, paths = [], []
    for entry in sorted(folder.iterdir()):
        if entry.name == UNKNOWN:
            continue
        is_class = entry.is_dir() and not entry.name.startswith(".")
        if is_class and depth:
            classes.append(entry)
        for path in sorted(entry.rglob("*")) if is_class else [entry]:
            problem = _problem(path, folder, depth)
            if problem:
                left_out[problem].append(path)
            elif problem is not None:
                paths.append(path)

    def class_of(path):
        return path.parent.name if depth else _NO_CLASS

    images, told = _readable(folder, paths, class_of, left_out, root)
    if not images:
        raise FileNotFoundError(
            f"No images in {folder.resolve()}. A set of images needs a folder for "
            f"each class, with files of {sorted(SUFFIXES)}.{told}"
        )
    _warn_of(told)
    without = [entry for entry in classes if entry.name not in images]
    if without:
        number = "1 class" if len(without) == 1 else f"{len(without):,} classes"
        _warn_once(
            f"Left out {number} of {folder}, without any readable image: "
            f"{_first(without, folder)}."
        )
    return images


def _unknown_images(folder, *others):
    """The images of no class, if there are any."""
    folders = [*_existing(folder, [UNKNOWN])]
    folders += [found for other in others for found in _existing(other, [UNKNOWN])]
    if not folders:
        return None
    paths = [
        path
        for unknown in folders
        for path in sorted(unknown.rglob("*"))
        if _is_photo(path)
    ]
    images, told = _readable(folder, paths)
    _warn_of(told)
    if not images:
        _warn_once(f"There are no readable images in {folders[0]}.")
        return None
    return images


def _is_photo(path):
    is_hidden = path.name.startswith(".")
    return is_named_as_image(path.name) and not is_hidden and path.is_file()


def _readable(
    folder, paths, class_of=lambda path: _NO_CLASS, left_out=(), root=None
) -> tuple[Classes, str]:
    """The readable ones of some images by class, and what was left out."""
    left_out = collections.defaultdict(list, left_out)
    checked = dict(zip(paths, check_images(paths, folder)))
    images: Classes = collections.defaultdict(list)
    for path in paths:
        check = checked[path]
        if check.problem:
            left_out[check.problem].append(path)
        else:
            tag = orientation_tag(check.orientation)
            name = os.path.relpath(path, root or folder)
            readable = os.fsencode(check.jpeg or path)
            images[class_of(path)].append(File(readable, tag, name, check.look))
    dark = [path for path in paths if checked[path].is_dark]
    if dark:
        _warn_once(
            f"{_files(len(dark))} in {folder} will be nearly black, as the upper bits "
            f"of their 16 are empty: {_first(dark, folder)}. Scale them to 8 bits."
        )
    if not left_out:
        return images, ""
    reasons = (
        f"{len(skipped):,} {problem} ({_first(skipped, folder)})"
        for problem, skipped in left_out.items()
    )
    count = sum(map(len, left_out.values()))
    return images, f" Left out {_files(count)} in {folder}: {'; '.join(reasons)}."


def _warn_of(told):
    if told:
        _warn_once(told.strip())


@functools.cache
def _warn_once(message):
    """Warns once per process, as a folder is read again and again."""
    warnings.warn(message, stacklevel=5)


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
    names = [repr(os.path.relpath(path, folder)) for path in paths[:_NAMES_SHOWN]]
    return ", ".join(names + ["..."] * (len(paths) > _NAMES_SHOWN))


def _split(images, names, balance=False):
    labelled = [
        (file, label)
        for label, name in enumerate(names)
        for file in images.get(name, ())
    ]
    most = max(map(len, images.values()))
    repeated = [
        (images[name][i % len(images[name])], label)
        for label, name in enumerate(names if balance else ())
        for i in range(most)
    ]
    return _files_split(repeated or labelled, labelled)


def _unlabelled(images, names=(), balance=False):
    labelled = [(file, number) for number, file in enumerate(images[_NO_CLASS])]
    return _files_split(labelled, labelled)


def _files_split(
    read_files: Sequence[tuple[File, int]], files: Sequence[tuple[File, int]]
) -> Split:
    """A split that reads some files, with what is known of each."""
    (paths, tags, labels) = zip(*((f.path, f.tag, label) for f, label in read_files))

    def read(seed=None):
        dataset = tf.data.Dataset.from_tensor_slices(
            (list(paths), list(tags), tf.cast(labels, tf.int64))
        )
        return shuffled(dataset, len(paths), seed).map(
            lambda path, tag, label: (tf.io.read_file(path) + tag, label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    photos = tuple(Photo(file.name, label, file.look) for file, label in files)
    return Split(len(paths), read, photos)
