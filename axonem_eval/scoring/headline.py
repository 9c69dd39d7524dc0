"""The number that ranks by a variant, from its parts."""

from dataclasses import dataclass
from typing import Any

from axonem_eval.errors import InputError
from axonem_eval.scoring.dense import DenseScores
from axonem_eval.scoring.erl import ErlReport
from axonem_eval.scoring.node_overlap import NodeScores
from axonem_eval.scoring.variant import ScoringVariant


@dataclass(frozen=True)
class Headline:
    """One number with its meaning. unit : nm, or empty for a plain number."""

    name: str
    value: float
    unit: str
    lower_is_better: bool
    variant: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**self.__dict__}

    def line(self) -> str:
        """For people."""
        value = f"{self.value / 1e3:.3f} um" if self.unit == "nm" else f"{self.value:.4f}"
        better = "lower" if self.lower_is_better else "higher"
        return f"{self.name:<16} {value} by the rule {self.variant}; {better} is better"


def headline(
    variant: ScoringVariant,
    *,
    report: ErlReport | None = None,
    nodes: NodeScores | None = None,
    dense: DenseScores | None = None,
) -> Headline:
    """The variant's headline. Raises InputError where the ground truth that it needs was not scored."""
    require_ground_truth(variant, skeletons=report is not None and nodes is not None, dense=dense is not None)
    name, value, unit = "", 0.0, ""
    if report is not None and nodes is not None and variant.needs_skeletons:
        name, value, unit = _of_skeletons(variant, report, nodes)
    elif dense is not None:
        name, value = ("ARAND", dense.arand) if variant.headline == "arand" else ("CREMI score", dense.cremi_score)
    return Headline(name, value, unit, variant.lower_is_better, variant.name)


def require_ground_truth(variant: ScoringVariant, *, skeletons: bool, dense: bool) -> None:
    """Raises InputError where a variant ranks by a kind of ground truth that is not there."""
    if variant.needs_skeletons and not skeletons:
        raise InputError.of("no_skeletons", f"variant {variant.name} ranks by skeletons; give them with --ground-truth")
    if not variant.needs_skeletons and not dense:
        raise InputError.of(
            "no_dense_ground_truth",
            f"variant {variant.name} ranks by voxels; give the labels of the ground truth with --dense-ground-truth",
        )


def _of_skeletons(variant: ScoringVariant, report: ErlReport, nodes: NodeScores) -> tuple[str, float, str]:
    if variant.headline == "xpress_score":
        rand = (nodes.rand_split + nodes.rand_merge) / 2
        return "XPRESS score", (report.erl_by_normaliser + rand) / 2, ""
    if variant.headline == "normalized_erl":
        return "normalised ERL", report.normalized_erl, ""
    return "ERL", report.erl_nm, "nm"
