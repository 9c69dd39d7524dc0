"""Small made ground truth and entries in the layouts that the benchmarks of the field use.

The tissue is straight neurons along x. One entry cuts the first neuron in its middle, another merges the first two. By
each benchmark's rule the cut costs less.
"""

import pickle
import re
import sys
import types
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import networkx as nx
import numpy as np
import scipy.sparse

from evalserver.benchmarks.management.commands.load_benchmark import DEFINITIONS

SPLIT, MERGED = "Splits a neuron", "Merges two neurons"
NO_LABEL = 2**64 - 1


@dataclass(frozen=True)
class Tissue:
    """Neurons along the whole of x: a grid of rows (z) x columns (y), each neuron fills its part of the section.

    shape_zyx : in voxels.   ids : of the neurons, row by row.   step : voxels between nodes.
    wrong : entries err at this neuron and the next, counted from 0.
    """

    shape_zyx: tuple[int, int, int]
    rows: int
    columns: int
    ids: tuple[int, ...] = ()
    step: int = 1
    wrong: int = 0

    @property
    def neurons(self) -> tuple[int, ...]:
        return self.ids or tuple(range(1, self.rows * self.columns + 1))

    def labels(self) -> np.ndarray:
        nz, ny, nx_ = self.shape_zyx
        grid = np.array(self.neurons, np.uint32).reshape(self.rows, self.columns)
        section = grid[(np.arange(nz) * self.rows // nz)[:, None], np.arange(ny) * self.columns // ny]
        return np.repeat(section[:, :, None], nx_, axis=2)

    def entry(self, name: str) -> np.ndarray:
        """Labels of an entry; numbers beyond those of the neurons are new segments."""
        labels = self.labels()
        first, second = self.neurons[self.wrong : self.wrong + 2]
        if name == SPLIT:
            half = labels[:, :, self.shape_zyx[2] // 2 :]
            half[half == first] = max(self.neurons) + 1
        else:
            labels[labels == second] = first
        return labels

    def nodes_zyx(self) -> list[np.ndarray]:
        """Voxels of the nodes of each neuron: along its middle."""
        nz, ny, nx_ = self.shape_zyx
        x = np.arange(0, nx_, self.step)
        return [
            np.column_stack([np.full_like(x, (2 * r + 1) * nz // (2 * self.rows)), np.full_like(x, y), x])
            for r in range(self.rows)
            for y in ((2 * c + 1) * ny // (2 * self.columns) for c in range(self.columns))
        ]

    def chains(self, voxel_nm: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(n, 3) positions of voxel corners in nm z,y,x, the neuron of each node, (m, 2) edges."""
        parts = self.nodes_zyx()
        n = len(parts[0])
        first = np.concatenate([np.arange(n - 1) + i * n for i in range(len(parts))])
        owner = np.repeat(np.array(self.neurons), n)
        return np.concatenate(parts) * np.array(voxel_nm), owner, np.column_stack([first, first + 1])


@contextmanager
def axonems_module() -> Iterator[Any]:
    """The module whose classes AxonEM's pickles name; made here, because a pickle needs it only to be written."""
    module = types.ModuleType("networkx_lite")
    for name in ("NetworkXGraphLite", "NodeViewerLite", "EdgeViewerLite"):
        setattr(module, name, type(name, (), {"__module__": "networkx_lite"}))
    sys.modules["networkx_lite"] = module
    yield module
    del sys.modules["networkx_lite"]


def axonem_pickle(path: Path, tissue: Tissue, voxel_nm: tuple[float, float, float]) -> Path:
    """gt_*_skel_stats.p of 2024: a lite graph with uint16 nm, then the resolution."""
    nm, owner, edges = tissue.chains(voxel_nm)
    names = ["skeleton_id", "x", "y", "z"]
    matrix = scipy.sparse.dok_matrix((len(nm), len(nm)), dtype=np.float32)
    for u, v in edges.tolist():
        matrix[u, v] = -1
    with axonems_module() as module:
        graph = module.NetworkXGraphLite()
        graph.node_attributes, graph.edge_attribute = names, "length"
        graph.node_dtype, graph.edge_dtype = np.uint16, np.float32
        graph._nodes, graph._edges = np.column_stack([owner, nm[:, ::-1]]).astype(np.uint16), matrix
        graph.nodes, graph.edges = module.NodeViewerLite(), module.EdgeViewerLite()
        graph.nodes.__dict__ = {"_nodes": graph._nodes, "_node_attributes": names}
        graph.edges.__dict__ = {"_edges": matrix, "_edge_attribute": "length"}
        path.write_bytes(pickle.dumps(graph) + pickle.dumps([int(v) for v in voxel_nm]))
    return path


def xpress_pickle(path: Path, tissue: Tissue, voxel_nm: tuple[float, float, float]) -> Path:
    """XPRESS_*_skels.npz, which is a pickle: a graph with positions x,y,z in nm and no ids."""
    nm, _, edges = tissue.chains(voxel_nm)
    graph = nx.Graph()
    graph.add_nodes_from((i, {"position": p[::-1].astype(np.float32)}) for i, p in enumerate(nm))
    graph.add_edges_from(edges.tolist())
    path.write_bytes(pickle.dumps(graph))
    return path


def nisb_pickle(path: Path, tissue: Tissue, voxel_nm: tuple[float, float, float]) -> Path:
    """skeleton.pkl: a graph with id, index_position and nm_position, x,y,z."""
    nm, owner, edges = tissue.chains(voxel_nm)
    graph = nx.Graph()
    for i, (p, neuron) in enumerate(zip(nm, owner.tolist(), strict=True)):
        voxel = tuple(int(v) for v in np.rint(p / voxel_nm)[::-1])
        graph.add_node(i, id=neuron, index_position=voxel, nm_position=p[::-1])
    graph.add_edges_from(edges.tolist())
    path.write_bytes(pickle.dumps(graph))
    return path


def j0126_groups(path: Path, tissue: Tissue) -> Path:
    """test_50_skeletons.h5: a group for each skeleton with vertices (voxels z,y,x) and edges."""
    with h5py.File(path, "w") as file:
        for i, vertices in enumerate(tissue.nodes_zyx()):
            group = file.create_group(str(i))
            group["vertices"] = vertices.astype(np.int64)
            group["edges"] = np.column_stack([np.arange(len(vertices) - 1), np.arange(1, len(vertices))])
    return path


def cremi_file(path: Path, labels: np.ndarray) -> Path:
    """sample_X.hdf: volumes/labels/neuron_ids with its resolution, and the version of the format."""
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "0.2"
        data = file.create_dataset("volumes/labels/neuron_ids", data=labels.astype(np.uint64), compression="gzip")
        data.attrs["resolution"] = (40.0, 4.0, 4.0)
    return path


def main_file(path: Path, labels: np.ndarray) -> Path:
    """An HDF5 file with the dataset ``main``, as SNEMI3D and AxonEM take it."""
    with h5py.File(path, "w") as file:
        chunks = tuple(min(n, size) for n, size in zip(labels.shape, (25, 256, 256), strict=True))
        file.create_dataset("main", data=labels, chunks=chunks, compression="gzip", compression_opts=1)
    return path


def xpress_file(path: Path, labels: np.ndarray, offset_nm: tuple[int, int, int]) -> Path:
    """submission.h5, or a .zip that holds it."""
    stored = path.with_name("submission.h5")
    with h5py.File(stored, "w") as file:
        data = file.create_dataset("submission", data=labels.astype(np.uint64), compression="gzip")
        data.attrs.update({"resolution": (99, 99, 99), "offset": offset_nm})
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(stored, "submission.h5")
    return path


def small_definition(name: str, folder: Path, changes: dict[str, str]) -> Path:
    """A shipped definition with other shapes: all else stays as it is shipped. changes : old to new text."""
    text = (DEFINITIONS / f"{name}.toml").read_text()
    for old, new in changes.items():
        assert old in text, f"{name}.toml has no {old}"
        text = text.replace(old, new)
    text = re.sub(r"submissions_per_day = \d+\n", "", text)
    text = text.replace("[[phases]]", "[[phases]]\nsubmissions_per_day = 50")
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path
