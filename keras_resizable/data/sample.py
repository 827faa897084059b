"""The embedded sample of Fashion-MNIST.

8,000 training and 2,000 test images of Fashion-MNIST (Xiao et al., 2017,
https://arxiv.org/abs/1708.07747), the same number of each class, in
`fashion_mnist_sample.npz`; its licence is in `fashion_mnist_LICENSE`. To draw
it again from the four IDX files of the original:

    python -m keras_resizable.data.sample FOLDER
"""

import pathlib
import sys

import numpy as np

from keras_resizable.data.idx import load_idx
from keras_resizable.data.image_set import Arrays
from keras_resizable.utils.files import replacing

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


def draw_sample(
    train: Arrays,
    test: Arrays,
    train_per_class: int = 800,
    test_per_class: int = 200,
    seed: int = 0,
) -> tuple[Arrays, Arrays]:
    """Draws the same number of images of each class, in random order.

    Args:
        train: Images and labels to draw the training images from.
        test: Images and labels to draw the test images from.
        train_per_class: Number of training images of each class.
        test_per_class: Number of test images of each class.
        seed: Seed of the draw.

    Returns:
        As `load_sample`.
    """
    generator = np.random.default_rng(seed)
    drawn = []
    for (images, labels), count in (
        (train, train_per_class),
        (test, test_per_class),
    ):
        chosen = np.concatenate(
            [
                generator.choice(np.flatnonzero(labels == label), count, False)
                for label in np.unique(labels)
            ]
        )
        chosen = generator.permutation(chosen)
        drawn.append((images[chosen], labels[chosen]))
    return drawn[0], drawn[1]


if __name__ == "__main__":
    (x_train, y_train), (x_test, y_test) = draw_sample(*load_idx(sys.argv[1]))
    with replacing(_PATH) as temporary:
        np.savez_compressed(
            temporary,
            x_train=x_train,
            y_train=y_train,
            x_test=x_test,
            y_test=y_test,
        )
