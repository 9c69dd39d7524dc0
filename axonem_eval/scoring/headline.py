"""The figures of one volume by their names, and the number that ranks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from axonem_eval.errors import InputError
from axonem_eval.scoring.dense import DenseScores
from axonem_eval.scoring.erl import ErlReport
from axonem_eval.scoring.node_overlap import NodeScores
from axonem_eval.scoring.variant import ScoringVariant


def figures_of(
    *, report: ErlReport | None = None, nodes: NodeScores | None = None, dense: DenseScores | None = None
) -> dict[str, float]:
    """By the names of FIGURES, those that the given parts hold."""
    found: dict[str, float] = {}
    if report is not None:
        found |= {
            "erl_nm": report.erl_nm,
            "normalized_erl": report.normalized_erl,
            "erl_by_mean_length": report.erl_nm / report.mean_length_nm,
            **{f"nerl_{name}": value for name, value in report.normalized_erl_at.items()},
        }
    if nodes is not None:
        found |= {
            "node_rand_split": nodes.rand_split,
            "node_rand_merge": nodes.rand_merge,
            "node_voi_split": nodes.voi_split,
            "node_voi_merge": nodes.voi_merge,
            "nodes_on_background": nodes.nodes_on_background_share,
        }
    if dense is not None:
        found |= {
            "arand": dense.arand,
            "voi_split": dense.voi_split,
            "voi_merge": dense.voi_merge,
            "cremi_score": dense.cremi_score,
            "voxels_on_background": dense.background_share,
        }
    return found


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


def headline(variant: ScoringVariant, figures: Mapping[str, float]) -> Headline:
    """The variant's headline. figures : as ``figures_of`` gives them.

    Raises InputError where the ground truth that it needs was not scored.
    """
    require_ground_truth(variant, skeletons="erl_nm" in figures, dense="arand" in figures)
    rule = variant.headline
    value = float(rule.expression.of({name: np.array([value]) for name, value in figures.items()}))
    unit = rule.unit if rule.unit == "nm" else ""
    return Headline(rule.label, value, unit, rule.lower_is_better, variant.name)


def require_ground_truth(variant: ScoringVariant, *, skeletons: bool, dense: bool) -> None:
    """Raises InputError where a variant ranks by a kind of ground truth that is not there."""
    if variant.needs_skeletons and not skeletons:
        raise InputError.of("no_skeletons", f"variant {variant.name} ranks by skeletons; give them with --ground-truth")
    if variant.needs_dense and not dense:
        raise InputError.of(
            "no_dense_ground_truth",
            f"variant {variant.name} ranks by voxels; give the labels of the ground truth with --dense-ground-truth",
        )
