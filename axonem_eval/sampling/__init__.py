"""The label at each skeleton node, read in one pass over a volume."""

from axonem_eval.sampling.contingency import PairCounter, index_pairs
from axonem_eval.sampling.node_table import NodeTable
from axonem_eval.sampling.sample import NodeSample, sample_nodes, warm_kernels

__all__ = [
    "NodeSample",
    "NodeTable",
    "PairCounter",
    "index_pairs",
    "sample_nodes",
    "warm_kernels",
]
