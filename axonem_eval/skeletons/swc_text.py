"""The text of an SWC file made plain: one encoding, one line end, blanks between columns; what its comments state.

Everything here works on the whole text at once, because a file may have a million lines.
"""

import codecs
import re
from dataclasses import dataclass

from axonem_eval.errors import InputError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Each expression here is linear in the length of a line: comments may be long.
NUMBER = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_COMMENT = re.compile(r"#[^\n]*")
_BLANKS = re.compile(r"[^\S\n]+")  # those of Unicode too
_HEADER = re.compile(r"^[^\S\n]*#[# \t]*(?P<word>OFFSET|SCALE)\b[ \t:=]*(?P<rest>[^\n]*)$", re.M | re.I)
_SOURCE = re.compile(r"^[^\S\n]*#\s*ORIGINAL_SOURCE\s+(?:osteoid|cloud-?volume|kimimaro)", re.M | re.I)
# Seven numbers after other words: a header whose line end is lost, with the first node behind it.
_NODE_IN_COMMENT = re.compile(rf"(?<=[^\s#])[ \t]+(?:[0-9]+)(?:[ \t]+{NUMBER}){{5}}[ \t]+-?[0-9]+[ \t]*$", re.M)
_UNIT_WORDS = {
    "nm": r"nm|nanomet(?:er|re)s?",
    "um": r"um|µm|μm|microns?|micromet(?:er|re)s?",
    "voxel": r"voxels?|vx|px|pixels?",
}
_UNIT = re.compile(
    r"\b(?:(?:units?|coordinates?|coords?|positions?)\b[ \t:=(\"']{0,9}(?:(?:are|is|in|given)\b[ \t:=(]{0,9}){0,3}"
    r"|skeleton \d+, )(?P<number>[0-9.]{1,9} ?)?"
    + "(?:" + "|".join(f"(?P<{unit}>{words})" for unit, words in _UNIT_WORDS.items()) + r")(?![\w])",
    re.I,
)  # fmt: skip


@dataclass(frozen=True)
class SwcText:
    """body : the data lines, columns apart by blanks, line numbers as in the file.

    scale_xyz, offset_xyz : what the header says is to be applied, or None.
    voxel_size_xyz : a SCALE line of a program whose coordinates are scaled already.
    unit : nm, um or voxel, or a multiple such as ``8 nm``, where a comment states one.
    node_in_comment : first line with a comment that ends like a node, from 1, or None.
    """

    body: str
    scale_xyz: tuple[float, float, float] | None = None
    offset_xyz: tuple[float, float, float] | None = None
    voxel_size_xyz: tuple[float, float, float] | None = None
    unit: str | None = None
    node_in_comment: int | None = None


def swc_text(data: bytes, name: str) -> SwcText:
    """Text of an SWC file. Raises InputError where it is no text, or where commas leave two readings."""
    text = decoded(data, name).replace("\r\n", "\n").replace("\r", "\n").replace("\u2212", "-")  # a minus sign
    comments = "\n".join(_COMMENT.findall(text)) if "#" in text else ""
    header = _header(text, name) if comments else {}
    scaled_already = bool(_SOURCE.search(comments))
    scale = header.get("SCALE")
    return SwcText(
        _without_column_names(_plain_columns(_COMMENT.sub("", text), name), name),
        scale_xyz=None if scaled_already else scale,
        offset_xyz=header.get("OFFSET"),
        voxel_size_xyz=scale if scaled_already else None,
        unit=_stated_unit(comments),
        node_in_comment=_node_in_comment(text, comments),
    )


def decoded(data: bytes, name: str) -> str:
    """Text in UTF-8, UTF-16 or UTF-32 with a byte order mark, or in UTF-8 or Latin-1 without."""
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            try:
                return data[len(bom) :].decode(encoding).replace("\ufeff", "")
            except UnicodeDecodeError as error:
                raise InputError.of(
                    "bad_text",
                    f"{name}: begins as {encoding} text, but byte {error.start} is none; the file is damaged",
                ) from None
    data = data.rstrip(b"\x1a\0")  # ends of file of DOS
    zero = data.find(b"\0")
    if zero >= 0:
        raise InputError.of(
            "not_text", f"{name}: byte {zero} is zero, so this is no text; expected SWC, or UTF-16 with its mark"
        )
    try:
        return data.decode("utf-8").replace("\ufeff", "")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _header(text: str, name: str) -> dict[str, tuple[float, float, float]]:
    """The OFFSET and SCALE lines."""
    found: dict[str, tuple[float, float, float]] = {}
    for match in _HEADER.finditer(text):
        word, rest = match["word"], match["rest"].strip(" \t()[]")
        if not rest:
            continue
        values = re.split(r"[\s,;]+", rest)
        numbers = [float(v) for v in values if re.fullmatch(NUMBER, v)]
        if len(numbers) != len(values) or len(numbers) not in (1, 3):
            if word.isupper():
                raise InputError.of(
                    "bad_header",
                    f"{name}, line {_line(text, match.start('word'))}: {word} is {rest[:60]!r}, expected three numbers "
                    "x y z; correct the line or remove it",
                )
            continue
        x, y, z = numbers * (3 // len(numbers))
        word = word.upper()
        if found.setdefault(word, (x, y, z)) != (x, y, z) or (word == "SCALE" and min(x, y, z) <= 0):
            raise InputError.of(
                "bad_header",
                f"{name}, line {_line(text, match.start('word'))}: {word} is {rest[:60]!r}, expected one such line "
                "with three numbers, for SCALE all above 0",
            )
    return found


def _stated_unit(comments: str) -> str | None:
    """nm, um or voxel, or a multiple such as ``8 nm``; None where comments differ."""
    units = set()
    for match in _UNIT.finditer(comments):
        number = (match["number"] or "1").strip()
        units.add(str(match.lastgroup) if re.fullmatch(r"1\.?0*", number) else f"{number} {match.lastgroup}")
    return units.pop() if len(units) == 1 else None


def _node_in_comment(text: str, comments: str) -> int | None:
    hanging = _NODE_IN_COMMENT.search(comments)
    if not hanging:
        return None
    comment = comments[comments.rfind("\n", 0, hanging.start()) + 1 : hanging.end()]
    return _line(text, text.index(comment))


def _plain_columns(body: str, name: str) -> str:
    """Blanks for commas and semicolons, where each has one reading."""
    body = _BLANKS.sub(" ", body.replace('"', ""))
    if "," not in body and ";" not in body:
        return body
    body = re.sub(r"(?<![,; ])[,; ]+$", "", body, flags=re.M)  # empty columns at the end
    empty = re.search(r"^ *[,;]|[,;] *[,;]", body, re.M)
    if empty:
        raise InputError.of(
            "empty_column",
            f"{name}, line {_line(body, empty.start() + 1)}: a column is empty; expected id type x y z radius parent",
        )
    _refuse_decimal_commas(body, name)
    return body.replace(",", " ").replace(";", " ")


def _refuse_decimal_commas(body: str, name: str) -> None:
    within = re.search(r"(?<=[0-9]),(?=[0-9])", body)
    if not within:
        return
    other = ";" in body or re.search(r"[^\s,;] [^\s,;]", body)
    if not other:
        columns = {line.count(",") + 1 for line in re.findall(r"^.*\S.*$", body, re.M)}
        wide = max(columns) > 7
        if not wide or ("." in body and ", " not in body):
            return
        if len(columns) == 1 and max(columns) != 11 and ", " not in body:
            return
    token = re.search(r"\S+$", body[max(0, within.start() - 20) : within.start()])
    shown = f"{token.group() if token else ''},{body[within.end() : within.end() + 8].split()[0]}"
    raise InputError.of(
        "decimal_comma",
        f"{name}, line {_line(body, within.start())}: {shown!r} may be one number with a decimal comma or two columns. "
        "Write decimal points, and the same separator between all columns",
    )


def _without_column_names(body: str, name: str) -> str:
    """The body without a first line of column names, as tables have it. Raises InputError for another order."""
    first = re.search(r"\S[^\n]*", body)
    if not first:
        return body
    names = first.group().lower().split()
    if len(names) < 7 or not all(re.match(r"[a-z_]", n) and n not in ("nan", "inf", "na") for n in names):
        return body
    if [n[0] for n in names[2:5]] != ["x", "y", "z"] or not re.match(r"p|link", names[6]) or names[0][0] == "p":
        raise InputError.of(
            "column_names",
            f"{name}, line {_line(body, first.start())}: the columns are {' '.join(names)[:80]}, "
            "expected id type x y z radius parent, in that order",
        )
    return body[: first.start()] + body[first.end() :]


def _line(text: str, place: int) -> int:
    """Number of the line, from 1, of a place in the text."""
    return text.count("\n", 0, place) + 1
