"""The figures of a result on one volume: what headlines are made of, and what boards show as columns."""

from dataclasses import dataclass
from typing import Literal

GroundTruthKind = Literal["skeletons", "dense"]
Unit = Literal["nm", "share", "bits", ""]


@dataclass(frozen=True)
class Figure:
    """What a number means. label : for a column head.   needs : the kind of ground truth that it is measured on."""

    name: str
    label: str
    unit: Unit
    lower_is_better: bool
    needs: GroundTruthKind


FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure("erl_nm", "ERL", "nm", False, "skeletons"),
        Figure("normalized_erl", "normalised ERL", "share", False, "skeletons"),
        Figure("nerl_5", "nERL > 5", "share", False, "skeletons"),
        Figure("nerl_20", "nERL > 20", "share", False, "skeletons"),
        Figure("nerl_100", "nERL > 100", "share", False, "skeletons"),
        Figure("nerl_inf", "nERL, no mergers", "share", False, "skeletons"),
        Figure("erl_axonem2021_nm", "ERL, rule of 2021", "nm", False, "skeletons"),
        Figure("erl_by_mean_length", "ERL by mean length", "", False, "skeletons"),
        Figure("node_rand_split", "node Rand split", "", False, "skeletons"),
        Figure("node_rand_merge", "node Rand merge", "", False, "skeletons"),
        Figure("node_voi_split", "node VOI split", "bits", True, "skeletons"),
        Figure("node_voi_merge", "node VOI merge", "bits", True, "skeletons"),
        Figure("nodes_on_background", "nodes on background", "share", True, "skeletons"),
        Figure("arand", "ARAND", "", True, "dense"),
        Figure("voi_split", "VOI split", "bits", True, "dense"),
        Figure("voi_merge", "VOI merge", "bits", True, "dense"),
        Figure("cremi_score", "CREMI score", "", True, "dense"),
        Figure("voxels_on_background", "voxels on background", "share", True, "dense"),
    )
}
