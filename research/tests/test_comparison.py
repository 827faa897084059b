import comparison
import numpy as np
import pytest

RIGHTS = np.array([[1, 1, 1, 0], [1, 0, 1, 1]], bool)
OTHERS = np.array([[1, 0, 0, 0], [1, 0, 1, 0]], bool)


def test_seeds_are_averaged_for_each_image():
    test = comparison.compare_seeds(RIGHTS, OTHERS)
    differences = [0.0, 0.5, 0.5, 0.5]
    assert test.difference == pytest.approx(np.mean(differences))
    assert test.standard_error == pytest.approx(np.std(differences) / 2)
    assert test.p_value == pytest.approx(5.3e-4, rel=0.01)
    assert comparison.compare_seeds(RIGHTS, RIGHTS).p_value == 1.0
    with pytest.raises(ValueError, match=r"\(2, 4\) and \(1, 4\)"):
        comparison.compare_seeds(RIGHTS, OTHERS[:1])


def test_table_and_picture(tmp_path):
    table = comparison.comparison_table(
        [
            comparison.Comparison("one", "1.0", OTHERS),
            comparison.Comparison("two", "1.0", RIGHTS, [0.25, 0.75], "one", OTHERS),
        ]
    )
    assert table["top1"].tolist() == [0.375, 0.75]
    assert table["top1_raw"].isna()[0] and table["top1_raw"][1] == 0.5
    assert table["spread"][0] == pytest.approx(np.std([0.25, 0.5], ddof=1))
    assert table[["top1_0", "top1_1"]].to_numpy()[1].tolist() == [0.75, 0.75]
    assert table["difference"][1] == pytest.approx(0.375)
    comparison.plot_comparison(table, tmp_path / "table.png", "A title")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")
