"""Scoring of axon segmentations by tolerant ERL: the library behind `axonem-eval` and the server."""

from importlib.metadata import version

from axonem_eval.errors import Complaint, InputError
from axonem_eval.sampling import NodeSample, sample_nodes
from axonem_eval.scoring import DEFAULT_TOLERANCE_NODES, METRIC_VERSION, ErlReport, score_nodes
from axonem_eval.skeletons import SkeletonGraph
from axonem_eval.spec import VolumeSpec
from axonem_eval.volumes import LabelVolume, open_labels

__all__ = [
    "DEFAULT_TOLERANCE_NODES",
    "METRIC_VERSION",
    "Complaint",
    "ErlReport",
    "InputError",
    "LabelVolume",
    "NodeSample",
    "SkeletonGraph",
    "VolumeSpec",
    "open_labels",
    "sample_nodes",
    "score_nodes",
]

__version__ = version("axonem")
