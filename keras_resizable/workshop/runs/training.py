"""Training by a recipe, in the folder of a run."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_resizable.callbacks import SubNetworkAccuracy, WarnOfNoLearning
from keras_resizable.space import ConfigLike
from keras_resizable.training import distribution
from keras_resizable.utils.digests import digest_of_data
from keras_resizable.workshop import data, recipes
from keras_resizable.workshop.data.image_set import describe
from keras_resizable.workshop.data.pipeline import resolved_shape
from keras_resizable.workshop.recipes.building import (
    compile_network,
    make_network,
    steps_of_epoch,
    train_data,
)
from keras_resizable.workshop.recipes.resolving import resolve_run
from keras_resizable.workshop.runs.folders import check_root, count_epochs, open_run
from keras_resizable.workshop.runs.resuming import fit_resumable, make_deterministic
from keras_resizable.workshop.runs.run import Run

_LOG = logging.getLogger(__name__)
_STEPS_BEFORE_JUDGING = 20  # Before warning that nothing is learned.
_CALIBRATION_BATCHES = 2  # For the accuracies after each epoch.


def train(
    recipe: str | recipes.Recipe = "sample_resnet20",
    mode: str | None = None,
    config: ConfigLike | None = None,
    *,
    root: str | os.PathLike = "runs",
    new: bool = False,
    images: data.ImageSet | None = None,
    strategy: str = "none",
    checkpoint_steps: int | None = None,
    deterministic: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
    **overrides: Any,
) -> Run:
    """Trains a network by a recipe, or resumes a run that was interrupted.

    The folder of the run is complete after each epoch: the same call resumes from
    there. Progress is logged (`logging`, level INFO).

    Args:
        recipe: Name of a recipe, one of `keras_resizable.recipes.RECIPES`; the path of
            the `recipe.json` of a run; or a `Recipe`.
        mode: `"resizable"` trains all sub-networks; `"individual"` only the target; and
            `"resizable_aug"` all, then only the target (Resizable Neural Networks,
            section 3.4). By default the mode in `recipe.json`, or `"resizable"`.
        config: Configuration of the target; by default the largest.
        root: Folder of all runs. `latest` in it points to this one.
        new: Whether to start a new run even if one was interrupted.
        images: The recipe's images, if already loaded; or other images. These are used
            as given, without `recipe.num_images` and `validation`, and `fine_tune`
            needs them, too.
        strategy: Devices to use: `"none"` for one, `"mirrored"` for all of this
            machine, `"multi_worker"` for all machines in `TF_CONFIG`.
        checkpoint_steps: Number of steps between checkpoints inside an epoch; by
            default none.
        deterministic: Whether TensorFlow must compute the same bits in every run.
        callbacks: Further callbacks, as in `fit_resumable`.
        verbose: As in `fit`.
        **overrides: Values of the recipe to replace, such as `epochs=10`.

    Returns:
        The `Run`.

    Raises:
        ValueError: If a setting is not valid.
        FloatingPointError: If the loss diverges.
        OSError: If `root` cannot be written, or another process trains there.

    Example:

    >>> from keras_resizable import runs
    >>> run = runs.train("sample_resnet20", epochs=1, width=0.5)  # doctest: +SKIP
    >>> network = run.network()  # doctest: +SKIP
    """
    check_root(root)
    recipe, mode, target = resolve_run(recipe, mode, config, overrides)
    devices = distribution.make_strategy(strategy)
    keras.utils.set_random_seed(recipe.seed)
    if deterministic:
        make_deterministic()
    about = {}
    if images is None:
        images = recipes.load_data(recipe)
    else:
        about["first"] = digest_of_data(images.train.read(None).take(1))
    about |= describe(images)
    options = {"every_steps": checkpoint_steps, "verbose": verbose}
    with precision(recipe.precision):
        return _train(
            recipe,
            mode,
            target,
            root=root,
            new=new,
            images=images,
            about=about,
            strategy=devices,
            callbacks=callbacks,
            options=options,
        )


def _train(
    recipe, mode, config, *, root, new, images, about, strategy, callbacks, options
):
    shape = resolved_shape(images.image_shape, recipe.image_size)
    steps_per_epoch = steps_of_epoch(recipe, images)
    classes = len(images.class_names)
    with strategy.scope():
        network = make_network(recipe, mode, config, image_shape=shape, classes=classes)
        compile_network(network, recipe, mode, config, steps_per_epoch=steps_per_epoch)
    is_chief = distribution.is_chief(strategy)
    name = ""
    if is_chief:
        values = dataclasses.asdict(recipe)
        del values["ours"]  # It only describes the other fields.
        name = str(
            open_run(
                network.name,
                {"recipe": values, "mode": mode, "config": config, "images": about},
                lambda folder: count_epochs(folder) >= recipe.epochs,
                root=root,
                new=new,
            )
        )
        Run(name).keep(images)
    run = Run(distribution.agree(strategy, name))
    _LOG.info(f"Run: {run.folder}")
    evaluated = {} if config is None else {"target": config}
    if mode != "individual" or config is None:
        evaluated["largest"] = network.space.largest
    if mode != "individual":
        evaluated["smallest"] = network.space.smallest
    accuracy = SubNetworkAccuracy(
        recipes.test_data(recipe, images, num_classes=classes),
        evaluated,
        run.calibration().take(_CALIBRATION_BATCHES),
    )
    learning = WarnOfNoLearning(
        classes,
        images.train.num_images,
        after_images=_STEPS_BEFORE_JUDGING * recipe.batch_size,
    )
    added = [learning, accuracy]
    if is_chief:
        added.append(
            keras.callbacks.TensorBoard(run.folder / "tensorboard", write_graph=False)
        )
    penalties = float(sum(network.losses))
    _LOG.info(f"The loss starts with weight penalties of {penalties:.3g}.")
    num_shards, shard = distribution.shards(strategy)
    fit_resumable(
        network,
        lambda step: train_data(
            recipe, images, start_step=step, num_shards=num_shards, shard=shard
        ),
        steps_per_epoch=steps_per_epoch,
        epochs=recipe.epochs,
        folder=run.folder,
        monitor=f"val_accuracy_{next(iter(evaluated))}",
        callbacks=[*added, *callbacks],
        **options,
    )
    return run


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Makes layers that are created in this context compute in a precision."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
