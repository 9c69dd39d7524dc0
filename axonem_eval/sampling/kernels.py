"""Compiled loops of the sampler; all release the interpreter's lock."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numba
import numpy as np
from numpy.typing import NDArray

from axonem_eval.spec import Triple
from axonem_eval.volumes import read_only


@numba.njit(nogil=True, cache=True)
def any_outside(nodes, shape):  # type: ignore[no-untyped-def]
    """Whether a node (n, 3) lies outside a volume of that shape (3,)."""
    for i in range(len(nodes)):
        for k in range(3):
            if nodes[i, k] < 0 or nodes[i, k] >= shape[k]:
                return True
    return False


@numba.njit(nogil=True, cache=True)
def _chunk_of(nodes, chunk_shape, grid, out):  # type: ignore[no-untyped-def]
    # 32-bit division takes half the time of 64-bit.
    cz, cy, cx = np.uint32(chunk_shape[0]), np.uint32(chunk_shape[1]), np.uint32(chunk_shape[2])
    for i in range(len(nodes)):
        z = np.uint32(nodes[i, 0]) // cz
        y = np.uint32(nodes[i, 1]) // cy
        x = np.uint32(nodes[i, 2]) // cx
        out[i] = (np.int64(z) * grid[1] + np.int64(y)) * grid[2] + np.int64(x)


def chunk_of_nodes(
    nodes: NDArray[np.int32], chunk_shape_zyx: Triple, grid_zyx: Triple, threads: int
) -> NDArray[np.int32]:
    """(n_nodes,) flat index of the chunk that holds each node."""
    out = np.empty(len(nodes), np.int32)
    chunk, grid = np.asarray(chunk_shape_zyx, np.int64), np.asarray(grid_zyx, np.int64)
    bounds = np.linspace(0, len(nodes), threads + 1).astype(int)
    parts = [slice(a, b) for a, b in pairwise(bounds)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: _chunk_of(nodes[part], chunk, grid, out[part]), parts))
    return out


@numba.njit(nogil=True, cache=True)
def count(bucket, out):  # type: ignore[no-untyped-def]
    """Add to ``out`` (n_buckets,) how often each bucket occurs, and return it."""
    for i in range(len(bucket)):
        out[bucket[i]] += 1
    return out


@numba.njit(nogil=True, cache=True)
def scatter(bucket, start):  # type: ignore[no-untyped-def]
    """Counting sort: node indices grouped by bucket; ``start`` (n_buckets,) is consumed."""
    order = np.empty(len(bucket), np.uint32)
    for i in range(len(bucket)):
        order[start[bucket[i]]] = i
        start[bucket[i]] += 1
    return order


@numba.njit(nogil=True, cache=True)
def gather(stack, chunks, grid, nodes, order, start, out):  # type: ignore[no-untyped-def]
    """Write to ``out`` the labels at the nodes order[start[b]:start[b + 1]] of the b-th chunk of ``stack``.

    chunks : (n,) flat index in the grid of the chunks in ``stack``, which are whole or cut at the volume's end.
    grid : (6,) chunks along z, y, x, and the shape of one.
    """
    for b in range(len(chunks)):
        z = chunks[b] // (grid[1] * grid[2]) * grid[3]
        y = chunks[b] // grid[2] % grid[1] * grid[4]
        x = chunks[b] % grid[2] * grid[5]
        for i in range(start[b], start[b + 1]):
            node = order[i]
            out[node] = stack[b, nodes[node, 0] - z, nodes[node, 1] - y, nodes[node, 2] - x]


def warm() -> None:
    """Compile, or load from the cache, each kernel for each width of label."""
    nodes = np.zeros((1, 3), np.int32)
    any_outside(nodes, np.ones(3, np.int64))
    bucket = chunk_of_nodes(nodes, (1, 1, 1), (1, 1, 1), 1)
    order = scatter(bucket, count(bucket, np.zeros(1, np.int64)) - 1)
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        stack = read_only(np.zeros((1, 1, 1, 1), dtype))
        gather(
            stack, np.zeros(1, np.int64), np.ones(6, np.int64), nodes, order, np.array([0, 1]), np.zeros(1, np.uint64)
        )
