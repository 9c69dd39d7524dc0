"""A cube of real or synthetic labels, its skeletons, and both tiled to the size of a whole volume.

The cube comes from AXONEM_CORTEX (a folder with `connectomics.npy.ckl.gz` of seung-lab/kimimaro) or, where that is
absent, from the synthetic tissue generator. What is made once is kept in ``benchmarks/data/made``.
"""

import gzip
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.skeletons import SkeletonGraph

DATA = Path(__file__).parent / "made"
CORTEX = Path(os.environ.get("AXONEM_CORTEX", Path(__file__).parents[3] / "shared" / "data" / "cortex"))
CUBE = 512
VOXEL_NM_ZYX = (40.0, 16.0, 16.0)
AXONEM_SHAPE_ZYX = (750, 4286, 4286)
# Of each tile, this many of its skeletons of at least this length: together 8-10 M nodes, about 20,000 skeletons.
SKELETONS_PER_TILE = 200
MIN_LENGTH_UM = 12.0

Shape = tuple[int, int, int]


def shape_of(text: str) -> Shape:
    """From ``z,y,x``."""
    z, y, x = (int(n) for n in text.split(","))
    return z, y, x


def load_cube() -> NDArray[np.uint32]:
    """(512, 512, 512) uint32 labels z,y,x, memory-mapped; made and kept on first use."""
    path = DATA / "cube.npy"
    if not path.exists():
        DATA.mkdir(exist_ok=True)
        with open(DATA / "cube.npy.part", "wb") as file:
            np.save(file, _make_cube())
        (DATA / "cube.npy.part").rename(path)
    return np.load(path, mmap_mode="r")


def _make_cube() -> NDArray[np.uint32]:
    packed = CORTEX / "connectomics.npy.ckl.gz"
    if packed.exists():
        import crackle

        # Small ids, so that those of a hundred tiles stay below 2**32.
        labels = crackle.decompress(gzip.decompress(packed.read_bytes())).T
        ids, compact = np.unique(labels, return_inverse=True)
        return np.ascontiguousarray(compact.reshape((CUBE,) * 3), np.uint32) + np.uint32(ids[0] != 0)
    from axonem_eval.synthetic import make_tissue

    print(f"{packed.name} is not there (AXONEM_CORTEX): the cube is synthetic tissue")
    return make_tissue((CUBE, CUBE, CUBE), VOXEL_NM_ZYX, seed=1).labels


def cube_file() -> Path:
    """The cube as HDF5 in 64-cubed gzip-4 chunks."""
    import h5py

    path = DATA / "cube.h5"
    if not path.exists():
        part = path.with_suffix(".part")
        with h5py.File(part, "w") as file:
            main = file.create_dataset("main", data=load_cube(), chunks=(64, 64, 64), compression="gzip")
            main.attrs["voxel_size_nm"] = VOXEL_NM_ZYX
        part.rename(path)
    return path


def cube_skeletons() -> SkeletonGraph:
    """kimimaro's skeletons of the cube (a few minutes), kept."""
    path = DATA / "cube_skeletons.npz"
    if not path.exists():
        from axonem_eval.skeletonize import skeletonize_labels

        graph = skeletonize_labels(cube_file(), VOXEL_NM_ZYX, processes=os.cpu_count() or 1)
        graph.save(path)
    return SkeletonGraph.load(path)


def crop(graph: SkeletonGraph, keep_node: NDArray[np.bool_], shape_zyx: Shape) -> SkeletonGraph:
    """The graph on the nodes in ``keep_node`` (n_nodes,), without the skeletons that keep no edge."""
    keep_edge = keep_node[graph.edge_u] & keep_node[graph.edge_v]
    has_edge = np.zeros(graph.n_skeletons, bool)
    has_edge[graph.edge_skeleton[keep_edge]] = True
    keep_node = keep_node & has_edge[graph.node_skeleton]
    new_node = np.cumsum(keep_node, dtype=np.int32) - 1
    new_skeleton = np.cumsum(has_edge, dtype=np.int32) - 1
    return SkeletonGraph(
        graph.skeleton_id[has_edge],
        new_skeleton[graph.node_skeleton[keep_node]].astype(np.int32),
        graph.node_voxel_zyx[keep_node],
        new_node[graph.edge_u[keep_edge]].astype(np.int32),
        new_node[graph.edge_v[keep_edge]].astype(np.int32),
        graph.edge_length_nm[keep_edge],
        shape_zyx,
        graph.voxel_size_nm_zyx,
    )


def axon_like(graph: SkeletonGraph, count: int = SKELETONS_PER_TILE) -> SkeletonGraph:
    """A seeded choice of so many of the cube's longer skeletons."""
    long = np.flatnonzero(graph.skeleton_length_nm >= MIN_LENGTH_UM * 1000)
    chosen = np.random.default_rng(0).permutation(long)[:count]
    keep = np.zeros(graph.n_skeletons, bool)
    keep[chosen] = True
    return crop(graph, keep[graph.node_skeleton], graph.shape_zyx)


def tile_origins(shape_zyx: Shape) -> list[Shape]:
    """First voxel of each tile, in the order that numbers them."""
    z, y, x = shape_zyx
    return [(a, b, c) for a in range(0, z, CUBE) for b in range(0, y, CUBE) for c in range(0, x, CUBE)]


def tile_skeletons(graph: SkeletonGraph, shape_zyx: Shape, labels_per_tile: int, min_length_um: float) -> SkeletonGraph:
    """The cube's skeletons repeated in every tile, cut at the volume's edge; ids as the tiled labels have them."""
    parts = [(tile, origin) for tile, origin in enumerate(tile_origins(shape_zyx))]
    n_nodes, n_skeletons = graph.n_nodes, graph.n_skeletons
    z, y, x = shape_zyx
    tiled = SkeletonGraph(
        np.concatenate([graph.skeleton_id + np.uint64(tile * labels_per_tile) for tile, _ in parts]),
        np.concatenate([graph.node_skeleton + np.int32(tile * n_skeletons) for tile, _ in parts]),
        np.concatenate([graph.node_voxel_zyx + np.asarray(origin, np.int32) for _, origin in parts]),
        np.concatenate([graph.edge_u + np.int32(tile * n_nodes) for tile, _ in parts]),
        np.concatenate([graph.edge_v + np.int32(tile * n_nodes) for tile, _ in parts]),
        np.tile(graph.edge_length_nm, len(parts)),
        (-(-z // CUBE) * CUBE, -(-y // CUBE) * CUBE, -(-x // CUBE) * CUBE),
        graph.voxel_size_nm_zyx,
    )
    inside = np.all(tiled.node_voxel_zyx < np.asarray(shape_zyx), axis=1)
    return crop(tiled, inside, shape_zyx).longer_than(min_length_um)
