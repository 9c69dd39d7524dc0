"""The sections of the report, each from a part of the full report's JSON; empty text where that part is missing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from axonem_eval.report import parts, plots
from axonem_eval.report.axons import AxonDrawing, AxonRuns, error_words
from axonem_eval.report.parts import pair, paragraph, section, table
from axonem_eval.report.plots import bin_name, percent, um
from axonem_eval.report.svg import legend, number

WORST_SHOWN, ERRORS_SHOWN = 10, 15


def runs_of(nm: float) -> str:
    """Pieces of at least that length, in words; 0 stands for none."""
    return f"pieces of {um(nm)} or more" if nm else "no correct piece"


def losses(report: dict[str, Any]) -> str:
    """What each kind of error takes from the ceiling, and the cable by class of edge."""
    lost, edges, counts = report["erl_lost_nm"], report["edges_nm"], report["error_counts"]
    ceiling = report["gt_erl_nm"]
    rows = [["ceiling", um(ceiling), "100%", "", ""]]
    for name, words, count in (
        ("omitted", "lost to omissions", "gaps"),
        ("split", "lost to splits", "splits"),
        ("merged", "lost to mergers", "mergers"),
    ):
        per_mm = f"{counts[f'{count}_per_mm']:,.0f}"
        rows.append([words, um(lost[name]), percent(lost[name] / ceiling), f"{counts[count]:,}", per_mm])
    rows.append(["ERL", um(report["erl_nm"]), percent(report["normalized_erl"]), "", ""])
    cable = [
        [name, um(edges[name]), percent(edges[name] / edges["total"])]
        for name in ("correct", "omitted", "split", "merged", "total")
    ]
    return section(
        "Where the score goes",
        paragraph(
            "What each kind of error takes from the ceiling. An omission leaves axon without a segment, a split parts "
            "it into two segments, and a merger is a segment that runs along several axons: all of it counts for "
            "nothing."
        ),
        pair(
            plots.loss_bar(report),
            table(["", "length", "of ceiling", "number", "per mm"], rows, "From the ceiling to the ERL"),
        ),
        paragraph(
            "The same by cable: how much of the axons' length has the right segment. Little of it need be wrong for a "
            "low score, because a cut takes a short piece of cable but breaks a long run in two."
        ),
        pair(plots.edge_bar(report), table(["class of edge", "length", "share"], cable, "Cable by class of edge")),
    )


def run_lengths(report: dict[str, Any]) -> str:
    """Distribution of run lengths beside that of the axons."""
    survival, half = report["run_survival"], report["half_cable_run_nm"]
    n = len(survival["length_nm"])
    every = sorted({round(i) for i in np.linspace(0, n - 1, min(n, 9))}) if n else []
    rows = [
        [
            f"{survival['length_nm'][i] / 1000:.3g}",
            percent(survival["ground_truth"][i]),
            percent(survival["segmentation"][i]),
        ]
        for i in every
    ]
    return section(
        "How long the correct runs are",
        paragraph(
            "Read it as: so much of the cable lies on a run of at least this length. The area below the segmentation's "
            "curve is its ERL, the area below the ground truth's is the ceiling. Half of the ground-truth cable lies "
            f"on axons of at least {um(half['ground_truth'])}; half of it lies on {runs_of(half['segmentation'])} here."
        ),
        pair(
            plots.survival_plot(survival),
            table(["run length, µm", "ground truth", "segmentation"], rows, "Cable on runs of at least that length"),
        )
        if n > 1
        else "",
    )


def strips(longest: Sequence[AxonRuns]) -> str:
    """The longest axons as bars of runs; nothing for hidden ground truth."""
    if not longest:
        return ""
    rows = [
        [
            f"{i + 1}",
            str(a.skeleton_id),
            um(a.length_nm),
            f"{a.n_runs:,}",
            um(a.runs_nm[0]) if a.runs_nm else "0",
            percent((a.length_nm - a.merged_nm - a.split_nm - a.omitted_nm) / a.length_nm),
        ]
        for i, a in enumerate(longest)
    ]
    return section(
        "The longest axons, cut into their runs",
        paragraph(
            "Each bar is one axon, to scale. A perfect segmentation would show each as a single piece; what counts is "
            "the length of the pieces, not how much of the bar is blue."
        ),
        pair(
            plots.strips(longest),
            table(["axon", "id", "length", "runs", "longest", "correct"], rows, "The same in numbers"),
        ),
    )


def drawings(drawings: Sequence[AxonDrawing]) -> str:
    """The worst axons as drawings; nothing for hidden ground truth."""
    if not drawings:
        return ""
    panels = [
        (
            f"Axon {axon.skeleton_id}, {um(axon.length_nm)}",
            plots.drawing(axon),
            [
                f"{error_words(axon.errors, i, axon.skeleton_id)}; fixed alone: +{um(gain)} ERL"
                for i, gain in enumerate(axon.errors.gain_nm.tolist())
            ],
        )
        for axon in drawings
    ]
    return section(
        "The axons that cost most",
        paragraph(
            "Those that take most from the score, seen in the plane of their two longest extents. The numbers mark "
            "their worst errors."
        ),
        parts.drawings(panels),
        legend([("run0", "runs, each segment in its colour"), *plots.CLASSES[1:]]),
    )


def bins(report: dict[str, Any]) -> str:
    """ERL by length of the axon."""
    bins = [b for b in report["length_bins"] if b["axons"]]
    if not bins:
        return ""
    total = report["edges_nm"]["total"]
    rows = [
        [
            bin_name(b),
            f"{b['axons']:,}",
            percent(b["gt_cable_nm"] / total),
            percent(b["run_cable_nm"] / total),
            um(b["erl_nm"]),
            um(b["gt_erl_nm"]),
            percent(b["normalized_erl"]),
        ]
        for b in bins
    ]
    head = ["µm", "axons", "cable", "in runs", "ERL", "ceiling", "share"]
    return section(
        "Short axons and long ones",
        paragraph(
            "ERL of the axons of each length, as a share of what a perfect segmentation would reach on them. A random "
            "point lies mostly on long axons, so they weigh most."
        ),
        pair(
            plots.bins_plot(bins),
            table(head, rows, "By length of the axon; “cable” is theirs, “in runs” what lies in runs of that length"),
        ),
    )


def tolerance(report: dict[str, Any]) -> str:
    """ERL by merge tolerance."""
    rows = [
        [
            "∞" if p["tolerance_nodes"] is None else number(p["tolerance_nodes"]),
            "" if p["tolerance_um"] is None else f"{p['tolerance_um']:.2g}",
            um(p["erl_nm"]),
            percent(p["normalized_erl"]),
            f"{p['mergers']:,}",
        ]
        for p in report["tolerance_curve"]
    ]
    return section(
        "How strict the merge criterion is",
        paragraph(
            "A segment counts as a merger once it holds at least T nodes of two axons each. T = 1 forgives nothing, "
            "not even one node of a neighbour; at infinity mergers cost nothing, and what is left is splits and "
            "omissions."
        ),
        pair(
            plots.tolerance_plot(report),
            table(["T, nodes", "T, µm", "ERL", "of ceiling", "mergers"], rows, "By tolerance"),
        ),
    )


def dense(report: dict[str, Any]) -> str:
    """ARAND and VOI, where there is dense ground truth."""
    dense = report.get("dense")
    if not dense:
        return ""
    rows = [
        ["ARAND, as SNEMI3D", f"{dense['arand']:.4f}", "background voxels are segments of their own"],
        ["ARAND, one background", f"{dense['arand_one_background']:.4f}", "all background is one segment"],
        ["VOI split, bits", f"{dense['voi_split']:.4f}", "what is left to know of the segment, given the truth"],
        ["VOI merge, bits", f"{dense['voi_merge']:.4f}", "what is left to know of the truth, given the segment"],
    ]
    return section(
        "Against the dense ground truth",
        paragraph(
            f"All {dense['voxels']:,.0f} labelled voxels, {dense['truth_labels']:,} labels against "
            f"{dense['segments']:,} segments; {percent(dense['background_share'])} of the voxels have no segment. 0 is "
            "perfect."
        ),
        table(["error", "value", "meaning"], rows, "Adapted Rand error and variation of information", words=(0, 2)),
    )


def worst(report: dict[str, Any]) -> str:
    """The axons that take most from the score; nothing for hidden ground truth."""
    axons = report.get("worst_axons") or []
    if not axons:
        return ""
    rows = [
        [
            a["skeleton_id"],
            um(a["length_nm"]),
            um(a["erl_nm"]),
            um(a["lost_nm"]),
            um(a["longest_run_nm"]),
            f"{a['splits']:,}",
            f"{a['gaps']:,}",
            f"{a['mergers']:,}",
            percent(a["omitted_nm"] / a["length_nm"]),
            percent(a["merged_nm"] / a["length_nm"]),
        ]
        for a in axons[:WORST_SHOWN]
    ]
    head = ["axon", "length", "ERL", "takes", "longest run", "splits", "gaps", "mergers", "omitted", "merged"]
    return section(
        "Worst axons",
        paragraph(
            "By what each takes from the ERL of the volume. Long axons lead, because they hold most of the cable."
        ),
        table(head, rows, "The axons that take most from the ERL"),
    )


def errors(report: dict[str, Any]) -> str:
    """The errors that cost most, with positions; nothing for hidden ground truth."""
    errors = report.get("top_errors") or []
    if not errors:
        return ""
    rows = []
    for e in errors[:ERRORS_SHOWN]:
        touched = [s for s in (e["segment"], e["other_segment"]) if s != "0"]
        axons = [s for s in (e["skeleton_id"], e["other_skeleton_id"]) if s != "0"]
        voxel = f"{e['z_voxel']}, {e['y_voxel']}, {e['x_voxel']}"
        nm = f"{e['z_nm']:,.0f}, {e['y_nm']:,.0f}, {e['x_nm']:,.0f}"
        kind = e["kind"]
        rows.append([kind, um(e["erl_gain_nm"]), um(e["length_nm"]), ", ".join(axons), " | ".join(touched), voxel, nm])
    head = ["kind", "ERL gain if fixed", "cable", "axon", "segments", "voxel z, y, x", "nm z, y, x"]
    return section(
        "Worst errors and where they are",
        paragraph(
            "By how much the ERL would rise if that error alone were fixed: a split glued, a gap filled, a merger cut "
            "into one segment for each axon. Gains do not add up, since fixing one error raises what the next is "
            "worth."
        ),
        table(head, rows, "Errors with their positions"),
    )


def method(report: dict[str, Any], command: str) -> str:
    """Definitions and settings."""
    interval = report["erl_interval"]
    size = " × ".join(number(v) for v in report["voxel_size_nm"])
    mask = "with a no-merge mask" if report["no_merge_mask"] else "without a no-merge mask"
    entries = [
        (
            "Ground truth",
            f"{report['skeletons']:,} skeletons, {report['nodes']:,} nodes, {um(report['edges_nm']['total'])} of "
            f"cable, nodes {report['mean_node_spacing_nm']:.3g} nm apart; voxel {size} nm (z, y, x); {mask}",
        ),
        (
            "Correct, omitted, split, merged",
            "An edge of a ground-truth skeleton is correct when both its ends lie in the same segment and that segment "
            "is no merger. Otherwise it is omitted (an end is background), split (its ends lie in two segments) or "
            "merged.",
        ),
        (
            "ERL",
            "For each axon and segment the summed length of its correct edges is one run. ERL = sum of squared runs / "
            "total cable; the ceiling is the same with each axon as one run.",
        ),
        (
            "Interval",
            f"Percentile bootstrap over axons, {interval['resamples']:,} resamples, seed {interval['seed']}. As a "
            f"share of the ceiling: {percent(interval['normalized_erl_low'])} – "
            f"{percent(interval['normalized_erl_high'])}.",
        ),
        ("Metric version", str(report["metric_version"])),
    ]
    if command:
        entries.append(("Made by", command))
    return section("How it was measured", parts.definitions(entries))
