"""The options that all networks have in common."""

import os
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

from keras_resizable.models.convolutions import Regularizer
from keras_resizable.utils.arguments import number

_Make = TypeVar("_Make", bound=Callable[..., Any])
# Replaces `{options}` in a docstring.
_DOC = """input_shape: `(height, width, channels)`; height and width may be None, but
            then sub-networks cannot be cut out.
        classes: Number of classes.
        include_top: Whether the head ends in a classifier.
        weights: None for random weights; the path of a `.weights.h5` or `.keras` file
            of such a network; or `"imagenet"` for architectures of
            `keras.applications`, such as MobileNets. ImageNet weights expect images in
            [-1, 1], include the classifier for 1,000 classes, and are valid only at
            full size until the network is trained or calibrated; see
            `load_stock_weights`.
        pooling: Output of the head when `include_top=False`: None for feature maps,
            `"avg"` or `"max"`.
        dropout: Fraction of the classifier's inputs dropped in training.
        classifier_activation: Activation of the classifier, None for logits.
        kernel_regularizer: Regularizer of all kernels, but not of batch normalisation,
            such as `keras.regularizers.L2(1e-4)`.
        synchronized: Whether replicas share the statistics of a batch.
        name: Name of the network.

    Raises:
        ValueError: If an argument is not valid."""


class NetworkOptions(TypedDict, total=False):
    """Arguments of every network; absent ones have the network's own defaults."""

    input_shape: tuple[int | None, int | None, int]
    classes: int
    include_top: bool
    weights: str | os.PathLike | None
    pooling: str | None
    dropout: float
    classifier_activation: str | Callable[..., Any] | None
    kernel_regularizer: Regularizer
    synchronized: bool
    name: str


IMAGENET: NetworkOptions = {"input_shape": (224, 224, 3), "classes": 1000}


def documented(make: _Make) -> _Make:
    """Inserts the common options into the docstring of a function."""
    if make.__doc__ is not None:
        make.__doc__ = make.__doc__.replace("{options}", _DOC)
    return make


def checked_width(width: float, alpha: float | None = None) -> float:
    """`alpha`, or `width` if it is absent; raises unless it is a positive number."""
    name, value = ("width", width) if alpha is None else ("alpha", alpha)
    return number(name, value, above=0)
