"""Change a label file at random: bytes, numbers, pieces, and what an archive holds."""

import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

NUMBERS = (0, 1, 2, 7, 8, 16, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
WORDS: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    1e308,
    "",
    "x" * 5000,
    "../../canary",
    [],
    {},
    [[]],
    [1] * 9,
)
MOST_BYTES = 400_000


def mutated(content: bytes, dice: random.Random, other: bytes) -> bytes:
    """A changed copy.   other : another file, of which pieces may come."""
    if content[:2] == b"PK" and dice.random() < 0.8:
        try:
            return _archive(content, dice, other)
        except (RuntimeError, ValueError, OSError, EOFError, LookupError, zipfile.BadZipFile, zlib.error, struct.error):
            pass  # damaged or encrypted: then its bytes are changed
    return _bytes(content, dice, other)


def _bytes(content: bytes, dice: random.Random, other: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8, 30))):
        if data:
            dice.choice(CHANGES)(data, dice, other)
    return bytes(data[:MOST_BYTES])


def _place(data: bytearray, dice: random.Random) -> int:
    # What says what a file is lies in its head, in the formats with one file.
    return dice.randrange(min(len(data), 2048) if dice.random() < 0.6 else len(data))


def _flip(data: bytearray, dice: random.Random, other: bytes) -> None:
    data[_place(data, dice)] ^= 1 << dice.randrange(8)


def _byte(data: bytearray, dice: random.Random, other: bytes) -> None:
    data[_place(data, dice)] = dice.randrange(256)


def _number(data: bytearray, dice: random.Random, other: bytes) -> None:
    size = dice.choice((1, 2, 4, 8))
    at = _place(data, dice)
    value = dice.choice(NUMBERS) % (1 << 8 * size)
    data[at : at + size] = value.to_bytes(size, dice.choice(("little", "big")))


def _add(data: bytearray, dice: random.Random, other: bytes) -> None:
    at, size = _place(data, dice), dice.choice((1, 2, 4))
    value = int.from_bytes(data[at : at + size], "little") + dice.choice((-8, -1, 1, 8, 64))
    data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")


def _cut(data: bytearray, dice: random.Random, other: bytes) -> None:
    del data[_place(data, dice) :]


def _remove(data: bytearray, dice: random.Random, other: bytes) -> None:
    at = _place(data, dice)
    del data[at : at + dice.choice((1, 4, 16, 512))]


def _repeat(data: bytearray, dice: random.Random, other: bytes) -> None:
    at, to = _place(data, dice), _place(data, dice)
    piece = bytes(data[at : at + dice.choice((4, 32, 512))])
    data[to : to + dice.choice((0, len(piece)))] = piece


def _graft(data: bytearray, dice: random.Random, other: bytes) -> None:
    if other:
        at, size = dice.randrange(len(other)), dice.choice((8, 64, 1024))
        to = _place(data, dice)
        data[to : to + size] = other[at : at + size]


CHANGES: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    *(_flip, _byte, _number, _number, _add, _add, _cut, _remove, _repeat, _graft),
)


def _archive(content: bytes, dice: random.Random, other: bytes) -> bytes:
    """The same archive with a changed member, whose checksum is right: it gets past the archive's own checks."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        members = {name: source.read(name) for name in source.namelist()[:200] if not name.endswith("/")}
    if not members:
        raise ValueError("an empty archive")
    metadata = [name for name in members if name.rpartition("/")[2] in ("info", ".zarray", "zarr.json", ".zgroup")]
    name = dice.choice(metadata if metadata and dice.random() < 0.7 else list(members))
    what = dice.random()
    if name in metadata and what < 0.8:
        members[name] = _json(members[name], dice)
    elif what < 0.9:
        members[name] = _bytes(members[name], dice, other)
    elif what < 0.95:
        del members[name]
    else:
        members[dice.choice(("../canary", "0.0.0", "c/0/0/0", "info", "zarr.json", f"{name}/x"))] = members.pop(name)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for member, data in members.items():
            target.writestr(zipfile.ZipInfo(member), data)
    return out.getvalue()[:MOST_BYTES]


def _json(text: bytes, dice: random.Random) -> bytes:
    """Metadata in which one value is another."""
    try:
        document = json.loads(text)
    except ValueError:
        return _bytes(text, dice, b"")
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    if isinstance(document, dict | list):
        walk(document)
    for node, key in dice.sample(places, min(len(places), dice.choice((1, 1, 2)))):
        other_node, other_key = dice.choice(places)
        value = node[key] if key in node or isinstance(node, list) else None
        if isinstance(value, int) and not isinstance(value, bool) and dice.random() < 0.5:
            node[key] = dice.choice((value + 1, value - 1, -value, value * 2, dice.choice(NUMBERS)))
        else:
            taken = other_node[other_key] if isinstance(other_node, list) or other_key in other_node else None
            node[key] = dice.choice((*WORDS, None if isinstance(taken, dict | list) else taken))
    return json.dumps(document).encode()
