"""Fine-tuning a sub-network of a run."""

import dataclasses
import logging
from collections.abc import Sequence

import keras

from keras_resizable.search.evaluation import evaluate_model
from keras_resizable.search.query import AGREEMENT, TOP1
from keras_resizable.search.table import TABLE, Table
from keras_resizable.space import ConfigLike
from keras_resizable.training import cut_outs
from keras_resizable.utils.digests import digest_of_weights
from keras_resizable.workshop import data, recipes
from keras_resizable.workshop.recipes.building import (
    compile_sub_network,
    steps_of_epoch,
    train_data,
)
from keras_resizable.workshop.runs.folders import open_run
from keras_resizable.workshop.runs.resuming import fit_resumable
from keras_resizable.workshop.runs.run import Run
from keras_resizable.workshop.runs.training import precision

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """The result of `fine_tune`.

    Attributes:
        run: The `Run` of the sub-network, whose `model_path` is a stock Keras model.
        table: A `search.Table` with the rows `"before"` and `"after"` training, on the
            images that the run evaluates on.
    """

    run: Run
    table: Table


def fine_tune(
    run: Run,
    config: ConfigLike,
    *,
    epochs: int = 15,
    learning_rate: float = 0.01,
    weights: str = "all",
    teacher: keras.Model | bool = False,
    seed: int = 0,
    images: data.ImageSet | None = None,
    new: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> FineTuned:
    """Cuts a sub-network out of a run and trains it further on its own.

    Resizable Neural Networks, section 3.3. The learning rate falls to zero along a
    cosine. The same call resumes an interrupted run.

    Args:
        run: The `Run`.
        config: Configuration of the sub-network; scale factors may be off the list.
        epochs: Number of epochs (paper: 15).
        learning_rate: Initial learning rate (ours).
        weights: Which weights to train: `"all"`, or `"classifier"` for the last dense
            layer and the last batch normalisation.
        teacher: A `keras.Model`, or True for the largest sub-network, to learn from in
            equal parts with the labels.
        seed: Seed of the images' order and crops.
        images: The images of the run, if already loaded.
        new: Whether to start again, even if a run was interrupted.
        callbacks: Further callbacks, as in `fit_resumable`.
        verbose: As in `fit`.

    Returns:
        A `FineTuned`, in a new folder in `<run>/finetuned`.

    Raises:
        ValueError: If an argument is not valid.
        OSError: As `runs.train`.
    """
    images = images or run.images()
    with precision(run.recipe.precision):
        return _fine_tune(
            run,
            config,
            epochs=epochs,
            learning_rate=learning_rate,
            weights=weights,
            teacher=teacher,
            seed=seed,
            images=images,
            new=new,
            options={"callbacks": callbacks, "verbose": verbose},
        )


def _fine_tune(
    run, config, *, epochs, learning_rate, weights, teacher, seed, images, new, options
):
    network = run.finer_network([config])
    config = network.space.config(config)
    recipe = dataclasses.replace(run.recipe, seed=seed)
    test = recipes.test_data(recipe, images)
    calibration = run.calibration()
    model = network.sub_network(config, calibrate_with=calibration)
    _LOG.info(f"Evaluating {config}")
    score = TOP1 if images.is_labelled else AGREEMENT
    before = evaluate_model(model, test, "before", score)
    steps = steps_of_epoch(recipe, images)
    cut_outs.train_only(model, weights)
    trained, taught_by = model, None
    if teacher is True:
        taught_by = "largest"
        teacher = network.sub_network(network.space.largest, calibrate_with=calibration)
    elif teacher is not False:
        taught_by = digest_of_weights(teacher)
    if teacher is not False:
        trained = cut_outs.taught_by(model, teacher)
    compile_sub_network(
        trained, recipe, learning_rate=learning_rate, steps=epochs * steps
    )
    settings = {
        "config": config,
        "mode": "individual",
        "recipe": dataclasses.asdict(recipe),
        "learning_rate": learning_rate,
        "weights": weights,
        "teacher": taught_by,
        "epochs": epochs,
        "seed": seed,
    }
    folder = open_run(
        config.key,
        settings,
        lambda folder: (folder / TABLE).exists(),
        root=run.folder / "finetuned",
        new=new,
    )
    tuned = Run(folder)
    tuned.keep(images)
    fit_resumable(
        trained,
        lambda step: train_data(recipe, images, start_step=step),
        steps_per_epoch=steps,
        epochs=epochs,
        folder=folder,
        **options,
    )
    table = before.merge(evaluate_model(model, test, "after", score))
    table.save(tuned.table_path)
    return FineTuned(tuned, table)
