"""Our ERL beside em_erl's, whose numbers are recorded here.

Obtained with em_erl at commit cd1ad8b by ``python benchmarks/scorer/compare_em_erl.py CHECKOUT --generated --fib25
FOLDER``.
Without a mask the two define ERL alike. With one they differ where T > 1: a merger that only the mask found is struck
by em_erl from those skeletons alone in which it has T nodes or more, or that touch another merger; there background
shared by two skeletons counts as one. We strike it from every skeleton that it touches. ``em_erl_with_mask`` shows
that this is the whole difference.
"""

import numpy as np
import pytest

from axonem_eval import NodeSample, SkeletonGraph, open_labels, sample_nodes, score_nodes
from tests.scoring.em_erl_case import generated_case

GENERATED = {0: 1719.372583565779, 1: 1719.372583565779, 10: 1738.291638399234, 50: 1787.937814838389}
GENERATED_MASK = {0: 1415.388157417389, 1: 1415.388157417389, 10: 1435.090907252569, 50: 1747.788246334933}

# On the centre lines of tests/fib25_files.py.
FIB25 = {
    "ffn": {0: 134.078216340564, 1: 134.078216340564, 10: 491.077336315817, 50: 646.242416979507},
    "overseg": {0: 140.418223543412, 1: 140.418223543412, 10: 434.927511083588, 50: 592.606672894101},
}
FIB25_MASK = {
    "ffn": {0: 10.388106198414, 1: 12.349217903109, 10: 37.421238859288, 50: 99.573881989515},
    "overseg": {0: 25.109828139239, 1: 26.258235897820, 10: 50.616964367095, 50: 176.241259864348},
}


def em_erl_with_mask(graph: SkeletonGraph, sample: NodeSample, tolerance: int) -> float:
    """ERL by em_erl's rule for mask mergers, from our table."""
    table = score_nodes(graph, sample, tolerance_nodes=tolerance).table
    by_skeletons = score_nodes(graph, sample.node_segment, tolerance_nodes=tolerance).table.is_merger(tolerance)
    background = table.segment == 0
    if (table.nodes[background] >= max(tolerance, 1)).sum() >= 2:
        by_skeletons = by_skeletons | background
    merger = table.is_merger(tolerance)
    struck = np.unique(table.skeleton[by_skeletons | (merger & (table.nodes >= tolerance))])
    run = table.run_nm[~(merger & np.isin(table.skeleton, struck))]
    return float((run**2).sum() / table.total_nm)


@pytest.mark.parametrize("tolerance", GENERATED)
def test_a_generated_case_scores_as_in_em_erl(tolerance):
    graph, sample = generated_case()
    report = score_nodes(graph, sample.node_segment, tolerance_nodes=tolerance)
    assert report.erl_nm == pytest.approx(GENERATED[tolerance], rel=1e-12)
    assert report.gt_erl_nm == pytest.approx(4749.3807249849, rel=1e-12)


@pytest.mark.parametrize("tolerance", [0, 1])
def test_with_a_mask_the_strict_score_is_em_erls(tolerance):
    graph, sample = generated_case()
    report = score_nodes(graph, sample, tolerance_nodes=tolerance)
    assert report.erl_nm == pytest.approx(GENERATED_MASK[tolerance], rel=1e-12)


@pytest.mark.parametrize(("tolerance", "ours"), [(10, 1434.307212250844), (50, 1724.423080835211)])
def test_with_a_mask_a_tolerant_score_is_lower_than_em_erls_by_its_rule_for_mask_mergers(tolerance, ours):
    graph, sample = generated_case()
    report = score_nodes(graph, sample, tolerance_nodes=tolerance)
    assert report.erl_nm == pytest.approx(ours, rel=1e-12)
    assert report.erl_nm < GENERATED_MASK[tolerance]
    assert em_erl_with_mask(graph, sample, tolerance) == pytest.approx(GENERATED_MASK[tolerance], rel=1e-12)


@pytest.fixture(scope="module")
def fib25_case(fib25):
    """Centre lines of FIB-25 and, by segmentation, its sample with the mask."""
    graph = SkeletonGraph.load(fib25 / "lines.npz")
    samples = {}
    for name in FIB25:
        with open_labels(fib25 / f"{name}.h5") as labels, open_labels(fib25 / "lines_mask.h5") as mask:
            samples[name] = sample_nodes(labels, graph.node_voxel_zyx, no_merge_mask=mask)
    return graph, samples


@pytest.mark.parametrize("name", FIB25)
def test_fib25_scores_as_in_em_erl(fib25_case, name):
    graph, samples = fib25_case
    ours = {t: score_nodes(graph, samples[name].node_segment, tolerance_nodes=t).erl_nm for t in FIB25[name]}
    assert ours == pytest.approx(FIB25[name], rel=1e-12)


@pytest.mark.parametrize("name", FIB25)
def test_fib25_with_a_mask_scores_as_in_em_erl_by_its_rule(fib25_case, name):
    graph, samples = fib25_case
    ours = {t: em_erl_with_mask(graph, samples[name], t) for t in FIB25_MASK[name]}
    assert ours == pytest.approx(FIB25_MASK[name], rel=1e-12)
