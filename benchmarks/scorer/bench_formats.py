"""Reading every chunk of one cube of labels: our reader and the plain one, for each format and filter.

    python benchmarks/scorer/bench_formats.py [--repeat 3]

(256, 512, 512) uint32 cortex labels in 64-cubed chunks, as many threads as cores. The plain reader is h5py for HDF5 and
zarr-python for Zarr, by chunk-shaped slices. CPU time, because other work on the machine stretches wall time; h5py's
lock keeps it to one core besides.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import tensorstore
import zarr

sys.path.insert(0, str(Path(__file__).parents[2]))

from axonem_eval.volumes import for_each_chunk, open_labels, run_threads, warm_filters
from benchmarks.data import tiles

CHUNK = (64, 64, 64)
HDF5: dict[str, dict[str, Any]] = {
    "gzip": {"compression": "gzip"},
    "gzip, shuffle": {"compression": "gzip", "shuffle": True},
    "gzip, shuffle, fletcher32": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf"},
    "zstd": dict(hdf5plugin.Zstd()),
    "blosc (zstd, shuffle)": dict(hdf5plugin.Blosc("zstd")),
    "lz4": dict(hdf5plugin.LZ4()),
    "bitshuffle (lz4), left to h5py": dict(hdf5plugin.Bitshuffle()),
}
ZARR: dict[str, dict[str, Any]] = {
    "v2, blosc": {"zarr_format": 2},
    "v3, zstd": {"zarr_format": 3},
    "v3, zstd, sharded by 256": {"zarr_format": 3, "shards": (256, 256, 256)},
}


def write_precomputed(path: Path, labels: np.ndarray) -> None:
    """compressed_segmentation, as Neuroglancer's own tools write labels."""
    scale = {
        "resolution": [16, 16, 40],
        "encoding": "compressed_segmentation",
        "compressed_segmentation_block_size": [8, 8, 8],
        "chunk_size": CHUNK,
        "size": labels.shape[::-1],
    }
    spec = {
        "driver": "neuroglancer_precomputed",
        "kvstore": {"driver": "file", "path": f"{path}/"},
        "multiscale_metadata": {"data_type": "uint32", "num_channels": 1, "type": "segmentation"},
        "scale_metadata": scale,
    }
    tensorstore.open(spec, create=True).result()[...] = labels.T[..., None]


def cpu_per_chunk(read: Callable[[], int], repeat: int) -> float:
    """Least CPU microseconds a chunk of several passes; ``read`` returns how many chunks it read."""
    results = []
    for _ in range(repeat):
        began = time.process_time()
        chunks = read()
        results.append((time.process_time() - began) / chunks * 1e6)
    return min(results)


def ours(path: Path) -> Callable[[], int]:
    """All chunks through ``open_labels``."""

    def read() -> int:
        with open_labels(path) as volume:
            order = np.argsort(volume.storage_rank(), kind="stable")
            for_each_chunk(volume, order, lambda position, labels: None)
            return len(order)

    return read


def plain(array: Any) -> Callable[[], int]:
    """All chunks by slicing the array."""
    grid = np.ndindex(*(n // c for n, c in zip(array.shape, CHUNK, strict=True)))
    boxes = [tuple(slice(i * c, (i + 1) * c) for i, c in zip(place, CHUNK, strict=True)) for place in grid]

    def read() -> int:
        run_threads(0, len(boxes), lambda i, _scratch: array[boxes[i]], os.cpu_count() or 1)
        return len(boxes)

    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    warm_filters()
    labels = np.ascontiguousarray(tiles.load_cube()[:256])
    print(f"{'CPU microseconds a chunk of 262,144 voxels':<48} {'ours':>8} {'plain':>8}")
    with tempfile.TemporaryDirectory(dir=tiles.DATA) as folder:
        for name, options in HDF5.items():
            path = Path(folder) / "labels.h5"
            with h5py.File(path, "w") as file:
                file.create_dataset("main", data=labels, chunks=CHUNK, **options)
            mine = cpu_per_chunk(ours(path), repeat)
            with h5py.File(path) as file:
                print(f"{'HDF5 ' + name:<48} {mine:8.0f} {cpu_per_chunk(plain(file['main']), repeat):8.0f}")
        for name, options in ZARR.items():
            path = Path(folder) / f"{name}.zarr"
            zarr.create_array(store=path, data=labels, chunks=CHUNK, **options)
            mine = cpu_per_chunk(ours(path), repeat)
            print(f"{'Zarr ' + name:<48} {mine:8.0f} {cpu_per_chunk(plain(zarr.open_array(path)), repeat):8.0f}")
        write_precomputed(Path(folder) / "precomputed", labels)
        mine = cpu_per_chunk(ours(Path(folder) / "precomputed"), repeat)
        print(f"{'precomputed, compressed_segmentation':<48} {mine:8.0f}")


if __name__ == "__main__":
    main()
