"""The interface that the layers of this library share."""

import abc
from collections.abc import Callable
from typing import TypeAlias

import keras

Shape: TypeAlias = tuple[int | None, ...]
StockForm: TypeAlias = Callable[[keras.KerasTensor], keras.KerasTensor]


class HasStockForm(abc.ABC):
    """A layer that stock Keras layers can replace at a known scale.

    Other modules use only these methods of a layer. A scale index is a position in the
    scale factors.
    """

    def row_of(self, scale_index: int) -> int:
        """The number of its form at a scale; scales with one number share a form."""
        return scale_index

    @abc.abstractmethod
    def stock_form(self, scale_index: int, name: str) -> StockForm:
        """The stock equivalent of the layer at one scale, under a given name.

        Returns:
            A built stock layer with copies of the weights, or a function that calls
            stock layers and operations.
        """

    def sizes_at(
        self, inputs: keras.KerasTensor, scale_index: int | None
    ) -> keras.KerasTensor:
        """The symbolic output at a scale, None if unknown; by default the input."""
        return inputs

    def fits(self, scales: tuple[float, ...]) -> bool:
        """Whether the layer was made for these scale factors."""
        return True

    def check_scales(self, scales: tuple[float, ...]) -> None:
        """Raises a `ValueError` if the layer was made for other scale factors."""
        if not self.fits(scales):
            raise ValueError(
                f"{self} is for other scale factors. Received: scales={scales}"
            )
