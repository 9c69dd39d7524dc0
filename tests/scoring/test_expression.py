"""What ranks as an expression over figures and volumes; worked numbers."""

import numpy as np
import pytest

from axonem_eval import InputError
from axonem_eval.scoring import FIGURES, VARIANTS, Expression, OverlapTable, dense_bootstrap, dense_scores


def value(text: str, **figures: list[float]) -> float:
    return float(Expression(text).of({name: np.array(v) for name, v in figures.items()}, ["a", "b"]))


def test_the_mean_over_volumes_is_of_the_expression_on_each():
    text = VARIANTS["cremi"].headline.expression.text
    assert value(text, voi_split=[0.5, 1.0], voi_merge=[0.3, 0.2], arand=[0.2, 0.3]) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arand", 0.2),
        ('arand["b"]', 0.3),
        ('0.25 * arand["a"] + 0.75 * arand["b"]', 0.25),
        ("max(arand)", 0.3),
        ("1 - min(arand)", 0.9),
        ("-arand / 2", -0.1),
        ("sqrt(mean(arand) * 0.8)", 0.4),
    ],
)
def test_volumes_are_named_or_taken_together(text, expected):
    assert value(text, arand=[0.1, 0.3]) == pytest.approx(expected)


def test_an_expression_names_its_figures_and_volumes():
    expression = Expression('arand["a"] + voi_split')
    assert (expression.names, expression.volumes) == ({"arand", "voi_split"}, {"a"})
    with pytest.raises(InputError, match="names the volume a"):
        expression.of({"arand": np.ones(1), "voi_split": np.ones(1)}, ["b"])
    with pytest.raises(InputError, match="names voi_split"):
        expression.require(["arand"])
    expression.require(FIGURES)


def test_a_value_that_is_not_finite_is_no_value():
    assert np.isnan(value("1 / arand", arand=[0.0, 1.0]))
    assert np.isnan(value("1e308 * 1e308 * arand", arand=[0.5, 1.0]))


def table(*rows: tuple[int, int, int]) -> OverlapTable:
    truth, segment, voxels = zip(*rows, strict=True)
    return OverlapTable(np.array(truth, np.uint64), np.array(segment, np.uint64), np.array(voxels, np.int64))


def test_the_bootstrap_over_labels_tells_the_difference_of_the_scores():
    rng = np.random.default_rng(0)
    sizes = rng.integers(50, 500, 60)
    perfect = table(*((i + 1, i + 1, int(n)) for i, n in enumerate(sizes)))
    halves = table(*((i + 1, 2 * i + 1 + j, int(n)) for i, n in enumerate(sizes) for j in range(2)))
    doubled = table(*((i + 1, i + 1, 2 * int(n)) for i, n in enumerate(sizes)))
    rule = VARIANTS["cremi"].headline
    found = dense_bootstrap([(halves, doubled)], rule, ["a"], resamples=500)
    # each label in two equal halves: VOI split is 1 bit, ARAND 1/3
    assert found.difference == pytest.approx(np.sqrt(1 / 3))
    assert found.difference == pytest.approx(dense_scores(halves).cremi_score)
    assert found.interval.low > 0
    assert found.p_value == pytest.approx(2 / 501)
    assert dense_bootstrap([(perfect, perfect)], rule, ["a"], resamples=500).p_value == 1
