"""Make a label file and skeletons of the size of an AxonEM volume, for the other benchmarks.

    python benchmarks/data/make_big_volume.py [--dtype uint64] [--shape 750,4286,4286]

Tiles the label cube of ``tiles.py`` with distinct labels in each tile: 13.8 Gvoxel in 64-cubed gzip-4 chunks, and
8-10 M skeleton nodes. Chunks are compressed by several threads and written with ``write_direct_chunk``. What is
there already is kept.
"""

import argparse
import os
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, product
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.data import tiles

CHUNK = 64


def paths(dtype: str, shape_zyx: tiles.Shape = tiles.AXONEM_SHAPE_ZYX) -> tuple[Path, Path]:
    """Where the label file and the skeleton bundle of that size lie."""
    size = "x".join(str(n) for n in shape_zyx)
    return tiles.DATA / f"big_{size}_{dtype}.h5", tiles.DATA / f"big_{size}_skeletons.npz"


def make_skeletons(shape_zyx: tiles.Shape) -> Path:
    """Tile the cube's skeletons over the volume."""
    path = paths("uint32", shape_zyx)[1]
    if not path.exists():
        stride = int(tiles.load_cube().max()) + 1
        graph = tiles.tile_skeletons(tiles.axon_like(tiles.cube_skeletons()), shape_zyx, stride, min_length_um=5.0)
        print(f"{graph.n_nodes:,} nodes of {graph.n_skeletons:,} skeletons -> {path.name}")
        graph.save(path)
    return path


def _compressed(
    cube: NDArray[np.uint32], origin: tiles.Shape, shape_zyx: tiles.Shape, dtype: str, stride: int
) -> bytes:
    """One gzip-4 chunk; what of it lies beyond the volume is 0, as HDF5 itself would write it."""
    counts = [-(-n // tiles.CUBE) for n in shape_zyx]
    tile = np.ravel_multi_index([o // tiles.CUBE for o in origin], counts)
    inside = tuple(slice(o % tiles.CUBE, o % tiles.CUBE + CHUNK) for o in origin)
    labels = cube[inside].astype(dtype)
    labels[labels != 0] += np.dtype(dtype).type(int(tile) * stride)
    for axis, (o, n) in enumerate(zip(origin, shape_zyx, strict=True)):
        if o + CHUNK > n:
            np.moveaxis(labels, axis, 0)[n - o :] = 0
    return zlib.compress(labels.tobytes(), 4)


def _ahead(pool: ThreadPoolExecutor, tasks: Iterator[tuple[Future[bytes], tiles.Shape]], depth: int) -> Iterator:
    pending = list(islice(tasks, depth))
    while pending:
        future, origin = pending.pop(0)
        yield future.result(), origin
        pending.extend(islice(tasks, 1))


def make_labels(dtype: str, shape_zyx: tiles.Shape) -> Path:
    """Write the label file, chunk by chunk in storage order."""
    path = paths(dtype, shape_zyx)[0]
    if path.exists():
        return path
    cube = np.asarray(tiles.load_cube())
    stride = int(cube.max()) + 1
    z, y, x = (range(0, n, CHUNK) for n in shape_zyx)
    origins = list(product(z, y, x))
    part = path.with_suffix(".part")
    began = time.perf_counter()
    threads = os.cpu_count() or 1
    with h5py.File(part, "w") as file, ThreadPoolExecutor(threads) as pool:
        main = file.create_dataset("main", shape_zyx, dtype, chunks=(CHUNK,) * 3, compression="gzip")
        main.attrs["voxel_size_nm"] = tiles.VOXEL_NM_ZYX
        tasks = ((pool.submit(_compressed, cube, o, shape_zyx, dtype, stride), o) for o in origins)
        for done, (data, origin) in enumerate(_ahead(pool, tasks, 8 * threads), start=1):
            main.id.write_direct_chunk(origin, data)
            if done % 5000 == 0:
                print(f"{done:,} of {len(origins):,} chunks, {time.perf_counter() - began:.0f} s", flush=True)
    part.rename(path)
    print(f"{path.name}: {path.stat().st_size / 1e9:.2f} GB in {time.perf_counter() - began:.0f} s")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", choices=("uint32", "uint64"), default="uint32")
    parser.add_argument("--shape", default="750,4286,4286", help="z,y,x in voxels")
    arguments = parser.parse_args()
    shape = tiles.shape_of(arguments.shape)
    tiles.DATA.mkdir(exist_ok=True)
    print(make_skeletons(shape))
    print(make_labels(arguments.dtype, shape))


if __name__ == "__main__":
    main()
