import functools
import gc

import keras
import numpy as np
import pytest
import tensorflow as tf
from narrow_networks import convolutions

from keras_resizable.models import resnet

collect_ignore = ["preloaded.py"]

# Graphs are made of so many objects that looking for garbage takes a tenth of the time.
gc.freeze()
gc.set_threshold(100_000, 20, 20)

# Two replicas on one machine. It has to come before anything touches a device.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)


@pytest.fixture(scope="session")
def strategy():
    """The one strategy of the session: two of them clash."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef):
    """What tests share is the same whichever of them comes first."""
    if fixturedef.scope != "function":
        keras.utils.set_random_seed(0)


# A residual network so narrow that its tracing takes a second or two.
narrow_resnet = functools.partial(
    resnet.ResNet,
    resnet.small_image_stem,
    resnet.basic_block,
    stackwise_num_blocks=(1, 2),
    stackwise_num_filters=(4, 6),
    scales=(1.0, 0.75, 0.5),
    input_shape=(12, 12, 2),
    classes=3,
    name="narrow_resnet",
)


# Of as many stages, with a convolution for each block: traced in half the time.
small_network = functools.partial(
    convolutions,
    (4, 6, 6),
    scales=(1.0, 0.75, 0.5),
    input_shape=(12, 12, 2),
    classes=3,
    name="small",
)


@pytest.fixture
def make_network(request):
    """A factory of narrow networks, of 2 stages and 3 scales if not told.

    A test file where the architecture does not matter has `MAKE_NETWORK`.
    """
    return getattr(request.module, "MAKE_NETWORK", narrow_resnet)


@pytest.fixture
def batch():
    generator = np.random.default_rng(0)
    images = generator.random((8, 12, 12, 2), np.float32)
    labels = generator.integers(0, 3, 8).astype(np.int32)
    return images, labels


@pytest.fixture
def tf_dataset(batch):
    """The batch, in two parts."""
    return tf.data.Dataset.from_tensor_slices(batch).batch(4)


@pytest.fixture
def randomize():
    return randomize_batch_norms


def randomize_batch_norms(model, seed=0):
    """Gives all batch normalisations, row by row, random values of their own."""
    generator = np.random.default_rng(seed)
    for variable in model.variables:
        name = variable.path.split("/")[-1]
        if name.startswith(("gamma", "beta", "moving_mean", "moving_variance")):
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
