"""A small run, which tests kill and start again: python train_until_done.py FOLDER.

It prints a line when it trains, and a digest of what it trained when it has ended.
"""

import hashlib
import sys

import keras
import numpy as np

from keras_resizable import data
from keras_resizable.models import resnet
from keras_resizable.workshop.runs import resuming


def main(folder, epochs=3):
    resuming.make_deterministic()
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    train, test = (
        (generator.integers(0, 256, (n, 8, 8), np.uint8), generator.integers(0, 3, n))
        for n in (320, 10)
    )
    images = data.from_arrays(train, test)
    network = resnet.ResNet(
        resnet.small_image_stem,
        resnet.basic_block,
        stackwise_num_blocks=(1,),
        stackwise_num_filters=(4,),
        scales=(1.0, 0.75, 0.5),
        input_shape=(8, 8, 1),
        classes=3,
        name="small",
        dropout=0.5,
    )
    network.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )

    def make_dataset(step):
        return data.train_dataset(
            images, 8, augmentation="pad_crop_flip", mixup=0.2, start_step=step
        )

    history = resuming.fit_resumable(
        network,
        make_dataset,
        steps_per_epoch=data.steps_per_epoch(images, 8),
        epochs=epochs,
        folder=folder,
        every_steps=3,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: print("trains", flush=True)
            )
        ],
        validation_data=data.eval_dataset(images.test, (8, 8, 1), 4, num_classes=3),
        verbose=0,
    )
    digest = hashlib.sha256(repr(history).encode())
    for variable in [*network.variables, *network.optimizer.variables]:
        digest.update(variable.numpy().tobytes())
    print(digest.hexdigest())


if __name__ == "__main__":
    main(sys.argv[1])
