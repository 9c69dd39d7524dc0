"""Scoring of axon segmentations by tolerant ERL: the library behind `axonem-eval` and the server."""

from typing import TYPE_CHECKING, Any

from axonem_eval.lazy import on_demand

if TYPE_CHECKING:
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

_imported = on_demand(
    __name__,
    {
        **dict.fromkeys(("Complaint", "InputError"), "axonem_eval.errors"),
        **dict.fromkeys(("NodeSample", "sample_nodes"), "axonem_eval.sampling"),
        **dict.fromkeys(("DEFAULT_TOLERANCE_NODES", "METRIC_VERSION"), "axonem_eval.scoring"),
        **dict.fromkeys(("ErlReport", "score_nodes"), "axonem_eval.scoring"),
        "SkeletonGraph": "axonem_eval.skeletons",
        "VolumeSpec": "axonem_eval.spec",
        **dict.fromkeys(("LabelVolume", "open_labels"), "axonem_eval.volumes"),
    },
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("axonem")
    return _imported(name)
