"""ARAND and VOI of a pair of 512-cubes: ours beside scikit-image, in one run.

    python benchmarks/scorer/bench_dense.py [--size 512] [--labels FILE.npy]

The ground truth is a label cube (the real cortex labels as .npy, z,y,x, or generated blobs); the segmentation is the
same with its labels shifted by three voxels and one label in five cut along a plane. Ours runs on one thread in memory,
then from chunked HDF5 files on all cores. scikit-image excludes pairs of a voxel with itself: its ARAND differs from
"one background" in about the eighth digit.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from axonem_eval import LabelVolume, open_labels, sample_nodes  # noqa: E402
from axonem_eval.sampling import PairCounter  # noqa: E402
from axonem_eval.scoring import DenseScores, OverlapCounter, OverlapTable, dense_scores  # noqa: E402
from benchmarks.harness import timed  # noqa: E402


def labels_of(arguments: argparse.Namespace) -> np.ndarray:
    size = arguments.size
    if arguments.labels:
        return np.ascontiguousarray(np.load(arguments.labels)[:size, :size, :size]).astype(np.uint32)
    # Cells of about 40 voxels whose borders wave, 1,500 labels or so at 512.
    z, y, x = np.meshgrid(*[np.arange(size, dtype=np.float32)] * 3, indexing="ij", sparse=True)
    parts = [(a + 9 * np.sin(b / 17) + 5 * np.sin(c / 11)) // 40 + 2 for a, b, c in ((z, y, x), (y, x, z), (x, z, y))]
    return (1 + parts[0] * 400 + parts[1] * 20 + parts[2]).astype(np.uint32)


def counted(segmentation: LabelVolume, truth: LabelVolume) -> DenseScores:
    counter = OverlapCounter(segmentation, truth)
    sample_nodes(segmentation, np.zeros((1, 3), np.int32), also=counter.add)
    return dense_scores(counter.table())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--labels", type=Path, metavar="FILE.npy")
    arguments = parser.parse_args()

    truth = labels_of(arguments)
    segmentation = np.roll(truth, 3, axis=1)
    segmentation[: arguments.size // 2][segmentation[: arguments.size // 2] % 5 == 0] += np.uint32(1_000_000)
    n = truth.size
    print(f"{n / 1e6:.0f} Mvoxel, {len(np.unique(truth[::4, ::4, ::4])):,} labels or more")

    def ours() -> Any:
        counter = PairCounter()
        for a, b in zip(truth, segmentation, strict=True):
            counter.add(a, b)
        return dense_scores(OverlapTable(*counter.table()))

    PairCounter().add(truth[0, 0], segmentation[0, 0])  # compile outside the timed part
    scores = timed("ours, in memory, 1 thread", ours, n)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("truth.h5", "seg.h5")]
        for path, labels in zip(paths, (truth, segmentation), strict=True):
            with h5py.File(path, "w") as file:
                file.create_dataset("main", data=labels, chunks=(64, 64, 64), compression="gzip")
        with open_labels(paths[0]) as gt, open_labels(paths[1]) as seg:
            counted(seg, gt)  # so that both files are in the page cache
            from_files = timed("ours, from HDF5, all cores", lambda: counted(seg, gt), n)
    assert from_files == scores, (from_files, scores)

    from skimage.metrics import adapted_rand_error, variation_of_information

    arand, _, _ = timed("scikit-image adapted_rand_error", lambda: adapted_rand_error(truth, segmentation), n)
    # scikit-image leaves out what is 0 in its first image.
    voi = timed(
        "scikit-image variation_of_information",
        lambda: variation_of_information(truth, segmentation, ignore_labels=(0,)),
        n,
    )
    print(f"ARAND, one background  ours {scores.arand_one_background:.10f}   scikit-image {arand:.10f}")
    print(f"VOI split, merge       ours {scores.voi_split:.8f} {scores.voi_merge:.8f}")
    print(f"               scikit-image {voi[0]:.8f} {voi[1]:.8f}")


if __name__ == "__main__":
    main()
