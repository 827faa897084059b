import pathlib

import keras
import numpy as np
import processes
import pytest
from narrow_networks import NARROW

import keras_resizable
from keras_resizable.adapt.router import _make_learner
from keras_resizable.utils.keras_graph import layers_of

ROOT = pathlib.Path(__file__).parents[2]


def test_no_family_dies_of_odd_batches():
    """In a process of its own, which it would take along."""
    done = processes.run(ROOT / "tests" / "train_odd_batches.py", folder=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["wide", *NARROW, "router"]


@pytest.mark.parametrize("make", NARROW.values(), ids=NARROW)
def test_no_family_has_a_1x1_convolution_with_a_stride(make):
    """TensorFlow's gradient of it corrupts memory on some x86 processors."""
    network = make(
        scales=(1.0, 0.5), input_shape=(64, 64, 3), classes=3, name="network"
    )
    for model in (network, network.sub_network((0.5,), check_statistics=False)):
        for layer in layers_of(model):
            if isinstance(layer, keras.layers.Conv2D):
                assert layer.kernel_size != (1, 1) or layer.strides == (1, 1), layer
    for layer in _make_learner((8, 8, 4), 3).layers[:3]:
        assert layer.kernel_size != (1, 1) or layer.strides == (1, 1), layer


def test_pooling_single_pixels_before_it_is_the_same():
    """Of odd and even sizes, as padding is none for a kernel of one."""
    network = keras_resizable.ResNet20(width=0.5, scales=(1.0,), classes=3)
    conv = network.stages[0].get_layer("conv3_block1_0_conv")
    pool = network.stages[0].get_layer("conv3_block1_0_conv_subsample")
    for size in (7, 8):
        images = keras.random.normal((2, size, size + 1, 8))
        strided = keras.ops.conv(images, conv.kernel, strides=2, padding="same")
        assert keras.ops.max(abs(strided - conv(pool(images)))) < 1e-5
        np.testing.assert_array_equal(pool(images), images[:, ::2, ::2])
