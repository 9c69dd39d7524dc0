"""One result as a page that stands alone: no script, no font or file from elsewhere, light and dark, phone to desktop.

``render_report`` takes the JSON of ``full_report`` (what a server stores), and for public ground truth the views of
single axons.
"""

from collections.abc import Sequence
from typing import Any

from axonem_eval.report import sections
from axonem_eval.report.axons import AxonDrawing, AxonRuns
from axonem_eval.report.parts import cards, heading, paragraph, stand_alone_page
from axonem_eval.report.plots import percent, um
from axonem_eval.report.sections import runs_of


def render_report(
    report: dict[str, Any],
    *,
    title: str,
    subtitle: str = "",
    longest: Sequence[AxonRuns] = (),
    drawings: Sequence[AxonDrawing] = (),
    command: str = "",
) -> str:
    """The page. ``title`` names the segmentation, ``subtitle`` what it was scored against; both are plain text."""
    content = [
        _header(report, title, subtitle),
        sections.losses(report),
        sections.run_lengths(report),
        sections.strips(longest),
        sections.drawings(drawings),
        sections.bins(report),
        sections.tolerance(report),
        sections.dense(report),
        sections.worst(report),
        sections.errors(report),
        sections.method(report, command),
    ]
    return stand_alone_page(f"{title}: ERL {um(report['erl_nm'])}", content)


def _header(report: dict[str, Any], title: str, subtitle: str) -> str:
    interval = report["erl_interval"]
    level = f"{100 * interval['level']:g}%"
    tolerance_um = report["tolerance_um"]
    figures = [
        (um(report["erl_nm"]), f"expected run length (ERL), of {um(report['gt_erl_nm'])} possible"),
        (percent(report["normalized_erl"]), "of the ceiling: what a perfect segmentation would score"),
        (
            f"{interval['erl_low_nm'] / 1000:.3g} – {um(interval['erl_high_nm'])}",
            f"{level} interval of the ERL, over {interval['axons']:,} axons",
        ),
        (f"{report['tolerance_nodes']} nodes", f"merge tolerance, about {tolerance_um:.2g} µm"),
    ]
    meaning = (
        "Pick a point at random on the axons of the ground truth. The ERL is the length of axon that one segment "
        "follows through that point, on average: how far one could trace before the segmentation breaks off, goes "
        "missing or runs into another axon."
    )
    return (
        paragraph("Report of axonem-eval", "sub small")
        + heading(title)
        + paragraph(subtitle, "sub")
        + paragraph(meaning, "lead")
        + cards(figures)
        + paragraph(verdict(report), "lead")
    )


def verdict(report: dict[str, Any]) -> str:
    """In words: which kind of error costs most, and why the score is what it is."""
    lost, ceiling = report["erl_lost_nm"], report["gt_erl_nm"]
    counts, edges = report["error_counts"], report["edges_nm"]
    worst = max(lost, key=lambda name: lost[name])
    if lost[worst] < 0.005 * ceiling:
        return "The segmentation follows the axons nearly without error."
    share = percent(lost[worst] / ceiling)
    if worst == "split":
        apart = edges["total"] / counts["splits"] if counts["splits"] else edges["total"]
        half = report["half_cable_run_nm"]
        return (
            f"Splits cost most: {share} of the ceiling. {percent(edges['correct'] / edges['total'])} of the cable is "
            f"in the right segment, but it is cut {_number(counts['splits'], 'time', 'times')}, once every "
            f"{um(apart)}. Half of the cable lies on {runs_of(half['segmentation'])}; uncut, it would lie on axons of "
            f"{um(half['ground_truth'])} or more."
        )
    if worst == "merged":
        return (
            f"Mergers cost most: {share} of the ceiling. {_number(counts['mergers'], 'segment runs', 'segments run')} "
            f"along several axons or into other tissue, and {percent(edges['merged'] / edges['total'])} of the cable "
            "lies in them and counts for nothing."
        )
    return (
        f"Omissions cost most: {share} of the ceiling. {percent(edges['omitted'] / edges['total'])} of the cable has "
        f"no segment at all, in {_number(counts['gaps'], 'stretch', 'stretches')}."
    )


def _number(n: float, one: str, several: str) -> str:
    return f"{n:,} {one if n == 1 else several}"
