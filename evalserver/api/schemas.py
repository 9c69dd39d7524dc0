"""What goes in and out of the API. Arrays and sizes are in z, y, x order; lengths in nm where a name says so.

The ground truth itself is in none of these: what they say of it are the figures that the pages show.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import BeforeValidator, ConfigDict, Field

# PostgreSQL stores no NUL, and a name of blanks is none.
Text = Annotated[str, Field(pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(pattern=r"^[^\x00]*[^\x00\s][^\x00]*$", min_length=1)]
Slug = Annotated[str, Field(pattern=r"^[-a-zA-Z0-9_]+$", min_length=1, max_length=50)]
PageNumber = Annotated[int, Field(ge=1, le=100_000)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
UploadCode = Annotated[str, Field(pattern=r"^[a-z0-9]+$", min_length=1, max_length=16)]
SubmissionCode = Annotated[str, Field(pattern=r"^[a-z0-9]*$", max_length=16)]
WebAddress = Annotated[str, Field(pattern=r"^(https?://[A-Za-z0-9][^\x00\s<>\"']*)?$", max_length=200)]


def _written_as_a_day(value: Any) -> Any:
    # pydantic alone takes numbers as well, for seconds since 1970.
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError("write a day as 2026-11-23")
    return value


Day = Annotated[date, BeforeValidator(_written_as_a_day)]


class ProblemOut(Schema):
    """Every error: `code` for programs, `message` for people, `details` depending on the code."""

    code: str
    message: str
    details: Any = None


PROBLEMS = frozenset({400, 401, 403, 404, 409, 422, 429})


class GroundTruthOut(Schema):
    """Figures of the ground truth that scores now; its skeletons are not among them."""

    version: int
    checksum: str
    skeletons: int | None
    gt_erl_nm: float | None
    mean_node_spacing_nm: float | None


class VolumeOut(Schema):
    slug: str
    name: str
    tissue: str
    shape_zyx: tuple[int, int, int]
    voxel_size_nm_zyx: tuple[float, float, float]
    tolerance_nodes: int
    min_length_um: float
    ground_truth_public: bool
    ground_truth: GroundTruthOut | None


class PhaseOut(Schema):
    slug: str
    name: str
    kind: str
    is_open: bool
    opens_at: datetime
    closes_at: datetime | None
    submissions_per_day: int
    volumes: list[str]


class BenchmarkOut(Schema):
    slug: str
    name: str
    summary: str
    page: str
    default_phase: str | None
    phases: list[PhaseOut]
    volumes: list[VolumeOut]


class BenchmarkPage(Schema):
    count: int
    items: list[BenchmarkOut]


class VolumeScoreOut(Schema):
    volume: str
    erl_nm: float
    normalized_erl: float | None


class RowOut(Schema):
    """An entry. Equal scores share a rank, the earlier one is listed first.

    rank : null where is_superseded, for an entry that a newer listed one of its team replaces.
    mean_erl_low_nm, mean_erl_high_nm : 95% interval of the mean; null in older records.
    """

    rank: int | None
    is_superseded: bool
    is_reference: bool
    submission: str
    method: str
    team: str
    mean_erl_nm: float
    mean_normalized_erl: float
    mean_erl_low_nm: float | None
    mean_erl_high_nm: float | None
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
    volumes: list[VolumeScoreOut]


class BoardView(Schema):
    """Which rows, in which order. The options have the same names as on the leaderboard's page."""

    sort: Annotated[str, Field(pattern=r"^-?(rank|mean|percent|low|date|erl-[-a-zA-Z0-9_]{1,50}\.(um|percent))$")] = (
        Field("rank", description="a column, also erl-VOLUME.um or erl-VOLUME.percent; with - the largest comes first")
    )
    q: Annotated[Text, Field(max_length=100)] = Field("", description="part of a method's or a team's name")
    rows: Literal["all", "best"] = Field("all", description="best: one row for each team")
    superseded: Literal["0", "1"] = Field("0", description="1: also show entries that newer ones replace")
    since: Day | None = Field(None, alias="from", description="first day of submission (UTC)")
    until: Day | None = Field(None, alias="to", description="last day of submission (UTC)")


class LeaderboardOut(Schema):
    """count : rows of this view over all its pages. listed : entries that it chooses from."""

    benchmark: str
    phase: str
    metric_version: str
    count: int
    listed: int
    page: int
    pages: int
    rows: list[RowOut]
    published: list[PublishedRowOut]


class TeamOut(Schema):
    id: int
    name: str


class ComplaintOut(Schema):
    volume: str = ""
    code: str
    message: str


class HeadlineOut(Schema):
    """is_current : whether the leaderboard ranks with this metric and ground truth now."""

    mean_erl_nm: float
    mean_normalized_erl: float
    metric_version: str
    is_current: bool


class FileOut(Schema):
    """warnings : what may be wrong with the file though it was accepted, known once it was read."""

    volume: str
    name: str
    size_bytes: int
    sha256: str
    warnings: list[str]


class SubmissionOut(Schema):
    """status : uploaded (waits), running, scored, rejected (see complaints) or failed (see incident_id).

    supersedes : code of the entry that this one replaces; superseded_by : those that replace it. Both as far as you
        may see them.
    """

    code: str
    method: str
    description: str
    paper_url: str
    code_url: str
    model_url: str
    training_data: str
    compute: str
    supersedes: str | None
    superseded_by: list[str]
    is_reference: bool
    reproduce_command: str
    benchmark: str
    phase: str
    team: TeamOut
    status: str
    stage: str
    percent: int
    seconds_left: float | None
    waiting_before: int | None
    complaints: list[ComplaintOut]
    incident_id: str
    visibility: str
    created_at: datetime
    finished_at: datetime | None
    published_at: datetime | None
    withdrawn_at: datetime | None
    headline: HeadlineOut | None
    files: list[FileOut] | None
    page: str


class SubmissionPage(Schema):
    count: int
    page: int
    pages: int
    items: list[SubmissionOut]


class EdgesOut(Schema):
    """Skeleton length by outcome, nm; the four add up to the total, but for rounding."""

    correct: float
    omitted: float
    split: float
    merged: float
    total: float


class EvaluationOut(Schema):
    """withheld : why there are no figures, empty where there are: see docs/metric.md."""

    volume: str
    erl_nm: float | None
    gt_erl_nm: float
    normalized_erl: float | None
    withheld: str
    tolerance_nodes: int
    tolerance_um: float | None
    voxel_size_nm: tuple[float, float, float]
    edges_nm: EdgesOut | None
    mergers: int | None
    skeletons: int | None
    no_merge_mask: bool | None
    metric_version: str
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


class SubmissionIn(Schema):
    """files : the code of a finished upload, by volume. team : id, where you belong to several.

    supersedes : code of an earlier scored entry of the same team and phase that this one replaces; empty for none.
    """

    model_config = ConfigDict(extra="forbid")

    benchmark: Slug
    phase: Slug | None = None
    team: Annotated[int, Field(ge=1, le=2**53)] | None = None
    method: Annotated[Name, Field(max_length=120)]
    description: Annotated[Text, Field(max_length=10_000)] = ""
    publish: bool = False
    files: Annotated[dict[Slug, UploadCode], Field(min_length=1, max_length=50)]
    paper_url: WebAddress = ""
    code_url: WebAddress = ""
    model_url: WebAddress = ""
    training_data: Annotated[Text, Field(max_length=500)] = ""
    compute: Annotated[Text, Field(max_length=500)] = ""
    supersedes: SubmissionCode = ""


class SubmissionEdit(Schema):
    """A field that is left out does not change. An empty `supersedes` removes the replacement."""

    model_config = ConfigDict(extra="forbid")

    method: Annotated[Name, Field(max_length=120)] | None = None
    description: Annotated[Text, Field(max_length=10_000)] | None = None
    paper_url: WebAddress | None = None
    code_url: WebAddress | None = None
    model_url: WebAddress | None = None
    training_data: Annotated[Text, Field(max_length=500)] | None = None
    compute: Annotated[Text, Field(max_length=500)] | None = None
    supersedes: SubmissionCode | None = None


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
    volumes: list[ComparedVolumeOut]


class ReferenceIn(Schema):
    """command : reproduces the entry. provenance : code, seeds, checksums, hardware, times."""

    model_config = ConfigDict(extra="forbid")

    command: Annotated[Name, Field(max_length=500)]
    provenance: dict[str, Any] | None = None


class UploadOut(Schema):
    """state : receiving, checking (a worker computes the checksum), ready, used, corrupt or failed.

    tus_url : where to continue the upload. percent : of the bytes, or of the check.
    """

    code: str
    tus_url: str
    file_name: str
    size_bytes: int
    offset: int
    percent: int
    state: str
    declared_sha256: str
    sha256: str
    benchmark: str
    volume: str
    complaints: list[ComplaintOut]
    used_by: str
    created_at: datetime
    expires_at: datetime


class UploadList(Schema):
    count: int
    stored_bytes: int
    limit_bytes: int
    max_file_bytes: int
    items: list[UploadOut]


class TokenOut(Schema):
    name: str
    scopes: list[str]
    expires_at: datetime | None


class MeOut(Schema):
    """token : the token of this request; null for a session."""

    email: str
    name: str
    teams: list[TeamOut]
    token: TokenOut | None
