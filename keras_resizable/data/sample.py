"""The embedded sample of Fashion-MNIST.

8,000 training and 2,000 test images of Fashion-MNIST (Xiao et al., 2017,
https://arxiv.org/abs/1708.07747), the same number of each class, in
`fashion_mnist_sample.npz`; its licence is in `fashion_mnist_LICENSE`.
"""

import pathlib

import numpy as np

from keras_resizable.data.image_set import Arrays

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_PATH = pathlib.Path(__file__).with_name("fashion_mnist_sample.npz")


def load_sample() -> tuple[Arrays, Arrays]:
    """The embedded sample of Fashion-MNIST.

    Returns:
        `(x_train, y_train), (x_test, y_test)` as `keras.datasets` has it: uint8
        arrays of shape `(8000, 28, 28)`, `(8000,)`, `(2000, 28, 28)` and
        `(2000,)`.
    """
    with np.load(_PATH) as sample:
        return (
            (sample["x_train"], sample["y_train"]),
            (sample["x_test"], sample["y_test"]),
        )
