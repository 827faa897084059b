import dataclasses
import json

import keras
import numpy as np
import pytest

import keras_resizable
from keras_resizable import errors, recipes
from keras_resizable.distillation import InPlaceDistillation
from keras_resizable.workshop.recipes.building import (
    compile_network,
    make_network,
    size_of_set,
)
from keras_resizable.workshop.recipes.recipe import FIELDS
from keras_resizable.workshop.recipes.resolving import resolve_run


@pytest.mark.parametrize("mode", recipes.MODES)
@pytest.mark.parametrize("name", recipes.RECIPES)
def test_every_recipe_is_whole(name, mode):
    recipe = recipes.resolve(name, mode)
    assert recipe.network in keras_resizable.__all__
    assert set(recipe.ours) <= set(FIELDS)
    keras_resizable.SpatialSpace(recipe.scales, 3)
    for epoch in recipe.decay_epochs:
        assert 0 < epoch < recipe.epochs


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        ("resnet50", "individual", (512, 100, 1e-4, (30, 60, 80, 90))),
        ("resnet50", "resizable", (512, 200, 1e-4, (60, 120, 160, 180))),
        ("resnet50", "resizable_aug", (512, 100, 1e-4, (30, 60, 80, 90))),
        ("mobilenet_v1", "individual", (1024, 240, 4e-5, ())),
        ("mobilenet_v2", "resizable", (1024, 480, 4e-5, ())),
        ("shufflenet_v2", "resizable_aug", (1024, 240, 4e-5, ())),
        ("resizable_net", "resizable_aug", (1024, 480, 3e-5, ())),
    ],
)
def test_the_papers_settings(name, mode, expected):
    recipe = recipes.resolve(name, mode)
    given = (
        recipe.batch_size,
        recipe.epochs,
        recipe.weight_decay,
        recipe.decay_epochs,
    )
    assert given == expected
    if name != "resnet50":
        assert (recipe.learning_rate, recipe.schedule) == (0.5, "linear")
    if name == "resizable_net":
        assert recipe.dropout == 0.5 and recipe.label_smoothing > 0


def test_values_are_replaced_and_read_back(tmp_path):
    recipe = recipes.resolve(
        "resnet50",
        overrides={"scales": "1.0,0.5", "epochs": "190", "weights": "None", "seed": 5},
    )
    assert (recipe.scales, recipe.epochs, recipe.weights) == ((1.0, 0.5), 190, None)
    path = tmp_path / "recipe.json"
    run = {"recipe": dataclasses.asdict(recipe), "mode": "individual"}
    path.write_text(json.dumps(run))
    assert recipes.resolve(str(path)) == recipe
    assert recipes.resolve(recipe, overrides={"seed": 5}) == recipe
    # As the run had it, if not told otherwise.
    assert resolve_run(str(path)) == (recipe, "individual", None)
    told = resolve_run(recipe, config="0.5,1", overrides={"epochs": 191})
    assert told[1:] == ("resizable", (0.5, 1.0)) and told[0].epochs == 191
    for text in ("{", "[]", "{}"):
        path.write_text(text)
        with pytest.raises(errors.DamagedFileError, match="recipe.json is damaged"):
            recipes.resolve(str(path))


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("epoch", "3", r"^epoch\s.*Unexpected keyword.*'3'"),
        ("epochs", "many", r"^epochs\s.* valid integer.*input_value='many'"),
        ("epochs", "0", r"^epochs\s.* greater than 0.*input_value='0'"),
        ("nesterov", "maybe", r"^nesterov\s.* valid boolean.*input_value='maybe'"),
        ("decay_epochs", "3,x", r"^decay_epochs.1\s.* valid number.*input_value='x'"),
        (
            "learning_rate",
            "nan",
            r"^learning_rate\s.* finite number.*input_value='nan'",
        ),
        ("dropout", "1.5", r"^dropout\s.* less than 1.*input_value='1.5'"),
        ("dropout", 1, r"^dropout\s.* less than 1.*input_value=1"),
        ("momentum", 1.5, r"^momentum\s.* less than 1.*input_value=1.5"),
        ("epochs", 1.9, r"^epochs\s.* valid integer.*input_value=1.9"),
        ("num_images", 100.9, r"^num_images\s.* valid integer.*input_value=100.9"),
        ("decay_epochs", (-1, 60), r"decay_epochs=\(-1.0, 60.0"),
        ("schedule", "slow", r"^schedule\s.*'step', 'linear' or 'cosine'.*'slow'"),
        ("network", "VGG", "`network` .* 'MobileNetV1', .*network='VGG'"),
        ("epochs", "10", r"epochs=10, decay_epochs=\(60.0, 120.0"),
        ("decay_epochs", "", r"decay_epochs=\(\)"),
        ("warmup", "0.1", "only 'cosine' has a `warmup`.*=0.1"),
        ("cutmix", "2", r"^cutmix\s.* less than or equal to 1.*input_value='2'"),
        ("precision", "int8", r"^precision\s.*'float32', .*'int8'"),
        ("sampler", "all", r"^sampler\s.*'fair', 'uniform' or 'sandwich'.*'all'"),
        ("distillation", "up", r"^distillation\s.*'none' or 'in_place'.*'up'"),
        ("draws", "0", r"^draws\s.* greater than 0.*input_value='0'"),
        ("image_size", "0", r"^image_size\s.* greater than 0.*input_value='0'"),
        ("num_images", "-1", r"^num_images\s.* greater than 0.*input_value='-1'"),
        ("ema", "1.5", r"^ema\s.* less than or equal to 1.*input_value='1.5'"),
    ],
)
def test_bad_values_are_named(key, value, named):
    with pytest.raises(ValueError, match=f"(?sm){named}"):
        recipes.resolve("resnet50", overrides={key: value})


def test_unknown_names_list_the_valid():
    with pytest.raises(
        ValueError, match="'sample_resnet20', .*'resnet50'.*recipe='vgg'"
    ):
        recipes.resolve("vgg")
    with pytest.raises(ValueError, match="'individual', 'resizable'.*'both'"):
        recipes.resolve("resnet50", "both")


@pytest.mark.parametrize("name", ["sample_resnet20", "resnet50", "mobilenet_v1"])
def test_learning_rates_end_where_the_schedule_says(name):
    recipe = recipes.resolve(name, "individual")
    network = keras_resizable.ResNet20(scales=[1.0])
    compile_network(network, recipe, "individual", None, steps_per_epoch=10)
    rates = [
        float(network.optimizer._learning_rate(step))
        for step in range(0, 10 * recipe.epochs + 1)
    ]
    peak = recipe.learning_rate
    assert max(rates) == pytest.approx(peak)
    if recipe.schedule == "step":
        expected = [peak * 0.1**n for n in range(len(recipe.decay_epochs) + 1)]
        np.testing.assert_allclose(
            sorted(set(rates), reverse=True), expected, rtol=1e-6
        )
        assert rates[10 * 30 + 1] == pytest.approx(peak / 10)
    else:
        assert rates[-1] == pytest.approx(0, abs=1e-6 * peak)
    if recipe.schedule == "linear":
        assert rates[len(rates) // 2] == pytest.approx(peak / 2)
    if recipe.schedule == "cosine":
        assert rates[0] == 0


def test_modes_draw_their_plans():
    recipe = recipes.resolve("sample_resnet20", overrides={"epochs": "2"})
    config = (0.75, 0.5, 0.75)
    plans = {}
    for mode in recipes.MODES:
        network = make_network(
            recipe, mode, config, image_shape=(16, 16, 1), classes=10
        )
        compile_network(network, recipe, mode, config, steps_per_epoch=10)
        plans[mode] = [np.shape(network.sampler(step)) for step in (0, 9, 10, 19)]
    assert plans == {
        "individual": [(1, 3)] * 4,
        "resizable": [(3, 3)] * 4,
        "resizable_aug": [(3, 3), (3, 3), (1, 3), (1, 3)],
    }
    last = network.space.from_indices(np.asarray(network.sampler(19))[0])
    assert last == config


@pytest.mark.parametrize("name", ["sample_resnet20", "sample_mobilenet_v1"])
def test_weight_decay_is_on_every_kernel(name):
    recipe = recipes.resolve(name)
    network = make_network(
        recipe, "resizable", None, image_shape=(64, 64, 1), classes=10
    )
    kernels = [v for v in network.trainable_variables if v.path.endswith("kernel")]
    penalty = recipe.weight_decay * sum(np.sum(np.square(v)) for v in kernels)
    assert len(network.losses) == len(kernels) > 20 and penalty > 0
    assert float(sum(network.losses)) == pytest.approx(penalty, rel=1e-5)


def test_switching_and_synchronized_statistics_exclude_each_other():
    recipe = recipes.resolve("sample_resnet20", overrides={"synchronized": "true"})
    with pytest.raises(ValueError, match="synchronized=True"):
        make_network(recipe, "resizable_aug", None, image_shape=(32, 32, 1), classes=10)


def compiled(mode="resizable", network="sample_resnet20", **changes):
    recipe = recipes.resolve(network, mode, {"epochs": 4, **changes})
    network = make_network(recipe, mode, None, image_shape=(64, 64, 1), classes=10)
    compile_network(network, recipe, mode, None, steps_per_epoch=10)
    return network


def test_what_recipes_have_beyond_the_paper():
    network = compiled(
        sampler="sandwich", draws=2, distillation="in_place", distillation_weight=0.3
    )
    assert isinstance(network.training_step.distillation, InPlaceDistillation)
    assert network.training_step.distillation.weight == 0.3
    assert np.shape(network.sampler(0)) == (4, 3)
    network = compiled("resizable_aug")
    plans = [np.shape(network.sampler(step)) for step in (0, 19, 20)]
    assert plans == [(3, 3), (3, 3), (1, 3)]
    network = compiled(ema=0.99)
    assert network.optimizer.use_ema and network.optimizer.ema_momentum == 0.99
    with pytest.raises(ValueError, match="ResNet50 has no width"):
        compiled(network="resnet50", width=0.3, decay_epochs="1,2")
    network = compiled("individual", distillation="in_place")
    assert network.training_step.distillation is None  # There is none to learn from.


def test_widths_belong_to_networks_that_have_them():
    recipe = recipes.resolve("resnet50", overrides={"width": "0.5"})
    with pytest.raises(ValueError, match="ResNet50 has no width .*width=0.5"):
        make_network(recipe, "resizable", None, image_shape=(32, 32, 3), classes=10)
    recipe = recipes.resolve("sample_mobilenet_v1")
    network = make_network(
        recipe, "resizable", None, image_shape=(64, 64, 1), classes=10
    )
    assert network.stem.output_shape[-1] == 8
    assert isinstance(network, keras.Model)


@pytest.mark.parametrize("dataset", ["sample", "fashion_mnist"])
def test_a_plan_refuses_more_images_than_there_are(dataset):
    changes = {"dataset": dataset, "num_images": 60_001}
    recipe = recipes.resolve("sample_resnet20", overrides=changes)
    with pytest.raises(ValueError, match="num_images=60001"):
        size_of_set(recipe)
    recipe = dataclasses.replace(recipe, num_images=36)
    assert size_of_set(recipe) == (36, 10, (28, 28, 1))


def lacks_arguments(scales, input_shape, classes):
    """A network function of one's own that recipes cannot call."""


def test_what_is_wrong_with_a_network_of_ones_own_is_one_sentence():
    def make(name):
        recipe = recipes.resolve("sample_resnet20", overrides={"network": name})
        return make_network(
            recipe, "resizable", None, image_shape=(28, 28, 1), classes=10
        )

    with pytest.raises(TypeError, match="unexpected keyword .*kernel_regularizer"):
        make(f"{__name__}:lacks_arguments")
    for name in ("no_such_module:make", f"{__name__}:no_such"):
        with pytest.raises(ValueError, match=f"no network '{name}'.*PYTHONPATH"):
            make(name)
