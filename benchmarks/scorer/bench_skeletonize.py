"""Skeletons of the cortex cube: kimimaro on the whole volume beside ours on one and two processes, in one run.

    python benchmarks/scorer/bench_skeletonize.py [--crop 512] [--mirror 1] [--variants kimimaro before ours-1 ours-2]

*before* is ours with kimimaro's own search for paths, and *coarse* is ours where labels of more than 1 Mvoxel are
giants. ``--mirror 2`` makes a volume of 2 x 2 x 2 cubes, each the mirror image of the next: segments go on across, and
giants are eight times as large. A line for each of ours on one process says what a diagnosis of AxonEM's size takes on
8 cores, from CPU seconds: tracing goes by the downsampled voxels and is shared by the cores, as workers do; the rest
goes by the voxels of the file and is not shared.

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
import time
from pathlib import Path
from pkgutil import resolve_name

import h5py
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from axonem_eval.diagnosis import diagnose  # noqa: E402
from axonem_eval.skeletonize import Teasar, skeletonize_labels  # noqa: E402
from axonem_eval.skeletons import SkeletonGraph  # noqa: E402
from axonem_eval.volumes import downsample_block, near_isotropic_factor  # noqa: E402
from benchmarks.data.tiles import AXONEM_SHAPE_ZYX, CUBE, VOXEL_NM_ZYX, load_cube  # noqa: E402
from benchmarks.harness import Clock, in_child  # noqa: E402

LONG_NM = 5000.0
COARSE_VOXELS = 1 << 20
CORES = 8
AXONEM_NM_ZYX = (30.0, 8.0, 8.0)


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


def run_ours(labels: Path, out: Path, variant: str) -> None:
    if variant == "before":
        import kimimaro

        vars(resolve_name("axonem_eval.skeletonize.teasar"))["_tracer"] = lambda: kimimaro.trace
    if variant == "coarse":
        vars(resolve_name("axonem_eval.skeletonize.giants"))["MAX_VOXELS"] = COARSE_VOXELS
    ended = {"": time.process_time()}

    def on_progress(stage: str, *_: int) -> None:
        ended[stage] = time.process_time()

    processes = int(variant.removeprefix("ours-")) if variant.startswith("ours-") else 1
    graph = skeletonize_labels(labels, VOXEL_NM_ZYX, processes=processes, on_progress=on_progress)
    diagnose(graph)
    ended["diagnose"] = time.process_time()
    links = coo_array((np.ones(graph.n_edges), (graph.edge_u, graph.edge_v)), shape=(graph.n_nodes, graph.n_nodes))
    pieces = connected_components(links, directed=False)[0]
    _save(out, graph.skeleton_id.tolist(), graph.skeleton_length_nm.tolist(), pieces)
    words = graph.traced_coarsely.get("words", "no giant")
    if processes == 1:
        words += "\n" + axonem_size(dict(zip(list(ended)[1:], np.diff(list(ended.values())), strict=True)), graph)
    out.with_suffix(".txt").write_text(words)


def axonem_size(stage_s: dict[str, float], graph: SkeletonGraph) -> str:
    """What a volume of AxonEM's size would take, from the CPU seconds of each stage of this one."""
    full = np.prod(AXONEM_SHAPE_ZYX, dtype=float) / np.prod(graph.shape_zyx, dtype=float)
    small = full * np.prod(near_isotropic_factor(VOXEL_NM_ZYX)) / np.prod(near_isotropic_factor(AXONEM_NM_ZYX))
    traced = stage_s["skeletonize"]
    rest = sum(stage_s.values()) - traced
    told = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stage_s.items())
    minutes = (small * traced / CORES + full * rest) / 60
    return f"CPU: {told}; 13.8 Gvoxel on {CORES} cores: {minutes:.1f} minutes"


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
    words = out.with_suffix(".txt")
    line = (
        f"{variant:12}{found['wall_s']:9.1f}{found['cpu_s']:9.1f}{peak_gb:9.2f}"
        f"{sum(cable.values()) / 1e3:12.1f}{len(cable):10,}{pieces:9,}"
    )
    if words.exists():
        print(f"{variant}: " + "; ".join(words.read_text().splitlines()))
    return cable, line


def agreement(ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Share of the long skeletons whose cable is within 1%, and the largest difference."""
    long = [label for label, cable in theirs.items() if cable > LONG_NM]
    if not long:
        return "none longer than 5 um"
    relative = np.abs([ours.get(label, 0.0) / theirs[label] - 1 for label in long])
    within = np.mean(relative < 0.01) * 100
    return f"{within:10.2f}% of {len(long)}{np.mean(relative < 1e-5) * 100:10.2f}%{relative.max() * 100:9.2f}%"


def mirrored(cube: np.ndarray, times: int) -> np.ndarray:
    """A cube and its mirror images in turn along each axis."""
    for axis in range(3):
        cube = np.concatenate([np.flip(cube, axis) if i % 2 else cube for i in range(times)], axis)
    return cube


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crop", type=int, default=CUBE, help="edge of the piece of the cube, in voxels")
    parser.add_argument("--mirror", type=int, default=1, help="cubes along each axis")
    parser.add_argument("--variants", nargs="+", default=["kimimaro", "before", "ours-1", "ours-2", "coarse"])
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--labels", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.variant:
        clock = Clock()
        if arguments.variant == "kimimaro":
            run_kimimaro(arguments.labels, arguments.out)
        else:
            run_ours(arguments.labels, arguments.out, arguments.variant)
        print(json.dumps(clock.read()))
        return

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, edge, times in (("warm.h5", 64, 1), ("labels.h5", arguments.crop, arguments.mirror)):
            with h5py.File(folder / file, "w") as target:
                middle = slice((CUBE - edge) // 2, (CUBE + edge) // 2)
                piece = mirrored(np.ascontiguousarray(load_cube()[middle, middle, middle]), times)
                target.create_dataset("main", data=piece, chunks=(64, 64, 64), compression="gzip")
        skeletonize_labels(folder / "warm.h5", VOXEL_NM_ZYX)
        shape = f"{arguments.crop}-cube, {arguments.mirror} along each axis"
        print(f"{shape}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(f"{'':12}{'seconds':>9}{'CPU s':>9}{'peak GB':>9}{'cable um':>12}{'skeletons':>10}{'pieces':>9}", end="")
        print(f"{'> 5 um within 1%':>20}{'the same':>11}{'largest':>10}")
        theirs: dict[int, float] = {}
        for variant in arguments.variants:
            ours, line = measured(variant, folder / "labels.h5", folder)
            theirs = theirs or ours  # the first is what the others are compared with
            print(line, "" if ours is theirs else agreement(ours, theirs), flush=True)
            if missing := ours.keys() ^ theirs.keys():
                print(f"{'':12}labels with a skeleton in one and not in the other: {len(missing)}")


if __name__ == "__main__":
    main()
