"""Means over runs and their interval."""

import numpy as np
import pytest

from evalserver.submissions.results.runs import Runs, half_interval, t_975


@pytest.mark.parametrize("degrees", [1, 2, 4, 29, 30, 31, 50, 1000])
def test_the_quantile_is_that_of_student(degrees):
    scipy_stats = pytest.importorskip("scipy.stats")  # it takes half a second to import
    assert t_975(degrees) == pytest.approx(scipy_stats.t.ppf(0.975, degrees), abs=1e-4)


def test_the_interval_of_five_runs_by_hand():
    # Mean 3, s = sqrt(2.5), t = 2.776: 2.776 * 1.5811 / 2.2361.
    assert half_interval(np.array([1.0, 2, 3, 4, 5])) == pytest.approx(1.963243, abs=1e-5)
    assert half_interval(np.array([1.0])) is None


def test_runs_stand_where_the_first_of_them_stands_and_others_stay_as_they_are():
    runs = Runs(np.array([7, 3, 7, 9, 3, 7]))
    values = np.array([1.0, 10, 2, 0.1, 30, 6])
    assert runs.first.tolist() == [0, 1, 3]
    assert runs.count.tolist() == [3, 2, 1]
    assert runs.mean(values).tolist() == [3, 20, 0.1]
    assert runs.mean(np.stack([values, -values], axis=1))[1].tolist() == [20, -20]
    half = runs.half_interval(values)
    assert half[0] == pytest.approx(half_interval(np.array([1.0, 2, 6])))
    assert np.isnan(half[2])


def test_a_run_without_a_figure_leaves_its_entry_without_one():
    runs = Runs(np.array([7, 7, 9]))
    assert np.isnan(runs.mean(np.array([1.0, np.nan, 5]))).tolist() == [True, False]
