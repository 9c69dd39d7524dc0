"""Each benchmark's rule: an example by hand, and the rule written out in field_rules.py on random cases."""

import dataclasses
import math

import h5py
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from axonem_eval import InputError, NodeSample, SkeletonGraph, open_labels, sample_nodes, score_nodes
from axonem_eval.scoring import (
    VARIANTS,
    DenseRule,
    OverlapCounter,
    OverlapTable,
    ScoringVariant,
    dense_scores,
    error_counts,
    figures_of,
    headline,
    locate_errors,
    node_scores,
    restrict,
    run_table,
    tolerance_curve,
    variant_named,
)
from axonem_eval.spec import Region
from tests.chains import chains, masked, u64
from tests.scoring import field_rules
from tests.scoring.random_cases import TOLERANCES, cases, graphs

EXACT = pytest.approx
NO_LABEL = 2**64 - 1


def agree(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


@st.composite
def cut_cases(draw: st.DrawFn) -> tuple[SkeletonGraph, NodeSample, Region]:
    """Skeletons scattered over 3 x 3 x 3 voxels, several nodes in one voxel, their labels, and a region."""
    graph = draw(graphs())
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    voxels = random.integers(0, 3, (graph.n_nodes, 3)).astype(np.int32)
    volume = random.integers(0, draw(st.integers(1, 5)), (3, 3, 3))
    graph = dataclasses.replace(graph, node_voxel_zyx=voxels, shape_zyx=(3, 3, 3))
    region = Region((0, 0, 0), (3, draw(st.integers(1, 3)), draw(st.integers(2, 3))))
    return graph, NodeSample.of_labels(volume[tuple(voxels.T)]), region


# --- the rules, example by example ---


def test_the_default_is_our_own_rule():
    assert ScoringVariant() == variant_named("axonem") == VARIANTS["axonem"]
    assert all(name == variant.name for name, variant in VARIANTS.items())


def test_axonem2021_counts_from_one_node_more_than_the_tolerance():
    graph, labels = chains(50, 50), u64(*[7] * 100)
    assert score_nodes(graph, labels, variant=VARIANTS["axonem2024"]).mergers == 1
    assert score_nodes(graph, labels, variant=VARIANTS["axonem2021"]).mergers == 0
    graph, labels = chains(51, 51), u64(*[7] * 102)
    assert score_nodes(graph, labels, variant=VARIANTS["axonem2021"]).erl_nm == 0


def test_axonem2021_spares_a_third_axon_with_few_nodes_in_the_merger():
    # segment 7 merges the first two; the third has 3 nodes of it, 2 um, and 1 um of segment 8
    graph, labels = chains(5, 5, 5), u64(*[7] * 10, 7, 7, 7, 8, 8)
    by_2021 = VARIANTS["axonem2021"].at_tolerance(3)
    everywhere = VARIANTS["axonem2024"].at_tolerance(4)
    assert score_nodes(graph, labels, variant=by_2021).erl_nm == EXACT((2000**2 + 1000**2) / 12e3)
    assert score_nodes(graph, labels, variant=everywhere).erl_nm == EXACT(1000**2 / 12e3)


def test_axonem2021_strikes_an_axon_that_counts_in_another_merger():
    # the third axon has 2 nodes of merger 7 and 3 of merger 9, which the fourth shares
    graph = chains(3, 3, 5, 3)
    labels = u64(7, 7, 7, 7, 7, 7, 7, 7, 9, 9, 9, 9, 9, 9)
    assert score_nodes(graph, labels, variant=VARIANTS["axonem2021"].at_tolerance(2)).erl_nm == 0


def test_axonem2021_strikes_an_axon_for_background_that_it_shares():
    # as the third axon of the test before, but it counts in background alone, which the fourth shares
    graph = chains(3, 3, 6, 3)
    labels = u64(7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 8, 0, 0, 0)
    struck = VARIANTS["axonem2021"].at_tolerance(2)
    assert score_nodes(graph, labels, variant=struck).erl_nm == 0
    assert score_nodes(graph, u64(*labels[:-1], 8), variant=struck).erl_nm == EXACT(1000**2 / 11e3)


def test_axonem2024_uses_the_mask_and_axonem2021_does_not():
    graph, sample = chains(3), masked([7, 7, 7], {7: 51})
    assert score_nodes(graph, sample, variant=VARIANTS["axonem2024"]).erl_nm == 0
    by_2021 = score_nodes(graph, sample, variant=VARIANTS["axonem2021"])
    assert (by_2021.erl_nm, by_2021.no_merge_mask) == (2000, False)


@pytest.mark.parametrize(("name", "mergers"), [("axonem", 0), ("axonem2024", 1), ("nisb", 1)])
def test_isolated_nodes_make_mergers_by_the_rules_that_say_so(name, mergers):
    graph, labels = chains(3, 1), u64(7, 7, 7, 7)
    assert score_nodes(graph, labels, variant=VARIANTS[name].at_tolerance(0)).mergers == mergers


def test_a_perfect_xpress_result_exceeds_1_where_lengths_differ():
    # pieces of 2 and 4 um: ERL (4 + 16) / 6, mean 3 um; the first piece does not count for Rand
    graph, labels = chains(3, 5), u64(1, 1, 1, 2, 2, 2, 2, 2)
    report, nodes = scored(graph, labels, "xpress")
    assert report.erl_by_normaliser == EXACT(20 / 6 / 3)
    assert (nodes.rand_split, nodes.rand_merge, nodes.counted) == (1, 1, 5)
    assert headline(VARIANTS["xpress"], figures_of(report=report, nodes=nodes)).value == EXACT(20 / 36 + 0.5)


def test_xpress_takes_a_neuron_that_leaves_the_region_as_two():
    # voxels 0 1 2 3 4 along x, the region 0-1 and 3-4 in two boxes is not one; cut at 1..4: nodes 1 2 3
    graph = chains(5)
    cut, sample = restrict(
        graph,
        NodeSample.of_labels(u64(1, 2, 3, 4, 5)),
        dataclasses.replace(VARIANTS["xpress"], region=Region((0, 0, 1), (1, 1, 4))),
    )
    assert (cut.n_nodes, cut.n_edges, sample.node_segment.tolist()) == (3, 2, [2, 3, 4])


def test_a_piece_that_reenters_the_region_merges_with_the_first():
    # one axon along x = 0..4; its middle voxel lies outside (z = 1), so its ends are two pieces in one segment
    graph = chains(5)
    voxels = graph.node_voxel_zyx.copy()
    voxels[2, 0] = 1
    graph = dataclasses.replace(graph, node_voxel_zyx=voxels, shape_zyx=(2, 1, 5))
    labels = u64(7, 7, 7, 7, 7)
    region = Region((0, 0, 0), (1, 1, 5))
    for name in ("xpress", "lsd-j0126"):
        report = score_nodes(graph, labels, variant=dataclasses.replace(VARIANTS[name], region=region))
        assert (report.skeletons, report.mergers, report.erl_nm) == (2, 1, 0)


def test_a_neuron_of_two_pieces_is_one_for_ffn_and_two_for_lsd():
    # the edge in the middle is missing: pieces of 1 um each, both in segment 7
    whole = chains(4)
    graph = dataclasses.replace(
        whole, edge_u=whole.edge_u[[0, 2]], edge_v=whole.edge_v[[0, 2]], edge_length_nm=whole.edge_length_nm[[0, 2]]
    )
    by_ffn, by_lsd = (score_nodes(graph, u64(7, 7, 7, 7), variant=VARIANTS[f"{name}-j0126"]) for name in ("ffn", "lsd"))
    assert (by_ffn.skeletons, by_ffn.mergers, by_ffn.normalized_erl) == (1, 0, 1)
    assert (by_lsd.skeletons, by_lsd.mergers, by_lsd.normalized_erl) == (2, 1, 0)


def test_xpress_numbers_background_by_voxel():
    # two pieces on background in one voxel share its number: a merger. Edges on background are split
    graph = chains(2, 2)
    voxels = np.zeros_like(graph.node_voxel_zyx)
    voxels[:, 2] = [0, 1, 1, 1]
    graph = dataclasses.replace(graph, node_voxel_zyx=voxels)
    report = score_nodes(graph, u64(0, 0, 0, 0), variant=VARIANTS["xpress"])
    assert (report.mergers, report.edges_nm["omitted"], report.edges_nm["split"]) == (1, 0, 1000)
    assert report.edges_nm["merged"] == 1000


def test_numbering_background_avoids_labels_in_use():
    sample = NodeSample.of_labels(u64(0, 1, 3, NO_LABEL))
    _, numbered = restrict(chains(4), sample, VARIANTS["xpress"])
    assert numbered.node_segment.tolist() == [2, 1, 3, NO_LABEL]


def test_nisb_is_strict_and_tells_tolerant_columns():
    # 6 shared nodes of each axon: a merger unless more than 5, 20, 100 are asked for
    graph, labels = chains(6, 6), u64(*[7] * 12)
    report = score_nodes(graph, labels, variant=VARIANTS["nisb"])
    assert (report.normalized_erl, report.normalized_erl_at) == (0, {"5": 0, "20": 1, "100": 1, "inf": 1})


def test_nodes_on_background_are_counted():
    scores = node_scores(chains(2, 2), NodeSample.of_labels(u64(0, 5, 5, 5)))
    assert (scores.nodes_on_background, scores.nodes_on_background_share) == (1, 0.25)
    # axon 1: one node on 0, one on 5; axon 2: both on 5
    assert (scores.rand_split, scores.rand_merge) == EXACT(((1 + 1 + 4) / 8, 6 / (1 + 9)))
    assert scores.voi_split == EXACT(0.5)


def test_unlabelled_nodes_of_all_neurons_are_one_merger_in_voi():
    # H(truth | segment): two axons of 2 nodes in one class of background, 1 bit
    assert node_scores(chains(2, 2), NodeSample.of_labels(u64(0, 0, 0, 0)), VARIANTS["nisb"]).voi_merge == 1


def test_figures_of_errors_follow_the_variant():
    graph, sample = chains(3, 3), NodeSample.of_labels(u64(7, 7, 7, 7, 7, 7))
    variant = VARIANTS["axonem2021"].at_tolerance(3)
    table = run_table(graph, sample, variant)
    assert error_counts(graph, sample, table, 3).mergers == 0
    assert error_counts(graph, sample, table, 2).merge_joins == 1
    assert locate_errors(graph, sample, table, 2).count(2) == 1
    assert [p.mergers for p in tolerance_curve(table, 1000.0, [2, 3])] == [1, 0]


def scored(graph, labels, name):
    sample = NodeSample.of_labels(labels)
    return score_nodes(graph, sample, variant=VARIANTS[name]), node_scores(graph, sample, VARIANTS[name])


# --- against the rules written out ---


@given(cases(), TOLERANCES)
def test_axonem2021_is_the_rule_of_the_fork(case, tolerance):
    graph, sample = case
    ours = score_nodes(graph, sample, variant=VARIANTS["axonem2021"].at_tolerance(tolerance)).erl_nm
    theirs = field_rules.expected_run_length(
        graph, sample.node_segment.tolist(), lambda n: n > tolerance, strike_counted_pairs=True
    )
    assert agree(ours, theirs)


@given(cases(), TOLERANCES)
def test_axonem2024_is_the_rule_of_the_challenge_with_its_mask(case, tolerance):
    graph, sample = case
    mask = {}
    if sample.mask_segment is not None:
        held = set(sample.node_segment.tolist())
        voxels = zip(sample.mask_segment.tolist(), sample.mask_voxels.tolist(), strict=True)
        mask = {segment: n for segment, n in voxels if segment in held}
    ours = score_nodes(graph, sample, variant=VARIANTS["axonem2024"].at_tolerance(tolerance)).erl_nm
    theirs = field_rules.expected_run_length(
        graph, sample.node_segment.tolist(), lambda n: n >= tolerance, mask_voxels=mask, tolerance=tolerance
    )
    assert agree(ours, theirs)


@given(cases())
def test_nisb_is_the_rule_of_banis(case):
    graph, sample = case
    labels = sample.node_segment.tolist()
    report, nodes = scored(graph, sample.node_segment, "nisb")
    ceiling = field_rules.expected_run_length(graph, (1 + graph.node_skeleton).tolist(), lambda n: n > 0)
    strict = field_rules.expected_run_length(graph, labels, lambda n: n > 0)
    assert agree(report.normalized_erl, strict / ceiling)
    assert agree(headline(VARIANTS["nisb"], figures_of(report=report, nodes=nodes)).value, strict / ceiling)
    for name, value in report.normalized_erl_at.items():
        tolerant = field_rules.expected_run_length(
            graph, labels, lambda n, size=float(name): n > size, strike_counted_pairs=True
        )
        assert agree(value, tolerant / ceiling)
    split, merge = field_rules.voi((1 + graph.node_skeleton).tolist(), labels)
    assert agree(nodes.voi_split, split)
    assert agree(nodes.voi_merge, merge)


@given(cut_cases())
def test_xpress_is_the_rule_of_the_challenge(case):
    graph, sample, region = case
    assume(field_rules.pieces_in(graph, region).number_of_edges())
    variant = dataclasses.replace(VARIANTS["xpress"], region=region)
    report, nodes = score_nodes(graph, sample, variant=variant), node_scores(graph, sample, variant)
    score, normalised, split, merge = field_rules.xpress_score(graph, sample, region)
    assert agree(report.erl_by_normaliser, normalised)
    assert agree(nodes.rand_split, split)
    assert agree(nodes.rand_merge, merge)
    assert agree(headline(variant, figures_of(report=report, nodes=nodes)).value, score)


@given(cut_cases())
def test_lsd_is_the_strict_rule_on_pieces(case):
    graph, sample, region = case
    cut = field_rules.pieces_in(graph, region)
    assume(cut.number_of_edges())
    pieces, nodes = field_rules.as_graph(cut, graph)
    labels = sample.node_segment[nodes].tolist()
    strict = field_rules.expected_run_length(pieces, labels, lambda n: n > 0)
    ceiling = field_rules.expected_run_length(pieces, (1 + pieces.node_skeleton).tolist(), lambda n: n > 0)
    ours = score_nodes(graph, sample, variant=dataclasses.replace(VARIANTS["lsd-j0126"], region=region))
    assert agree(ours.normalized_erl, strict / ceiling)


@given(cases(), TOLERANCES)
def test_our_own_rule_is_that_of_2024_without_isolated_nodes(case, tolerance):
    graph, sample = case
    keep = graph.skeleton_length_nm > 0
    own = graph.longer_than(1e-9)
    kept = dataclasses.replace(sample, node_segment=sample.node_segment[keep[graph.node_skeleton]])
    ours = score_nodes(graph, sample, variant=VARIANTS["axonem"].at_tolerance(tolerance)).erl_nm
    assert agree(ours, score_nodes(own, kept, variant=VARIANTS["axonem2024"].at_tolerance(tolerance)).erl_nm)


# --- dense ---

VOLUMES = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def written(path, labels: np.ndarray, chunks, voxel_size=(40.0, 4.0, 4.0)) -> str:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("main", data=labels, chunks=chunks)
        dataset.attrs["resolution"] = voxel_size
    return str(path)


def dense(tmp_path, truth, segment, rule, chunks=(2, 5, 5), truth_chunks=(2, 5, 5)):
    truth_path = written(tmp_path / "truth.h5", truth, truth_chunks)
    segment_path = written(tmp_path / "segment.h5", segment, chunks)
    with open_labels(segment_path) as seg, open_labels(truth_path) as gt:
        counter = OverlapCounter(seg, gt, rule)
        sample_nodes(seg, np.empty((0, 3), np.int32), also=counter.add, threads=2)
        return dense_scores(counter.table())


def blocks(random: np.random.Generator, shape, labels: int) -> np.ndarray:
    """Labels in blocks of 19 pixels, so that borders are sparse."""
    coarse = random.integers(0, labels, [-(-n // 19) for n in shape]).astype(np.uint64)
    z, y, x = shape
    return coarse.repeat(19, 0).repeat(19, 1).repeat(19, 2)[:z, :y, :x]


@pytest.mark.parametrize("chunks", [(2, 5, 5), (1, 43, 7)])
@pytest.mark.parametrize("border_nm", [25.0, 3.0, 0.0])
def test_cremi_is_the_rule_of_its_evaluation_code(tmp_path, border_nm, chunks):
    for seed in range(3):
        random = np.random.default_rng(seed)
        truth = blocks(random, (3, 43, 59), 5)
        truth[random.uniform(size=truth.shape) < 0.0005] = NO_LABEL
        segment = blocks(random, truth.shape, 6)
        ours = dense(tmp_path, truth, segment, DenseRule(border_nm=border_nm, background=NO_LABEL), chunks)
        scored = field_rules.cremi_masked(truth, border_nm / 4) if border_nm else field_rules.cremi_masked(truth, -1)
        split, merge = field_rules.voi(scored.ravel().tolist(), segment.ravel().tolist())
        arand = field_rules.arand(scored, segment)
        assert (ours.arand, ours.voi_split, ours.voi_merge) == EXACT((arand, split, merge), rel=1e-9, abs=1e-12)
        assert ours.cremi_score == EXACT(math.sqrt((split + merge) * arand), rel=1e-9, abs=1e-9)


def test_cremi_scores_label_0_and_leaves_out_its_background(tmp_path):
    truth = np.array([[[0, 0, 1, 1, NO_LABEL, NO_LABEL]]], np.uint64)
    segment = np.array([[[5, 5, 5, 5, 9, 9]]], np.uint64)
    scores = dense(tmp_path, truth, segment, DenseRule(background=NO_LABEL), (1, 1, 6), (1, 1, 6))
    assert (scores.truth_labels, scores.voxels, scores.voi_merge) == (2, 4, 1)


def test_a_border_below_one_pixel_masks_the_border_pixels_of_both_sides(tmp_path):
    truth = np.array([[[1, 1, 1, 2, 2, 2]]], np.uint64)
    scores = dense(tmp_path, truth, truth, DenseRule(border_nm=1.0), (1, 1, 3), (1, 1, 6))
    assert scores.voxels == 4


def test_a_border_mask_needs_square_pixels(tmp_path):
    path = written(tmp_path / "gt.h5", np.ones((2, 4, 4), np.uint64), (2, 4, 4), (40.0, 4.0, 5.0))
    with open_labels(path) as gt, pytest.raises(InputError, match="4 x 5 nm"):
        OverlapCounter(gt, gt, DenseRule(border_nm=25.0))


def test_snemi3d_gc_scores_a_third_of_the_volume():
    region = VARIANTS["snemi3d-gc"].dense.region
    voxels = np.prod(np.subtract(region.stop_zyx, region.start_zyx))
    assert voxels == 34_528_050
    assert voxels / (100 * 1024 * 1024) == EXACT(0.3293, abs=1e-4)


def test_a_region_is_scored_as_if_it_were_cut_out(tmp_path):
    random = np.random.default_rng(1)
    truth, segment = blocks(random, (5, 23, 29), 5), blocks(random, (5, 23, 29), 6)
    region = Region((1, 4, 3), (4, 19, 27))
    box = (slice(1, 4), slice(4, 19), slice(3, 27))
    ours = dense(tmp_path, truth, segment, DenseRule(region=region))
    assert ours.arand == EXACT(field_rules.arand(truth[box], segment[box]), rel=1e-9)
    assert ours.voxels == np.count_nonzero(truth[box])


def test_a_region_beyond_the_volume_is_refused(tmp_path):
    path = written(tmp_path / "gt.h5", np.ones((2, 4, 4), np.uint64), (2, 4, 4))
    with open_labels(path) as gt, pytest.raises(InputError, match="the volume has 2 x 4 x 4"):
        OverlapCounter(gt, gt, VARIANTS["snemi3d-gc"].dense)


@given(VOLUMES)
def test_arand_is_the_formula_of_the_script(random):
    truth = random.integers(0, 4, (3, 4, 5)).astype(np.uint64)
    truth.flat[0] = 1
    segment = random.integers(0, 4, (3, 4, 5)).astype(np.uint64)
    pairs, voxels = np.unique(np.stack([truth.ravel(), segment.ravel()]), axis=1, return_counts=True)
    ours = dense_scores(OverlapTable(pairs[0], pairs[1], voxels))
    assert agree(ours.arand, field_rules.arand(truth, segment))


# --- what is refused ---


def test_an_unknown_variant_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="choose one of axonem, axonem2021"):
        variant_named("axonem2022")


@pytest.mark.parametrize(
    "contradiction", [{"strike": "counted_pairs"}, {"cut_to_region": True}, {"region": Region((0, 0, 0), (1, 1, 1))}]
)
def test_rules_that_contradict_each_other_are_refused(contradiction):
    with pytest.raises(InputError) as refused:
        ScoringVariant(**contradiction)
    assert refused.value.complaints[0].code == "bad_variant"


def test_a_headline_needs_its_ground_truth():
    with pytest.raises(InputError, match="--dense-ground-truth"):
        headline(VARIANTS["cremi"], {})
    with pytest.raises(InputError, match="--ground-truth"):
        headline(VARIANTS["nisb"], {})


@pytest.mark.parametrize(
    ("name", "lower"), [("axonem", False), ("xpress", False), ("cremi", True), ("snemi3d-gc", True)]
)
def test_a_variant_knows_the_direction_of_its_headline(name, lower):
    assert VARIANTS[name].lower_is_better is lower
