"""Our skeletons as em_erl takes them."""

from typing import Any

import numpy as np

from axonem_eval import SkeletonGraph


def em_erl_graph(graph: SkeletonGraph) -> Any:
    """em_erl's ``ERLGraph``, with float64 lengths. Its checkout must be on the path."""
    from em_erl.erl import ERLGraph

    order = np.argsort(graph.edge_skeleton, kind="stable")
    per_skeleton = np.bincount(graph.edge_skeleton, minlength=graph.n_skeletons)
    return ERLGraph(
        graph.skeleton_id.astype(np.int64),
        graph.skeleton_length_nm,
        graph.node_skeleton.astype(np.int64),
        graph.node_voxel_zyx * np.asarray(graph.voxel_size_nm_zyx),
        graph.edge_u[order],
        graph.edge_v[order],
        graph.edge_length_nm[order],
        np.concatenate([[0], np.cumsum(per_skeleton)]).astype(np.int64),
    )
