"""How much of what is wrong the diagnosis finds, without ground truth: known errors made in labels, then looked for.

    python benchmarks/scorer/bench_diagnosis.py [--splits 30] [--merges 15] [--edge 320]

Axons of 5 um or more of synthetic tissue, and of the cortex cube where it is there, are cut in two or joined with a
neighbour. A place in the list counts as right where both its segments are halves of one axon (a split), or its segment
is one of those joined (a merger). The list of the untouched labels tells what the labels hold by themselves: real
branches, glia, errors of the cortex labels.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from axonem_eval.diagnosis import diagnose, diagnosis_json
from axonem_eval.skeletonize import skeletonize_labels
from axonem_eval.synthetic import Errors, Merge, Split, make_tissue, with_errors, write_labels
from benchmarks.data.tiles import VOXEL_NM_ZYX, load_cube

LONG_UM = 5.0
DEPTHS = (10, 20, 50, 100)


def places(labels: np.ndarray, folder: Path, voxel_nm: tuple[float, float, float]) -> dict:
    write_labels(folder / "labels.h5", labels, voxel_nm)
    return diagnosis_json(diagnose(skeletonize_labels(folder / "labels.h5", voxel_nm, processes=2)), top=1_000_000)


def look(name: str, labels: np.ndarray, voxel_nm: tuple[float, float, float], splits: int, merges: int) -> None:
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        before = places(labels, folder, voxel_nm)
        long = [int(s["segment"]) for s in before["longest_segments"] if s["length_nm"] > LONG_UM * 1000]
        wrong, records = with_errors(labels, voxel_nm, Errors(splits=splits, merges=merges), seed=3, candidates=long)
        after = places(wrong, folder, voxel_nm)
    cut = {frozenset((str(r.label), str(r.new_label))) for r in records if isinstance(r, Split)}
    joined = {str(r.label) for r in records if isinstance(r, Merge)}
    pairs = [frozenset(row["segments"]) for row in after["likely_splits"]["places"]]
    crossed = [row["segment"] for row in after["likely_mergers"]["places"]]
    print(f"\n{name}: {len(long)} axons over {LONG_UM:g} um; {len(cut)} cut, {len(joined)} joined with another")
    print(f"{'':10}{'listed':>8}{'untouched':>11}{'found':>12}" + "".join(f"{f'right in {k}':>14}" for k in DEPTHS))
    for kind, listed, known, clean in (
        ("splits", pairs, cut, before["likely_splits"]["count"]),
        ("mergers", crossed, joined, before["likely_mergers"]["count"]),
    ):
        right = [len({p for p in listed[:k] if p in known}) for k in DEPTHS]
        found = len(known.intersection(listed))
        print(f"{kind:10}{len(listed):8}{clean:11}{f'{found} of {len(known)}':>12}" + "".join(f"{n:14}" for n in right))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=30)
    parser.add_argument("--merges", type=int, default=15)
    parser.add_argument("--edge", type=int, default=320, help="edge of both volumes in voxels")
    arguments = parser.parse_args()
    n = arguments.edge
    tissue = make_tissue((n // 2, n, n), VOXEL_NM_ZYX, seed=7).labels
    look(f"synthetic tissue {n // 2} x {n} x {n}", tissue, VOXEL_NM_ZYX, arguments.splits, arguments.merges)
    cube = np.ascontiguousarray(load_cube()[:n, :n, :n])
    look(f"cortex {n} x {n} x {n}", cube, VOXEL_NM_ZYX, arguments.splits, arguments.merges)


if __name__ == "__main__":
    main()
