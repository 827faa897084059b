"""Classifies an image by a cheap sub-network or a more expensive one; copy it.

    python cascade.py adaptive_int8.tflite photo.jpg another.jpg

For a file that `adapt.to_tflite` wrote from a `Cascade`. See classify.py for the
preprocessing of photos.
"""

import sys

import numpy as np
from classify import Classifier, read_metadata


class Cascade:
    """Runs sub-networks one after the other until one is confident."""

    def __init__(self, path):
        signatures = read_metadata(path)["signatures"]
        first = next(iter(signatures.values()))
        self.thresholds = first["thresholds"]
        self.classifiers = [Classifier(path, name) for name in first["routes"]]

    def scores(self, photo):
        """Returns a probability for each class, and the number of the sub-network."""
        for number, classifier in enumerate(self.classifiers):
            scores = classifier.scores(photo)
            is_last = number == len(self.thresholds)
            if is_last or np.max(scores) >= self.thresholds[number]:
                return scores, number


def main(path, *photos):
    cascade = Cascade(path)
    for photo in photos:
        scores, number = cascade.scores(photo)
        best = int(scores.argmax())
        label = cascade.classifiers[number].labels[best]
        print(f"{photo}: {label} ({scores[best]:.2f}) by sub-network {number}")


if __name__ == "__main__":
    main(*sys.argv[1:])
