"""Benchmarks and leaderboards."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from evalserver.api.schemas.common import Day, Text


class GroundTruthOut(Schema):
    """Figures of the ground truth that scores now; its skeletons are not among them."""

    version: int
    checksum: str
    skeletons: int | None
    gt_erl_nm: float | None
    mean_node_spacing_nm: float | None


class SubmissionRuleOut(Schema):
    """What a file for a volume must be; sizes z,y,x, of the submission.

    offset_nm_zyx : where the submission begins in the image.   axes : order of arrays that do not name their axes.
    dataset, file_name : empty where any will do.   zipped : whether a .zip of the file alone is taken.
    node_tables : whether the output of `axonem-eval nodes` is taken in place of the volume.
    """

    shape_zyx: tuple[int, int, int]
    voxel_size_nm_zyx: tuple[float, float, float]
    factor_zyx: tuple[int, int, int]
    offset_nm_zyx: tuple[float, float, float] | None
    axes: Literal["zyx", "xyz"]
    dataset: str
    file_name: str
    zipped: bool
    node_tables: bool


class VolumeOut(Schema):
    """A volume, and what a submission for it must be."""

    slug: str
    name: str
    tissue: str
    shape_zyx: tuple[int, int, int]
    voxel_size_nm_zyx: tuple[float, float, float]
    tolerance_nodes: int
    min_length_um: float
    ground_truth_public: bool
    submission: SubmissionRuleOut
    ground_truth: GroundTruthOut | None


class PhaseOut(Schema):
    """A phase, and when it takes submissions."""

    slug: str
    name: str
    kind: str
    is_open: bool
    opens_at: datetime
    closes_at: datetime | None
    submissions_per_day: int
    volumes: list[str]


class BenchmarkOut(Schema):
    """A benchmark with its volumes and phases."""

    slug: str
    name: str
    summary: str
    scoring_variant: str
    page: str
    default_phase: str | None
    phases: list[PhaseOut]
    volumes: list[VolumeOut]


class BenchmarkPage(Schema):
    """The visible benchmarks."""

    count: int
    items: list[BenchmarkOut]


class VolumeScoreOut(Schema):
    """erl_nm, normalized_erl : null where a paper prints only the other, and where there are no skeletons.

    figures : the further columns of the table, by the names in docs/metric.md.
    """

    volume: str
    erl_nm: float | None
    normalized_erl: float | None
    figures: dict[str, float]


class RowOut(Schema):
    """An entry. Equal scores share a rank, the earlier one is listed first.

    rank : null where is_superseded, for an entry that a newer listed one of its team replaces.
    mean_erl_nm, mean_normalized_erl : null where the ground truth has no skeletons.
    mean_erl_low_nm, mean_erl_high_nm : 95% interval of the mean; null in older records.
    headline : what ranks by the benchmark's scoring variant; null where it may not be shown.
    runs : of which the figures are means; mean_erl_low_nm and so on are then of the mean over runs.
    headline_half_interval : half of the 95% interval of the headline over the runs; null for a single run.
    """

    rank: int | None
    is_superseded: bool
    is_reference: bool
    marks: list[str]
    runs: int
    submission: str
    method: str
    team: str
    mean_erl_nm: float | None
    mean_normalized_erl: float | None
    mean_erl_low_nm: float | None
    mean_erl_high_nm: float | None
    headline: float | None
    headline_half_interval: float | None
    volumes: list[VolumeScoreOut]
    submitted_at: datetime
    page: str


class PublishedRowOut(Schema):
    """A result from a paper: shown beside the ranking, never ranked."""

    method: str
    source: str
    url: str
    is_ground_truth: bool
    mean_erl_nm: float | None
    headline: float | None
    volumes: list[VolumeScoreOut]


class BoardView(Schema):
    """Which rows, in which order. The options have the same names as on the leaderboard's page."""

    sort: Annotated[
        str, Field(pattern=r"^-?(rank|score|mean|percent|low|date|erl-[-a-zA-Z0-9_]{1,50}\.[a-z0-9_]{1,40})$")
    ] = Field(
        "rank",
        description="a column, also erl-VOLUME.um, erl-VOLUME.percent or another figure such as erl-VOLUME.arand; "
        "with - the largest comes first",
    )
    q: Annotated[Text, Field(max_length=100)] = Field("", description="part of a method's or a team's name")
    rows: Literal["all", "best"] = Field("all", description="best: one row for each team")
    marks: Literal["", "none", "extra_training_data", "manual_fixup", "made_ground_truth"] = Field(
        "", description="only entries with this mark; none: without any"
    )
    superseded: Literal["0", "1"] = Field("0", description="1: also show entries that newer ones replace")
    since: Day | None = Field(None, alias="from", description="first day of submission (UTC)")
    until: Day | None = Field(None, alias="to", description="last day of submission (UTC)")


class LeaderboardOut(Schema):
    """count : rows of this view over all its pages. listed : entries that it chooses from.

    scoring_variant, headline : the rule that scored, and the name of the number that ranks.
    headline_expression, lower_is_better : what that number is, and its direction.
    """

    benchmark: str
    phase: str
    metric_version: str
    scoring_variant: str
    headline: str
    headline_expression: str
    lower_is_better: bool
    count: int
    listed: int
    page: int
    pages: int
    rows: list[RowOut]
    published: list[PublishedRowOut]


class TrackResultOut(Schema):
    """One method in one track. value, half_interval : in the unit of the headline; half of the 95% interval over runs.

    runs : of which the value is the mean.   submission : code of its entry; null for a published result.
    """

    value: float
    half_interval: float | None
    runs: int
    submission: str | None
    page: str | None


class TrackRowOut(Schema):
    """A method of a team. kind : entry or published.   mean, rank : null where it lacks a track.

    results : by the slug of the track.
    """

    rank: int | None
    kind: str
    method: str
    team: str
    marks: list[str]
    mean: float | None
    results: dict[str, TrackResultOut | None]


class TracksOut(Schema):
    """All tracks as one table. headline, unit : what ranks; unit is nm, share, or empty for a plain number."""

    benchmark: str
    headline: str
    unit: str
    lower_is_better: bool
    tracks: list[str]
    rows: list[TrackRowOut]
