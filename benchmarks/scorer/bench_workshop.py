"""How far the workshop's candidates lead to the errors: planted ones in cortex, real ones in FIB-25.

    python benchmarks/scorer/bench_workshop.py planted [--edge 320] [--seeds 3,4,5] --work FOLDER [--picture SVG]
    python benchmarks/scorer/bench_workshop.py oracle FIB25 --work FOLDER [--picture SVG] [--finalise]

planted: axons of 5 um or more of the cortex cube are cut by a plane (30) or joined with a neighbour (15), for each
seed. A likely split is right where it joins the two halves of an axon; a likely merger where its two sides lie in two
axons of the untouched labels, as often in a segment as it was joined. All weights were fitted on the opposite corner of
the cube. Last, the right cuts are applied: how many give both axons back (Jaccard index above 0.9 and 0.8). The same
for cuts by points of a simulated annotator (benchmarks/scorer/workshop_points.py).

oracle: the published over-segmentation of FIB-25 (the folder of its files). The ground truth decides: a join is
accepted where most voxels of both segments belong to one body. ERL (tolerance 50) and VOI after the first k
candidates, in both orders of the list and in random order. With --finalise the accepted joins become a benchmark
volume; the ground truth scored on it says how far it is right. Bodies whose mean radius is below AXON_NM are axons.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from axonem_eval.report import svg
from axonem_eval.sampling import NodeSample, sample_nodes
from axonem_eval.scoring import OverlapTable, dense_scores, score_nodes
from axonem_eval.skeletonize import skeletonize_labels
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.synthetic import Errors, Merge, Split, with_errors, write_labels
from axonem_eval.volumes import open_labels
from axonem_eval.workshop import (
    MERGER,
    SPLIT,
    Candidate,
    Correction,
    Decision,
    SegmentLabel,
    Source,
    apply_corrections,
    finalise,
    find_candidates,
    find_contacts,
    measure_segments,
    now,
    of_kind,
)
from benchmarks.data.tiles import VOXEL_NM_ZYX, load_cube
from benchmarks.scorer.workshop_points import POINTS, Annotator

LONG_UM = 5.0
# Jaccard indices of an axon with its part of the segment, from which it counts as given back.
LIKE = (0.9, 0.8)
AXON_NM = 110.0
DEPTHS = (10, 15, 20, 30, 60, 100, 200)
STYLE = """text{font:13px sans-serif;fill:#333}.label{font-weight:bold}.grid{stroke:#ddd}.axis{stroke:#333}
polyline{fill:none;stroke-width:2.5}.a{stroke:#0072b2}.b{stroke:#d55e00}.c{stroke:#999;stroke-dasharray:5 4}
.ta{fill:#0072b2}.tb{fill:#d55e00}.tc{fill:#777}"""


def skeletons(labels: Path, made: Path, voxel_nm) -> SkeletonGraph:
    """Skeletons of a label file, made once."""
    if not made.exists():
        skeletonize_labels(labels, voxel_nm, processes=2).save(made)
    return SkeletonGraph.load(made)


def candidates_of(folder: Path, voxel_nm) -> list[Candidate]:
    graph = skeletons(folder / "labels.h5", folder / "skeletons.npz", voxel_nm)
    return find_candidates(folder / "labels.h5", graph, find_contacts(folder / "labels.h5", voxel_nm))


def planted(arguments: argparse.Namespace) -> None:
    n, work = arguments.edge, Path(arguments.work)
    cube = np.ascontiguousarray(load_cube()[:n, :n, :n])
    clean = work / "clean"
    clean.mkdir(parents=True, exist_ok=True)
    if not (clean / "labels.h5").exists():
        write_labels(clean / "labels.h5", cube, VOXEL_NM_ZYX)
    graph = skeletons(clean / "labels.h5", clean / "skeletons.npz", VOXEL_NM_ZYX)
    long = graph.skeleton_id[graph.skeleton_length_nm > LONG_UM * 1000].tolist()
    found: dict[str, list[list[bool]]] = {SPLIT: [], MERGER: []}
    known: dict[str, list[int]] = {SPLIT: [], MERGER: []}
    restored, annotators = [], []
    for seed in arguments.seeds:
        wrong, records = with_errors(cube, VOXEL_NM_ZYX, Errors(splits=30, merges=15), seed=seed, candidates=long)
        folder = work / f"seed{seed}"
        folder.mkdir(exist_ok=True)
        if not (folder / "labels.h5").exists():
            write_labels(folder / "labels.h5", wrong, VOXEL_NM_ZYX)
        listed = candidates_of(folder, VOXEL_NM_ZYX)
        cut = {frozenset((r.label, r.new_label)) for r in records if isinstance(r, Split)}
        pairs = [frozenset(c.correction.segments) for c in of_kind(listed, SPLIT)]
        found[SPLIT].append([pair in cut for pair in pairs])
        known[SPLIT].append(len(cut))
        joined, hits, parted = [r for r in records if isinstance(r, Merge)], [], {}
        left = Counter(int(wrong[r.position_zyx]) for r in joined)
        for c in of_kind(listed, MERGER):
            pair, segment = _two_axons(cube, c), c.correction.segments[0]
            hits.append(pair is not None and pair not in parted and left[segment] > 0)
            if pair and hits[-1]:
                parted[pair] = c.correction
                left[segment] -= 1
        found[MERGER].append(hits)
        known[MERGER].append(len(joined))
        restored.append(_restored(cube, wrong, folder, parted))
        annotators.append(_by_points(cube, wrong, folder, joined, seed))
        missed = sorted(sorted(pair) for pair in cut - set(pairs[:60]))
        print(f"seed {seed}: cuts that are not among the first 60: {missed}")
    for kind in (SPLIT, MERGER):
        print(
            f"\n{kind}s, {sum(known[kind])} planted in {len(arguments.seeds)} copies; right among the first k of each"
        )
        print(f"{'k':>6}{'right':>8}{'recall':>9}{'precision':>11}")
        for k in DEPTHS:
            right = sum(sum(hits[:k]) for hits in found[kind])
            listed_n = sum(min(k, len(hits)) for hits in found[kind])
            print(f"{k:6}{right:8}{right / sum(known[kind]):9.0%}{right / max(1, listed_n):11.0%}")
    cuts, effect, *good = (sum(column) for column in zip(*restored, strict=True))
    print(f"\nright cuts {cuts}; take effect {effect}; give both axons back (Jaccard above 0.9, 0.8) {good}")
    print_points(annotators, sum(known[MERGER]))
    if arguments.picture:
        curves = {}
        for kind in (SPLIT, MERGER):
            mean = [sum(sum(h[:k]) for h in found[kind]) / sum(known[kind]) * 100 for k in range(101)]
            curves[kind] = (list(range(101)), mean)
        draw(arguments.picture, "planted errors found (%)", "candidates looked at", 100, curves)


def _two_axons(cube: np.ndarray, candidate: Candidate) -> frozenset | None:
    """The two axons of the untouched labels that a cut parts; None where it parts none."""
    sides = [
        {int(cube[voxel]) for voxel in side}
        for side in (candidate.correction.this_side, candidate.correction.other_side)
    ]
    return frozenset(sides[0] | sides[1]) if all(len(side) == 1 for side in sides) and sides[0] != sides[1] else None


def _restored(cube: np.ndarray, wrong: np.ndarray, folder: Path, parted: dict[frozenset, Correction]) -> np.ndarray:
    """How many cuts there are, how many of them take effect, and how many give both axons back."""
    cut = folder / "cut.h5"
    applied = apply_corrections(folder / "labels.h5", list(parted.values()), cut, VOXEL_NM_ZYX)
    with h5py.File(cut) as file:
        after = file["main"][:]
    alike = [_alike(cube, wrong, after, pair, correction) for pair, correction in parted.items()]
    return np.array([len(parted), applied.cut, *(sum(index > like for index in alike) for like in LIKE)])


def _alike(cube: np.ndarray, wrong: np.ndarray, after: np.ndarray, pair: frozenset, correction: Correction) -> float:
    """Jaccard index of the worse of two axons with its part of the segment after a cut."""
    within = wrong == correction.segments[0]
    labels, axons, alike = after[within], cube[within], []
    for axon in pair:
        own = axons == axon
        if not own.any():
            return 0.0
        ids, voxels = np.unique(labels[own], return_counts=True)
        best = labels == ids[voxels.argmax()]
        # Of the other axons in the segment only the other one of the pair is to be parted from it here.
        alike.append((best & own).sum() / ((best & np.isin(axons, list(pair))) | own).sum())
    return float(min(alike))


def _by_points(cube: np.ndarray, wrong: np.ndarray, folder: Path, joined: list, seed: int) -> dict:
    """Jaccard indices of each merger by the number of points placed; `seconds` of each cut."""
    found: dict = {"seconds": []}
    placed = []
    for i, merge in enumerate(joined):
        pair = frozenset(map(int, (merge.label, merge.absorbed)))
        annotator = Annotator(cube, wrong, folder / "labels.h5", merge, VOXEL_NM_ZYX, np.random.default_rng([seed, i]))
        placed.append((pair, annotator.corrections()))
        print(f"seed {seed}: merger {i + 1} of {len(joined)}", file=sys.stderr)
        found["seconds"] += annotator.seconds
    for k, points in enumerate(POINTS):
        # One file for each pair would be read often: those of all segments are cut at once.
        cuts = [c[min(k, len(c) - 1)] for _, c in placed if c]
        apply_corrections(folder / "labels.h5", cuts, folder / "points.h5", VOXEL_NM_ZYX)
        with h5py.File(folder / "points.h5") as file:
            after = file["main"][:]
        found[points] = [_alike(cube, wrong, after, pair, c[min(k, len(c) - 1)]) for pair, c in placed if c]
    return found


def print_points(annotators: list[dict], mergers: int) -> None:
    print(f"\ncuts by points, {mergers} mergers; both axons back at a Jaccard index above 0.9, 0.8")
    for points in POINTS:
        index = np.concatenate([found[points] for found in annotators])
        print(f"{points:3} points: {(index > 0.9).sum():4}{(index > 0.8).sum():4}   median {np.median(index):.2f}")
    seconds = np.concatenate([found["seconds"] for found in annotators])
    print(f"a cut takes {np.median(seconds):.2f} s (median), {seconds.max():.2f} s at most")


def oracle(arguments: argparse.Namespace) -> None:
    from tests.fib25_files import VOXEL_NM
    from tests.fib25_files import write_labels as write_fib25

    work = Path(arguments.work)
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "overseg.h5").exists():
        write_fib25(Path(arguments.fib25), work)
    truth = skeletons(work / "gt.h5", work / "gt.npz", VOXEL_NM)
    graph = skeletons(work / "overseg.h5", work / "overseg.npz", VOXEL_NM)
    listed = of_kind(
        find_candidates(work / "overseg.h5", graph, find_contacts(work / "overseg.h5", VOXEL_NM), most=20_000), SPLIT
    )
    with h5py.File(work / "gt.h5") as one, h5py.File(work / "overseg.h5") as other:
        body, segment = one["main"][:], other["main"][:]
    pairs = np.array([c.correction.segments for c in listed], np.int64)
    wide = np.int64(body.max()) + 1
    pair, voxels = np.unique(segment.astype(np.int64) * wide + body, return_counts=True)
    overlaps = (pair % wide, pair // wide, voxels.astype(np.int64))
    best = majority(*overlaps)
    right = (best[pairs[:, 0]] == best[pairs[:, 1]]) & (best[pairs[:, 0]] > 0)
    with open_labels(work / "overseg.h5") as volume:
        nodes = sample_nodes(volume, truth.node_voxel_zyx).node_segment.astype(np.int64)
    steps = sorted({0, 50, 100, 200, 400, 600, 800, 1000, 1500, 2000, 3000, 4000, 6000, len(listed)})
    steps = [k for k in steps if k <= len(listed)]
    rng = np.random.default_rng(0)
    gain = np.argsort([-c.gain for c in listed], kind="stable")
    orders = {"gain": gain, "likely": np.arange(len(listed)), "random": rng.permutation(len(listed))}
    curves: dict[str, list[dict]] = {}
    print(f"{len(listed):,} likely splits, {right.mean():.0%} of them right; {len(best[best > 0]):,} segments")
    print(f"{'order':8}{'k':>7}{'accepted':>10}{'ERL um':>9}{'of GT':>8}{'VOI split':>11}{'VOI merge':>11}")
    for name, order in orders.items():
        curves[name] = []
        for k in steps:
            rows = order[:k]
            label = joined_labels(len(best), pairs[rows[right[rows]]])
            dense = dense_scores(relabelled(overlaps, label))
            score = score_nodes(truth, NodeSample(label[nodes].astype(np.uint64)))
            row = {
                "k": k,
                "accepted": int(right[rows].sum()),
                "erl_um": score.erl_nm / 1000,
                "share": score.erl_nm / truth.gt_erl_nm,
                "voi_split": dense.voi_split,
                "voi_merge": dense.voi_merge,
            }
            curves[name].append(row)
            print(
                f"{name:8}{k:7}{row['accepted']:10}{row['erl_um']:9.3f}{row['share']:8.1%}{row['voi_split']:11.3f}"
                f"{row['voi_merge']:11.3f}"
            )
    if arguments.finalise:
        finish(work, VOXEL_NM, segment, best, truth, graph, [listed[i] for i in np.flatnonzero(right)])
    (work / "oracle.json").write_text(json.dumps(curves, indent=2))
    if arguments.picture:
        lines = {name: ([r["k"] for r in rows], [r["share"] * 100 for r in rows]) for name, rows in curves.items()}
        draw(arguments.picture, "ERL (% of the ground truth's)", "candidates decided", steps[-1], lines)


def finish(work: Path, voxel_nm, segment, best, truth: SkeletonGraph, graph: SkeletonGraph, right: list) -> None:
    """Make a benchmark volume of the right joins, as annotators would who know the body of each segment."""
    long = measure_segments(truth, LONG_UM)
    kind = np.full(int(best.max()) + 1, "uncertain")
    kind[long.segment.astype(np.int64)] = np.where(long.width_nm < AXON_NM, "axon", "dendrite")
    kind[0] = "uncertain"
    labels = [
        SegmentLabel(i, tuple(voxel), str(kind[best[i]]), "oracle", now())
        for i, voxel in enumerate(first_voxels(segment, len(best)).tolist())
        if i and voxel[0] >= 0
    ]
    decisions = [Decision(candidate.correction, "accepted", "oracle", now()) for candidate in right]
    folder = work / "volume"
    folder.mkdir(exist_ok=True)
    begun = time.monotonic()
    made = finalise(Source(work / "overseg.h5", voxel_nm), graph, labels, decisions, folder, processes=2)
    seconds = time.monotonic() - begun
    with open_labels(work / "gt.h5") as volume:
        score = score_nodes(made.skeletons, sample_nodes(volume, made.skeletons.node_voxel_zyx))
    sheet, axons = made.sheet, np.flatnonzero(long.width_nm < AXON_NM)
    print(
        f"\nthe ground truth has {len(axons)} axons, {long.length_nm[axons].sum() / 1000:,.0f} um of cable\n"
        f"finalised in {seconds:.0f} s: {made.applied.joined:,} joins, {sheet['axons']:,} axons, "
        f"{sheet['cable_nm'] / 1000:,.0f} um of cable, ERL {sheet['gt_erl_nm'] / 1000:.2f} um\n"
        f"the ground truth scored on it: ERL {score.erl_nm / 1000:.2f} um "
        f"({score.erl_nm / made.skeletons.gt_erl_nm:.1%})"
    )


def first_voxels(segment: np.ndarray, n: int) -> np.ndarray:
    """(n, 3) by segment id, a voxel of it; -1 where there is none."""
    found = np.full((n, 3), -1, np.int64)
    for z, section in enumerate(segment):
        ids, place = np.unique(section, return_index=True)
        is_new = found[ids, 0] < 0
        found[ids[is_new]] = np.column_stack(
            [np.full(is_new.sum(), z), *np.unravel_index(place[is_new], section.shape)]
        )
    return found


def majority(body: np.ndarray, segment: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """By segment id, the body that holds most of its voxels."""
    order = np.lexsort((voxels, segment))
    best = np.zeros(int(segment.max()) + 1, np.int64)
    best[segment[order]] = body[order]  # the largest comes last
    return best


def relabelled(overlaps: tuple, label: np.ndarray) -> OverlapTable:
    """Overlaps of the bodies with the segments once they are joined."""
    body, segment, voxels = overlaps
    wide = np.int64(len(label))
    pair, row = np.unique(body * wide + label[segment], return_inverse=True)
    total = np.bincount(row, weights=voxels).astype(np.int64)
    return OverlapTable((pair // wide).astype(np.uint64), (pair % wide).astype(np.uint64), total)


def joined_labels(n: int, pairs: np.ndarray) -> np.ndarray:
    """By segment id, its label once the pairs are joined; 0 stays 0."""
    from axonem_eval.skeletons import connected_pieces

    label = connected_pieces(n, pairs[:, 0], pairs[:, 1]).astype(np.uint32)
    return label


def draw(path: str, y_label: str, x_label: str, x_high: float, curves: dict) -> None:
    """Curves from (xs, ys) by name, as an SVG of its own."""
    frame = svg.Frame.of(600, 320, x_high, 100)
    content = frame.y_axis([0, 20, 40, 60, 80, 100], y_label) + frame.x_numbers(x_label)
    for place, (name, (xs, ys)) in enumerate(curves.items()):
        class_ = "abc"[place]
        content += frame.line(xs, ys, class_)
        content += svg.text(460, 250 - 18 * place, name, f"t{class_}")
    picture = svg.svg(600, 320, content, f"{y_label} by {x_label}")
    Path(path).write_text(svg.standalone(str(picture), STYLE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    first = kinds.add_parser("planted")
    first.add_argument("--edge", type=int, default=320)
    first.add_argument("--seeds", type=lambda text: [int(part) for part in text.split(",")], default=[3, 4, 5])
    first.set_defaults(run=planted)
    second = kinds.add_parser("oracle")
    second.add_argument("fib25", help="folder of the published files")
    second.add_argument("--finalise", action="store_true", help="make a benchmark volume of the accepted joins")
    second.set_defaults(run=oracle)
    for kind in (first, second):
        kind.add_argument("--work", required=True, help="folder for what is made on the way, and kept")
        kind.add_argument("--picture", help="SVG to write")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
