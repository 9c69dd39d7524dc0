"""Types that several resources share, and errors."""

import re
from datetime import date
from typing import Annotated, Any

from ninja import Schema
from pydantic import BeforeValidator, Field

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


class ComplaintOut(Schema):
    """One thing that is wrong with a submission; volume is empty where it concerns all."""

    volume: str = ""
    code: str
    message: str
