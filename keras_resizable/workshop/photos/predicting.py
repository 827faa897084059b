"""Classifying photos with a `.tflite` file."""

import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_resizable.export.flatbuffer import metadata_of_signature
from keras_resizable.export.interpreters import Runner
from keras_resizable.utils.extras import import_extra
from keras_resizable.workshop.data.folder import UNKNOWN as UNKNOWN_FOLDER
from keras_resizable.workshop.data.folder import load_photos
from keras_resizable.workshop.data.preprocessing import eval_image

if TYPE_CHECKING:
    import pandas

UNKNOWN = "unknown"
_ROUNDING = 0.01  # Of probabilities in float16 and int8.


def predict(
    file: str | os.PathLike,
    photos: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    signature: str | None = None,
    min_confidence: float | None = None,
) -> "pandas.DataFrame":
    """Classifies photos with a `.tflite` file of this library.

    Photos are turned, cropped and resized as in the evaluation of the file.

    Args:
        file: Path of the file, with labels in its metadata, as `photos` and
            `to_tflite(labels=...)` write it.
        photos: A photo or a folder of photos, or several.
        signature: Name of a signature of a bundle; by default the first.
        min_confidence: The answer is "unknown" below this; by default the
            `score_threshold` in the file, if it has one.

    Returns:
        A row for each photo: `photo`, its path; `answer`; and `confidence`, the
        probability of the most probable class.

    Raises:
        FileNotFoundError: If there is no such file, or no photo.
        ValueError: If the file has no labels, input range or such signature, or does
            not answer with probabilities.

    Example:

    >>> from keras_resizable import photos
    >>> photos.predict("mine_int8.tflite", "photos/")  # doctest: +SKIP
    """
    pandas = import_extra("pandas", "search")
    runner = Runner(file, signature)
    about = metadata_of_signature(file, signature)
    labels, input_range = about.get("labels"), about.get("input_range")
    if labels is None or input_range is None:
        raise ValueError(
            f"{file} has no labels or no input range in its metadata. Convert with "
            "labels=[...] and input_range=(-1, 1), or another range."
        )
    if min_confidence is None:
        min_confidence = about.get("score_threshold", 0.0)
    if isinstance(photos, str | os.PathLike):
        photos = [photos]
    split = load_photos(photos)
    low, high = input_range
    rows = []
    for photo, (image, _) in zip(split.photos, split.read(None)):
        pixels = eval_image(image, runner.shape, about.get("center_crop") is not None)
        scores = runner.only_output(low + (high - low) * pixels.numpy()[None] / 255)[0]
        if len(scores) == 1:
            scores = np.array([1 - scores[0], scores[0]])
        if not (scores.min() > -_ROUNDING and scores.max() < 1 + _ROUNDING):
            raise ValueError(
                f"{file} must answer with probabilities, as of a softmax or sigmoid. "
                f"Received: {scores[:3]}"
            )
        best = int(scores.argmax())
        answer = labels[best] if scores[best] >= min_confidence else UNKNOWN
        rows.append((photo.path, answer, float(scores[best])))
    return pandas.DataFrame(rows, columns=["photo", "answer", "confidence"])


def share_right(answers: "pandas.DataFrame", labels: Sequence[str]) -> float | None:
    """The share of right answers, if the photos are in folders named like classes.

    For photos in a folder `_unknown` the right answer is "unknown".
    """
    folders = [pathlib.Path(path).parent.name for path in answers["photo"]]
    expected = [UNKNOWN if name == UNKNOWN_FOLDER else name for name in folders]
    if not set(folders) <= {*labels, UNKNOWN_FOLDER}:
        return None
    return float((answers["answer"] == expected).mean())
