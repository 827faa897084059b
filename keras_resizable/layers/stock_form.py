"""What the layers of this library have in common."""

from collections.abc import Callable

import keras


class HasStockForm:
    """A layer that stock Keras layers can stand in for, once its scale is known.

    Cutting out, counting and sizes ask a layer by these methods, so that a further
    layer needs no change there.
    """

    def row_of(self, scale_index: int) -> int:
        """The number of its form at a scale: scales of one number share a form."""
        return scale_index

    def stock_form(
        self, scale_index: int, name: str
    ) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
        """What does the same at a scale.

        Args:
            scale_index: A position in the scale factors, an integer.
            name: Name for the stock layer.

        Returns:
            A built stock layer with copies of the weights, or a function that calls
            stock layers and operations.
        """
        raise NotImplementedError

    def sizes_at(
        self, inputs: keras.KerasTensor, scale_index: int | None
    ) -> keras.KerasTensor:
        """The output for an input of some shape; like the input, if not said otherwise.

        Args:
            inputs: What comes in.
            scale_index: A position in the scale factors, None if it is not known.
        """
        return inputs

    def check_scales(self, scales: tuple[float, ...]) -> None:
        """Refuses to be in a network of other scale factors.

        Raises:
            ValueError: If the layer was made for others.
        """
