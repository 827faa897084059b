"""Compares fronts: the most accurate sub-networks within limits of FLOPs.

    python research/front.py dealt:0 growing:0 alone_1.0:0   # arm:seed[@epochs]

Trains what is missing, resumable, and prints what is there. All arms of a budget spend
the FLOPs of so many epochs of the largest sub-network; networks trained alone at three
sizes share them. Sub-networks are chosen on held-out training images and reported on
the test images.
"""

import json
import pathlib
import sys

import keras
import numpy as np
from arms import BEST, BUDGET_OF_CIFAR10, RECIPE, SCALES, SETTINGS
from one_row import copy_to_all_rows
from phases import (
    CopyRows,
    FairOfSmaller,
    LargestAndOneOfFair,
    Phase,
    Phases,
    cost,
    ends_of,
)

from keras_resizable import FairSampler, data, recipes, runs, search
from keras_resizable.samplers import FixedSampler
from keras_resizable.workshop.data.image_set import hold_out
from keras_resizable.workshop.recipes.building import (
    compile_network,
    make_network,
    train_data,
)

RUNS = pathlib.Path("runs/front")
RESULTS = pathlib.Path(__file__).parent / "results" / "front.json"
NUM_IMAGES, NUM_VALIDATION = 10_000, 5000
LIMITS = (1.0, 0.5, 0.25)
SETTING = SETTINGS["cifar10"]
UNIFORM = FixedSampler([SETTING.uniform(scale) for scale in SCALES])
ARMS = {
    "dealt": [Phase(FairSampler(), 1.0)],
    "three_sizes": [Phase(UNIFORM, 1.0)],
    "growing": [
        Phase(FairOfSmaller(), 0.4),
        Phase(FairSampler(), 0.4),
        Phase(LargestAndOneOfFair(), 0.2),
    ],
    "growing_fair": [Phase(FairOfSmaller(), 0.4), Phase(FairSampler(), 0.6)],
    **{f"alone_{scale}": None for scale in SCALES},
}


def train(name, seed, budget, images):
    """Trains and evaluates an arm; returns its results."""
    phases = ARMS[name]
    mode, config = "resizable", None
    if phases is None:
        mode, config = "individual", SETTING.uniform(float(name.removeprefix("alone_")))
    batch, rate = BEST["dealt" if phases else "alone"]
    changes = SETTING.changes | {
        "batch_size": batch,
        "learning_rate": rate,
        "seed": seed,
    }
    changes |= {"split_batch": bool(phases), "dataset": images, "epochs": 1}
    recipe = recipes.resolve(RECIPE, mode, changes)

    def make(mode, config):
        return make_network(
            recipe,
            mode,
            config,
            image_shape=SETTING.image_shape,
            classes=SETTING.classes,
        )

    keras.utils.set_random_seed(seed)
    network, whole = make(mode, config), make("resizable", None)
    of_largest = cost(FixedSampler([whole.space.largest]), whole)
    flops = budget * NUM_IMAGES * of_largest
    steps_per_epoch = NUM_IMAGES // batch
    callbacks = []
    if phases is None:
        # Alone: all FLOPs, or its part of those of three networks with equal epochs.
        each = [cost(FixedSampler([SETTING.uniform(s)]), whole) for s in SCALES]
        epochs = round(budget * of_largest / sum(each))
    else:
        ends = ends_of(phases, whole, lambda share, cost: share * flops / cost / batch)
        steps_per_epoch = 104
        epochs = round(ends[-1] / steps_per_epoch)
    recipe = recipes.resolve(RECIPE, mode, changes | {"epochs": epochs})
    compile_network(network, recipe, mode, config, steps_per_epoch=steps_per_epoch)
    if phases is not None and len(phases) > 1:
        network.compile(
            network.optimizer,
            loss=network.loss,
            metrics=["accuracy"],
            sampler=Phases(phases, ends),
            split_batch=True,
        )
        callbacks = [CopyRows(ends[0])]
    elif phases is not None:
        network.compile(
            network.optimizer,
            loss=network.loss,
            metrics=["accuracy"],
            sampler=phases[0].sampler,
            split_batch=True,
        )
    folder = RUNS / f"{name}.seed{seed}@{budget:g}"
    print(f"{folder.name}: {epochs} epochs of {steps_per_epoch} steps", flush=True)
    whole_set = data.load(images)
    held_out = hold_out(whole_set, NUM_VALIDATION)
    train_set = data.take_train(held_out, NUM_IMAGES)
    runs.fit_resumable(
        network,
        lambda step: train_data(recipe, train_set, start_step=step),
        steps_per_epoch=steps_per_epoch,
        epochs=epochs,
        folder=folder,
        callbacks=callbacks,
        verbose=0,
    )
    calibration = data.eval_dataset(
        train_set.train, SETTING.image_shape, 250, order_seed=0
    )
    calibration = calibration.take(8).cache()
    configs = None if config is None else [config]
    if phases is None:
        alone, network = network, whole
        copy_to_all_rows(alone, network)
    splits = {"validation": held_out.test, "test": whole_set.test}
    results = {}
    for split, images_of in splits.items():
        table = search.build_table(
            network,
            data.eval_dataset(images_of, SETTING.image_shape, 250),
            configs,
            calibrate_with=calibration,
            verbose=False,
        )
        frame = table.to_frame()
        results[split] = dict(zip(map(str, frame["config"]), frame["top1"].round(5)))
        flops_of = frame["flops"]
        results["flops"] = dict(zip(map(str, frame["config"]), flops_of / of_largest))
    return results


def front(results):
    """Top-1 on test images of the best on validation images, for each limit."""
    values = []
    for limit in LIMITS:
        fits = [c for c, flops in results["flops"].items() if flops <= limit]
        best = max(fits, key=results["validation"].get, default=None)
        values.append(best and (best, results["test"][best]))
    return values


def main():
    images, *arms = sys.argv[1:]
    for arm in arms:
        known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        name, _, rest = arm.partition(":")
        seed, _, budget = rest.partition("@")
        key = f"{name}:{seed}@{budget or f'{BUDGET_OF_CIFAR10:g}'}"
        if key not in known:
            keras.utils.clear_session()
            results = train(name, int(seed), float(budget or BUDGET_OF_CIFAR10), images)
            known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            known[key] = results
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        uniform = [str(SETTING.uniform(scale)) for scale in SCALES]
        test = known[key]["test"]
        shown = " ".join(f"{test.get(c, np.nan):.3f}" for c in uniform)
        mean = np.mean(list(test.values()))
        print(f"{key}: {shown} mean {mean:.4f} front {front(known[key])}", flush=True)


if __name__ == "__main__":
    main()
