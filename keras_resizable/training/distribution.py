"""What training on several devices or machines needs besides `tf.distribute`."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

STRATEGIES = ("none", "mirrored", "multi_worker")
_MAX_TEXT = 1024


def make_strategy(name: str) -> tf.distribute.Strategy:
    """A `tf.distribute` strategy.

    Args:
        name: `"none"`; `"mirrored"` for all devices of this machine; or
            `"multi_worker"` for all machines that the environment variable
            `TF_CONFIG` names, which has to be made before TensorFlow does anything
            else.

    Raises:
        ValueError: If there is no such strategy, or `TF_CONFIG` is not set or
            not valid.

    Example:

    >>> import keras_resizable
    >>> from keras_resizable import training
    >>> with training.make_strategy("none").scope():
    ...     network = keras_resizable.ResNet20()
    """
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name == "multi_worker":
        _check_tf_config()
        return tf.distribute.MultiWorkerMirroredStrategy()
    raise ValueError(f"A strategy must be one of {STRATEGIES}. Received: {name!r}")


def _check_tf_config():
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text)
        workers = [
            address
            for kind in ("chief", "worker")
            for address in config["cluster"].get(kind, [])
        ]
        task = config["task"]
        known = config["cluster"][task["type"]][int(task["index"])] in workers
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise ValueError(
            "The strategy 'multi_worker' takes the machines from the environment "
            'variable TF_CONFIG, such as {"cluster": {"worker": ["host1:2222", '
            '"host2:2222"]}, "task": {"type": "worker", "index": 0}}. '
            f"Received: TF_CONFIG={text!r}"
        )


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether a strategy spans several machines."""
    return shards(strategy)[0] > 1


def shards(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Number of machines of a strategy, and the number of this one."""
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
    """Whether this process is the one that writes files."""
    return shards(strategy)[1] == 0


def agree(strategy: tf.distribute.Strategy, text: str) -> str:
    """The chief's text, on every machine."""
    if not is_multi_worker(strategy):
        return text
    encoded = text.encode()
    if len(encoded) > _MAX_TEXT:
        raise ValueError(f"This is too long to send to the workers: {text!r}")
    sent = np.zeros(_MAX_TEXT, np.int32)
    if is_chief(strategy):
        sent[: len(encoded)] = list(encoded)

    @tf.function
    def add():
        def of_replica():
            context = tf.distribute.get_replica_context()
            first = context.replica_id_in_sync_group == 0
            part = tf.where(first, tf.constant(sent), 0)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, part)

        return strategy.run(of_replica)

    with clear_worker_errors(strategy):
        received = strategy.experimental_local_results(add())[0].numpy()
    return bytes(received[received > 0].tolist()).decode()


@contextlib.contextmanager
def clear_worker_errors(
    strategy: tf.distribute.Strategy, advice: str = "Start all workers again."
) -> Iterator[None]:
    """Raises a clear error if another worker has stopped.

    Args:
        strategy: The strategy of what runs in the context.
        advice: What to do, for the message.

    Raises:
        ConnectionError: In place of TensorFlow's own error.
    """
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
    from keras import Model as _Mixed  # What it is mixed into has Keras's methods.
else:
    _Mixed = object


class MultiWorkerTraining(_Mixed):
    """Makes `fit` and `evaluate` of a model work on several machines.

    Keras 3 cannot (keras-team/keras#20585): to learn the shape of a batch it
    averages one over the workers, which fails, as it does over replicas that get
    different numbers of images; and it averages logs over an axis that scalars do not
    have. Overriding a private method is the only way to the first. And where the last
    batch has fewer images than there are replicas, some get none, and would evaluate
    nothing to NaN. Mix it in before `keras.Model`.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        strategy = self.distribute_strategy
        if iterator is not None and strategy.num_replicas_in_sync > 1:
            for _, _, batches in iterator:
                data_batch = keras.tree.map_structure(
                    lambda part: strategy.experimental_local_results(part)[0],
                    next(batches),
                )
                break
            iterator = None
        super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Evaluates a batch, unless this replica got nothing of it."""
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return super().test_step(data)
        evaluate = super().test_step
        logs = tf.cond(
            tf.shape(keras.tree.flatten(data)[0])[0] > 0,
            lambda: evaluate(data),
            self.get_metrics_result,
        )
        return self._logs(logs)

    def _logs(self, logs):
        """Logs of a step, in the shape that Keras averages over workers."""
        if not is_multi_worker(self.distribute_strategy):
            return logs
        return keras.tree.map_structure(lambda log: tf.reshape(log, (1,)), logs)
