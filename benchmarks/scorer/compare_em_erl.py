"""Our ERL beside em_erl's, on the same skeletons and node labels.

    python benchmarks/scorer/compare_em_erl.py EM_ERL_CHECKOUT [--fib25 FOLDER] [--generated]

EM_ERL_CHECKOUT: a clone of github.com/PytorchConnectomics/em_erl; it is only imported, nothing of it is kept.
FOLDER: FIB-25 as tests/fib25_files.py writes it: ffn.h5 and overseg.h5 with gt.npz and mask.h5 (skeletons),
lines.npz and lines_mask.h5 (centre lines, which the tests hold numbers of), or both.

Without a mask the two agree to rounding. em_erl's loader of its older files cuts edge lengths to float32, which moves
its ERL by 1e-8; the table shows it with the lengths as they are in the file. With a mask they differ by definition:
em_erl takes a merger that the mask found out of those skeletons only in which it has T nodes or more, ours out of
every skeleton (docs/metric.md, "Mask mergers").
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from axonem_eval import NodeSample, SkeletonGraph, VolumeSpec, open_labels, sample_nodes, score_nodes  # noqa: E402
from axonem_eval.skeletons import from_em_erl  # noqa: E402
from benchmarks.scorer.em_erl_graph import em_erl_graph  # noqa: E402

TOLERANCES = (0, 1, 10, 50)
Case = tuple[str, SkeletonGraph, NodeSample]


def theirs(graph: SkeletonGraph, sample: NodeSample, tolerance: int) -> tuple[float, float]:
    """em_erl's (ERL, GT ERL) in nm, from our skeletons handed over with float64 lengths."""
    from em_erl.eval import compute_erl_score

    mask = None
    if sample.mask_segment is not None and sample.mask_voxels is not None:
        mask = np.repeat(sample.mask_segment.astype(np.int64), sample.mask_voxels)
    score: Any = compute_erl_score(em_erl_graph(graph), sample.node_segment.astype(np.int64), mask, tolerance)
    score.compute_erl()
    return float(score.erl[0]), float(score.erl[1])


def from_file(name: str, graph: SkeletonGraph, segmentation: Path, mask: Path) -> Iterator[Case]:
    with open_labels(segmentation) as volume:
        yield name, graph, sample_nodes(volume, graph.node_voxel_zyx)
        with open_labels(mask) as mask_volume:
            yield f"{name}, mask", graph, sample_nodes(volume, graph.node_voxel_zyx, no_merge_mask=mask_volume)


def em_erl_cases(data: Path) -> Iterator[Case]:
    with open_labels(data / "vol_pred.h5") as volume:
        spec = VolumeSpec(volume.shape_zyx, (30.0, 30.0, 30.0))
    graph = from_em_erl(data / "gt_graph.npz", spec)
    yield from from_file("em_erl tests/data", graph, data / "vol_pred.h5", data / "vol_no-mask.h5")


def fib25_cases(folder: Path) -> Iterator[Case]:
    for skeletons, mask in (("gt", "mask"), ("lines", "lines_mask")):
        if not (folder / f"{skeletons}.npz").exists():
            continue
        graph = SkeletonGraph.load(folder / f"{skeletons}.npz")
        print(f"FIB-25 {skeletons}: {graph.n_skeletons} skeletons, {graph.n_nodes:,} nodes, {graph.checksum()[:12]}")
        for name in ("ffn", "overseg"):
            yield from from_file(f"{skeletons} {name}", graph, folder / f"{name}.h5", folder / f"{mask}.h5")


def generated_cases() -> Iterator[Case]:
    from tests.scoring.em_erl_case import generated_case

    graph, sample = generated_case()
    yield "generated", graph, NodeSample(sample.node_segment)
    yield "generated, mask", graph, sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("em_erl", type=Path, metavar="EM_ERL_CHECKOUT")
    parser.add_argument("--fib25", type=Path, metavar="FOLDER")
    parser.add_argument("--generated", action="store_true", help="the case that the tests hold numbers of")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.em_erl))

    cases = list(em_erl_cases(arguments.em_erl / "tests" / "data"))
    cases += list(fib25_cases(arguments.fib25)) if arguments.fib25 else []
    cases += list(generated_cases()) if arguments.generated else []
    print(
        f"{'case':24} {'T':>3} {'ours, nm':>20} {'em_erl, nm':>20} {'relative':>9}   {'GT ERL, nm':>18} {'relative':>9}"
    )
    for name, graph, sample in cases:
        for tolerance in TOLERANCES:
            ours = score_nodes(graph, sample, tolerance_nodes=tolerance)
            their_erl, their_gt = theirs(graph, sample, tolerance)
            print(
                f"{name:24} {tolerance:>3} {ours.erl_nm:>20.12f} {their_erl:>20.12f} "
                f"{relative(ours.erl_nm, their_erl):>9.1e}   {ours.gt_erl_nm:>18.10f} "
                f"{relative(ours.gt_erl_nm, their_gt):>9.1e}"
            )


def relative(ours: float, other: float) -> float:
    """Signed relative difference; 0 where both are 0."""
    return 0.0 if ours == other else (ours - other) / max(abs(ours), abs(other))


if __name__ == "__main__":
    main()
