import dataclasses

import numpy as np
import pytest

from keras_resizable.search import (
    SampleResults,
    confidence_interval,
    load_samples,
    paired_test,
)
from keras_resizable.search.image_results import join_samples, save_samples


def make_samples(*configs, seed=0, images=77):
    generator = np.random.default_rng(seed)
    return SampleResults(
        configs,
        generator.random((len(configs), images)) < 0.6,
        generator.random((len(configs), images)).astype(np.float16),
        {"data": "digest", "network": f"{seed}"},
    )


def test_round_trip_is_compact(tmp_path):
    samples = make_samples(*map(str, range(20)), images=10_001)
    path = tmp_path / "samples.npz"
    save_samples(samples, path)
    loaded = load_samples(path)
    assert loaded.configs == samples.configs and loaded.origin == samples.origin
    np.testing.assert_array_equal(loaded.right, samples.right)
    np.testing.assert_array_equal(loaded.confidence, samples.confidence)
    assert path.stat().st_size < 20 * 10_001 * (2 + 1 / 8) + 2000


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "samples.npz"
    save_samples(make_samples("a", "b"), path)
    content = path.read_bytes()
    for damaged in (b"", b"PK\3\4 something", content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="samples.npz is damaged"):
            load_samples(path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").replace(path)
    with pytest.raises(ValueError, match="samples.npz is damaged"):
        load_samples(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match="holds no results of sub-networks"):
        load_samples(path)


def test_results_are_found_by_configuration():
    samples = make_samples("a", "b")
    np.testing.assert_array_equal(samples.right_of("b"), samples.right[1])
    with pytest.raises(ValueError, match="sub-network 'c'. There are those of a, b"):
        samples.right_of("c")


def test_joined_results_have_the_newer():
    old, new = make_samples("a", "b"), make_samples("b", "c", seed=1)
    joined = join_samples(old, new)
    assert joined.configs == ("a", "b", "c")
    np.testing.assert_array_equal(joined.right_of("a"), old.right_of("a"))
    np.testing.assert_array_equal(joined.right_of("b"), new.right_of("b"))


def test_results_on_other_images_are_not_compared():
    samples = make_samples("a")
    with pytest.raises(ValueError, match="they are of 77 and of 78 images"):
        join_samples(samples, make_samples("b", images=78))
    others = dataclasses.replace(make_samples("b"), origin={"data": "other"})
    with pytest.raises(ValueError, match="not of the same images in the same order"):
        join_samples(samples, others)


def test_oracle_is_right_where_any_is():
    right = np.array([[1, 1, 0, 0], [0, 1, 1, 0]], bool)
    samples = SampleResults(("a", "b"), right, np.zeros((2, 4), np.float16))
    assert samples.oracle_top1 == 0.75


def test_intervals_are_those_of_wilson():
    # Newcombe, 1998, https://doi.org/10.1002/(SICI)1097-0258, table I: 81 of 263.
    right = np.arange(263) < 81
    assert confidence_interval(right) == pytest.approx((0.2553, 0.3662), abs=1e-4)


def test_paired_test_is_that_of_mcnemar():
    # 10 and 2 images that tell them apart: 2 * (1 + 12 + 66) / 2 ** 12.
    right = np.array([1] * 10 + [0] * 2 + [1] * 50 + [0] * 38, bool)
    other = np.array([0] * 10 + [1] * 2 + [1] * 50 + [0] * 38, bool)
    test = paired_test(right, other)
    assert test.difference == pytest.approx(0.08)
    assert test.p_value == pytest.approx(2 * 79 / 4096)
    differences = right.astype(float) - other
    assert test.standard_error == pytest.approx(differences.std() / 10)
    assert paired_test(right, right).p_value == 1.0
    with pytest.raises(ValueError, match="100 and on 99"):
        paired_test(right, right[1:])


def test_a_paired_test_of_shares_is_refused():
    with pytest.raises(ValueError, match="True or False. Received: .*0.5"):
        paired_test(np.array([0.5, 1.0]), np.array([True, False]))
