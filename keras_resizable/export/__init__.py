from keras_resizable.export.tflite import (
    convert,
    file_name,
    open_tflite,
    run_tflite,
    to_tflite,
)

__all__ = ["convert", "file_name", "open_tflite", "run_tflite", "to_tflite"]
