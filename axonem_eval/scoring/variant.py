"""Scoring rules by name: each benchmark's own, as its code reads. docs/metric.md says which rule is whose.

A variant is a function of the labels at the nodes, and of counts that one pass over the volume makes. So one sample
serves every variant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from axonem_eval.errors import InputError
from axonem_eval.scoring.expression import Expression
from axonem_eval.scoring.figures import FIGURES, GroundTruthKind, Unit
from axonem_eval.spec import Region

DEFAULT_TOLERANCE_NODES = 50
NO_LABEL = 2**64 - 1

Strike = Literal["everywhere", "counted_pairs"]
Normaliser = Literal["none", "ground_truth_erl", "mean_length"]


@dataclass(frozen=True)
class HeadlineRule:
    """The number that ranks: an expression over the figures (``FIGURES``) of all volumes, with its direction.

    name : of the API and of files.   label : for people.   unit : nm is shown as um, share as percent.
    digits : decimals that a plain number is rounded to; None: it is not rounded.
    """

    name: str
    label: str
    expression: Expression
    unit: Unit = ""
    lower_is_better: bool = False
    digits: int | None = None

    def __post_init__(self) -> None:
        """Raises InputError for an expression that is not readable, or names what is no figure."""
        self.expression.require(FIGURES)

    @property
    def needs(self) -> frozenset[GroundTruthKind]:
        """Kinds of ground truth that it is measured on."""
        return frozenset(FIGURES[name].needs for name in self.expression.names)


ERL = HeadlineRule("erl", "ERL", Expression("erl_nm"), "nm")
NORMALIZED_ERL = HeadlineRule("normalized_erl", "normalised ERL", Expression("normalized_erl"), "share")
XPRESS_SCORE = HeadlineRule(
    "xpress_score",
    "XPRESS score",
    Expression("erl_by_mean_length / 2 + node_rand_split / 4 + node_rand_merge / 4"),
)
ARAND = HeadlineRule("arand", "ARAND", Expression("arand"), lower_is_better=True)
CREMI_SCORE = HeadlineRule(
    "cremi_score", "CREMI score", Expression("sqrt((voi_split + voi_merge) * arand)"), lower_is_better=True
)


@dataclass(frozen=True)
class DenseRule:
    """Which voxels of a dense ground truth are scored.

    region : the part of the volume that is scored; None is all of it.
    border_nm : voxels whose centre lies at most this far, within their section, from a border between two labels are
        not scored; 0 scores them all. x and y must have one voxel size.
    background : the label that is not scored. If it is not 0, then 0 is a label like any other.
    """

    region: Region | None = None
    border_nm: float = 0.0
    background: int = 0


ALL_VOXELS = DenseRule()


@dataclass(frozen=True)
class ScoringVariant:
    """One rule of scoring; the default is this project's own (docs/metric.md, "Tolerant ERL").

    tolerance_nodes, inclusive : a pair (skeleton, segment) counts towards a merger from T nodes on (inclusive), or from
        T + 1 on. A segment is a merger if two of its pairs count.
    strike : a merger loses its runs in every skeleton (everywhere); or only in those that have a counted pair with any
        merger, background shared by two skeletons included (counted_pairs, the rule of 2021).
    isolated_nodes_merge : whether skeletons without length make mergers.
    no_merge_mask : whether a mask is used where the ground truth has one.
    cut_to_region : skeletons are cut to ``region`` (None: all of the volume), and each connected piece becomes a
        skeleton of its own.
    background_nodes_are_segments : each voxel of background that holds a node is a segment of its own; its edges then
        count as split, not omitted.
    normaliser : what the ERL is divided by for ``score`` and the headline.
    count_voxels : node-wise Rand and VOI count each voxel once, the last piece in it wins, and leave out the first
        skeleton, as XPRESS does. Otherwise they count nodes.
    further_tolerances : other tolerances at which the normalised ERL is reported.
    dense : which voxels of a dense ground truth count.
    headline : the number that ranks.
    columns : further figures that a board shows of each volume. One named nerl_T asks for the tolerance T as well.
    """

    name: str = "axonem"
    tolerance_nodes: int = DEFAULT_TOLERANCE_NODES
    inclusive: bool = True
    strike: Strike = "everywhere"
    isolated_nodes_merge: bool = False
    no_merge_mask: bool = True
    cut_to_region: bool = False
    region: Region | None = None
    background_nodes_are_segments: bool = False
    normaliser: Normaliser = "none"
    count_voxels: bool = False
    further_tolerances: tuple[float, ...] = ()
    dense: DenseRule = ALL_VOXELS
    headline: HeadlineRule = ERL
    columns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises InputError for a negative tolerance, and for rules that contradict each other."""
        if self.tolerance_nodes < 0:
            raise InputError.of(
                "bad_tolerance", f"tolerance {self.tolerance_nodes} nodes is negative; expected 0 or more"
            )
        if self.no_merge_mask and (self.strike != "everywhere" or self.cut_to_region):
            raise InputError.of(
                "bad_variant",
                f"variant {self.name}: a no-merge mask strikes a merger everywhere and is counted over the whole "
                "volume; leave the mask out, or strike everywhere and do not cut skeletons",
            )
        if self.region is not None and not self.cut_to_region:
            raise InputError.of(
                "bad_variant", f"variant {self.name}: it states a region but does not cut skeletons to it"
            )

    @property
    def needs_skeletons(self) -> bool:
        """Whether the headline is measured on skeletons."""
        return "skeletons" in self.headline.needs

    @property
    def needs_dense(self) -> bool:
        """Whether the headline is measured on dense ground truth."""
        return "dense" in self.headline.needs

    @property
    def lower_is_better(self) -> bool:
        """The direction of the headline."""
        return self.headline.lower_is_better

    def with_columns(self, names: Sequence[str]) -> "ScoringVariant":
        """The same rule with further columns, and the tolerances that they ask for.

        Raises InputError for a name that is no figure.
        """
        if unknown := [name for name in names if name not in FIGURES]:
            raise InputError.of(
                "unknown_figure", f"there is no figure {', '.join(unknown)}; the figures are {', '.join(FIGURES)}"
            )
        columns = tuple(dict.fromkeys((*self.columns, *names)))
        asked = (float(name.removeprefix("nerl_")) for name in columns if name.startswith("nerl_"))
        tolerances = tuple(dict.fromkeys((*self.further_tolerances, *asked)))
        return replace(self, columns=columns, further_tolerances=tolerances)

    @property
    def merger_nodes(self) -> int:
        """The fewest nodes in each of two skeletons that make their segment a merger; 1 by a strict rule."""
        return max(1, self.tolerance_nodes if self.inclusive else self.tolerance_nodes + 1)

    def at_tolerance(self, tolerance_nodes: int | None) -> "ScoringVariant":
        """The same rule at another tolerance; None keeps its own."""
        return self if tolerance_nodes is None else replace(self, tolerance_nodes=tolerance_nodes)

    def to_json(self) -> dict[str, Any]:
        """What stands beside each number: the rule in full."""
        return {
            "name": self.name,
            "tolerance_nodes": self.tolerance_nodes,
            "merge_count": "from T nodes" if self.inclusive else "more than T nodes",
            "strike": self.strike,
            "isolated_nodes_merge": self.isolated_nodes_merge,
            "no_merge_mask": self.no_merge_mask,
            "cut_to_region": self.cut_to_region,
            "region_zyx": None if self.region is None else self.region.to_json(),
            "background_nodes_are_segments": self.background_nodes_are_segments,
            "normaliser": self.normaliser,
            "node_rand_counts": "voxels" if self.count_voxels else "nodes",
            "dense_region_zyx": None if self.dense.region is None else self.dense.region.to_json(),
            "dense_border_nm": self.dense.border_nm,
            "dense_background": self.dense.background,
            "headline": self.headline.name,
            "headline_expression": self.headline.expression.text,
            "lower_is_better": self.lower_is_better,
        }


AXONEM = ScoringVariant()
# What funlib.evaluate does: one shared node makes a merger, isolated nodes included.
_STRICT = ScoringVariant(
    tolerance_nodes=0, inclusive=False, isolated_nodes_merge=True, no_merge_mask=False, normaliser="ground_truth_erl"
)
# CREMI's evaluation code masks nothing by default; others cite 25 nm for its board.
CREMI_BORDER_NM = 25.0
SNEMI3D_GC_REGION = Region((25, 97, 97), (75, 928, 928))
_DENSE_COLUMNS = ("arand", "voi_split", "voi_merge")
_NODE_VOI_COLUMNS = ("node_voi_split", "node_voi_merge", "nodes_on_background")

VARIANTS: dict[str, ScoringVariant] = {
    variant.name: variant
    for variant in (
        AXONEM,
        ScoringVariant(
            name="axonem2021",
            inclusive=False,
            strike="counted_pairs",
            isolated_nodes_merge=True,
            no_merge_mask=False,
        ),
        ScoringVariant(name="axonem2024", isolated_nodes_merge=True),
        ScoringVariant(name="snemi3d", no_merge_mask=False, columns=("arand",)),
        ScoringVariant(
            name="snemi3d-gc",
            no_merge_mask=False,
            dense=DenseRule(region=SNEMI3D_GC_REGION),
            headline=ARAND,
            columns=_DENSE_COLUMNS,
        ),
        replace(
            _STRICT,
            name="xpress",
            cut_to_region=True,
            background_nodes_are_segments=True,
            normaliser="mean_length",
            count_voxels=True,
            headline=XPRESS_SCORE,
            columns=("node_rand_split", "node_rand_merge", "nodes_on_background"),
        ),
        replace(
            _STRICT,
            name="nisb",
            strike="counted_pairs",
            further_tolerances=(5.0, 20.0, 100.0, float("inf")),
            headline=NORMALIZED_ERL,
            columns=("nerl_5", "nerl_20", "nerl_100", "nerl_inf", *_NODE_VOI_COLUMNS),
        ),
        ScoringVariant(
            name="cremi",
            no_merge_mask=False,
            dense=DenseRule(border_nm=CREMI_BORDER_NM, background=NO_LABEL),
            headline=CREMI_SCORE,
            columns=("cremi_score", *_DENSE_COLUMNS),
        ),
        replace(_STRICT, name="ffn-j0126", headline=NORMALIZED_ERL, columns=_NODE_VOI_COLUMNS),
        replace(_STRICT, name="lsd-j0126", cut_to_region=True, headline=NORMALIZED_ERL, columns=_NODE_VOI_COLUMNS),
    )
}


def variant_named(name: str) -> ScoringVariant:
    """A preset. Raises InputError with the names that there are."""
    if name not in VARIANTS:
        known = ", ".join(VARIANTS)
        raise InputError.of("unknown_variant", f"there is no scoring variant {name!r}; choose one of {known}")
    return VARIANTS[name]
