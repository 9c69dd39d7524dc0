"""The one rule of what is told of hidden ground truth, and how finely; docs/metric.md states it for readers.

Figures of a hidden volume are rounded to absolute steps, each at least ten times what one node of the ground truth can
move. Steps are 1, 2 or 5 times a power of ten, so that a step says nothing by itself. `submissions.results.disclosure`
applies the rule to scores, reports and comparisons, `leaderboard.ranking` to the rows of a ranking.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor, log2, log10, sqrt
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from axonem_eval.scoring import FIGURES, ScoringVariant
from evalserver.benchmarks.models import GroundTruth, Volume

Lengths = TypeVar("Lengths", float, NDArray[np.float64])

# A step is so many times what one node can move, and at least this part of the ground truth's own value.
TIMES_A_NODE = 10
PART = 1e-3
# One node changes a number of splits, gaps or mergers by two at most; many axons have many errors.
COUNTS_OF_A_NODE = 2
COUNTS_PER_AXON = 0.01
# The distribution of run lengths is many figures at once, so its steps are wider.
RUN_SHARE_PART = 0.01
# A figure whose step would be more than this part of its range says too little to be shown.
COARSEST = 0.05
# A figure over fewer axons says too much about each of them.
MIN_AXONS_SHOWN = 10
# Where fewer nodes make a merger, and so strike out whole runs, a result tells where single nodes lie.
LEAST_MERGER_NODES = 5
# An entry that labels less of the ground truth's cable than this gets no figures.
LEAST_LABELLED = 0.01
# Figures of hidden ground truth that have a step.
TOLD_OF_HIDDEN = frozenset(FIGURES) - {"erl_by_mean_length", "nerl_5", "nerl_20", "nerl_100", "nerl_inf"}
# Those that are rounded as an ERL is.
ERLS = frozenset(("erl_nm", "normalized_erl", "erl_axonem2021_nm"))
# Decimals with which a figure of public ground truth is written, and one in percent.
WRITTEN, WRITTEN_OF_PERCENT = 4, 2
# Steps are powers of ten; this many decimals keep the smallest of them and drop binary noise.
DECIMALS = 6


def hidden_complaint(rule: ScoringVariant, volumes: Iterable[Volume]) -> str:
    """Why the steps do not hold by a scoring rule on those volumes that are hidden; empty where they do.

    Each volume's own tolerance counts.
    """
    hidden = [volume for volume in volumes if not volume.ground_truth_public]
    too_strict = [v for v in hidden if rule.at_tolerance(v.tolerance_nodes).merger_nodes < LEAST_MERGER_NODES]
    untold = [FIGURES[name].label for name in sorted(rule.headline.expression.names - TOLD_OF_HIDDEN)]
    if untold:
        why = f"ranks by {', '.join(untold)}, which is only shown of public ground truth"
    elif rule.cut_to_region:
        why = "cuts the skeletons, and figures of hidden ground truth are rounded by those of whole skeletons"
    elif rule.lower_is_better and rule.needs_skeletons:
        why = "ranks the lowest first by a figure of skeletons, which is kept back of entries that label too little"
    elif too_strict:
        hidden = too_strict
        nodes = min(rule.at_tolerance(v.tolerance_nodes).merger_nodes for v in hidden)
        why = (
            f"makes a merger of {nodes} shared {'node' if nodes == 1 else 'nodes'} at this tolerance, which would tell "
            f"where nodes of hidden ground truth lie (at least {LEAST_MERGER_NODES} must be needed)"
        )
    else:
        return ""
    if not hidden:
        return ""
    remedy = "raise tolerance_nodes" if hidden is too_strict else "choose another scoring variant or headline"
    names = ", ".join(volume.name for volume in hidden)
    return f"{rule.name} {why}. The ground truth of {names} is hidden: set ground_truth_public, or {remedy}"


def step_at_least(value: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, 50, ... (and 0.5, 0.2, ...) that is not below value; 0 for 0."""
    if value <= 0:
        return 0.0
    power = 10.0 ** floor(log10(value))
    return float(round(next(m * power for m in (1, 2, 5, 10) if m * power >= value * (1 - 1e-9)), DECIMALS))


def to_step(values: Lengths, step: float) -> Lengths:
    """The nearest multiple of a step; a step of 0 leaves values as they are. NaN stays."""
    if not step:
        return values
    rounded = np.round(np.round(np.asarray(values) / step) * step, DECIMALS) + 0.0
    return rounded if isinstance(values, np.ndarray) else float(rounded)


def about(value: float | None) -> float | int | None:
    """A constant of the ground truth to two digits, numbers from 10 on at most to tens; no submission moves it."""
    if not value:
        return value
    places = 1 - floor(log10(abs(value)))
    if isinstance(value, int) and value >= 10:
        places = min(places, -1)
    return round(value, places) if isinstance(value, float) else int(round(value, places))


@dataclass(frozen=True)
class Disclosure:
    """What may be told of results on one volume under one version of its ground truth.

    is_exact : the ground truth is public, so that everything is told.
    The others are the ground truth's own figures, which decide the steps and are not told: gt_erl_nm, total_nm (all
    cable), longest_nm (its longest axon), reach_nm (the edges of one node, at most), axons and nodes; of dense labels
    the voxels that are scored, those of the largest label, the sum of squares over labels, and the entropy in bits.
    """

    is_exact: bool
    gt_erl_nm: float
    total_nm: float
    longest_nm: float
    reach_nm: float
    axons: int
    nodes: int = 0
    voxels: int = 0
    largest: int = 0
    squares: float = 0.0
    entropy_bits: float = 0.0

    @classmethod
    def of(cls, volume: Volume, ground_truth: GroundTruth) -> "Disclosure":
        """The rule for a volume; what the registration noted of its skeletons, or else bounds from the row."""
        nodes, spacing = ground_truth.nodes or 0, ground_truth.mean_node_spacing_nm or 0.0
        gt_erl = ground_truth.gt_erl_nm or 0.0
        noted = {} if volume.ground_truth_public else _noted_figures(ground_truth)
        dense = ground_truth.dense_figures or {}
        total = noted.get("cable_nm") or max(0, nodes - (ground_truth.skeletons or 0)) * spacing
        return cls(
            is_exact=volume.ground_truth_public,
            gt_erl_nm=gt_erl,
            total_nm=total,
            # The squares of all lengths add up to gt_erl * total, so no axon is longer than this.
            longest_nm=noted.get("longest_nm") or sqrt(gt_erl * total),
            reach_nm=noted.get("node_reach_nm") or 4 * spacing,
            axons=ground_truth.skeletons or 0,
            nodes=nodes,
            **{name: dense[name] for name in ("voxels", "largest", "squares", "entropy_bits") if dense},
        )

    @cached_property
    def length_step_nm(self) -> float:
        """Step of summed cable: one node moves it by its edges."""
        return self._step(PART * self.total_nm, self.reach_nm)

    @cached_property
    def erl_step_nm(self) -> float:
        """Step of the ERL: a node less on a run of length L takes about 2 L reach / total from it."""
        return self._step(PART * self.gt_erl_nm, self._erl_of_a_node(self.longest_nm, self.total_nm))

    @cached_property
    def count_step(self) -> int:
        """Step of numbers of splits, gaps and mergers."""
        return ceil(self._step(COUNTS_PER_AXON * self.axons, COUNTS_OF_A_NODE))

    def _step(self, part: float, of_a_node: float) -> float:
        return 0.0 if self.is_exact else step_at_least(max(part, TIMES_A_NODE * of_a_node))

    def _erl_of_a_node(self, longest_nm: float, cable_nm: float) -> float:
        return 2 * longest_nm * self.reach_nm / cable_nm if cable_nm else 0.0

    def figure_step(self, name: str) -> float:
        """Step of a figure over nodes or voxels, by its name in FIGURES.

        The largest change by one node or voxel is that over all segmentations, for which docs/metric.md has the sums.
        """
        if self.is_exact:
            return 0.0
        n, labels = (self.voxels, 0) if FIGURES[name].needs == "dense" else (self.nodes, self.axons)
        n = max(n, 1)
        entropy_bits = self.entropy_bits if FIGURES[name].needs == "dense" else log2(max(labels, 2))
        part_of, of_one = {
            "arand": (1.0, 4 * self.largest / max(self.squares, 1) + 1.3 / sqrt(max(self.squares, 1))),
            "node_rand_split": (1.0, 4 * sqrt(max(labels, 1)) / n),
            "node_rand_merge": (1.0, 2 / sqrt(n)),
        }.get(name, (1.0, 1 / n) if FIGURES[name].unit == "share" else (entropy_bits, (2 * log2(n) + 4) / n))
        return self._step(PART * part_of, of_one)

    def digits(self, name: str) -> int:
        """Decimals with which a figure over nodes or voxels is written, a share in percent: as many as its step leaves.

        The CREMI score has those of ARAND, the finest of its parts.
        """
        in_percent = FIGURES[name].unit == "share"
        most = WRITTEN_OF_PERCENT if in_percent else WRITTEN
        step = self.figure_step("arand" if name == "cremi_score" else name) * (100 if in_percent else 1)
        return min(most, max(0, -floor(log10(step) + 1e-9))) if step else most

    def figure(self, name: str, value: Lengths) -> Lengths:
        """A figure over nodes or voxels. Not the CREMI score: it is made of its rounded parts."""
        return to_step(value, self.figure_step(name))

    def figures(self, exact: Mapping[str, Lengths], gt_erl_nm: Any) -> dict[str, Lengths]:
        """All figures of a result as they are told, by their names; those without a step are left out.

        gt_erl_nm : ERL of the ground truth at each value; not used where there is no ERL.
        """
        if self.is_exact:
            return dict(exact)
        shown = {name: self.figure(name, value) for name, value in exact.items() if name in TOLD_OF_HIDDEN - ERLS}
        if "erl_nm" in exact:
            shown["erl_nm"] = self.erl_nm(exact["erl_nm"])
            shown["normalized_erl"] = self.normalized(exact["erl_nm"], gt_erl_nm)
        if "erl_axonem2021_nm" in exact:
            shown["erl_axonem2021_nm"] = self.erl_nm(exact["erl_axonem2021_nm"])
        if "cremi_score" in exact:
            # Of its rounded parts, so that it tells nothing beyond them.
            voi = shown["voi_split"] + shown["voi_merge"]
            shown["cremi_score"] = to_step(np.sqrt(voi * shown["arand"]), 10.0 ** -self.digits("cremi_score"))
        return shown

    def erl_nm(self, value: Lengths) -> Lengths:
        """An ERL, a bound of its interval, or a part of it that an error takes."""
        return to_step(value, self.erl_step_nm)

    def length_nm(self, value: Lengths) -> Lengths:
        """Cable summed over the volume."""
        return to_step(value, self.length_step_nm)

    def normalized(self, erl_nm: Lengths, gt_erl_nm: Any) -> Lengths:
        """Share of the ceiling: of the two rounded figures, so that it tells nothing beyond them."""
        if self.is_exact:
            exact: Lengths = erl_nm / gt_erl_nm
            return exact
        shown, ceiling = self.erl_nm(erl_nm), self.erl_nm(gt_erl_nm)
        share: NDArray[np.float64] = np.divide(
            shown, ceiling, out=np.zeros(np.shape(shown)), where=np.asarray(ceiling) > 0
        ).round(3)
        return share if isinstance(erl_nm, np.ndarray) else float(share)

    def count(self, value: int) -> int:
        """A number of splits, gaps or mergers."""
        return int(to_step(float(value), self.count_step))

    def about(self, value: float | None) -> float | int | None:
        """A constant of the ground truth: how many axons, how far apart its nodes."""
        return value if self.is_exact else about(value)

    @cached_property
    def gt_erl_shown_nm(self) -> float:
        """ERL of the ground truth as it is shown."""
        return self.erl_nm(self.gt_erl_nm)

    @cached_property
    def run_share_step(self) -> float | None:
        """Step of the share of cable on runs of at least a length; None where the distribution is not shown.

        One node can move a run past that length, and with it all of the run.
        """
        step = self._step(RUN_SHARE_PART, self.longest_nm / self.total_nm if self.total_nm else 1.0)
        return step if step <= COARSEST else None

    def bin_step_nm(self, axons: int, gt_cable_nm: float, gt_erl_nm: float, upper_nm: float | None) -> float | None:
        """Step of the ERL of the axons of one length class; None where the class is not shown."""
        longest = min(upper_nm or self.longest_nm, self.longest_nm)
        step = self._step(PART * gt_erl_nm, self._erl_of_a_node(longest, gt_cable_nm))
        return step if axons >= MIN_AXONS_SHOWN and step <= COARSEST * gt_erl_nm else None

    def labels_too_little(self, labelled_nm: float | None) -> bool:
        """Whether an entry has a label at so little of the cable that its figures are kept back.

        labelled_nm : cable whose ends both have a label; None in records that do not tell.
        """
        if self.is_exact or labelled_nm is None:
            return False
        return self.length_nm(float(labelled_nm)) < self._least_labelled_nm

    @property
    def _least_labelled_nm(self) -> float:
        return max(LEAST_LABELLED * self.total_nm, self.length_step_nm)

    @property
    def suspicious_erl_nm(self) -> float:
        """No entry that labels too little has an ERL above this: a labelled piece lies on an axon of at most the
        longest's length."""
        if self.is_exact or not self.total_nm:
            return -1.0
        return self.longest_nm * (self._least_labelled_nm + self.length_step_nm / 2) / self.total_nm

    def class_count(self, axons: int) -> int | None:
        """Axons in a class of length; None where there are too few to be told."""
        if self.is_exact or not axons:
            return axons
        return int(about(axons) or 0) if axons >= MIN_AXONS_SHOWN else None

    def steps(self) -> dict[str, float]:
        """The steps, for readers of a report."""
        return {"erl_nm": self.erl_step_nm, "length_nm": self.length_step_nm, "count": self.count_step}


# For queries of ground truth: what the registration noted comes with the rows, its pictures stay where they are.
NOTED = "preview"
PICTURES = ("preview__lengths_svg", "preview__projection_svg", "preview__class_counts", "preview__axons")


def _noted_figures(ground_truth: GroundTruth) -> dict[str, float]:
    preview = getattr(ground_truth, NOTED, None)
    return preview.figures if preview else {}


@dataclass(frozen=True)
class GroundTruthFigures:
    """What everybody is told of a version of a volume's ground truth; lengths in nm."""

    version: int
    checksum: str
    skeletons: int | None
    gt_erl_nm: float | None
    mean_node_spacing_nm: float | None
    tolerance_um: float | None

    @classmethod
    def of(cls, volume: Volume, ground_truth: GroundTruth) -> "GroundTruthFigures":
        """Exact where the ground truth is public."""
        rule = Disclosure.of(volume, ground_truth)
        spacing = ground_truth.mean_node_spacing_nm
        known = ground_truth.gt_erl_nm is not None
        return cls(
            version=ground_truth.version,
            checksum=ground_truth.checksum,
            skeletons=rule.about(ground_truth.skeletons),  # type: ignore[arg-type]
            gt_erl_nm=rule.gt_erl_shown_nm if known else None,
            mean_node_spacing_nm=rule.about(spacing),
            tolerance_um=rule.about(spacing * volume.tolerance_nodes / 1000) if spacing else None,
        )
