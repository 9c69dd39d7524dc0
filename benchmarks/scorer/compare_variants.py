"""One segmentation by every rule: how much the scoring variants differ on real volumes.

    python benchmarks/scorer/compare_variants.py FIB25 CORTEX [--work FOLDER]

FIB25: the published files of FIB-25 training sample 2 (250 cube, 10 nm): FFN's published segmentation and the
over-segmentation against the ground truth. CORTEX: the folder of connectomics.npy.ckl.gz, real labels of mouse cortex
at 40 x 16 x 16 nm without a published segmentation; its entry is a copy of 512 x 256 x 256 voxels with planted errors.
Each volume is read once; all rows follow from that sample. The no-merge mask of FIB-25 covers the bodies without a
skeleton; cortex has none.
"""

import argparse
import gzip
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from axonem_eval import NodeSample, SkeletonGraph, score_nodes  # noqa: E402
from axonem_eval.scoring import VARIANTS, figures_of, headline, node_scores, sample_file  # noqa: E402
from axonem_eval.skeletonize import SkeletonOptions, skeletonize_labels  # noqa: E402
from axonem_eval.synthetic import Errors, with_errors  # noqa: E402

CORTEX_NM = (40.0, 16.0, 16.0)
CORTEX_PIXELS = 256  # of 512 in y and x, so that skeletons take minutes
MIN_LENGTH_UM = 5.0
Case = tuple[str, SkeletonGraph, NodeSample]


def fib25_cases(source: Path, work: Path) -> Iterator[Case]:
    from tests.fib25_files import write_fib25

    if not (work / "gt.npz").exists():
        write_fib25(source, work)
    graph = SkeletonGraph.load(work / "gt.npz")
    for name in ("ffn", "overseg"):
        yield f"FIB-25, {name}", graph, sample_file(work / f"{name}.h5", graph, no_merge_mask=work / "mask.h5")


def cortex_case(source: Path, work: Path) -> Iterator[Case]:
    if not (work / "cortex.npz").exists():
        import crackle

        packed = gzip.decompress((source / "connectomics.npy.ckl.gz").read_bytes())
        labels = np.asarray(crackle.decompress(packed)).T[:, :CORTEX_PIXELS, :CORTEX_PIXELS]
        write(work / "cortex.h5", labels)
        skeletonize_labels(work / "cortex.h5", CORTEX_NM, SkeletonOptions(min_length_um=MIN_LENGTH_UM)).save(
            work / "cortex.npz"
        )
        graph = SkeletonGraph.load(work / "cortex.npz")
        among = graph.skeleton_id.astype(np.int64).tolist()
        errors = Errors(splits=60, merges=20, small_merges=60, holes=200)
        entry, _ = with_errors(labels, CORTEX_NM, errors, candidates=among, seed=1)
        write(work / "cortex_entry.h5", entry)
    graph = SkeletonGraph.load(work / "cortex.npz")
    yield "cortex, planted errors", graph, sample_file(work / "cortex_entry.h5", graph)


def write(path: Path, labels: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=labels, chunks=(64, 64, 64), compression="gzip", compression_opts=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fib25", type=Path, metavar="FIB25")
    parser.add_argument("cortex", type=Path, metavar="CORTEX")
    parser.add_argument("--work", type=Path, help="folder for what is made (default: a temporary one)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = arguments.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for case in chain(fib25_cases(arguments.fib25, work), cortex_case(arguments.cortex, work)):
            show(*case)


def show(name: str, graph: SkeletonGraph, sample: NodeSample) -> None:
    print(f"\n{name}: {graph.n_skeletons:,} skeletons, {graph.n_nodes:,} nodes, T in nodes")
    print("| variant | T | mergers | ERL, nm | of the ceiling | headline |\n|---|---:|---:|---:|---:|---:|")
    for variant in VARIANTS.values():
        if not variant.needs_skeletons:
            continue
        report = score_nodes(graph, sample, variant=variant)
        ranked = headline(variant, figures_of(report=report, nodes=node_scores(graph, sample, variant)))
        value = f"{ranked.value:,.1f} nm" if ranked.unit else f"{ranked.value:.4f}"
        count = "≥" if variant.inclusive else ">"
        print(
            f"| {variant.name} | {count} {variant.tolerance_nodes} | {report.mergers} | {report.erl_nm:,.1f} "
            f"| {100 * report.normalized_erl:.2f}% | {value} |"
        )
    strict = score_nodes(graph, sample, variant=VARIANTS["nisb"])
    print("nERL by nisb's tolerances:", {t: round(value, 4) for t, value in strict.normalized_erl_at.items()})
    nodes = node_scores(graph, sample)
    print(f"nodes on background: {100 * nodes.nodes_on_background_share:.2f}%")


if __name__ == "__main__":
    main()
