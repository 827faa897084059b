"""Classifies photos by a `.tflite` file of this library, without the library; copy it.

    python classify.py mine_int8.tflite photo.jpg another.jpg

Needs ai-edge-litert, numpy and pillow. A photo is turned by its EXIF data, cropped and
resized as in the evaluation of the file, with the settings in its metadata.
"""

import json
import pathlib
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps


def read_metadata(path):
    """The metadata of the file."""
    content = pathlib.Path(path).read_bytes()
    start = content.index(b'{"file": "keras_resizable file"')
    return json.loads(content[start : content.index(b"\0", start)])


class Classifier:
    """A file that returns a probability for each class, or of the second of two.

    `signature` is the name of one of several, as in a bundle.
    """

    def __init__(self, path, signature=None):
        metadata = read_metadata(path)
        metadata = metadata.get("signatures", {}).get(signature, metadata)
        self.labels = metadata["labels"]  # The lines of labels.txt.
        self.low, self.high = metadata["input_range"]
        self.crop = metadata.get("center_crop")
        self.threshold = metadata.get("score_threshold", 0.0)
        self.runner = Interpreter(str(path)).get_signature_runner(signature)
        ((self.name, self.input),) = self.runner.get_input_details().items()
        ((self.result, self.output),) = self.runner.get_output_details().items()

    def pixels(self, photo):
        """float32 `(height, width, channels)` of a photo."""
        _, height, width, channels = self.input["shape"]
        with Image.open(photo) as opened:
            image = ImageOps.exif_transpose(opened)
            image = image.convert("L" if channels == 1 else "RGB")
        if self.crop:  # The central square.
            side = max(int(self.crop * min(image.size)), 1)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side))
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        values = np.asarray(image, np.float32).reshape(height, width, channels)
        return self.low + (self.high - self.low) * values / 255

    def scores(self, photo):
        """A probability for each class."""
        values = self.pixels(photo)[np.newaxis]
        scale, zero_point = self.input["quantization"]
        if scale:  # The file takes integers.
            limits = np.iinfo(self.input["dtype"])
            values = np.rint(values / scale + zero_point).clip(limits.min, limits.max)
        values = values.astype(self.input["dtype"])
        scores = self.runner(**{self.name: values})[self.result][0]
        scale, zero_point = self.output["quantization"]
        scores = (scores.astype(np.float32) - zero_point) * (scale or 1)
        return np.append(1 - scores, scores) if len(scores) == 1 else scores


def main(path, *photos):
    classifier = Classifier(path)
    for photo in photos:
        scores = classifier.scores(photo)
        best = int(scores.argmax())
        is_sure = scores[best] >= classifier.threshold
        answer = classifier.labels[best] if is_sure else "unknown"
        print(f"{photo}: {answer} ({scores[best]:.2f})")


if __name__ == "__main__":
    main(*sys.argv[1:])
