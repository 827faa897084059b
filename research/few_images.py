"""Batch statistics of a converted network from few images, or images of one class.

    python research/few_images.py

Trains a ResNet-20 of half the width alone, for 8 epochs on 12,000 images of CIFAR-10,
converts it, and cuts sub-networks out: with the statistics of the source; with
statistics estimated on some training images; and with the source's statistics, changed
by the difference between the estimates for the sub-network and for full size, as in
`sub_network`.
Prints top-1 in % on 2,500 test images in random order.
"""

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

import keras_resizable
from keras_resizable import data, recipes
from keras_resizable.workshop.recipes.building import (
    compile_network,
    make_network,
    train_data,
)

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "cifar10", "Dataset, as in data.load.")
flags.DEFINE_integer("num_images", 12_000, "Number of training images.", 1)
flags.DEFINE_integer("epochs", 8, "Passes over the training images.", 1)
flags.DEFINE_integer("seed", 0, "Seed of weights and images (0 and 1 were run).")

SHAPE = (32, 32, 3)
SCALES = (1.0, 0.75, 0.5)
CONFIGS = ("1.0", "0.75", "1.0,1.0,0.5", "0.75,0.75,0.75", "0.5,0.5,0.5")
ONE_CLASS = 3


def train_source(images):
    """A stock Keras model, trained alone."""
    recipe = recipes.Recipe(
        network="ResNet20",
        dataset=FLAGS.dataset,
        image_size=SHAPE[0],
        width=0.5,
        epochs=FLAGS.epochs,
        batch_size=32,
        learning_rate=0.1,
        weight_decay=5e-4,
        schedule="cosine",
        warmup=0.05,
        nesterov=True,
        augmentation="pad_crop_flip",
        scales=(1.0,),
        seed=FLAGS.seed,
    )
    classes, mode = len(images.class_names), "resizable"
    network = make_network(recipe, mode, None, image_shape=SHAPE, classes=classes)
    steps = data.steps_per_epoch(images, recipe.batch_size)
    compile_network(network, recipe, mode, None, steps_per_epoch=steps)
    network.fit(
        train_data(recipe, images),
        steps_per_epoch=steps,
        epochs=recipe.epochs,
        shuffle=False,
    )
    return network.sub_network("1.0", check_statistics=False)


def some(split, count, label=None):
    """Batches of images, of one class if a label is given."""
    batches = data.eval_dataset(split, SHAPE, 250, order_seed=0).unbatch()
    if label is not None:
        batches = batches.filter(lambda image, of_image: of_image == label)
    return batches.map(lambda image, of_image: image).take(count).batch(250).cache()


def main(argv):
    keras.utils.set_random_seed(FLAGS.seed)
    images = data.take_train(data.load(FLAGS.dataset), FLAGS.num_images)
    test = data.eval_dataset(images.test, SHAPE, 250, order_seed=1).take(10).cache()
    network = keras_resizable.from_keras(train_source(images), SCALES)
    print(f"{'':36}", *(f"{config:>15}" for config in CONFIGS))

    def report(name, make):
        row = []
        for config in CONFIGS:
            model = make(config)
            model.compile(metrics=["sparse_categorical_accuracy"])
            row.append(model.evaluate(test, verbose=0, return_dict=True))
        accuracies = [100 * r["sparse_categorical_accuracy"] for r in row]
        print(f"{name:36}", *(f"{a:15.1f}" for a in np.asarray(accuracies)), flush=True)

    def own(config):
        return network.sub_network(config, check_statistics=False)

    report("the source's statistics", own)
    sets: dict[str, tf.data.Dataset] = {
        "64 images": some(images.train, 64),
        "256 images": some(images.train, 256),
        "500 images of one class": some(images.train, 500, ONE_CLASS),
    }
    for name, dataset in sets.items():

        def estimated(config, dataset=dataset):
            model = own(config)
            keras_resizable.calibrate(model, dataset)
            return model

        def changed(config, dataset=dataset):
            return network.sub_network(config, calibrate_with=dataset)

        report(f"{name}, estimated", estimated)
        report(f"{name}, changed", changed)


if __name__ == "__main__":
    app.run(main)
