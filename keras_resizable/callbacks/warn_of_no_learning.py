"""Warns when training learns nothing."""

import math
import warnings

import keras

_BATCHES_BETWEEN = 10  # Between two looks at the learning rate.
_DEVIATIONS = 3  # Standard deviations of the accuracy of a random guess.


class WarnOfNoLearning(keras.callbacks.Callback):
    """Warns at the end of an epoch when training learns nothing.

    It warns if the accuracy is no better than chance, and if the loss is higher than
    after the first epoch, each once. The warning gives the highest learning rate of the
    epoch.

    Args:
        classes: Number of classes.
        num_images: Number of images of an epoch.
        metric: Name of the accuracy in the logs.
        after_images: Number of images to train on before the first warning, as an epoch
            of few images is only a step or two.
    """

    def __init__(
        self,
        classes: int,
        num_images: int,
        metric: str = "accuracy",
        *,
        after_images: int = 0,
    ) -> None:
        super().__init__()
        chance = 1 / classes
        deviation = math.sqrt(chance * (1 - chance) / num_images)
        self.chance = chance + _DEVIATIONS * deviation
        self.metric = metric
        self._first_epoch = math.ceil(after_images / num_images) - 1
        self._first_loss: float | None = None
        self._highest_rate = 0.0
        self._warned: set[str] = set()

    def on_epoch_begin(self, epoch, logs=None):
        self._highest_rate = self._rate()

    def on_train_batch_end(self, batch, logs=None):
        if batch % _BATCHES_BETWEEN == 0:
            self._highest_rate = max(self._highest_rate, self._rate())

    def on_epoch_end(self, epoch, logs=None):
        if epoch < self._first_epoch:
            return
        accuracy, loss = logs.get(self.metric), logs["loss"]
        if accuracy is not None and accuracy <= self.chance:
            self._warn(
                "chance",
                f"The training accuracy after epoch {epoch + 1} is {accuracy:.3f}, no "
                "more than chance.",
            )
        if self._first_loss is None:
            self._first_loss = loss
        elif loss > self._first_loss:
            self._warn(
                "loss",
                f"The training loss has risen from {self._first_loss:.4g} to "
                f"{loss:.4g} in epoch {epoch + 1}.",
            )

    def _rate(self):
        return float(self.model.optimizer.learning_rate)

    def _warn(self, kind, text):
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(
                f"{text} The learning rate was up to {self._highest_rate:.3g}: try a "
                "lower one.",
                stacklevel=3,
            )
