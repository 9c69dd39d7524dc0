"""What all tables of a configuration share."""

from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field

Triple = tuple[int, int, int]
FloatTriple = tuple[float, float, float]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Span = tuple[int, int]

_Config = TypeVar("_Config")
STRICT = ConfigDict(extra="forbid", strict=True)


def without(config: _Config, contradictions: list[str]) -> _Config:
    """The configuration itself. Raises ValueError with one contradiction a line."""
    if contradictions:
        raise ValueError("\n".join(contradictions))
    return config
