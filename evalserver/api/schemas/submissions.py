"""Submissions, in and out."""

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import ConfigDict, Field

from evalserver.api.schemas.account import TeamOut
from evalserver.api.schemas.common import ComplaintOut, Name, Slug, SubmissionCode, Text, UploadCode, WebAddress
from evalserver.api.schemas.results import HeadlineOut


class FileOut(Schema):
    """warnings : what may be wrong with the file though it was accepted, known once it was read.

    is_node_table : it holds the labels at the ground truth's nodes, not the volume.
    """

    volume: str
    name: str
    size_bytes: int
    sha256: str
    warnings: list[str]
    is_node_table: bool


class SubmissionOut(Schema):
    """status : uploaded (waits), running, scored, rejected (see complaints) or failed (see incident_id).

    supersedes : code of the entry that this one replaces; superseded_by : those that replace it. Both as far as you
        may see them.
    run_of : code of the entry that this is another run of; runs : further runs of this entry. The same holds.
    extra_training_data, manual_fixup, made_ground_truth : the marks of the entry.
    """

    code: str
    method: str
    description: str
    paper_url: str
    code_url: str
    model_url: str
    training_data: str
    compute: str
    extra_training_data: bool
    manual_fixup: bool
    made_ground_truth: bool
    supersedes: str | None
    superseded_by: list[str]
    run_of: str | None
    runs: list[str]
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
    """One page of submissions, the newest first."""

    count: int
    page: int
    pages: int
    items: list[SubmissionOut]


class SubmissionIn(Schema):
    """files : the code of a finished upload, by volume. team : id, where you belong to several.

    supersedes : code of an earlier scored entry of the same team and phase that this one replaces; empty for none.
    run_of : code of the first run of an entry of the same team and phase, if this is another run of it.
    extra_training_data, manual_fixup, made_ground_truth : marks that the board shows.
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
    extra_training_data: bool = False
    manual_fixup: bool = False
    made_ground_truth: bool = False
    supersedes: SubmissionCode = ""
    run_of: SubmissionCode = ""


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
    extra_training_data: bool | None = None
    manual_fixup: bool | None = None
    made_ground_truth: bool | None = None
    supersedes: SubmissionCode | None = None


class ReferenceIn(Schema):
    """command : reproduces the entry. provenance : code, seeds, checksums, hardware, times."""

    model_config = ConfigDict(extra="forbid")

    command: Annotated[Name, Field(max_length=500)]
    provenance: dict[str, Any] | None = None
