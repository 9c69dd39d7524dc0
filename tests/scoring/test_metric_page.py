"""docs/metric.md names the test of each decision; the tests must be there, and its examples must hold."""

import re
from pathlib import Path

import pytest

from axonem_eval import NodeSample, score_nodes
from axonem_eval.scoring import MERGER, dense_scores, locate_errors, resampled_sums, run_table
from axonem_eval.scoring.located_errors import OMISSION
from tests.chains import chains, table, u64

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metric.md").read_text(encoding="utf-8")


def test_every_test_that_the_page_names_exists():
    defined = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
    }
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 40
    assert named - defined == set()


def test_every_file_and_program_that_the_page_names_exists():
    named = set(re.findall(r"`((?:tests|benchmarks|axonem_eval)/[\w/]+\.py)`", PAGE))
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_first_example():
    graph = chains(5, 3)
    report = score_nodes(graph, u64(7, 7, 7, 9, 9, 5, 5, 0), tolerance_nodes=2)
    assert (report.erl_nm, report.gt_erl_nm) == pytest.approx((1000, 10_000 / 3))
    assert report.normalized_erl == pytest.approx(0.3)
    assert report.edges_nm == {"correct": 4000, "omitted": 1000, "split": 1000, "merged": 0, "total": 6000}
    merged = u64(7, 7, 7, 9, 9, 7, 7, 0)
    assert score_nodes(graph, merged, tolerance_nodes=2).erl_nm == pytest.approx(1e6 / 6e3)
    assert score_nodes(graph, merged, tolerance_nodes=3).mergers == 0


def test_the_gains_of_the_second_example():
    graph, sample = chains(6, 3, 3), NodeSample.of_labels(u64(7, 7, 7, 0, 8, 8, 5, 5, 5, 5, 5, 5))
    errors = locate_errors(graph, sample, run_table(graph, sample), 2)
    assert errors.gain_nm[errors.kind == OMISSION] == pytest.approx([20e6 / 9e3])
    assert errors.gain_nm[errors.kind == MERGER] == pytest.approx([8e6 / 9e3])


def test_the_example_of_the_bootstrap():
    length = chains(2, 4).skeleton_length_nm
    squares, total = resampled_sums([length**2, length], resamples=200, seed=0).T
    assert sorted(set((squares / total).round(6))) == [1000, 2500, 3000]


def test_the_examples_of_dense_errors():
    assert dense_scores(table((1, 5, 2), (1, 6, 2))).arand == pytest.approx(1 / 3)
    assert dense_scores(table((1, 5, 2), (2, 5, 2))).arand == pytest.approx(1 / 3)
    assert dense_scores(table((1, 5, 2), (1, 0, 2), (0, 0, 4))).arand == pytest.approx(0.58, abs=0.005)
