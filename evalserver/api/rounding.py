"""Figures on hidden ground truth leave the server as the pages show them: 0.01 um and 0.1%."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rounding:
    """exact : the ground truth is public, so that nothing is rounded."""

    exact: bool

    def nm(self, value: float) -> float:
        return value if self.exact else float(round(value / 10) * 10)

    def share(self, value: float) -> float:
        return value if self.exact else round(value, 3)
