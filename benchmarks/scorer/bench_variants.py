"""One read of a volume serves every scoring variant: chunks read, and the time that each variant adds.

    python benchmarks/scorer/bench_variants.py [--size 512] [--nodes 1000000]

The segmentation is a label cube in HDF5, the skeletons are chains along x with a node in each voxel. The first read is
for our own rule alone, the second for the dense rules as well. Then every rule of skeletons is scored from that sample.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from axonem_eval import LabelVolume, NodeSample, SkeletonGraph, open_labels, sample_nodes, score_nodes  # noqa: E402
from axonem_eval.scoring import VARIANTS, DenseRule, OverlapCounter, dense_scores, node_scores  # noqa: E402
from benchmarks.harness import timed  # noqa: E402
from benchmarks.scorer.bench_dense import labels_of  # noqa: E402

VOXEL_NM = (10.0, 10.0, 10.0)


def chains_along_x(size: int, nodes: int) -> SkeletonGraph:
    rows = max(1, nodes // size)
    place = np.random.default_rng(0).integers(0, size, (rows, 2))
    voxel = np.column_stack([np.repeat(place, size, axis=0), np.tile(np.arange(size), rows)]).astype(np.int32)
    first = np.flatnonzero(np.arange(rows * size) % size != size - 1).astype(np.int32)
    return SkeletonGraph(
        skeleton_id=np.arange(1, rows + 1, dtype=np.uint64),
        node_skeleton=np.repeat(np.arange(rows, dtype=np.int32), size),
        node_voxel_zyx=voxel,
        edge_u=first,
        edge_v=first + np.int32(1),
        edge_length_nm=np.full(len(first), VOXEL_NM[2]),
        shape_zyx=(size, size, size),
        voxel_size_nm_zyx=VOXEL_NM,
    )


class Reads:
    """Counts the chunks that are read of a volume."""

    def __init__(self, volume: LabelVolume) -> None:
        self.volume, self.chunks = volume, 0
        read = volume.read_chunks

        def counted(chunks: Any, scratch: Any) -> Any:
            self.chunks += len(chunks)
            return read(chunks, scratch)

        vars(volume)["read_chunks"] = counted

    def since(self) -> str:
        """Chunks read since the last call, of all."""
        told, self.chunks = f"{self.chunks:,} of {self.volume.n_chunks:,} chunks read", 0
        return told


def scored(graph: SkeletonGraph, sample: NodeSample, name: str) -> None:
    report = score_nodes(graph, sample, variant=VARIANTS[name])
    _ = report.normalized_erl_at, node_scores(graph, sample, VARIANTS[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    arguments = parser.parse_args()
    truth = labels_of(argparse.Namespace(size=arguments.size, labels=None))
    graph = chains_along_x(arguments.size, arguments.nodes)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("truth.h5", "seg.h5")]
        for path, labels in zip(paths, (truth, np.roll(truth, 3, axis=1)), strict=True):
            with h5py.File(path, "w") as file:
                data = file.create_dataset("main", data=labels, chunks=(64, 64, 64), compression="gzip")
                data.attrs["voxel_size_nm"] = VOXEL_NM
        with open_labels(paths[0]) as gt, open_labels(paths[1]) as seg:
            reads, n = Reads(seg), seg.info.voxels
            sample = sample_nodes(seg, graph.node_voxel_zyx)  # compiles, and fills the page cache
            scored(graph, sample, "axonem")
            print(f"{n / 1e6:.0f} Mvoxel, {graph.n_nodes:,} nodes; {reads.since()}")
            sample = timed("read for axonem alone", lambda: sample_nodes(seg, graph.node_voxel_zyx), n)
            print(f"  {reads.since()}")
            for name, rule in (("SNEMI3D", DenseRule()), ("CREMI", replace(VARIANTS["cremi"].dense, background=0))):
                counter = OverlapCounter(seg, gt, rule)
                count = counter.add
                timed(f"read for skeletons and {name}", lambda: sample_nodes(seg, graph.node_voxel_zyx, also=count), n)  # noqa: B023  called at once
                print(f"  {reads.since()}; ARAND {dense_scores(counter.table()).arand:.4f}")
        for name, variant in VARIANTS.items():
            if variant.needs_skeletons:
                timed(f"score by {name}", lambda: scored(graph, sample, name))  # noqa: B023  called at once
        print(f"while scoring: {reads.since()}")


if __name__ == "__main__":
    main()
