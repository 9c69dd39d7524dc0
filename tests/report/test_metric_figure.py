"""The picture of the metric: its numbers are the scorer's."""

import re
from pathlib import Path

import pytest

from axonem_eval.report import MetricExample, metric_file, metric_svg

ROOT = Path(__file__).parents[2]


def test_the_sum_that_it_shows_is_the_scorers():
    example = MetricExample()
    um = [float(value) for value in re.findall(r"([\d.]+)²", example.lines[1])]
    assert sum(v * v for v in um) / 15 * 1000 == pytest.approx(example.report.erl_nm)
    assert f"{example.report.erl_nm / 1000:.2f} µm" in metric_svg(example)
    assert f"{example.report.gt_erl_nm / 1000:.2f} µm" in metric_svg(example)


def test_each_error_shows_in_the_edges():
    example = MetricExample(tolerance=6, split_at=14, omitted=3, shared=8)
    classes = example.edge_classes
    # A's last segment and the nodes of B in it are a merger: split at B's 8th node, too.
    assert classes.count("split") == 2
    assert classes.count("omitted") == 4
    assert classes.count("merged") == 22 + 7
    above = MetricExample(tolerance=9, split_at=14, omitted=3, shared=8)
    assert "merged" not in above.edge_classes
    assert all(run.counts for run in above.runs)


def test_without_errors_the_example_reaches_its_ceiling():
    report = MetricExample(split_at=0, omitted=0, shared=0).report
    assert report.erl_nm == report.gt_erl_nm


def test_the_picture_in_the_documentation_is_the_one_drawn_now():
    """`python -c "from axonem_eval.report import *; print(metric_file(MetricExample()), end='')"` makes it anew."""
    assert (ROOT / "docs/img/metric.svg").read_text(encoding="utf-8") == metric_file(MetricExample())
