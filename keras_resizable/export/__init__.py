from keras_resizable.export.tflite import (
    file_name,
    open_tflite,
    run_tflite,
    to_tflite,
)

__all__ = ["file_name", "open_tflite", "run_tflite", "to_tflite"]
