"""Reads SWC: one line a node, ``id type x y z radius parent``, in the dialects that have one reading.

A line may begin or end with blanks, have tabs, commas or semicolons between its columns, further columns and a comment;
line ends, encoding, order of nodes and gaps in ids do not matter. Any negative parent means a root, and so does 0 where
no node has that id. ``# SCALE x y z`` and ``# OFFSET x y z`` are applied: coordinate * scale + offset. What has no
reading, or two, is refused with its line.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import Complaint, InputError, raise_all
from axonem_eval.skeletons.swc_text import NUMBER, SwcText, swc_text

_COLUMNS = ("id", "type", "x", "y", "z", "radius", "parent")
# Longer is no number; it also bounds the table of a column, which is as wide as its longest entry.
_LONGEST = 60
_NUMERALS = b"0123456789+-.eE"
_NOT_MEASURED = frozenset((b"na", b"n/a", b"nan", b"none", b"null", b"inf", b"-inf", b"-"))
_SHOWN = 3


@dataclass(frozen=True)
class SwcTree:
    """Nodes of one SWC file, in the order of the file.

    vertex_xyz : (n, 3) float64, with SCALE and OFFSET applied, in the file's unit.
    edges : (m, 2) int64, node and parent, indices of nodes.
    unit : nm, um or voxel, or a multiple such as ``8 nm``, where a comment states it.
    voxel_size_xyz : nm, where the writing program states it.
    notes : what was done beyond reading, for people.
    """

    vertex_xyz: NDArray[np.float64]
    edges: NDArray[np.int64]
    unit: str | None
    voxel_size_xyz: tuple[float, float, float] | None
    notes: tuple[str, ...]


def read_swc(data: bytes, name: str) -> SwcTree:
    """Read the bytes of an SWC file; ``name`` is what complaints call it.

    Raises InputError with the line, what was found and what was expected: fewer than seven columns, text in place of a
    number, a coordinate that is not finite, an id that stands twice, a parent that is not there, a ring, no node.
    """
    text = swc_text(data, name)
    table = _Table.of(text, name)
    raise_all([*table.short_lines(), *table.lost_line_ends()])
    id_, parent = table.whole_numbers(0), table.whole_numbers(6)
    xyz = np.column_stack([table.numbers(k, finite=True) for k in (2, 3, 4)])
    for unused in (1, 5):
        table.numbers(unused, finite=False)
    raise_all(table.complaints)
    up = _parents(table, id_, parent)
    child = np.flatnonzero(up >= 0)
    notes = []
    if text.scale_xyz not in (None, (1.0, 1.0, 1.0)) or text.offset_xyz not in (None, (0.0, 0.0, 0.0)):
        scale, offset = text.scale_xyz or (1.0, 1.0, 1.0), text.offset_xyz or (0.0, 0.0, 0.0)
        xyz = xyz * scale + offset
        notes.append(
            f"{name}: its header is applied, coordinate * {_words(scale)} + {_words(offset)}, x y z in the file's unit"
        )
    if text.node_in_comment:
        notes.append(f"{name}, line {text.node_in_comment}: a comment that ends like a node; it is not read as one")
    if not np.isfinite(xyz).all():
        raise InputError.of(
            "not_finite", f"{name}: SCALE and OFFSET make coordinates that are not finite; correct them"
        )
    return SwcTree(xyz, np.column_stack([child, up[child]]), text.unit, text.voxel_size_xyz, tuple(notes))


@dataclass
class _Table:
    """Entries of a text by line and column, found without a loop over lines.

    line : (n,) the number of each data line.   first, count : (n,) its first entry, and how many it has.
    start, end : (n_entries,) places in ``raw``.
    """

    name: str
    text: SwcText
    raw: NDArray[np.uint8]
    line: NDArray[np.int64]
    first: NDArray[np.int64]
    count: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    complaints: list[Complaint]

    @classmethod
    def of(cls, text: SwcText, name: str) -> "_Table":
        raw = np.frombuffer(b"\n" + text.body.encode("utf-8") + b"\n", np.uint8)
        blank = (raw == 32) | (raw == 10)
        change = np.flatnonzero(blank[1:] != blank[:-1]) + 1
        start, end = change[::2], change[1::2]
        line = np.searchsorted(np.flatnonzero(raw == 10), start)
        first = np.flatnonzero(np.diff(line, prepend=-1))
        if not first.size:
            hint = (
                f"; line {text.node_in_comment} is a comment that ends like a node: put the node on a line of its own"
                if text.node_in_comment
                else "; expected lines of id type x y z radius parent. Leave the file out if its axon is empty"
            )
            raise InputError.of("no_node", f"{name}: holds no node{hint}")
        return cls(name, text, raw, line[first], first, np.diff(first, append=len(start)), start, end, [])

    def short_lines(self) -> list[Complaint]:
        """Lines with fewer than seven columns."""
        short = np.flatnonzero(self.count < len(_COLUMNS))

        def what(i: int) -> str:
            last = self.first[i] + self.count[i] - 1
            found = self.raw[self.start[self.first[i]] : self.end[last]].tobytes().decode("utf-8", "replace")
            return f"{self.count[i]} columns, {found[:60]!r}; expected id type x y z radius parent"

        return self.complaints_at("columns", short, what)

    def lost_line_ends(self) -> list[Complaint]:
        """Lines on which more numbers follow than on others, enough for another node whose line end is lost."""
        usual = int(self.count.min()) if len(self.count) > 1 else len(_COLUMNS)
        # Without a line end between them, a parent and the next id are one entry.
        long = np.flatnonzero(self.count >= usual + len(_COLUMNS) - 1)
        for column in range(usual, usual + len(_COLUMNS) - 1):
            long = long[_made_of(self._entries(column, long), _NUMERALS)]
        what = "columns of numbers, as of several nodes; expected one node a line"
        return self.complaints_at("columns", long, lambda i: f"{self.count[i]} {what}")

    def numbers(self, column: int, *, finite: bool) -> NDArray[np.float64]:
        """A column as float64; what is no number is a complaint. ``finite`` also refuses nan, inf and NA."""
        entry = self._entries(column)
        plain = _made_of(entry, _NUMERALS)
        try:
            value = entry.astype(np.float64) if plain.all() else None
        except ValueError:
            value = None
        if value is None:
            value, wrong = self._numbers_one_by_one(entry, finite)
            self._complain(column, entry, wrong, "a number")
        if finite and not np.isfinite(value).all():
            self._complain(column, entry, np.flatnonzero(np.isinf(value)), "a finite number")
        return value

    @staticmethod
    def _numbers_one_by_one(entry: NDArray[np.bytes_], finite: bool) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Values, nan where there is none, and which entries are no numbers."""
        kinds, of = np.unique(entry, return_inverse=True)
        value = np.full(len(kinds), np.nan)
        wrong = np.zeros(len(kinds), np.bool_)
        for k, text in enumerate(kinds.tolist()):
            if re.fullmatch(NUMBER.encode(), text):
                value[k] = float(text)
            else:
                wrong[k] = finite or text.lower() not in _NOT_MEASURED
        return value[of], np.flatnonzero(wrong[of])

    def whole_numbers(self, column: int) -> NDArray[np.int64]:
        """A column of ids as int64; ``7.0`` is 7."""
        entry = self._entries(column)
        fraction = ~_made_of(entry, b"0123456789+-")
        value = np.zeros(len(entry), np.int64)
        wanted = "a whole number of at most 18 digits" + (", -1 for a root" if column == 6 else "")
        try:
            value[~fraction] = entry[~fraction].astype(np.int64)
            as_float = entry[fraction].astype(np.float64) if _made_of(entry[fraction], _NUMERALS).all() else None
        except (ValueError, OverflowError):
            as_float = None
        if as_float is None:
            form = re.compile(rb"[-+]?[0-9]{1,18}(\.0*)?")
            wrong = np.flatnonzero([not form.fullmatch(text) for text in entry.tolist()])
            self._complain(column, entry, wrong, wanted)
            return value
        exact = (as_float == np.rint(as_float)) & (np.abs(as_float) < 2.0**53)
        self._complain(column, entry, np.flatnonzero(fraction)[~exact], wanted)
        value[np.flatnonzero(fraction)[exact]] = as_float[exact].astype(np.int64)
        return value

    def _entries(self, column: int, rows: NDArray[np.intp] | slice = slice(None)) -> NDArray[np.bytes_]:
        number = self.first[rows] + column
        start = self.start[number]
        length = np.minimum(self.end[number] - start, _LONGEST + 1)
        place = np.arange(length.max(initial=1))
        inside = place < length[:, None]
        # What is cut off here must not be read as a shorter number.
        characters = np.where(inside, self.raw[np.minimum(start[:, None] + place, len(self.raw) - 1)], 0)
        characters[length > _LONGEST, _LONGEST:] = ord("~")
        entry: NDArray[np.bytes_] = np.ascontiguousarray(characters.astype(np.uint8)).view(f"S{len(place)}")[:, 0]
        return entry

    def _complain(self, column: int, entry: NDArray[np.bytes_], rows: NDArray[np.intp], wanted: str) -> None:
        def what(i: int) -> str:
            return f"{_COLUMNS[column]} is {entry[i].decode('utf-8', 'replace')!r}, expected {wanted}"

        self.complaints += self.complaints_at("not_a_number", rows, what)

    def complaints_at(self, code: str, rows: NDArray[np.intp], what: Callable[[int], str]) -> list[Complaint]:
        """A complaint about the first of several lines with the same fault, and how many more there are; none without.

        what : the fault of a row.
        """
        if not rows.size:
            return []
        more = f" (and so on {len(rows) - 1:,} more lines)" if len(rows) > 1 else ""
        return [Complaint(code, f"{self.name}, line {self.line[rows[0]]}: {what(int(rows[0]))}{more}")]


def _made_of(entry: NDArray[np.bytes_], characters: bytes) -> NDArray[np.bool_]:
    """(n,) bool, the entries that have no other characters."""
    allowed = np.zeros(256, np.bool_)
    allowed[[0, *characters]] = True
    if not entry.size:
        return np.empty(0, np.bool_)
    return np.asarray(allowed[entry.view(np.uint8).reshape(len(entry), -1)].all(axis=1), np.bool_)


def _parents(table: _Table, id_: NDArray[np.int64], parent: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) index of each node's parent, -1 for a root. Raises InputError where they make no forest."""
    order = np.argsort(id_, kind="stable")
    ranked = id_[order]
    root = (parent < 0) | ((parent == 0) & ~(id_ == 0).any())
    place = np.minimum(np.searchsorted(ranked, parent), len(ranked) - 1)
    up = np.where(root, -1, order[place])
    raise_all(
        _doubled(table, ranked, order) + _negative(table, id_) + _unknown(table, id_, parent, root, ranked[place])
    )
    raise_all(_own_parent(table, id_, up) or _ring(table, id_, up))
    return up


def _doubled(table: _Table, ranked: NDArray[np.int64], order: NDArray[np.intp]) -> list[Complaint]:
    again = np.flatnonzero(ranked[1:] == ranked[:-1])

    def what(_: int) -> str:
        k = again[0]
        return f"id {ranked[k]} stands on line {table.line[order[k]]} already; expected each id once"

    return table.complaints_at("doubled_id", order[again + 1], what)


def _negative(table: _Table, id_: NDArray[np.int64]) -> list[Complaint]:
    what = "expected 0 or more, because a negative parent means a root"
    return table.complaints_at("negative_id", np.flatnonzero(id_ < 0), lambda i: f"id {id_[i]}, {what}")


def _unknown(
    table: _Table,
    id_: NDArray[np.int64],
    parent: NDArray[np.int64],
    root: NDArray[np.bool_],
    nearest: NDArray[np.int64],
) -> list[Complaint]:
    hint = (
        f". Line {table.text.node_in_comment} is a comment that ends like a node: put the node on a line of its own"
        if table.text.node_in_comment
        else "; expected the id of a node, or -1 for a root"
    )
    return table.complaints_at(
        "missing_parent",
        np.flatnonzero(~root & (nearest != parent)),
        lambda i: f"node {id_[i]} has parent {parent[i]}, which is not in the file{hint}",
    )


def _own_parent(table: _Table, id_: NDArray[np.int64], up: NDArray[np.int64]) -> list[Complaint]:
    what = "is its own parent; expected another node, or -1 for a root"
    rows = np.flatnonzero(up == np.arange(len(up)))
    return table.complaints_at("own_parent", rows, lambda i: f"node {id_[i]} {what}")


def _ring(table: _Table, id_: NDArray[np.int64], up: NDArray[np.int64]) -> list[Complaint]:
    """A complaint where nodes have no root above them: each pass doubles how far every node looks up."""
    top = np.where(up < 0, np.arange(len(up)), up)
    for _ in range(len(up).bit_length()):
        top = top[top]
    lost = np.flatnonzero(up[top] >= 0)
    if not lost.size:
        return []
    start = int(top[lost[0]])
    ring = [start]
    while (following := int(up[ring[-1]])) != start:
        ring.append(following)
    first = min(ring)
    shown = ", ".join(str(id_[i]) for i in sorted(ring)[:_SHOWN]) + (", …" if len(ring) > _SHOWN else "")
    what = (
        f"node {id_[first]} and its parents close a ring of {len(ring):,} nodes ({shown}); SWC holds trees. Make one "
        "of them a root with parent -1"
    )
    return table.complaints_at("ring", np.array([first]), lambda _: what)


def _words(xyz: tuple[float, float, float]) -> str:
    return "(" + ", ".join(f"{v:g}" for v in xyz) + ")"
