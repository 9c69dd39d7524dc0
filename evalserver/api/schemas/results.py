"""Results of submissions: scores, diagnoses, comparisons."""

from datetime import datetime
from typing import Any, Literal

from ninja import Schema


class HeadlineOut(Schema):
    """headline : the number that ranks, by the benchmark's scoring variant; null where it is not shown.

    mean_erl_nm, mean_normalized_erl : null where the ground truth has no skeletons.
    lower_is_better : the direction of the headline.
    is_current : whether the leaderboard ranks with this metric and ground truth now.
    """

    mean_erl_nm: float | None
    mean_normalized_erl: float | None
    headline: float | None
    lower_is_better: bool
    metric_version: str
    is_current: bool


class EdgesOut(Schema):
    """Skeleton length by outcome, nm; the four add up to the total, but for rounding."""

    correct: float
    omitted: float
    split: float
    merged: float
    total: float


class EvaluationOut(Schema):
    """withheld : why there are no figures of skeletons, empty where there are: see docs/metric.md.

    figures : all others, by the names in docs/metric.md. ERLs are null where the ground truth has no skeletons.
    follows_volume : another volume whose axons the file follows better than its own volume's: the files of the two are
        probably exchanged; null for almost every file.
    rounded_to : steps of the figures of hidden ground truth: `erl_nm`, `length_nm`, `count`; null where all is exact.
    """

    volume: str
    erl_nm: float | None
    gt_erl_nm: float | None
    normalized_erl: float | None
    figures: dict[str, float]
    withheld: str
    tolerance_nodes: int
    tolerance_um: float | None
    voxel_size_nm: tuple[float, float, float]
    edges_nm: EdgesOut | None
    mergers: int | None
    skeletons: int | None
    no_merge_mask: bool | None
    rounded_to: dict[str, float] | None
    follows_volume: str | None
    metric_version: str
    scoring_variant: str
    ground_truth_checksum: str
    code_version: str
    created_at: datetime


DiagnosisStatus = Literal["uploaded", "running", "ready", "rejected", "failed"]


class DiagnosisOut(Schema):
    """report : as `axonem-eval diagnose --json` prints it, null until `status` is ready. Places of likely errors are
    listed for the team, and for everybody where the volume's ground truth is public."""

    volume: str
    status: DiagnosisStatus
    stage: str
    percent: int
    complaints: list[str]
    report: dict[str, Any] | None


class EvaluationsOut(Schema):
    """Empty until the submission is scored. Figures on hidden ground truth are rounded as on the pages."""

    submission: str
    headline: HeadlineOut | None
    evaluations: list[EvaluationOut]


class FigureOut(Schema):
    """One figure of two entries; unit : um, percent, "per mm" or empty. difference : A minus B."""

    figure: str
    unit: str
    a: float | None
    b: float | None
    difference: float | None


class PairedOut(Schema):
    """Paired bootstrap of the ERL over the same axons, A minus B. significant : p_value < 1 - level.

    p_value_is_bound : on hidden ground truth p_value is the first of 0.001, 0.01, 0.05 and 1 that it is below.
    """

    difference_nm: float
    difference_low_nm: float
    difference_high_nm: float
    level: float
    p_value: float
    p_value_is_bound: bool
    axons: float
    resamples: int
    significant: bool


class HeadlineDifferenceOut(Schema):
    """Paired bootstrap over labels of dense ground truth: A minus B of what ranks. p_value_is_bound : as in PairedOut.

    significant : p_value < 1 - level.   a_is_ahead : whether A is the better one, by the direction of what ranks.
    """

    difference: float
    low: float
    high: float
    level: float
    p_value: float
    p_value_is_bound: bool
    labels: float
    resamples: int
    significant: bool
    a_is_ahead: bool


class ComparedVolumeOut(Schema):
    """axons_better : axons whose own ERL is higher in A; null on hidden ground truth.

    withheld : why there are no figures, empty where there are.
    """

    volume: str
    withheld: str
    figures: list[FigureOut]
    paired: PairedOut | None
    axons_better: float | None
    axons_equal: float | None
    axons_worse: float | None


class ComparisonOut(Schema):
    """state : none (nobody has asked for the significance: POST does), computing (see stage and percent), ready,
    refused or failed (see message).

    mean : of the ERL.   headline : on a board that ranks by dense ground truth, where `mean` is null.
    """

    a: str
    b: str
    benchmark: str
    phase: str
    metric_version: str
    state: str
    stage: str
    percent: int
    message: str
    mean: PairedOut | None
    headline: HeadlineDifferenceOut | None
    volumes: list[ComparedVolumeOut]
