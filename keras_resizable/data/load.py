import pathlib

from keras_resizable.data.folder import load_folder
from keras_resizable.data.idx import is_idx_folder, load_idx
from keras_resizable.data.image_set import from_arrays
from keras_resizable.data.sample import CLASS_NAMES, load_sample
from keras_resizable.data.tfds import load_tfds


def load(dataset="sample", data_dir=None):
    """An image classification set, wherever it is.

    Args:
        dataset: `"sample"` for the embedded sample of Fashion-MNIST, the path of
            a folder of IDX files or of images by class, or the name of a set of
            TensorFlow Datasets.
        data_dir: Where TensorFlow Datasets keeps its sets.

    Returns:
        An `ImageSet`.

    Raises:
        FileNotFoundError: If a folder holds no images.
        ValueError: If there is no such set, or it is damaged.
        ImportError: If it needs an extra that is not installed.
    """
    if dataset == "sample":
        return from_arrays(*load_sample(), CLASS_NAMES)
    folder = pathlib.Path(dataset)
    if folder.is_dir():
        if is_idx_folder(folder):
            return from_arrays(*load_idx(folder))
        return load_folder(folder)
    return load_tfds(dataset, data_dir)
