"""The rule of what is told of hidden ground truth, by itself: steps, and what a submission can learn."""

from math import comb, log2

import numpy as np
import pytest

from evalserver.benchmarks.disclosure_rule import COUNTS_OF_A_NODE, Disclosure, about, step_at_least, to_step
from evalserver.benchmarks.preview import node_reach_nm
from tests.factories import tiny_graph
from tests.server.hidden_volume import hidden_graph

AXONEM_H = Disclosure(
    is_exact=False, gt_erl_nm=28_500, total_nm=180e6, longest_nm=100_000, reach_nm=100, axons=9000
)  # fmt: skip
DEMO_B = Disclosure(
    is_exact=False, gt_erl_nm=7343, total_nm=1_437_187, longest_nm=21_482, reach_nm=177.3, axons=246
)  # fmt: skip
DAYS, PER_DAY = 365, 5


def of_graph(graph) -> Disclosure:
    length = graph.skeleton_length_nm
    return Disclosure(False, graph.gt_erl_nm, length.sum(), length.max(), node_reach_nm(graph), graph.n_skeletons)


@pytest.mark.parametrize(
    ("value", "step"), [(0, 0), (28.5, 50), (50, 50), (51, 100), (0.0021, 0.005), (180_000, 200_000), (1, 1)]
)
def test_steps_are_1_2_or_5_times_a_power_of_ten(value, step):
    assert step_at_least(value) == step


def test_rounding_goes_to_the_nearest_multiple_and_leaves_no_binary_noise():
    assert to_step(1234.5, 50) == 1250
    assert to_step(0.3001, 0.1) == 0.3
    assert str(to_step(-0.2, 1)) == "0.0"
    assert np.isnan(to_step(np.array([np.nan]), 50)).all()
    assert (about(18_127), about(23), about(3), about(43.37), about(None)) == (18_000, 20, 3, 43.0, None)


@pytest.mark.parametrize("graph", [tiny_graph(), hidden_graph()], ids=["three axons", "263 axons"])
def test_a_step_is_ten_times_what_one_node_can_move(graph):
    """Of a whole segmentation, which has the longest runs, every node is dropped in turn: no figure moves further."""
    rule = of_graph(graph)
    ends = np.concatenate([graph.edge_u, graph.edge_v])
    edges = np.bincount(ends, weights=np.tile(graph.edge_length_nm, 2))
    length = graph.skeleton_length_nm[graph.node_skeleton]
    moved = (length**2 - (length - edges) ** 2) / graph.skeleton_length_nm.sum()
    assert edges.max() * 10 <= rule.length_step_nm
    assert moved.max() * 10 <= rule.erl_step_nm
    assert rule.count_step >= 10 * COUNTS_OF_A_NODE


def test_public_ground_truth_has_no_steps():
    public = Disclosure(True, 28_500, 180e6, 100_000, 100, 9000)
    assert (public.erl_nm(1234.567), public.length_nm(1.1), public.count(247)) == (1234.567, 1.1, 247)
    assert public.about(18_127) == 18_127
    assert not public.labels_too_little(0.0)


def test_a_perfect_score_is_the_whole_ceiling_and_none_is_above():
    erl = np.linspace(0, DEMO_B.gt_erl_nm, 1000)
    share = DEMO_B.normalized(erl, DEMO_B.gt_erl_nm)
    assert share[-1] == 1.0
    assert (np.diff(share) >= 0).all()


def test_a_share_tells_nothing_beyond_the_rounded_figures():
    erl = np.linspace(0, DEMO_B.gt_erl_nm, 5000)
    pairs = set(zip(DEMO_B.erl_nm(erl), DEMO_B.normalized(erl, DEMO_B.gt_erl_nm), strict=True))
    assert len(pairs) == len(set(DEMO_B.erl_nm(erl)))


def test_no_entry_that_labels_too_little_is_missed_by_the_boards_first_look():
    """The board asks for what is labelled only where the ERL is low: the ERL of one whole labelled axon is the most."""
    for rule in (AXONEM_H, DEMO_B, of_graph(hidden_graph())):
        for labelled in np.linspace(0, 0.1 * rule.total_nm, 500):
            most = min(labelled, rule.longest_nm) * labelled / rule.total_nm
            assert not rule.labels_too_little(labelled) or most <= rule.suspicious_erl_nm


def bits_of_a_result(rule: Disclosure, *, bins: int, counts_up_to: int) -> float:
    """At most: all figures of a result page as if they were independent."""
    erl, length = log2(rule.gt_erl_nm / rule.erl_step_nm), log2(rule.total_nm / rule.length_step_nm)
    share = log2(1 / step_at_least(rule.erl_step_nm / rule.gt_erl_nm))
    # The score, three losses, both ends of the interval, three more tolerances, the bins; then the normalised interval.
    bits = (1 + 3 + 2 + 3 + bins) * erl + 2 * share
    # Four classes of edges; four numbers of errors, and of mergers at three more tolerances.
    bits += 4 * length + 7 * log2(counts_up_to / rule.count_step)
    step = rule.run_share_step
    steps = 0 if step is None else round(1 / step)
    # The distribution falls: it is one of the falling rows of 20 values.
    return bits + (log2(comb(steps + 20, 20)) if steps else 0)


def test_the_figures_of_the_page_on_what_a_submission_learns():
    assert (AXONEM_H.length_step_nm, AXONEM_H.erl_step_nm, AXONEM_H.count_step) == (200_000, 50, 100)
    assert (DEMO_B.length_step_nm, DEMO_B.erl_step_nm, DEMO_B.count_step) == (2000, 100, 20)
    assert log2(28_500 / 50) == pytest.approx(9.2, abs=0.05)
    assert log2(7343 / 100) == pytest.approx(6.2, abs=0.05)
    assert bits_of_a_result(AXONEM_H, bins=5, counts_up_to=100_000) == pytest.approx(330, abs=5)
    assert bits_of_a_result(DEMO_B, bins=3, counts_up_to=2000) == pytest.approx(170, abs=5)
    nodes_a_day = PER_DAY * 330 / log2(1.4e10 / 4.5e6)
    assert nodes_a_day == pytest.approx(142, abs=1)
    assert DAYS * nodes_a_day / 4.5e6 == pytest.approx(0.012, abs=0.0005)
    k, eta = DAYS * PER_DAY, 50 / 28_500
    assert (1 / eta + 2) * log2(4 * k / eta) == pytest.approx(12_600, abs=100)
    assert k * log2(570) == pytest.approx(16_700, abs=50)
