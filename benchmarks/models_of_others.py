"""Applies `from_keras` to the CNNs of keras.applications and keras-hub.

    python benchmarks/models_of_others.py
    python benchmarks/models_of_others.py --models=MobileNetV3Small,EfficientNetB0

Weights, batch statistics, gammas and betas are random: nothing is downloaded. For each
model, checks its stages; the difference between the largest configuration and the
model, without and with the fused kernel of batch normalisation; the uniform
configurations; a seeded dozen of cut-outs, compared to the super-network; a `.keras`
file; a training step in a graph; checked TFLite files; and FLOPs. Numbers are the
largest difference divided by the largest output. Writes
benchmarks/results/models_of_others.csv after each model. Skips the models of keras-hub
if it is not installed.
"""

import importlib.util
import pathlib
import tempfile
import time

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from absl import app, flags

import keras_resizable
from keras_resizable.export import to_tflite
from keras_resizable.layers import scale_aware_batch_norm
from keras_resizable.utils.files import replacing
from keras_resizable.utils.messages import first_line

SCALES = (1.0, 0.9, 0.8, 0.7)
CLASSES = 10
HUB_SIZE = 64
# Height and width, and arguments that make the model small.
APPLICATIONS: dict[str, tuple[int, dict]] = {
    "VGG16": (128, {}),
    "MobileNet": (96, {"alpha": 0.25}),
    "MobileNetV2": (96, {"alpha": 0.35}),
    "MobileNetV3Small": (96, {}),
    "MobileNetV3Large": (96, {}),
    "EfficientNetB0": (96, {}),
    "EfficientNetV2B0": (96, {}),
    "ResNet50": (96, {}),
    "ResNet50V2": (96, {}),
    "DenseNet121": (96, {}),
    "Xception": (96, {}),
    "InceptionV3": (192, {}),
    "InceptionResNetV2": (192, {}),
    "ConvNeXtTiny": (96, {}),
    "NASNetMobile": (96, {}),
}
# For models in which 0.7 in all stages leaves no pixel.
LARGER_SCALES = {"InceptionV3": (1.0, 0.9, 0.8), "InceptionResNetV2": (1.0, 0.9, 0.8)}
HUB: dict[str, tuple[str, dict]] = {
    "hub ResNet": (
        "ResNetBackbone",
        {
            "input_conv_filters": [16],
            "input_conv_kernel_sizes": [7],
            "stackwise_num_filters": [64, 64, 64],
            "stackwise_num_blocks": [2, 2, 2],
            "stackwise_num_strides": [1, 2, 2],
            "block_type": "bottleneck_block",
        },
    ),
    "hub DenseNet": (
        "DenseNetBackbone",
        {"stackwise_num_repeats": [2, 2, 2], "growth_rate": 8},
    ),
    "hub VGG": (
        "VGGBackbone",
        {"stackwise_num_repeats": [2, 2, 2], "stackwise_num_filters": [8, 16, 24]},
    ),
    "hub Xception": (
        "XceptionBackbone",
        {
            "stackwise_conv_filters": [[16, 24], [24, 32], [32, 32], [48, 48]],
            "stackwise_pooling": [True, True, False, False],
        },
    ),
    "hub CSPNet": (
        "CSPNetBackbone",
        {
            "stem_filters": 16,
            "stem_kernel_size": 3,
            "stem_strides": 1,
            "stackwise_depth": [2, 2, 2],
            "stackwise_strides": [1, 2, 2],
            "stackwise_num_filters": [16, 24, 32],
            "block_type": "dark_block",
            "stage_type": "dark",
        },
    ),
    "hub EfficientNet": (
        "EfficientNetBackbone",
        {
            "stackwise_width_coefficients": [0.5] * 3,
            "stackwise_depth_coefficients": [1.0] * 3,
            "stackwise_kernel_sizes": [3, 3, 5],
            "stackwise_num_repeats": [1, 2, 2],
            "stackwise_input_filters": [32, 16, 24],
            "stackwise_output_filters": [16, 24, 40],
            "stackwise_expansion_ratios": [1, 6, 6],
            "stackwise_strides": [1, 2, 2],
            "stackwise_squeeze_and_excite_ratios": [0.25] * 3,
            "stackwise_block_types": ["v1"] * 3,
            "min_depth": 8,
            "include_initial_padding": False,
        },
    ),
    "hub MobileNet": (
        "MobileNetBackbone",
        {
            "stackwise_expansion": [[16, 24], [24, 40]],
            "stackwise_num_blocks": [2, 2],
            "stackwise_num_filters": [[16, 16], [24, 24]],
            "stackwise_kernel_size": [[3, 3], [5, 5]],
            "stackwise_num_strides": [[2, 1], [2, 1]],
            "stackwise_se_ratio": [[None, None], [0.25, 0.25]],
            "stackwise_activation": [["relu", "relu"], ["hard_swish", "hard_swish"]],
            "stackwise_padding": [[1, 1], [2, 2]],
            "output_num_filters": 48,
            "input_activation": "hard_swish",
            "output_activation": "hard_swish",
            "input_num_filters": 16,
            "depthwise_filters": 8,
            "depthwise_stride": 1,
            "depthwise_residual": False,
            "last_layer_filter": 32,
        },
    ),
    "hub HGNetV2": (
        "HGNetV2Backbone",
        {
            "depths": [1, 1, 2, 1],
            "embedding_size": 8,
            "hidden_sizes": [16, 16, 24, 32],
            "stem_channels": [3, 8, 8],
            "hidden_act": "relu",
            "use_learnable_affine_block": False,
            "stackwise_stage_filters": [
                [8, 8, 16, 1, 3, 3],
                [16, 8, 16, 1, 3, 3],
                [16, 8, 24, 2, 3, 3],
                [24, 8, 32, 1, 3, 3],
            ],
            "apply_downsample": [False, True, True, True],
            "use_lightweight_conv_block": [False, False, True, True],
        },
    ),
    "hub ViT": (
        "ViTBackbone",
        {
            "image_shape": (64, 64, 3),
            "patch_size": 16,
            "num_layers": 2,
            "num_heads": 2,
            "hidden_dim": 16,
            "mlp_dim": 32,
        },
    ),
}
FLAGS = flags.FLAGS
flags.DEFINE_list("models", [*APPLICATIONS, *HUB], "Models to convert.")
RESULTS = pathlib.Path(__file__).parent / "results" / "models_of_others.csv"


def make_model(name):
    if name in APPLICATIONS:
        size, options = APPLICATIONS[name]
        return getattr(keras.applications, name)(
            input_shape=(size, size, 3),
            weights=None,
            classes=CLASSES,
            classifier_activation=None,
            **options,
        )
    import keras_hub

    kind, options = HUB[name]
    return getattr(keras_hub.models, kind)(
        **{"image_shape": (HUB_SIZE, HUB_SIZE, 3)} | options
    )


def disturb(model):
    """Randomizes batch normalisation, so that a wrong row or order is detected."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        kind = weight.path.split("/")[-1]
        if kind in ("gamma", "moving_variance"):
            weight.assign(generator.uniform(0.6, 1.4, weight.shape))
        elif kind in ("beta", "moving_mean", "bias"):
            weight.assign(generator.normal(0, 0.1, weight.shape))


def far(outputs, expected):
    """The largest difference, divided by the largest output."""
    pairs = zip(keras.tree.flatten(outputs), keras.tree.flatten(expected), strict=True)
    return max(
        float(np.abs(one - other).max() / np.abs(other).max())
        for one, other in ((np.asarray(a), np.asarray(b)) for a, b in pairs)
    )


def without_fusing(function):
    """The result of a function without the fused kernel."""
    kept = scale_aware_batch_norm._MIN_FUSED_EPSILON
    scale_aware_batch_norm._MIN_FUSED_EPSILON = 1e9
    try:
        return function()
    finally:
        scale_aware_batch_norm._MIN_FUSED_EPSILON = kept


def try_all(name, folder):
    """A row of the table."""
    keras.utils.set_random_seed(0)
    model = make_model(name)
    disturb(model)
    height, width, channels = model.input_shape[1:]
    shape = (height or HUB_SIZE, width or HUB_SIZE, channels)
    start = time.perf_counter()
    try:
        network = keras_resizable.from_keras(
            model, LARGER_SCALES.get(name, SCALES), input_shape=shape
        )
    except ValueError as error:
        return {"model": name, "stages": 0, "resize before": first_line(error)}
    seconds = time.perf_counter() - start
    points = [p for p in keras_resizable.resize_points(model, shape) if p.chosen]
    generator = np.random.default_rng(0)
    images = generator.uniform(-1, 1, (4, *shape)).astype(np.float32)
    expected = model(images, training=False)
    row = {
        "model": name,
        "stages": network.space.num_stages,
        "resize before": "; ".join(f"{p.layer} ({p.height})" for p in points),
        "unfused": without_fusing(
            lambda: far(network(images, training=False), expected)
        ),
        "fused": far(network(images, training=False), expected),
        "seconds": round(seconds, 1),
    }
    network.check_statistics = False
    for scale in network.space.scales:
        config = (scale,) * network.space.num_stages
        assert np.all(
            [
                np.isfinite(output).all()
                for output in keras.tree.flatten(
                    network(images, config=config, training=False)
                )
            ]
        )
    row["uniform"] = len(network.space.scales)
    chosen = generator.choice(network.space.size, 12, replace=False)
    configs = list(network.space.configs())
    row["cut-outs"] = max(
        far(
            network.sub_network(config)(images, training=False),
            network(images, config=config, training=False),
        )
        for config in (configs[number] for number in chosen)
    )
    network.save(folder / "network.keras")
    copy = keras.saving.load_model(folder / "network.keras")
    smallest = network.space.smallest
    row["saved"] = far(
        copy(images, config=smallest, training=False),
        network(images, config=smallest, training=False),
    )
    largest = network.sub_network(network.space.largest)
    row["MFLOPs"] = keras_resizable.count_flops(largest) / 1e6
    to_tflite(largest, folder / "model.tflite")
    row["tflite MB"] = round((folder / "model.tflite").stat().st_size / 1e6, 1)
    result = to_tflite(
        largest, folder / "int8.tflite", quantize="int8", calibrate_with=images
    )
    row["int8 off by"] = result.difference
    if all(len(output.shape) == 2 for output in keras.tree.flatten(expected)):
        network.compile(keras.optimizers.SGD(1e-3), "mse", split_batch=True)
        history = network.fit(images, np.zeros((4, CLASSES)), verbose=0).history
        row["step"] = bool(np.isfinite(history["loss"]).all())
    return row


def main(argv):
    has_hub = importlib.util.find_spec("keras_hub") is not None
    rows = []
    for name in FLAGS.models:
        if name in HUB and not has_hub:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows.append(try_all(name, pathlib.Path(folder)))
        print(rows[-1], flush=True)
        with replacing(RESULTS) as path:
            pd.DataFrame(rows).to_csv(path, index=False, float_format="%.3g")
        keras.backend.clear_session()
    print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}")


if __name__ == "__main__":
    app.run(main)
