"""Bootstrap over axons, and two results on the same axons."""

import json

import numpy as np
import pytest

from axonem_eval import InputError, NodeSample
from axonem_eval.scoring import compare_samples, erl_interval, paired_bootstrap, resampled_sums, run_table
from tests.chains import chains, u64


def table(graph, labels):
    return run_table(graph, NodeSample.of_labels(labels))


def perfect(graph):
    return graph.skeleton_id[graph.node_skeleton]


def halved(graph, every):
    """Labels of the ground truth, with the second half of every n-th axon in a segment of its own."""
    labels = perfect(graph).copy()
    for skeleton in range(0, graph.n_skeletons, every):
        nodes = np.flatnonzero(graph.node_skeleton == skeleton)
        labels[nodes[len(nodes) // 2 :]] += np.uint64(10_000)
    return labels


MIXED = chains(*[3 + i % 17 for i in range(120)])


def test_a_resample_draws_as_many_axons_as_there_are():
    sums = resampled_sums([np.ones(7), np.arange(7.0)], resamples=50, seed=1)
    assert (sums[:, 0] == 7).all()
    assert sums[:, 1].min() >= 0
    assert sums[:, 1].max() <= 42


@pytest.mark.parametrize("n", [1, 2, 5, 64])
def test_every_axon_is_drawn_equally_often(n):
    # column i is 1 for axon i alone: its mean count is 1, with variance (1 - 1/n) / resamples
    for axon in {0, n // 2, n - 1}:
        column = np.zeros(n)
        column[axon] = 1
        drawn = resampled_sums([column], resamples=40_000, seed=3)[:, 0]
        assert drawn.mean() == pytest.approx(1, abs=5 * np.sqrt(1 / 40_000))
        assert drawn.var() == pytest.approx(1 - 1 / n, abs=0.05)


def test_draws_depend_on_the_seed_alone():
    columns = [np.arange(101.0)]
    first = resampled_sums(columns, resamples=33, seed=5)
    assert np.array_equal(first, resampled_sums(columns, resamples=33, seed=5))
    assert np.array_equal(first[:20], resampled_sums(columns, resamples=20, seed=5))
    assert not np.array_equal(first, resampled_sums(columns, resamples=33, seed=6))


def test_the_spread_of_a_mean_is_the_standard_error():
    values = np.random.default_rng(0).normal(size=400)
    means = resampled_sums([values], resamples=20_000, seed=0)[:, 0] / 400
    assert means.std() == pytest.approx(values.std() / 20, rel=0.03)


def test_an_interval_lies_around_the_score():
    interval = erl_interval(table(MIXED, halved(MIXED, 2)), 50)
    runs = table(MIXED, halved(MIXED, 2))
    assert interval.erl_nm.low < runs.erl_nm(50) < interval.erl_nm.high
    assert interval.normalized_erl.low < runs.erl_nm(50) / runs.gt_erl_nm < interval.normalized_erl.high
    assert interval.axons == 120


def test_axons_all_alike_leave_no_doubt():
    graph = chains(*[5] * 30)
    interval = erl_interval(table(graph, perfect(graph)), 50, resamples=200)
    assert (interval.erl_nm.low, interval.erl_nm.high) == (4000, 4000)


def test_a_perfect_result_is_at_the_ceiling_in_every_resample():
    interval = erl_interval(table(MIXED, perfect(MIXED)), 50, resamples=200)
    assert (interval.normalized_erl.low, interval.normalized_erl.high) == (1, 1)
    assert interval.erl_nm.low < interval.erl_nm.high


def test_skeletons_without_length_are_not_drawn():
    graph = chains(5, 1, 1, 1)
    assert erl_interval(table(graph, perfect(graph)), 1, resamples=100).axons == 1


def test_a_result_does_not_differ_from_itself():
    runs = table(MIXED, halved(MIXED, 3))
    result = paired_bootstrap([(runs, runs)], 50, resamples=500)
    assert (result.difference_nm, result.interval_nm.low, result.interval_nm.high, result.p_value) == (0, 0, 0, 1)


def test_a_result_that_is_better_on_many_axons_is_significantly_better():
    result = paired_bootstrap([(table(MIXED, perfect(MIXED)), table(MIXED, halved(MIXED, 3)))], 50)
    assert result.interval_nm.low > 0
    assert result.p_value == pytest.approx(2 / 10_001)
    assert result.difference_nm == result.erl_a_nm - result.erl_b_nm


def test_swapping_the_two_turns_the_difference_round():
    a, b = table(MIXED, perfect(MIXED)), table(MIXED, halved(MIXED, 3))
    one, other = (paired_bootstrap([pair], 50, resamples=300) for pair in ((a, b), (b, a)))
    assert other.interval_nm.low == -one.interval_nm.high
    assert other.p_value == one.p_value


def test_pairing_sees_what_two_intervals_cannot():
    # one axon in 40 is cut: far less than what the lengths of the drawn axons do to either score
    a, b = table(MIXED, perfect(MIXED)), table(MIXED, halved(MIXED, 40))
    apart = [erl_interval(t, 50, resamples=1000).erl_nm for t in (a, b)]
    assert apart[0].low < apart[1].high
    result = paired_bootstrap([(a, b)], 50, resamples=1000)
    assert (result.interval_nm.high - result.interval_nm.low) < 0.5 * (apart[0].high - apart[0].low)


def test_a_benchmark_of_two_volumes_is_the_mean_of_their_scores():
    small = chains(5, 5)
    pairs = [
        (table(MIXED, perfect(MIXED)), table(MIXED, halved(MIXED, 2))),
        (table(small, perfect(small)), table(small, u64(1, 1, 1, 1, 1, 2, 2, 2, 3, 3))),
    ]
    both = paired_bootstrap(pairs, [50, 1], resamples=200)
    apart = [paired_bootstrap([pair], 1, resamples=200).difference_nm for pair in pairs]
    assert both.difference_nm == pytest.approx(sum(apart) / 2)
    assert both.axons == 122


def test_results_on_other_skeletons_cannot_be_compared():
    other = chains(4, 5)
    with pytest.raises(InputError, match="one ground truth"):
        paired_bootstrap([(table(MIXED, perfect(MIXED)), table(other, perfect(other)))], 50)


def test_a_comparison_says_on_how_many_axons_each_is_better():
    graph = chains(5, 5, 5, 5)
    whole, cut, gone = [1] * 5, [1, 1, 1, 2, 2], [0] * 5

    def sample(*axons):
        labels = np.array(axons)
        return NodeSample.of_labels((labels + 10 * np.arange(4)[:, None] * (labels > 0)).ravel())

    compared = compare_samples(graph, sample(whole, whole, cut, gone), sample(cut, gone, cut, cut), resamples=100)
    assert (compared.axons_better, compared.axons_equal, compared.axons_worse) == (2, 1, 1)


def test_a_comparison_is_plain_json_and_a_table():
    graph = MIXED
    a, b = NodeSample.of_labels(perfect(graph)), NodeSample.of_labels(halved(graph, 2))
    compared = compare_samples(graph, a, b, resamples=500)
    data = json.loads(json.dumps(compared.to_json(), allow_nan=False))
    assert data["a"]["normalized_erl"] == 1
    assert data["paired_bootstrap"]["difference_nm"] == data["a"]["erl_nm"] - data["b"]["erl_nm"]
    text = "\n".join(compared.lines("mine", "yours"))
    assert "mine has the higher ERL" in text


def test_a_difference_that_may_be_chance_is_called_so():
    graph = chains(5, 5, 5, 5)
    a, b = NodeSample.of_labels(perfect(graph)), NodeSample.of_labels(halved(graph, 4))
    assert "may be chance" in "\n".join(compare_samples(graph, a, b, resamples=500).lines())
