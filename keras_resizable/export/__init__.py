"""Sub-networks as SavedModel and TFLite files.

`.tflite` files need the extra `tflite`; an `ImportError` names it if it is missing.
"""

from keras_resizable.export.accuracy import FileAccuracy, evaluate_tflite
from keras_resizable.export.bundle import to_bundle
from keras_resizable.export.comparison import OutputComparison, compare_tflite
from keras_resizable.export.flatbuffer import read_metadata
from keras_resizable.export.interpreters import run_tflite
from keras_resizable.export.saved_model import to_saved_model
from keras_resizable.export.tflite import to_tflite
from keras_resizable.export.tflite_file import TFLiteFile
from keras_resizable.export.tflite_files import to_tflite_files

__all__ = [
    "FileAccuracy",
    "OutputComparison",
    "TFLiteFile",
    "compare_tflite",
    "evaluate_tflite",
    "read_metadata",
    "run_tflite",
    "to_bundle",
    "to_saved_model",
    "to_tflite",
    "to_tflite_files",
]
