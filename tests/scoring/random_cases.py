"""Random skeletons and samples for tests of properties."""

import dataclasses

import numpy as np
from hypothesis import strategies as st

from axonem_eval import NodeSample, SkeletonGraph
from tests.chains import chains

TOLERANCES = st.integers(0, 14)


@st.composite
def graphs(draw: st.DrawFn) -> SkeletonGraph:
    """One to five skeletons of 1 to 12 nodes, at least one with an edge; trees, with edges of any length."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=5).filter(lambda sizes: max(sizes) > 1))
    graph = chains(*sizes)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])[graph.node_skeleton[graph.edge_u]]
    # Each node hangs on any earlier node of its skeleton: a random tree instead of a chain.
    back = [draw(st.integers(0, int(v - f) - 1)) for v, f in zip(graph.edge_v, first, strict=True)]
    length = draw(st.lists(st.floats(1, 1e4), min_size=graph.n_edges, max_size=graph.n_edges))
    return dataclasses.replace(
        graph, edge_u=(graph.edge_v - 1 - np.array(back)).astype(np.int32), edge_length_nm=np.array(length)
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[SkeletonGraph, NodeSample]:
    """Skeletons, labels from a few segments and background, and sometimes a mask."""
    graph = draw(graphs())
    labels = draw(st.lists(st.integers(0, 4), min_size=graph.n_nodes, max_size=graph.n_nodes))
    sample = NodeSample.of_labels(np.array(labels))
    if draw(st.booleans()):
        voxels = draw(st.dictionaries(st.integers(0, 6), st.integers(1, 15), min_size=1))
        sample = dataclasses.replace(
            sample,
            mask_segment=np.array(list(voxels), np.uint64),
            mask_voxels=np.array(list(voxels.values()), np.int64),
        )
    return graph, sample
