"""A generated case on which em_erl and our scorer were both run: fixed for ever, so that its numbers stay true.

``python benchmarks/scorer/compare_em_erl.py CHECKOUT --generated`` prints em_erl's numbers for it.
"""

import numpy as np

from axonem_eval import NodeSample, SkeletonGraph

N_SKELETONS = 40


def generated_case() -> tuple[SkeletonGraph, NodeSample]:
    """40 chains of 2 to 200 nodes, segments that break, vanish and join axons, and a no-merge mask.

    RandomState keeps its stream in every numpy. Ids stay below 2^31, because em_erl cuts larger ones.
    """
    random = np.random.RandomState(20211)
    sizes = random.randint(2, 201, N_SKELETONS)
    skeleton = np.repeat(np.arange(N_SKELETONS, dtype=np.int32), sizes)
    node = np.arange(len(skeleton), dtype=np.int32)
    edge_u = node[:-1][skeleton[:-1] == skeleton[1:]]
    voxel = np.stack([skeleton, skeleton, node - np.searchsorted(skeleton, skeleton)], axis=1)
    graph = SkeletonGraph(
        skeleton_id=np.arange(1, N_SKELETONS + 1, dtype=np.uint64),
        node_skeleton=skeleton,
        node_voxel_zyx=voxel.astype(np.int32),
        edge_u=edge_u,
        edge_v=edge_u + np.int32(1),
        edge_length_nm=random.uniform(20.0, 60.0, len(edge_u)),
        shape_zyx=(N_SKELETONS, N_SKELETONS, 201),
        voxel_size_nm_zyx=(30.0, 8.0, 8.0),
    )
    # A new segment starts with probability 0.02 along an axon; one in ten of the names is shared by several axons.
    piece = np.cumsum(random.uniform(size=len(node)) < 0.02) + skeleton * 1000
    name = 1 + piece * 7
    shared = random.uniform(size=piece.max() + 1)[piece] < 0.1
    label = np.where(shared, 3 + piece % 5, name)
    label[random.uniform(size=len(node)) < 0.01] = 0
    mask_segment = np.unique(label)[1::9]
    return graph, NodeSample(
        label.astype(np.uint64), mask_segment.astype(np.uint64), random.randint(1, 120, len(mask_segment))
    )
