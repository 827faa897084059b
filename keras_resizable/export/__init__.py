"""Sub-networks as SavedModel and TFLite files."""

from keras_resizable.export.accuracy import FileAccuracy, evaluate_tflite
from keras_resizable.export.bundle import to_bundle
from keras_resizable.export.flatbuffer import read_metadata
from keras_resizable.export.quantization import IO
from keras_resizable.export.running import open_tflite, run_tflite
from keras_resizable.export.saved_model import signature_name, to_saved_model
from keras_resizable.export.sub_networks import to_tflite_files
from keras_resizable.export.tflite import (
    QUANTIZE,
    file_name,
    suffix_of,
    to_tflite,
)

__all__ = [
    "IO",
    "QUANTIZE",
    "FileAccuracy",
    "evaluate_tflite",
    "file_name",
    "open_tflite",
    "read_metadata",
    "run_tflite",
    "signature_name",
    "suffix_of",
    "to_bundle",
    "to_saved_model",
    "to_tflite",
    "to_tflite_files",
]
