"""A diagnosis as JSON and as text."""

from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np

from axonem_eval.diagnosis.diagnose import Diagnosis
from axonem_eval.diagnosis.split_and_merge_candidates import KINDS

SCHEMA = "axonem-diagnosis"
SCHEMA_VERSION = 1
LENGTH_EDGES_UM = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)


def diagnosis_json(d: Diagnosis, top: int = 100) -> dict[str, Any]:
    """Plain data with a stable schema; lists hold at most ``top`` rows. Ids are decimal strings, because JavaScript
    rounds numbers above 2**53; what is unknown is null."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "voxel_size_nm": list(d.graph.voxel_size_nm_zyx),
        "shape": list(d.graph.shape_zyx),
        "skeletons_sha256": d.graph.checksum(),
        "settings": asdict(d.settings),
        "segments": _segments(d),
        "length_histogram": _histogram(d),
        "end_points": _end_points(d, top),
        "likely_splits": {"count": len(d.splits.score), "places": _splits(d, top)},
        "likely_mergers": {"count": len(d.mergers.score), "places": _mergers(d, top)},
        "longest_segments": _longest(d, top),
        "traced_coarsely": d.graph.traced_coarsely,
    }


def _segments(d: Diagnosis) -> dict[str, Any]:
    length = d.length_nm
    long = length > d.settings.long_um * 1000.0
    return {
        "count": d.graph.n_skeletons,
        "cable_nm": float(length.sum()),
        "long_count": int(long.sum()),
        "long_cable_nm": float(length[long].sum()),
        "median_length_nm": float(np.median(length)) if len(length) else 0.0,
        "longest_nm": float(length.max(initial=0.0)),
        "expected_run_length_nm": d.graph.gt_erl_nm,
        "volume_um3": None if d.graph.volume_um3 is None else float(d.graph.volume_um3.sum()),
        "branch_points": int((d.degree >= 3).sum()),
    }


def _histogram(d: Diagnosis) -> dict[str, Any]:
    """Number and cable of the segments from one edge to below the next; the last bin has no upper edge."""
    place = np.searchsorted(np.asarray(LENGTH_EDGES_UM) * 1000.0, d.length_nm, side="right") - 1
    n = len(LENGTH_EDGES_UM)
    return {
        "edges_um": list(LENGTH_EDGES_UM),
        "count": np.bincount(place, minlength=n).tolist(),
        "cable_nm": np.bincount(place, weights=d.length_nm, minlength=n).tolist(),
    }


def _end_points(d: Diagnosis, top: int) -> dict[str, Any]:
    """The ends of the longest segments first: an axon that is long and still stops inside the volume."""
    owner = d.graph.node_skeleton[d.ends.node]
    cable_mm = float(d.length_nm.sum()) / 1e6
    order = np.lexsort((d.ends.node, -d.length_nm[owner]))[:top]
    return {
        "count": int((d.degree == 1).sum()),
        "interior_count": len(d.ends.node),
        "interior_per_mm": len(d.ends.node) / cable_mm if cable_mm else 0.0,
        "places": [
            {
                "segment": str(d.graph.skeleton_id[owner[i]]),
                "segment_length_nm": float(d.length_nm[owner[i]]),
                **_place(d, d.ends.node[i]),
            }
            for i in order
        ],
    }


def _splits(d: Diagnosis, top: int) -> list[dict[str, Any]]:
    found = d.splits
    rows = []
    for i in range(min(top, len(found.score))):
        nodes = d.ends.node[[found.first[i], found.second[i]]]
        owner = d.graph.node_skeleton[nodes]
        middle = d.graph.centre_nm_zyx(nodes).mean(axis=0)
        voxel = d.graph.node_voxel_zyx[nodes].mean(axis=0)
        rows.append(
            {
                "score": float(found.score[i]),
                "ranked_by": float(found.ranked_by[i]),
                "segments": [str(s) for s in d.graph.skeleton_id[owner]],
                "segment_lengths_nm": d.length_nm[owner].tolist(),
                "distance_nm": float(found.distance_nm[i]),
                "bend_degrees": float(found.bend_degrees[i]),
                "position_voxel": [int(v) for v in voxel],
                "position_nm": middle.tolist(),
                "ends_voxel": d.graph.node_voxel_zyx[nodes].tolist(),
            }
        )
    return rows


def _mergers(d: Diagnosis, top: int) -> list[dict[str, Any]]:
    found = d.mergers
    return [
        {
            "score": float(found.score[i]),
            "ranked_by": float(found.ranked_by[i]),
            "segment": str(d.graph.skeleton_id[d.graph.node_skeleton[found.node[i]]]),
            "segment_length_nm": float(d.length_nm[d.graph.node_skeleton[found.node[i]]]),
            "shorter_line_nm": float(found.shorter_nm[i]),
            "kind": KINDS[found.kind[i]],
            "spread_nm": float(found.spread_nm[i]),
            "bend_degrees": float(found.bend_degrees[i]),
            **_place(d, found.node[i]),
        }
        for i in range(min(top, len(found.score)))
    ]


def _longest(d: Diagnosis, top: int) -> list[dict[str, Any]]:
    columns = {name: [_known(value) for value in values[:top]] for name, values in d.per_segment().items()}
    columns["segment"] = [str(segment) for segment in columns["segment"]]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _place(d: Diagnosis, node: int) -> dict[str, Any]:
    return {
        "position_voxel": d.graph.node_voxel_zyx[node].tolist(),
        "position_nm": d.graph.centre_nm_zyx(node).tolist(),
        "radius_nm": None if d.graph.node_radius_nm is None else float(d.graph.node_radius_nm[node]),
    }


def _known(value: Any) -> Any:
    number = value.item()
    return None if isinstance(number, float) and np.isnan(number) else number


def summary_lines(d: Diagnosis, top: int = 5) -> list[str]:
    """The figures, and the first ``top`` places of each list, for people."""
    data = diagnosis_json(d, top)
    segments, ends = data["segments"], data["end_points"]
    lines = [
        f"{segments['count']:,} segments with a skeleton, {segments['cable_nm'] / 1e3:,.1f} um of cable",
        f"{segments['long_count']:,} longer than {d.settings.long_um:g} um, {segments['long_cable_nm'] / 1e3:,.1f} um",
        f"median length {segments['median_length_nm'] / 1e3:.2f} um, longest {segments['longest_nm'] / 1e3:,.1f} um, "
        f"expected run length {segments['expected_run_length_nm'] / 1e3:,.2f} um",
        f"{ends['interior_count']:,} of {ends['count']:,} end points lie inside the volume, "
        f"{ends['interior_per_mm']:,.0f} per mm of cable",
        *(["note: " + data["traced_coarsely"]["words"]] if data["traced_coarsely"] else []),
        "",
        "length um      segments     cable um",
    ]
    histogram = data["length_histogram"]
    names = [f"{e:g}" for e in histogram["edges_um"]]
    spans = [f"{a} to {b}" for a, b in pairwise(names)] + [f"over {names[-1]}"]
    lines += [
        f"{span:12}{count:11,}{cable / 1e3:13,.1f}"
        for span, count, cable in zip(spans, histogram["count"], histogram["cable_nm"], strict=True)
        if count
    ]
    splits, mergers = data["likely_splits"], data["likely_mergers"]
    lines += ["", f"{splits['count']:,} likely splits: ends that face one another (voxel z,y,x)"]
    lines += [
        f"  {_voxel(row)}  segments {row['segments'][0]} and {row['segments'][1]}, {row['distance_nm']:.0f} nm apart, "
        f"bend {row['bend_degrees']:.0f} degrees, score {row['score']:.2f}, ranked by {row['ranked_by']:.2f}"
        for row in splits["places"]
    ]
    lines += ["", f"{mergers['count']:,} likely mergers: two straight lines in one segment (voxel z,y,x)"]
    lines += [
        f"  {_voxel(row)}  segment {row['segment']}, {row['kind']}, the shorter line "
        f"{row['shorter_line_nm'] / 1e3:.1f} um, bend {row['bend_degrees']:.0f} degrees, "
        f"score {row['score']:.2f}, ranked by {row['ranked_by']:.2f}"
        for row in mergers["places"]
    ]
    return lines


def _voxel(row: dict[str, Any]) -> str:
    return ",".join(str(v) for v in row["position_voxel"])
