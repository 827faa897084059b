"""Trains a resizable ResNet-20 on small images.

    python train/supernet.py
    python train/supernet.py --scales=1.0,0.9,0.8 --epochs=10
    python train/supernet.py --data_dir=/usr/share/datasets/fashion-mnist

Without --data_dir it takes the embedded sample of Fashion-MNIST. Writes to a new
folder runs/<time>-resnet20: the network, the history of its training, these
settings, and images to calibrate sub-networks with.
"""

import json

import keras
from absl import flags

import keras_resizable
from keras_resizable import data, files, runs, saving, scripts

FLAGS = flags.FLAGS
flags.DEFINE_string(
    "data_dir", None, "Folder of IDX files; the embedded sample if absent."
)
flags.DEFINE_list("scales", ["1.0", "0.75", "0.5"], "Scale factors.")
flags.DEFINE_integer("epochs", 3, "Passes over the images.", lower_bound=1)
flags.DEFINE_integer("batch_size", 64, "Images per step.", lower_bound=1)
flags.DEFINE_float("learning_rate", 0.1, "Peak learning rate.", lower_bound=0)
flags.DEFINE_float("weight_decay", 1e-4, "L2 decay.", lower_bound=0)
flags.DEFINE_integer("seed", 0, "Seed of weights, shuffling and plans.")
flags.DEFINE_string("runs_dir", "runs", "Folder of all runs.")

SETTINGS = (
    "data_dir",
    "scales",
    "epochs",
    "batch_size",
    "learning_rate",
    "weight_decay",
    "seed",
)
NUM_CALIBRATION_IMAGES = 2000


def load_images():
    if FLAGS.data_dir is None:
        return data.load_sample()
    return data.load_idx(FLAGS.data_dir)


def build(image_shape, classes, steps):
    network = keras_resizable.ResNet20(
        [_number(scale) for scale in FLAGS.scales],
        input_shape=image_shape,
        classes=classes,
        kernel_regularizer=keras.regularizers.L2(FLAGS.weight_decay),
    )
    warmup = max(1, steps // 8)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=FLAGS.learning_rate,
        warmup_steps=warmup,
    )
    network.compile(
        keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        sampler=keras_resizable.FairSampler(network.space, FLAGS.seed),
    )
    return network


def train():
    """Trains by the flags; returns the network and the folder of the run."""
    keras.utils.set_random_seed(FLAGS.seed)
    (images, labels), _ = load_images()
    dataset = data.make_dataset(
        images, labels, FLAGS.batch_size, shuffle=True, seed=FLAGS.seed
    )
    network = build(
        (*images.shape[1:], 1),
        int(labels.max()) + 1,
        FLAGS.epochs * len(dataset),
    )
    run = runs.create_run(network.name, FLAGS.runs_dir)
    with files.replacing(run / "recipe.json") as path:
        settings = {name: FLAGS[name].value for name in SETTINGS}
        path.write_text(json.dumps(settings, indent=2) + "\n")
    data.save_calibration(images[:NUM_CALIBRATION_IMAGES], run / "calibration.npz")
    network.fit(
        dataset,
        epochs=FLAGS.epochs,
        callbacks=[keras.callbacks.CSVLogger(run / "history.csv")],
    )
    saving.save_network(network, run / "supernet.keras")
    return network, run


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text  # For the library to refuse, with what would be valid.


def main(argv):
    if argv[1:]:
        raise ValueError(f"Not a flag: {' '.join(argv[1:])}. See --help.")
    _, run = train()
    print(f"Wrote {run}/supernet.keras")


if __name__ == "__main__":
    scripts.run_script(main)
