"""How near sampling comes to bare decompression, and how em_erl's look-up compares.

    python benchmarks/scorer/bench_sampling.py [--dtype uint64] [--repeat 3] [--random-nodes N]
                                               [--em-erl CHECKOUT [--sections 128]]

On the file of ``make_big_volume.py`` (made if absent). Each measurement is a process of its own; they take turns, and
the best of the repeats is printed, because other work on the machine can only slow them.

    bare    read and inflate the chunks that hold nodes, on all cores, into one buffer a core; no look-up
    ours    open the file and sample all nodes, kernels compiled, nodes in memory
    all     bare, of every chunk
    server  the same as the server does it: a confined child checks and decodes every chunk, this process looks labels
            up; the start of the child, which takes as long for every file, is in it
    em_erl  its own look-up with as many processes as cores, on the first SECTIONS sections of the file, with ours on
            the same sections beside it
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.data import make_big_volume, tiles
from benchmarks.harness import Clock, best, in_child


def _nodes_file(bundle: Path, sections: int | None) -> Path:
    """The bundle's node positions as .npy, those of the first sections only where so asked."""
    path = bundle.with_name(f"{bundle.stem}_nodes_{sections or 'all'}.npy")
    if not path.exists():
        nodes = np.load(bundle)["node_voxel_zyx"]
        np.save(path, nodes if sections is None else nodes[nodes[:, 0] < sections])
    return path


def _first_sections(path: Path, sections: int) -> Path:
    """The first sections (a multiple of 64) of the label file, chunk by chunk as they are stored."""
    part = path.with_name(f"{path.stem}_first{sections}.h5")
    if part.exists():
        return part
    with h5py.File(path) as source, h5py.File(part.with_suffix(".part"), "w") as target:
        labels = source["main"]
        shape = (sections, *labels.shape[1:])
        main = target.create_dataset("main", shape, labels.dtype, chunks=labels.chunks, compression="gzip")
        for z in range(0, sections, labels.chunks[0]):
            for y in range(0, shape[1], labels.chunks[1]):
                for x in range(0, shape[2], labels.chunks[2]):
                    main.id.write_direct_chunk((z, y, x), labels.id.read_direct_chunk((z, y, x))[1])
    part.with_suffix(".part").rename(part)
    return part


def run_bare(labels: Path, nodes_file: Path, _checkout: str) -> dict[str, object]:
    """Read and inflate every chunk that holds a node."""
    from axonem_eval.volumes import open_labels

    nodes = np.load(nodes_file)
    with open_labels(labels) as volume:
        place = nodes // np.asarray(volume.chunk_shape_zyx)
        return _inflate_all(volume, labels, np.unique(np.ravel_multi_index(tuple(place.T), volume.grid_zyx)))


def run_all(labels: Path, _nodes_file: Path, _checkout: str) -> dict[str, object]:
    """Read and inflate every chunk."""
    from axonem_eval.volumes import open_labels

    with open_labels(labels) as volume:
        return _inflate_all(volume, labels, np.arange(volume.n_chunks))


def _inflate_all(volume: Any, labels: Path, chunks: np.ndarray) -> dict[str, object]:
    import imagecodecs

    from axonem_eval.volumes import Scratch, run_threads

    rank = volume.storage_rank()[chunks]
    order = np.argsort(rank)
    address = rank[order].tolist()
    size = volume._stored.size[chunks[order]].tolist()
    chunk_bytes, voxels = volume.chunk_bytes, volume.chunk_bytes // volume.dtype.itemsize * len(chunks)
    descriptor = os.open(labels, os.O_RDONLY)

    def inflate(i: int, scratch: Scratch) -> None:
        out: Any = scratch.bytes("out", chunk_bytes)
        imagecodecs.deflate_decode(os.pread(descriptor, size[i], address[i]), out=out)

    clock = Clock()
    run_threads(0, len(address), inflate, os.cpu_count() or 1)
    return {**clock.read(), "chunks": len(address), "of": volume.n_chunks, "voxels": voxels}


def run_ours(labels: Path, nodes_file: Path, _checkout: str) -> dict[str, object]:
    """Open and sample."""
    from axonem_eval.sampling import sample_nodes, warm_kernels
    from axonem_eval.volumes import open_labels

    warm_kernels()
    nodes = np.load(nodes_file)
    clock = Clock()
    with open_labels(labels) as volume:
        found = sample_nodes(volume, nodes).node_segment
    return {**clock.read(), "nodes": len(nodes), "sum": int(found.sum())}


def run_server(labels: Path, nodes_file: Path, _checkout: str) -> dict[str, object]:
    """Check, sample and confine, as for a submission."""
    from axonem_eval.sampling import warm_kernels
    from axonem_eval.sandbox import sample_confined
    from axonem_eval.spec import VolumeSpec
    from axonem_eval.volumes import open_labels

    warm_kernels()
    nodes = np.load(nodes_file)
    with open_labels(labels) as volume:
        spec = VolumeSpec(volume.shape_zyx, volume.info.voxel_size_nm_zyx or (30.0, 8.0, 8.0))
    clock = Clock()
    found = sample_confined(labels, spec, nodes).node_segment
    return {**clock.read(), "nodes": len(nodes), "sum": int(found.sum())}


def run_em_erl(labels: Path, nodes_file: Path, checkout: str) -> dict[str, object]:
    """em_erl's look-up from the file, its chunks as large as 64 sections."""
    sys.path.insert(0, checkout)
    from em_erl.sampling import sample_segment_lut

    nodes = np.load(nodes_file)
    with h5py.File(labels) as file:
        slabs = -(-file["main"].shape[0] // 64)
    clock = Clock()
    found, _ = sample_segment_lut(str(labels), nodes, chunk_num=slabs, num_workers=os.cpu_count() or 1)
    return {**clock.read(), "sum": int(found.astype(np.uint64).sum())}


RUNS = {"bare": run_bare, "ours": run_ours, "all": run_all, "server": run_server, "em_erl": run_em_erl}


def measure(name: str, labels: Path, nodes: Path, checkout: str = "") -> dict[str, float]:
    """One measurement in a process of its own."""
    return in_child(__file__, "--one", name, labels, nodes, checkout)


def _line(name: str, result: dict[str, float], note: str = "") -> str:
    children = 1 if name == "server" else os.cpu_count() or 1
    rss = result["rss_gb"] + result["child_rss_gb"] * (children if result["child_rss_gb"] > 0.1 else 0)
    return f"{name:<28} {result['wall_s']:8.2f} s wall {result['cpu_s']:8.2f} s CPU {rss:6.2f} GB  {note}"


def compare(labels: Path, nodes: Path, repeat: int) -> dict[str, float]:
    """Ours and the server's, each beside bare decompression of the same chunks, in turns; returns ours."""
    names = ("bare", "ours", "all", "server")
    turns = [{name: measure(name, labels, nodes) for name in names} for _ in range(repeat)]
    found = {name: best([turn[name] for turn in turns]) for name in names}
    bare, ours, server = found["bare"], found["ours"], found["server"]
    print(
        f"{bare['chunks']:,} of {bare['of']:,} chunks hold nodes: {bare['voxels'] / 1e9:.2f} Gvoxel; best of {repeat}"
    )
    print(_line("bare decompression", bare, f"{bare['voxels'] / bare['wall_s'] / 1e6:,.0f} Mvoxel/s"))
    print(_line("ours", ours, f"{ours['nodes']:,} nodes"))
    print(_line("bare, all chunks", found["all"]))
    print(_line("server", server, "the same labels" if server["sum"] == ours["sum"] else "OTHER LABELS"))
    for name, beside in (("ours", "bare"), ("server", "all")):
        walls = ", ".join(f"{turn[name]['wall_s'] / turn[beside]['wall_s']:.2f}" for turn in turns)
        wall, cpu = (found[name][key] / found[beside][key] for key in ("wall_s", "cpu_s"))
        print(f"{name} / {beside}: {wall:.2f} wall (pair by pair {walls}), {cpu:.2f} CPU")
    return ours


def _random_nodes(number: int, shape: tuple[int, ...]) -> Path:
    """That many random voxels as .npy, in place of skeletons, which take ten minutes to make."""
    path = tiles.DATA / f"random_{number}_{'x'.join(map(str, shape))}.npy"
    if not path.exists():
        random = np.random.default_rng(0)
        np.save(path, np.stack([random.integers(0, n, number) for n in shape], axis=1).astype(np.int32))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=("uint32", "uint64"), default="uint32")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--shape", default=",".join(str(n) for n in tiles.AXONEM_SHAPE_ZYX), help="of the volume, z,y,x"
    )
    parser.add_argument("--random-nodes", type=int, metavar="N", help="so many random voxels in place of skeletons")
    parser.add_argument("--em-erl", metavar="CHECKOUT", help="a checkout of PytorchConnectomics/em_erl")
    parser.add_argument("--sections", type=int, default=128, help="for em_erl, a multiple of 64; 0: the whole file")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, labels, nodes, checkout = arguments.one
        print(json.dumps(RUNS[name](Path(labels), Path(nodes), checkout)))
        return
    shape = tiles.shape_of(arguments.shape)
    labels = make_big_volume.make_labels(arguments.dtype, shape)
    if arguments.random_nodes:
        compare(labels, _random_nodes(arguments.random_nodes, shape), arguments.repeat)
        return
    bundle = make_big_volume.make_skeletons(shape)
    print(f"{labels.name}: {labels.stat().st_size / 1e9:.2f} GB, {os.cpu_count()} cores")
    compare(labels, _nodes_file(bundle, None), arguments.repeat)
    if not arguments.em_erl:
        print("em_erl: not measured; give --em-erl CHECKOUT")
        return
    part, nodes = labels, _nodes_file(bundle, arguments.sections or None)
    if arguments.sections:
        part = _first_sections(labels, arguments.sections)
        print(f"\nthe first {arguments.sections} of {shape[0]} sections:")
    ours = compare(part, nodes, arguments.repeat)
    theirs = measure("em_erl", part, nodes, arguments.em_erl)
    print(_line("em_erl", theirs, "the same labels" if theirs["sum"] == ours["sum"] else "OTHER LABELS"))
    print(f"em_erl / ours: {theirs['wall_s'] / ours['wall_s']:.1f} wall, {theirs['cpu_s'] / ours['cpu_s']:.1f} CPU")


if __name__ == "__main__":
    main()
