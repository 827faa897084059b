"""Compares two sub-networks, of the same run or of two, on the same test images.

    keras-resizable compare runs/latest:1.0,1.0,1.0 runs/latest:0.5,0.5,0.5
    keras-resizable compare runs/latest runs/20260101-120000-resnet20

Reads the samples.npz that `keras-resizable search` and `finetune` write. Without a name
after the colon it takes the last sub-network in the file; scale factors that are
omitted at the end are the largest.
"""

import pathlib
import shlex

import keras_resizable
from keras_resizable import search
from keras_resizable.search.image_results import SAMPLES, require_same_images


def read(argument):
    """Results of a sub-network, written as `folder` or `folder:name`, and its name."""
    folder, _, name = argument.partition(":")
    path = pathlib.Path(folder) / SAMPLES
    if not path.exists():
        command = f"keras-resizable search --run={shlex.quote(folder)}"
        raise FileNotFoundError(f"No {path}. Make it: {command}")
    samples = search.load_samples(path)
    name = name or samples.configs[-1]
    if name not in samples.configs:
        name = full_name(samples.configs, name)
    samples.right_of(name)  # It is there.
    return samples, name


def full_name(configs, name):
    """The name with the factors that it omits; as it is if these are no factors."""
    try:
        known = [list(map(float, config.split(","))) for config in configs]
        scales = {factor for factors in known for factor in factors}
        return str(keras_resizable.SpatialSpace(scales, len(known[0])).config(name))
    except ValueError:
        return name


def main(argv):
    if len(argv) != 3:
        raise ValueError(f"Give two sub-networks. Received: {argv[1:]}. See --help.")
    results, names = zip(*map(read, argv[1:]))
    require_same_images(*results)
    rights = [samples.right_of(name) for samples, name in zip(results, names)]
    for argument, name, right in zip(argv[1:], names, rights):
        low, high = search.confidence_interval(right)
        print(
            f"{100 * right.mean():6.2f} %  (95 %: {100 * low:.2f} to {100 * high:.2f})"
            f"  {argument.partition(':')[0]}:{name}"
        )
    test = search.paired_test(*rights)
    print(
        f"difference {100 * test.difference:+.2f} points, standard error "
        f"{100 * test.standard_error:.2f}, p = {test.p_value:.2g} (exact McNemar)"
    )
