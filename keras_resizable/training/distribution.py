"""Training on several devices or machines, on top of `tf.distribute`."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from keras_resizable.training.replicas import sum_over_replicas
from keras_resizable.utils.arguments import one_of

STRATEGIES = ("none", "mirrored", "multi_worker")
_MAX_TEXT = 1024


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Makes a `tf.distribute` strategy.

    Args:
        name: `"none"`; `"mirrored"` for all devices of this machine; or
            `"multi_worker"` for all machines in the environment variable `TF_CONFIG`.
            Make the latter before any other use of TensorFlow.

    Raises:
        ValueError: If there is no such strategy, or `TF_CONFIG` is not valid.

    Example:

    >>> import keras_resizable
    >>> with keras_resizable.make_strategy("none").scope():
    ...     network = keras_resizable.ResNet20()
    """
    one_of("strategy", name, STRATEGIES)
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    _check_tf_config()
    return tf.distribute.MultiWorkerMirroredStrategy()


def _check_tf_config():
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        kind, index = config["task"]["type"], int(config["task"]["index"])
        known = kind in ("chief", "worker") and config["cluster"][kind][index]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise ValueError(
            "The strategy 'multi_worker' reads the machines from the environment "
            'variable TF_CONFIG, such as {"cluster": {"worker": ["host1:2222", '
            '"host2:2222"]}, "task": {"type": "worker", "index": 0}}. '
            f"Received: TF_CONFIG={text!r}"
        )


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether a strategy spans several machines."""
    return shards(strategy)[0] > 1


def shards(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """The number of machines of a strategy, and the index of this one."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1, 0
    resolver = strategy.cluster_resolver
    tasks = [
        (kind, index)
        for kind in ("chief", "worker")
        for index in range(len(resolver.cluster_spec().as_dict().get(kind, [])))
    ]
    return len(tasks), tasks.index((resolver.task_type, resolver.task_id))


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the files."""
    return shards(strategy)[1] == 0


def agree(strategy: tf.distribute.Strategy, text: str) -> str:
    """Returns the chief's text on every machine."""
    if not is_multi_worker(strategy):
        return text
    encoded = text.encode().ljust(_MAX_TEXT, b"\0")
    if len(encoded) > _MAX_TEXT:
        raise ValueError(f"The text is too long to send to the workers: {text!r}")

    @tf.function
    def add():
        def of_replica():
            context = tf.distribute.get_replica_context()
            is_first = context.replica_id_in_sync_group == 0  # On the chief.
            return sum_over_replicas(tf.where(is_first, list(encoded), 0))

        return strategy.run(of_replica)

    with clear_worker_errors(strategy):
        received = strategy.experimental_local_results(add())[0].numpy()
    return bytes(received.tolist()).rstrip(b"\0").decode()


@contextlib.contextmanager
def clear_worker_errors(
    strategy: tf.distribute.Strategy, advice: str = "Start all workers again."
) -> Iterator[None]:
    """Raises a `ConnectionError` with advice if another worker has stopped."""
    try:
        yield
    except tf.errors.OpError as error:
        _, aborted, reason = error.message.partition("Collective ops is aborted by: ")
        if not is_multi_worker(strategy) or not aborted:
            raise
        raise ConnectionError(
            f"A worker has stopped or cannot be reached ({reason.splitlines()[0]}). "
            f"{advice}"
        ) from error


if TYPE_CHECKING:
    from keras import Model as _Mixed  # The mixin calls its methods.
else:
    _Mixed = object


class MultiWorkerTraining(_Mixed):
    """Makes `fit` and `evaluate` work on several machines; comes before `keras.Model`.

    Both fail in Keras 3 (keras-team/keras#20585), which takes the shape of a batch from
    a mean over replicas and averages logs over an axis that scalars lack. Also, a
    replica without images in the last batch would evaluate to NaN.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        strategy = self.distribute_strategy
        if iterator is not None:
            for _, _, batches in iterator:
                data_batch = keras.tree.map_structure(
                    lambda part: strategy.experimental_local_results(part)[0],
                    next(batches),
                )
                data_batch = self.with_targets(data_batch)
                break
            iterator = None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluates a batch, unless this replica got none of its images."""
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().test_step(self.with_targets(data))
        evaluate = super().test_step
        logs = tf.cond(
            tf.shape(keras.tree.flatten(data)[0])[0] > 0,
            lambda: evaluate(self.with_targets(data)),
            self.get_metrics_result,
        )
        return self._logs(logs)

    def _logs(self, logs):
        """Logs of a step in the shape that Keras averages over workers."""
        if not is_multi_worker(self.distribute_strategy):
            return logs
        return keras.tree.map_structure(lambda log: tf.reshape(log, (1,)), logs)
