"""`axonem-eval workshop`: identify segments, proofread them, make a benchmark volume."""

import argparse
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from axonem_eval.cli.options import (
    ProgressBar,
    add_json,
    add_processes,
    at_least_one,
    float_triple,
    person,
    print_result,
    segment_ids,
    voxel,
)
from axonem_eval.errors import InputError

if TYPE_CHECKING:
    from axonem_eval.workshop import Batches, Decision, SegmentLabel, Workshop

LABELS = ("axon", "dendrite", "glia", "uncertain")
ANALYSE = "Draw the lengths of the axons of a volume, compared with other volumes, and the longest and shortest axons."
DRAWN = 6
VERDICT_OF = {"accept": "accepted", "reject": "rejected", "postpone": "postponed", "undo": "undone"}


def _add_workshop(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", help="what to do")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text)
        added.add_argument("folder", metavar="FOLDER", help="folder of the workshop")
        return added

    new = action("new", "Measure a segmentation: skeletons, batches of similar segments, likely errors.")
    new.add_argument("labels", metavar="LABELS", help="label file of the segmentation")
    new.add_argument("--voxel-size", type=float_triple, required=True, metavar="Z,Y,X", help="voxel size in nm")
    new.add_argument(
        "--trust-voxel-size", action="store_true", help="continue although the file states another voxel size"
    )
    add_processes(new)
    add_json(action("batches", "List the batches: how many segments lack a label, and which they probably need."))
    label = action("label", "Say what segments are.")
    label.add_argument("label", choices=LABELS, help="label of the segments")
    which = label.add_mutually_exclusive_group(required=True)
    which.add_argument("--batch", type=int, metavar="N", help="all segments of a batch")
    which.add_argument("--segments", type=segment_ids, metavar="ID,ID", help="single segments")
    label.add_argument("--by", type=person, required=True, metavar="NAME", help="name of the annotator")
    label.add_argument(
        "--settle", action="store_true", help="end a disagreement: this label overrides all earlier ones"
    )
    add_json(action("disagreements", "List segments that annotators label differently."))
    candidates = action("candidates", "List likely errors, the most likely first, and what was decided.")
    candidates.add_argument(
        "--kind", choices=("split", "merger", "end"), help="list only this kind; end: ends inside the volume"
    )
    candidates.add_argument(
        "--order",
        choices=("likely", "gain"),
        default="likely",
        help="likely: the most likely first (default); gain: the largest changes first, for over-segmentations",
    )
    candidates.add_argument(
        "--top", type=at_least_one, default=50, metavar="N", help="number of candidates of each kind (default 50)"
    )
    add_json(candidates)
    decide = action("decide", "Accept, reject or postpone a likely error, or undo what was decided.")
    decide.add_argument("candidate", metavar="CANDIDATE", help="name of the candidate, as `candidates` lists it")
    decide.add_argument("verdict", choices=tuple(VERDICT_OF), help="the decision")
    decide.add_argument("--by", type=person, required=True, metavar="NAME", help="name of the person who decides")
    _add_cut(action("cut", "Part a segment by points in its two axons; `decide CANDIDATE undo` takes it back."))
    tables = action("import", "Add labels or decisions from tables, such as those of another workshop.")
    tables.add_argument("--labels", metavar="CSV", help="table of labels (labels.csv)")
    tables.add_argument("--decisions", metavar="CSV", help="table of decisions (decisions.csv)")
    apply = action("apply", "Write the segmentation with the accepted decisions.")
    apply.add_argument("-o", "--output", required=True, metavar="SEG", help="label file to write (.h5)")
    finalise = action("finalise", "Make a benchmark volume: axons, no-merge mask, skeletons, data sheet.")
    finalise.add_argument("-o", "--output", required=True, metavar="VOLUME", help="new folder to write")
    add_processes(finalise)
    analyse = actions.add_parser("analyse", help=ANALYSE, description=ANALYSE)
    analyse.add_argument("skeletons", metavar="SKELETONS", help="skeletons of the axons (.npz)")
    analyse.add_argument("--labels", metavar="SEG", help="label file of the axons: adds pictures of some of them")
    analyse.add_argument(
        "--against", action="append", default=[], metavar="SKELETONS", help="another volume's skeletons; repeatable"
    )
    analyse.add_argument("-o", "--output", required=True, metavar="FOLDER", help="folder for the pictures")


def _add_cut(cut: argparse.ArgumentParser) -> None:
    cut.add_argument("segment", type=at_least_one, metavar="SEGMENT", help="segment that holds two axons")
    for side in ("this", "other"):
        cut.add_argument(
            f"--{side}", type=voxel, action="append", required=True, metavar="Z,Y,X",
            help=f"voxel in {'the one axon' if side == 'this' else 'the other'}; repeatable",
        )  # fmt: skip
    cut.add_argument("--preview", action="store_true", help="print how large the two sides are, and store nothing")
    cut.add_argument("--by", type=person, required=True, metavar="NAME", help="name of the person who decides")


def run_workshop(arguments: argparse.Namespace) -> None:
    """`axonem-eval workshop`."""
    if arguments.action in _WITHOUT_WORKSHOP:
        _WITHOUT_WORKSHOP[arguments.action](arguments)
        return
    from axonem_eval.workshop import Workshop

    _ACTIONS[arguments.action](Workshop.open(arguments.folder), arguments)


def _new(arguments: argparse.Namespace) -> None:
    from axonem_eval.workshop import prepare_workshop

    with closing(ProgressBar()) as bar:
        made = prepare_workshop(
            arguments.folder,
            arguments.labels,
            arguments.voxel_size,
            trust_voxel_size=arguments.trust_voxel_size,
            processes=arguments.processes,
            on_progress=bar,
        )
    kinds = [c.correction.kind for c in made.candidates]
    print(f"{len(made.segments):,} segments to identify in {made.batches.count:,} batches")
    print(f"{kinds.count('split'):,} likely splits and {kinds.count('merger'):,} likely mergers to decide")


def _batches(shop: "Workshop", arguments: argparse.Namespace) -> None:
    from axonem_eval.workshop import consensus, suggest

    agreed = consensus(shop.labels())
    suggestions = suggest(shop.segments, shop.batches, agreed.label)
    rows = [_batch_row(shop, shop.batches, batch, agreed.label) for batch in range(shop.batches.count)]
    for row in rows:
        found = suggestions.get(row["batch"])
        row |= {"suggestion": found.label if found else None, "suggestion_share": found.share if found else None}
    left = sum(row["segments_left"] for row in rows)
    lines = [f"{'batch':>5} {'group':>5} {'segments':>8} {'left':>5} {'length um':>9} {'width nm':>8}  suggestion"]
    for row in rows:
        words = f"{row['suggestion']} ({row['suggestion_share']:.0%})" if row["suggestion"] else ""
        lines.append(
            f"{row['batch']:5} {row['group']:5} {len(row['segments']):8} {row['segments_left']:5} "
            f"{row['median_length_um']:9.1f} {row['median_width_nm']:8.0f}  {words}"
        )
    lines.append(f"{left:,} of {len(shop.segments):,} segments left; {len(agreed.disagreements):,} disagreements")
    print_result(arguments.json, {"batches": rows, "segments_left": left}, lines)


def _batch_row(shop: "Workshop", batches: "Batches", batch: int, label_of: dict[int, str]) -> dict[str, Any]:
    import numpy as np

    members = batches.members(batch)
    ids = shop.segments.segment[members].tolist()
    return {
        "batch": batch,
        "group": int(batches.group[members[0]]),
        "segments": [str(i) for i in ids],
        "segments_left": sum(i not in label_of for i in ids),
        "median_length_um": float(np.median(shop.segments.length_nm[members])) / 1000.0,
        "median_width_nm": float(np.median(shop.segments.width_nm[members])),
    }


def _label(shop: "Workshop", arguments: argparse.Namespace) -> None:
    segments = arguments.segments
    if segments is None:
        if not 0 <= arguments.batch < shop.batches.count:
            raise InputError.of(
                "no_batch", f"batch {arguments.batch}: the workshop has batches 0 to {shop.batches.count - 1}"
            )
        segments = shop.segments.segment[shop.batches.members(arguments.batch)].tolist()
    rows = shop.label_rows(segments, arguments.label, arguments.by, settles=arguments.settle)
    shop.add_labels(rows)
    print(f"{len(rows):,} segments labelled {arguments.label} by {arguments.by}")


def _disagreements(shop: "Workshop", arguments: argparse.Namespace) -> None:
    from axonem_eval.workshop import consensus

    found = consensus(shop.labels()).disagreements
    rows = [{**asdict(row), "segment": str(row.segment)} for row in found]
    lines = [
        f"segment {row.segment} at {','.join(map(str, row.anchor_zyx))}: "
        + ", ".join(f"{who}: {label}" for who, label in row.votes.items())
        for row in found
    ]
    print_result(arguments.json, {"disagreements": rows}, [*lines, f"{len(rows):,} disagreements"])


def _candidates(shop: "Workshop", arguments: argparse.Namespace) -> None:
    from axonem_eval.workshop import KINDS, candidate_json, of_kind, open_ends, standing

    hold = standing(shop.decisions())
    data: dict[str, Any] = {}
    lines = []
    for kind in KINDS if arguments.kind is None else (arguments.kind,):
        if kind == "end":
            ends = open_ends(shop.skeletons, arguments.top)
            data["ends"] = [{**asdict(end), "segment": str(end.segment)} for end in ends]
            lines += [f"end of segment {e.segment} ({e.length_um:.1f} um) at {_voxel(e.at_zyx)}" for e in ends]
            continue
        found = of_kind(shop.candidates, kind, arguments.order)
        rows = []
        for candidate in found[: arguments.top]:
            decision = hold.get(candidate.correction.name)
            verdict = decision.verdict if decision else "open"
            rows.append({**candidate_json(candidate), "verdict": verdict, "by": decision.author if decision else None})
            lines.append(f"{verdict:9} {candidate.ranked_by:.3f}  {candidate.correction.name}")
        data[f"{kind}s"] = rows
        lines.append(f"{len(found):,} likely {kind}s")
    print_result(arguments.json, data, lines)


def _voxel(zyx: tuple[int, int, int]) -> str:
    return ",".join(map(str, zyx))


def _decide(shop: "Workshop", arguments: argparse.Namespace) -> None:
    from axonem_eval.workshop import Decision, now, standing

    correction = shop.correction(arguments.candidate)
    verdict = VERDICT_OF[arguments.verdict]
    before = standing(shop.decisions()).get(arguments.candidate)
    if verdict == "undone" and before is None:
        raise InputError.of(
            "not_decided", f"{arguments.candidate}: nothing is decided about it; there is nothing to undo"
        )
    if verdict != "undone" and before is not None and before.verdict != "postponed":
        raise InputError.of(
            "decided",
            f"{arguments.candidate}: {before.verdict} by {before.author} at {before.at}; undo that first, with "
            f"`axonem-eval workshop decide {arguments.folder} {arguments.candidate} undo --by {arguments.by}`",
        )
    shop.add_decisions([Decision(correction, verdict, arguments.by, now())])
    print(f"{arguments.candidate}: {verdict} by {arguments.by}")


def _cut(shop: "Workshop", arguments: argparse.Namespace) -> None:
    from axonem_eval.volumes import open_labels
    from axonem_eval.workshop import MERGER, Correction, Decision, now, part_by_points, standing

    correction = Correction(MERGER, (arguments.segment,), tuple(arguments.this), tuple(arguments.other))
    size = shop.source.voxel_size_nm_zyx
    with open_labels(shop.source.path, shop.source.dataset) as volume:
        sides = part_by_points(volume, arguments.segment, correction.this_side, correction.other_side, size)
    this, other = (n * size[0] * size[1] * size[2] / 1e9 for n in sides.voxels)
    print(f"this side has {this:.3f} um3, the other {other:.3f} um3, in a box around the points")
    if arguments.preview:
        return
    if correction.name in standing(shop.decisions()):
        raise InputError.of("decided", f"{correction.name}: is decided about already; undo that first")
    shop.add_decisions([Decision(correction, "accepted", arguments.by, now())])
    print(f"{correction.name}: accepted by {arguments.by}")


def _import(shop: "Workshop", arguments: argparse.Namespace) -> None:
    from axonem_eval.workshop import read_decisions, read_labels

    if not (arguments.labels or arguments.decisions):
        arguments.wrong_usage("import needs --labels CSV or --decisions CSV")
    labels: list[SegmentLabel] = read_labels(arguments.labels) if arguments.labels else []
    decisions: list[Decision] = read_decisions(arguments.decisions) if arguments.decisions else []
    # A table that is imported twice changes nothing.
    known_labels, known_decisions = set(shop.labels()), set(shop.decisions())
    labels = [row for row in labels if row not in known_labels]
    decisions = [row for row in decisions if row not in known_decisions]
    shop.require_known(labels, decisions)
    if labels:
        shop.add_labels(labels)
    if decisions:
        shop.add_decisions(decisions)
    print(f"{len(labels):,} labels and {len(decisions):,} decisions added")


def _apply(shop: "Workshop", arguments: argparse.Namespace) -> None:
    from axonem_eval.workshop import accepted, apply_corrections

    with closing(ProgressBar()) as bar:
        done = apply_corrections(
            shop.source.path,
            accepted(shop.decisions()),
            arguments.output,
            shop.source.voxel_size_nm_zyx,
            dataset=shop.source.dataset,
            on_progress=bar,
        )
    print(f"{done.joined:,} splits joined and {done.cut:,} mergers cut; written to {arguments.output}")
    for name, why in done.without_effect.items():
        print(f"{name} has no effect: {why}")


def _finalise(shop: "Workshop", arguments: argparse.Namespace) -> None:
    from axonem_eval.workshop import finalise

    folder = Path(arguments.output)
    if folder.exists() and not folder.is_dir():
        raise InputError.of("no_folder", f"{folder}: this is a file; name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise InputError.of("folder_exists", f"{folder}: is not empty; name a new folder")
    was_there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with closing(ProgressBar()) as bar:
            made = finalise(
                shop.source,
                shop.skeletons,
                shop.labels(),
                shop.decisions(),
                folder,
                processes=arguments.processes,
                on_progress=bar,
            )
    except InputError:
        if not was_there and not any(folder.iterdir()):
            folder.rmdir()
        raise
    graph = made.skeletons
    print(f"{graph.n_skeletons:,} axons, {graph.skeleton_length_nm.sum() / 1000:,.1f} um of cable")
    print(f"ground-truth ERL {graph.gt_erl_nm / 1000:.3f} um; written to {folder}")
    for name, why in made.applied.without_effect.items():
        print(f"{name} has no effect: {why}")


def _analyse(arguments: argparse.Namespace) -> None:
    from axonem_eval.files import write_atomically
    from axonem_eval.report import MOST_VOLUMES, axons_picture, lengths_figure, webp
    from axonem_eval.skeletons import SkeletonGraph

    if len(arguments.against) >= MOST_VOLUMES:
        arguments.wrong_usage(f"a figure has room for {MOST_VOLUMES} volumes, that is {MOST_VOLUMES - 1} --against")
    folder = Path(arguments.output)
    if folder.exists() and not folder.is_dir():
        raise InputError.of("no_folder", f"{folder}: this is a file; name a folder")
    graphs = [SkeletonGraph.load(path) for path in (arguments.skeletons, *arguments.against)]
    names = [
        f"{Path(path).resolve().parent.name}/{Path(path).stem}" for path in (arguments.skeletons, *arguments.against)
    ]
    pictures = {}
    order = graphs[0].skeleton_length_nm.argsort(kind="stable")
    if arguments.labels:
        for name, chosen in (("longest.webp", order[::-1][:DRAWN]), ("shortest.webp", order[:DRAWN])):
            ids = graphs[0].skeleton_id[chosen].tolist()
            pictures[name] = webp(axons_picture(arguments.labels, ids, graphs[0].voxel_size_nm_zyx))
    lengths = {name: graph.skeleton_length_nm / 1000 for name, graph in zip(names, graphs, strict=True)}
    pictures["lengths.svg"] = lengths_figure(lengths).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pictures.items():
        write_atomically(folder / name, partial(_write, content))
        print(f"written {folder / name}")


def _write(content: bytes, file: IO[bytes]) -> None:
    file.write(content)


_WITHOUT_WORKSHOP = {"new": _new, "analyse": _analyse}
_ACTIONS = {
    "batches": _batches,
    "label": _label,
    "disagreements": _disagreements,
    "candidates": _candidates,
    "decide": _decide,
    "cut": _cut,
    "import": _import,
    "apply": _apply,
    "finalise": _finalise,
}
COMMANDS = {"workshop": (_add_workshop, run_workshop)}
