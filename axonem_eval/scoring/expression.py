"""Arithmetic over figures and volumes, written as text: ``sqrt((voi_split + voi_merge) * arand)``.

A definition of a benchmark is data, so its text is parsed and evaluated here, and never run.
"""

import ast
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.files import parse_again

Floats = NDArray[np.float64]

MAX_CHARACTERS = 300
_OPERATORS: dict[type[ast.operator], Callable[[Floats, Floats], Floats]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
# Of several volumes one number; the axis stays, so that it goes on as a value of each volume.
_OVER_VOLUMES: dict[str, Callable[[Floats], Floats]] = {
    "mean": lambda x: x.mean(axis=-1, keepdims=True),
    "min": lambda x: x.min(axis=-1, keepdims=True),
    "max": lambda x: x.max(axis=-1, keepdims=True),
}
_FUNCTIONS: dict[str, Callable[[Floats], Floats]] = {"sqrt": np.sqrt, **_OVER_VOLUMES}


@dataclass(frozen=True)
class Expression:
    """A number made of the figures on each volume.

    A name is a figure's value on each volume; ``name["slug"]`` is its value on one of them. There are numbers, + - * /,
    ``sqrt``, and ``mean``, ``min``, ``max`` over the volumes. What is left for each volume is averaged.
    """

    text: str

    def require(self, known: Collection[str]) -> None:
        """Raise InputError where the text is no such expression, or names what is not among ``known``."""
        if unknown := sorted(self.names - set(known)):
            raise InputError.of(
                "unknown_figure",
                f"the headline {self.text!r} names {', '.join(unknown)}; the figures are {', '.join(known)}",
            )

    @property
    def names(self) -> frozenset[str]:
        """Figures that it names."""
        return frozenset(name for name, _ in self._references)

    @property
    def volumes(self) -> frozenset[str]:
        """Volumes that it names."""
        return frozenset(volume for _, volume in self._references if volume)

    def of(self, figures: Mapping[str, Floats], volumes: Sequence[str] = ()) -> Floats:
        """Its value. figures : by name, arrays (..., n_volumes).   volumes : slugs in the order of the last axis.

        Returns (...); NaN where a figure is NaN, or the value is not finite. Raises InputError for a volume that is not
        among ``volumes``.
        """
        if unknown := sorted(self.volumes - set(volumes)):
            raise InputError.of(
                "unknown_volume",
                f"the headline {self.text!r} names the volume {', '.join(unknown)}; there is {', '.join(volumes)}",
            )
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            value = np.asarray(_evaluate(self._tree, figures, list(volumes))).mean(axis=-1)
        return np.where(np.isfinite(value), value, np.nan)

    @cached_property
    def _tree(self) -> ast.expr:
        if len(self.text) > MAX_CHARACTERS:
            raise self._refused(f"it has {len(self.text):,} characters, at most {MAX_CHARACTERS} are read")
        try:
            tree: ast.expr = parse_again(partial(ast.parse, self.text.strip(), mode="eval")).body
            seen = _Anything()
            with np.errstate(all="ignore"):
                _evaluate(tree, seen, None)
            if not seen.names:
                raise ValueError("it names no figure")
        except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
            raise self._refused(str(error) if isinstance(error, ValueError) else "it is not readable") from None
        return tree

    @cached_property
    def _references(self) -> frozenset[tuple[str, str]]:
        seen = _Anything()
        with np.errstate(all="ignore"):
            _evaluate(self._tree, seen, None, seen.picked)
        picked = {name for name, volume in seen.picked if volume}
        return frozenset({*seen.picked, *((name, "") for name in seen.names - picked)})

    def _refused(self, why: str) -> InputError:
        return InputError.of(
            "bad_headline",
            f"the headline {self.text[:MAX_CHARACTERS]!r} is no expression: {why}. Write one of figures, numbers, "
            '+ - * /, sqrt(), mean(), min(), max(), and figure["volume"] for one volume: (voi_split + voi_merge) / 2',
        )


class _Anything(dict[str, Floats]):
    """Figures of any name, on one volume, for parsing: notes what is named."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.picked: list[tuple[str, str]] = []

    def __missing__(self, name: str) -> Floats:
        self.names.add(name)
        return np.ones(1)


def _evaluate(
    node: ast.expr,
    figures: Mapping[str, Floats],
    volumes: list[str] | None,
    picked: list[tuple[str, str]] | None = None,
) -> Floats:
    """volumes : None takes any name of a volume.   picked : gets each (figure, volume). Raises ValueError."""

    def of(inner: ast.expr) -> Floats:
        return _evaluate(inner, figures, volumes, picked)

    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return np.full(1, float(number))
        case ast.Name(id=name):
            return figures[name]
        case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str() as volume)):
            if picked is not None:
                picked.append((name, volume))
            column = 0 if volumes is None else volumes.index(volume)
            return figures[name][..., column : column + 1]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -of(inner)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](of(left), of(right))
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](of(inner))
    raise ValueError(f"{ast.unparse(node)!r} is not allowed")
