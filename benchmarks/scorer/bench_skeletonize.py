"""Skeletons of the cortex cube: kimimaro on the whole volume beside ours on one and two processes, in one run.

    python benchmarks/scorer/bench_skeletonize.py [--crop 512] [--processes 1 2]

All start from the same HDF5 file (64-cubed gzip chunks, 16 x 16 x 40 nm), bring it to 32 x 32 x 40 nm by the most
frequent label and use the same parameters. Each variant is a process of its own; CPU seconds and the peak memory of
its largest process include its workers, and CPU seconds hold on a busy machine too. Compiled kernels are cached by a
first run on a small piece, outside the measured ones.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from axonem_eval.skeletonize import Teasar, skeletonize_labels  # noqa: E402
from axonem_eval.volumes import downsample_block, near_isotropic_factor  # noqa: E402
from benchmarks.data.tiles import CUBE, VOXEL_NM_ZYX, load_cube  # noqa: E402
from benchmarks.harness import Clock, in_child  # noqa: E402

LONG_NM = 5000.0


def run_kimimaro(labels: Path, out: Path) -> None:
    """kimimaro on the whole downsampled volume, in one process."""
    import kimimaro

    with h5py.File(labels) as file:
        volume = file["main"][:]
    factor = near_isotropic_factor(VOXEL_NM_ZYX)
    small = downsample_block(volume, factor)
    size = np.asarray(VOXEL_NM_ZYX) * factor
    found = kimimaro.skeletonize(
        small.T,
        teasar_params=Teasar().kimimaro(),
        anisotropy=tuple(size[::-1]),
        dust_threshold=Teasar().dust_voxels,
        progress=False,
        parallel=1,
    )
    cable = {int(label): float(skeleton.cable_length()) for label, skeleton in found.items() if len(skeleton.edges)}
    pieces = [len(skeleton.components()) for skeleton in found.values() if len(skeleton.edges)]
    _save(out, list(cable), list(cable.values()), sum(pieces))


def run_ours(labels: Path, out: Path, processes: int) -> None:
    graph = skeletonize_labels(labels, VOXEL_NM_ZYX, processes=processes)
    links = coo_array((np.ones(graph.n_edges), (graph.edge_u, graph.edge_v)), shape=(graph.n_nodes, graph.n_nodes))
    pieces = connected_components(links, directed=False)[0]
    _save(out, graph.skeleton_id.tolist(), graph.skeleton_length_nm.tolist(), pieces)


def _save(out: Path, label: list[int], cable: list[float], pieces: int) -> None:
    np.savez(out, label=np.array(label, np.uint64), cable=np.array(cable), pieces=pieces)


def measured(variant: str, labels: Path, folder: Path) -> tuple[dict[int, float], str]:
    """Cable of each label in nm, and the variant's line of the table."""
    out = folder / f"{variant}.npz"
    found = in_child(__file__, "--variant", variant, "--labels", labels, "--out", out)
    with np.load(out) as result:
        cable = dict(zip(result["label"].tolist(), result["cable"].tolist(), strict=True))
        pieces = int(result["pieces"])
    peak_gb = max(found["rss_gb"], found["child_rss_gb"])
    line = (
        f"{variant:12}{found['wall_s']:9.1f}{found['cpu_s']:9.1f}{peak_gb:9.2f}"
        f"{sum(cable.values()) / 1e3:12.1f}{len(cable):10,}{pieces:9,}"
    )
    return cable, line


def agreement(ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Share of the long skeletons whose cable is within 1%, and the largest difference."""
    long = [label for label, cable in theirs.items() if cable > LONG_NM]
    relative = np.abs([ours.get(label, 0.0) / theirs[label] - 1 for label in long])
    within = np.mean(relative < 0.01) * 100
    return f"{within:10.2f}% of {len(long)}{np.mean(relative < 1e-5) * 100:10.2f}%{relative.max() * 100:9.2f}%"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crop", type=int, default=CUBE, help="edge of the piece of the cube, in voxels")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--labels", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        clock = Clock()
        if arguments.variant == "kimimaro":
            run_kimimaro(arguments.labels, arguments.out)
        else:
            run_ours(arguments.labels, arguments.out, int(arguments.variant.removeprefix("ours-")))
        print(json.dumps(clock.read()))
        return

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, edge in (("warm.h5", 64), ("labels.h5", arguments.crop)):
            with h5py.File(folder / file, "w") as target:
                middle = slice((CUBE - edge) // 2, (CUBE + edge) // 2)
                piece = np.ascontiguousarray(load_cube()[middle, middle, middle])
                target.create_dataset("main", data=piece, chunks=(64, 64, 64), compression="gzip")
        skeletonize_labels(folder / "warm.h5", VOXEL_NM_ZYX)
        print(f"{arguments.crop}-cube, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(f"{'':12}{'seconds':>9}{'CPU s':>9}{'peak GB':>9}{'cable um':>12}{'skeletons':>10}{'pieces':>9}", end="")
        print(f"{'> 5 um within 1%':>20}{'the same':>11}{'largest':>10}")
        theirs, line = measured("kimimaro", folder / "labels.h5", folder)
        print(line, flush=True)
        for processes in arguments.processes:
            ours, line = measured(f"ours-{processes}", folder / "labels.h5", folder)
            print(line, agreement(ours, theirs), flush=True)
            print(
                f"{'':12}labels with a skeleton here and none there, or the reverse: {len(ours.keys() ^ theirs.keys())}"
            )


if __name__ == "__main__":
    main()
