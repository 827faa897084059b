"""The options that all networks have in common."""

import os
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

from keras_resizable.models.convolutions import Regularizer

_Make = TypeVar("_Make", bound=Callable[..., Any])
# Where the docstring of a network has `{options}`.
_DOC = """input_shape: `(height, width, channels)`; height and width may be None, but
            then sub-networks cannot be cut out.
        classes: Number of classes.
        include_top: Whether the head ends in a classifier.
        weights: None for random ones; the path of a `.weights.h5` or `.keras` file of
            such a network; or for MobileNets `"imagenet"`, those of
            `keras.applications`, which expect images in [-1, 1] and are valid only at
            full size until the network is trained or calibrated.
        pooling: What the head does when `include_top=False`: None for feature maps,
            `"avg"` or `"max"`.
        dropout: Fraction of the classifier's inputs that training drops.
        classifier_activation: Activation of the classifier, None for logits.
        kernel_regularizer: Regularizer of all kernels, not of batch normalisation, such
            as `keras.regularizers.L2(1e-4)`.
        synchronized: Whether replicas share the statistics of a batch.
        name: Name of the network.

    Returns:
        A `ResizableNetwork`.

    Raises:
        ValueError: If an argument is not valid."""


class NetworkOptions(TypedDict, total=False):
    """Arguments of every network; those that are absent are the network's own."""

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


def documented(make: _Make) -> _Make:
    """Writes the common options into the docstring of a network."""
    if make.__doc__ is not None:
        make.__doc__ = make.__doc__.replace("{options}", _DOC)
    return make
