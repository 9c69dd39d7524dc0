"""What a result page shows of each volume, made of figures that `disclosure` gives."""

from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString

from axonem_eval.report import diagnosis_page, plots
from axonem_eval.scoring import FIGURES, Figure
from evalserver.benchmarks.models import Volume
from evalserver.site import own_markup
from evalserver.submissions.evaluation.error_pictures import WORST_SHOWN, worst_errors
from evalserver.submissions.evaluation.exchanged import FOLLOWS, HOPELESS
from evalserver.submissions.models import Diagnosis, ErrorPictures, Evaluation
from evalserver.submissions.results import disclosure, viewer
from evalserver.submissions.results.disclosure import ShownScore
from evalserver.submissions.results.headline import figure_in_words

# Figures that have a place of their own.
ERLS = ("erl_nm", "normalized_erl", "erl_by_mean_length")


@dataclass(frozen=True)
class Loss:
    """What one kind of error costs. share : of the ground truth's ERL; count : in words; per_mm : of the cable."""

    kind: str
    label: str
    lost_nm: float
    share: float
    count: str
    per_mm: float | None


# What to do about each kind of error: a sentence, and where docs/diagnosis.md goes on.
ADVICE = {
    "split": (
        "Join fragments more readily, for instance at a lower agglomeration threshold, and look at sections that are "
        "missing or shifted: axons break there first.",
        "against-splits",
    ),
    "merged": (
        "Join fragments less readily. A merger costs whole runs in every axon that it touches, so one wrong join can "
        "cost more than many splits.",
        "against-mergers",
    ),
    "omitted": (
        "Label more of the thin axons: lower the threshold of the foreground, erode less, and keep small fragments.",
        "against-omissions",
    ),
}
MISPLACED = (
    "So low a score often means that the labels do not lie where the image lies. Look first whether axes are swapped, "
    "or the labels mirrored or shifted: no check can see that where two sides of the volume are equal.",
    "labels-in-the-wrong-place",
)
EXCHANGED = (
    "This file follows the axons of {volume} better than those of its own volume. The files of the two volumes are "
    "probably exchanged: submit each for its own volume.",
    "files-exchanged",
)
# Share of the ceiling: less than this is not worth a word.
NEGLIGIBLE = 0.005
ADVISED_KINDS = 2
COUNTED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class VolumeResult:
    """One volume of a result page. report : as disclosure.shown_report, empty where its figures are withheld."""

    evaluation: Evaluation
    score: ShownScore
    report: dict[str, Any]

    @classmethod
    def of(cls, evaluation: Evaluation) -> "VolumeResult":
        report = disclosure.shown_report(evaluation)
        return cls(evaluation, disclosure.shown_score(evaluation), report or {})

    @property
    def volume(self) -> Any:
        return self.evaluation.volume_file.volume

    @property
    def has_skeletons(self) -> bool:
        """Whether the ground truth has skeletons, and so an ERL."""
        return self.score.gt_erl_nm is not None

    @property
    def figures(self) -> list[tuple[Figure, float, int]]:
        """All figures but the ERL, in the order of FIGURES, and with how many decimals each is written."""
        shown, rule = self.score.figures, disclosure.rule_of(self.evaluation)
        names = [name for name in FIGURES if name in shown and name not in ERLS]
        return [(FIGURES[name], shown[name], rule.digits(name)) for name in names]

    @property
    def dense_figures(self) -> list[tuple[str, str]]:
        """Names and values of those that are measured voxel by voxel."""
        dense = [row for row in self.figures if row[0].needs == "dense"]
        unit = {"share": "%"}
        return [
            (figure.label, figure_in_words(figure.name, value, digits) + unit.get(figure.unit, ""))
            for figure, value, digits in dense
        ]

    @property
    def is_detailed(self) -> bool:
        """Whether there are losses and curves to show: the record has them, and the ceiling they are shares of."""
        return "erl_lost_nm" in self.report and not self.is_too_small

    @property
    def is_too_small(self) -> bool:
        """Whether the ERL of the hidden ground truth is rounded to nothing."""
        return not self.score.gt_erl_nm

    @property
    def is_public(self) -> bool:
        return bool(self.volume.ground_truth_public)

    @property
    def is_hidden(self) -> bool:
        return not self.is_public

    @property
    def diagnosis(self) -> Diagnosis | None:
        """Read only where it is shown: it is large, and most readers of results want the score."""
        return getattr(self.evaluation.volume_file, "diagnosis", None)

    @property
    def has_view(self) -> bool:
        """Whether there are files for the viewer, and they may be shown."""
        return bool(self.is_public and self.diagnosis and self.diagnosis.view_files and viewer.client_files())

    @property
    def _diagnosis_report(self) -> dict[str, Any]:
        """Only for pages that have looked whether the diagnosis is ready."""
        if self.diagnosis is None or self.diagnosis.report is None:
            raise ValueError("there is no diagnosis yet")
        return dict(self.diagnosis.report)

    @property
    def segments_plot(self) -> SafeString:
        return own_markup(diagnosis_page.length_plot(self._diagnosis_report))

    @property
    def segments_rows(self) -> list[list[str]]:
        return diagnosis_page.length_rows(self._diagnosis_report)

    @property
    def losses(self) -> list[Loss]:
        lost, counts = self.report["erl_lost_nm"], self.report["error_counts"]
        kinds = (("omitted", "Omissions", "gaps"), ("split", "Splits", "splits"), ("merged", "Mergers", "mergers"))
        return [
            Loss(
                kind,
                label,
                lost[kind],
                lost[kind] / self.report["gt_erl_nm"],
                disclosure.count_in_words(counts[name], self.report),
                counts[f"{name}_per_mm"],
            )
            for kind, label, name in kinds
        ]

    @property
    def worst_losses(self) -> list[Loss]:
        """Kinds of error that matter, the worst first."""
        mattering = [loss for loss in self.losses if loss.share >= NEGLIGIBLE]
        return sorted(mattering, key=lambda loss: -loss.lost_nm)

    @property
    def why(self) -> str:
        """In words: what each kind of error costs, and what fixing the worst errors would give."""
        ceiling = self.report["gt_erl_nm"]
        if not self.worst_losses:
            return "It follows the axons nearly without error."
        first, *others = self.worst_losses
        words = f"{first.label} ({first.count}) cost {_um(first.lost_nm)} µm of {_um(ceiling)}"
        words += "".join(f", {loss.label.lower()} ({loss.count}) {_um(loss.lost_nm)}" for loss in others)
        fixed = self.report.get("worst_fixed") if self.is_public else None
        if not fixed or not fixed["errors"]:
            return f"{words}."
        which = "the only error" if fixed["errors"] == 1 else f"the {COUNTED[fixed['errors']]} worst errors"
        return (
            f"{words}. Fixing {which} would raise the ERL from {_um(self.report['erl_nm'])} to {_um(fixed['erl_nm'])}."
        )

    @property
    def advice(self) -> list[tuple[str, str, str]]:
        """What to do next: (kind of error, sentence, heading in docs/diagnosis.md), the dearest kind first."""
        found = [(loss.label, *ADVICE[loss.kind]) for loss in self.worst_losses[:ADVISED_KINDS]]
        share = self.score.normalized_erl
        if share is None or share >= HOPELESS:
            return found
        if volume := self.followed_volume:
            words, anchor = EXCHANGED
            # Its other errors are those of another volume's segmentation.
            return [("Files exchanged", words.format(volume=volume), anchor)]
        return [("Labels in the wrong place", *MISPLACED), *found]

    @property
    def followed_volume(self) -> str:
        """Name of the volume whose axons the file follows better than those of its own; mostly empty."""
        slug = self.report.get(FOLLOWS)
        other = Volume.objects.filter(benchmark=self.volume.benchmark_id, slug=slug).first() if slug else None
        return other.name if other else slug or ""

    @property
    def bins(self) -> list[dict[str, Any]]:
        """Length classes that have axons, each with its name; axons None: too few for their ERL to be shown."""
        bins = self.report["length_bins"]
        known = [i for i, b in enumerate(bins) if b["axons"]]
        shown = bins[known[0] : known[-1] + 1] if known else []
        return [{**b, "name": plots.bin_name(b)} for b in shown if b["axons"] != 0]

    @property
    def worst_axons(self) -> list[dict[str, Any]]:
        return list(self.report.get("worst_axons", []))[:WORST_SHOWN] if self.is_public else []

    @property
    def top_errors(self) -> list[dict[str, Any]]:
        return worst_errors(self.evaluation) if self.is_public else []

    @property
    def error_pictures(self) -> ErrorPictures | None:
        """The job that draws the worst errors; None where there is none, or the ground truth is hidden."""
        return getattr(self.evaluation, "error_pictures", None) if self.is_public else None

    @property
    def n_pictures(self) -> int:
        """How many of the worst errors, from the first, have a picture that may be shown."""
        return self.error_pictures.pictures if self.error_pictures else 0

    @property
    def loss_plot(self) -> SafeString:
        return own_markup(plots.loss_bar(self.report))

    @property
    def tolerance_plot(self) -> SafeString:
        return own_markup(plots.tolerance_plot(self.report, lambda n: disclosure.count_in_words(n, self.report)))

    @property
    def bins_plot(self) -> SafeString | str:
        bins = [b for b in self.report["length_bins"] if b["axons"]]
        return own_markup(plots.bins_plot(bins)) if bins else ""

    @property
    def survival_plot(self) -> SafeString | str:
        survival = self.report["run_survival"]
        return own_markup(plots.survival_plot(survival)) if len(survival["length_nm"]) > 1 else ""


def _um(nm: float) -> str:
    return f"{nm / 1000:.2f}"
