import pytest

from keras_resizable import ResNet20, ResNet50, count_flops_of_configs


@pytest.fixture(scope="module")
def resnet50():
    return ResNet50(scales=[1.0, 0.9, 0.8, 0.7])


@pytest.mark.parametrize(("scale", "giga"), [(1.0, 4.09), (0.9, 2.82), (0.7, 1.13)])
def test_resnet50_has_the_flops_of_the_paper(resnet50, scale, giga):
    (flops,) = count_flops_of_configs(resnet50, [(scale,) * 4])
    assert flops == pytest.approx(giga * 1e9, rel=0.005)


def test_resnet50_has_the_parameters_of_the_paper(resnet50):
    assert resnet50.count_params() - resnet50.extra_params == pytest.approx(
        25.6e6, rel=0.005
    )
    assert resnet50.extra_params / resnet50.count_params() == pytest.approx(
        0.012, abs=0.001
    )


def test_resnet50_resizes_before_the_first_block_without_a_stride(resnet50):
    blocks = [
        {layer.name.rsplit("_", 1)[0] for layer in stage.layers if "_add" in layer.name}
        for stage in resnet50.stages
    ]
    assert blocks == [
        {"conv2_block1", "conv2_block2", "conv2_block3", "conv3_block1"},
        {"conv3_block2", "conv3_block3", "conv3_block4", "conv4_block1"},
        {f"conv4_block{number}" for number in range(2, 7)} | {"conv5_block1"},
        {"conv5_block2", "conv5_block3"},
    ]


def test_resnet20_is_that_of_he_et_al():
    network = ResNet20(scales=[1.0])
    assert network.space.num_stages == 3
    (flops,) = count_flops_of_configs(network, [(1.0,) * 3])
    assert flops == pytest.approx(41e6, rel=0.01)
    assert network.count_params() == pytest.approx(0.27e6, rel=0.02)


def test_head_as_in_keras_applications(make_network, batch):
    images, _ = batch
    shapes = {
        pooling: make_network(include_top=False, pooling=pooling)(images).shape
        for pooling in (None, "avg", "max")
    }
    assert shapes == {None: (8, 6, 6, 6), "avg": (8, 6), "max": (8, 6)}
    logits = make_network(classifier_activation=None, classes=5)(images)
    assert logits.shape == (8, 5)
    model = make_network(include_top=False).sub_network((0.5, 0.5))
    assert model.output_shape == (None, 2, 2, 6)


def test_any_image_size_if_none_is_given(make_network, batch):
    network = make_network(input_shape=(None, None, 2))
    images, _ = batch
    assert network(images[:, :7, :11]).shape == (8, 3)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"input_shape": (12, 12)}, r"input_shape=\(12, 12\)"),
        ({"input_shape": (12, 0, 3)}, "maps of 12 x 0"),
        ({"input_shape": (12, 12, None)}, r"input_shape=\(12, 12, None\)"),
        ({"input_shape": 12}, "'12'"),
        ({"input_shape": (12, 12)}, r"input_shape=\(12, 12\)"),
        ({"pooling": "mean"}, "pooling='mean'"),
        ({"weights": "imagenet"}, "imagenet is .*`weights` must be None or a file"),
        ({"scales": [2.0]}, "2.0"),
    ],
)
def test_bad_arguments_are_named(make_network, options, named):
    with pytest.raises(ValueError, match=named):
        make_network(**options)
