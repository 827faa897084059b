from keras_resizable.data.calibration import load_calibration, save_calibration
from keras_resizable.data.idx import load_idx
from keras_resizable.data.pipeline import make_dataset
from keras_resizable.data.sample import CLASS_NAMES, draw_sample, load_sample

__all__ = [
    "CLASS_NAMES",
    "draw_sample",
    "load_calibration",
    "load_idx",
    "load_sample",
    "make_dataset",
    "save_calibration",
]
