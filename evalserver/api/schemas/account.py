"""The user of a token, and their uploads."""

from datetime import datetime

from ninja import Schema

from evalserver.api.schemas.common import ComplaintOut


class TeamOut(Schema):
    """A team of the caller."""

    id: int
    name: str


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
    """Open uploads of the caller, and the room that is left."""

    count: int
    stored_bytes: int
    limit_bytes: int
    max_file_bytes: int
    items: list[UploadOut]


class TokenOut(Schema):
    """The token that the request came with."""

    name: str
    scopes: list[str]
    expires_at: datetime | None


class MeOut(Schema):
    """token : the token of this request; null for a session."""

    email: str
    name: str
    teams: list[TeamOut]
    token: TokenOut | None
