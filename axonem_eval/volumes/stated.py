"""What the metadata of a label file state about its voxels: their size and where the array begins."""

import re
import reprlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from axonem_eval.spec import FloatTriple

# Attributes for the voxel size (z, y, x), and their factor to nm where the file gives no unit.
_SIZE_NAMES = (("voxel_size_nm", 1.0), ("resolution", 1.0), ("voxel_size", 1.0), ("element_size_um", 1e3))
_OFFSET_NAMES = ("offset", "voxel_offset", "offset_nm")
_UNIT_NAMES = ("units", "unit")

_PREFIXES = {"pico": 1e-3, "nano": 1.0, "micro": 1e3, "milli": 1e6, "centi": 1e7, "deci": 1e8, "": 1e9, "kilo": 1e12}
_NM_PER_UNIT = {
    **{f"{prefix}met{end}": nm for prefix, nm in _PREFIXES.items() for end in ("er", "re", "ers", "res")},
    **{"angstrom": 0.1, "angstroms": 0.1, "ångström": 0.1, "ångstrom": 0.1, "å": 0.1, "a": 0.1},
    **{"nm": 1.0, "um": 1e3, "μm": 1e3, "\\u00b5m": 1e3, "micron": 1e3, "microns": 1e3},
    **{"pm": 1e-3, "mm": 1e6, "cm": 1e7, "m": 1e9, "inch": 2.54e7},
}
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxlist, _BRIEF.maxstring = 3, 9, 60
# What NumPy raises for a value that is no number, or an integer beyond all floats.
_NO_NUMBERS = (ValueError, TypeError, OverflowError)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


@dataclass(frozen=True)
class Stated:
    """What metadata state about the voxels.

    voxel_size_nm_zyx : None where none is stated, or none that is understood.
    offset : where the array begins, as the file states it; only shown.
    offset_nm_zyx : the same in nm, by the attributes offset or offset_nm, also where it is 0.
    notes : statements that are not understood, each a sentence without the file's name.
    """

    voxel_size_nm_zyx: FloatTriple | None = None
    offset: str = ""
    notes: tuple[str, ...] = ()
    offset_nm_zyx: FloatTriple | None = None

    def warnings(self, name: str) -> tuple[str, ...]:
        """The notes as lines about the file of that name."""
        return tuple(f"{name}: {note}" for note in self.notes)


def nm_per_unit(unit: object) -> float | None:
    """Length of a unit in nm, by its name or symbol in the usual spellings; None for any other text."""
    if isinstance(unit, bytes):
        unit = unit.decode("utf-8", "replace")
    if not isinstance(unit, str):
        return None
    # NFKC makes one of the two micro signs, and one of the two Angstrom signs.
    return _NM_PER_UNIT.get(unicodedata.normalize("NFKC", unit).strip().lower())


def stated_by_attributes(*owners: Mapping[str, Any]) -> Stated:
    """What the attributes of an array, its group and its file state; the first one that is understood counts."""
    notes: list[str] = []
    size = None
    owners = tuple(stated for owner in owners for stated in (owner, _transform_of(owner)))
    for owner in owners:
        size = size or _size_of(owner, notes)
    offset = next(filter(None, map(_offset_of, owners)), "")
    return Stated(size, offset, tuple(dict.fromkeys(notes)), next(filter(None, map(_offset_nm_of, owners)), None))


def _transform_of(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Janelia's ``transform`` as attributes of other names: its scale in its units, and its translation in nm."""
    transform = _value(owner, "transform") if "transform" in owner else None
    if not isinstance(transform, Mapping) or "scale" not in transform:
        return {}
    units = transform.get("units")
    is_in_nm = {nm_per_unit(unit) for unit in _words(units)} <= {1.0}
    stated = {"voxel_size": transform["scale"], "units": units, "offset": transform.get("translate")}
    return {name: value for name, value in stated.items() if value is not None and (is_in_nm or name != "offset")}


def _size_of(owner: Mapping[str, Any], notes: list[str]) -> FloatTriple | None:
    for name, factor in _SIZE_NAMES:
        if name not in owner:
            continue
        numbers, unit = _numbers(_value(owner, name))
        in_nm = _factors(owner, unit, name, factor, notes)
        if numbers is None:
            notes.append(
                f"states {name} {shown(_value(owner, name))}, which is not understood as a voxel size: expected three "
                "positive numbers z,y,x in nm"
            )
        elif in_nm is not None:
            z, y, x = (n * f for n, f in zip(numbers, in_nm, strict=True))
            return z, y, x
    return None


def _factors(
    owner: Mapping[str, Any], unit: str, name: str, factor: float, notes: list[str]
) -> tuple[float, ...] | None:
    """nm per unit for each of the three numbers; None where their unit is not understood."""
    if name in ("voxel_size_nm", "element_size_um") and not unit:
        return (factor,) * 3
    beside = next((_value(owner, n) for n in (f"{name}_{u}" for u in _UNIT_NAMES) if n in owner), None)
    if beside is None:
        beside = next((_value(owner, n) for n in _UNIT_NAMES if n in owner), None)
    units = [unit] if unit else _words(beside)
    if not units:
        return (factor,) * 3
    nm = [nm_per_unit(u) for u in units]
    found = [f for f in nm if f is not None]
    if len(found) == len(nm) and len(nm) in (1, 3):
        return tuple(found * (3 // len(found)))
    notes.append(f"states {name} in {', '.join(map(repr, units))}, a unit that is not understood: expected nm")
    return None


def _value(owner: Mapping[str, Any], name: str) -> Any:
    try:
        return owner[name]
    except Exception as error:  # of types that HDF5 cannot give, each its own
        return f"unreadable, {type(error).__name__}"


def _words(value: Any) -> list[str]:
    if value is None:
        return []
    flat = np.asarray(value, dtype=object).ravel().tolist() if not isinstance(value, str | bytes) else [value]
    return [w.decode("utf-8", "replace") if isinstance(w, bytes) else str(w) for w in flat][:3]


def _numbers(value: Any) -> tuple[FloatTriple | None, str]:
    """Three positive numbers, or one number three times, and the unit that a text gives with them."""
    unit = ""
    try:
        array = np.asarray(value)
        if array.size == 1 and array.dtype.kind in "OSU":
            text = _words(array.ravel()[0])[0]
            value, unit = _parsed(text)
            array = np.asarray(value)
        numbers = array.astype(np.float64).ravel() if array.dtype.kind in "iufOSU" else np.empty(0)
    except Exception:  # a ragged list, a text, a type that NumPy cannot give
        return None, unit
    longest = max(array.shape, default=1)
    if numbers.size not in (1, 3) or longest != numbers.size:
        return None, unit
    if not np.isfinite(numbers).all() or numbers.min() <= 0:
        return None, unit
    z, y, x = (numbers if numbers.size == 3 else np.repeat(numbers, 3)).tolist()
    return (z, y, x), unit


def _parsed(text: str) -> tuple[list[float], str]:
    """The numbers of a text such as ``30,8,8``, ``[30 8 8]`` or ``30 x 8 x 8 nm``, and its unit."""
    match = re.fullmatch(
        rf"[\[({{\s]*({_NUMBER})(?:[\s,;x×]+({_NUMBER})[\s,;x×]+({_NUMBER}))?[\])}}\s]*([^\W\d]*)\s*", text.strip("\0 ")
    )
    if not match:
        return [], ""
    return [float(n) for n in match.groups()[:3] if n is not None], match.group(4)


def shown(value: Any) -> str:
    """A value of a file's metadata in at most 60 characters, however long or deep it is."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = _BRIEF.repr(value.tolist() if isinstance(value, np.ndarray | np.generic) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _offset_of(owner: Mapping[str, Any]) -> str:
    """The offset as the file states it; empty if there is none or it is 0."""
    for name in _OFFSET_NAMES:
        if name in owner:
            value = _value(owner, name)
            try:
                if not np.asarray(value, np.float64).any():
                    return ""
            except _NO_NUMBERS:
                pass
            return f"{name} {shown(value)}"
    return ""


def _offset_nm_of(owner: Mapping[str, Any]) -> FloatTriple | None:
    """The offset in nm, in the order of the file; None where none is stated, or not as three numbers."""
    for name in ("offset_nm", "offset"):
        if name in owner:
            try:
                numbers = np.asarray(_value(owner, name), np.float64).ravel()
            except _NO_NUMBERS:
                continue
            if numbers.shape == (3,) and np.isfinite(numbers).all():
                z, y, x = numbers.tolist()
                return z, y, x
    return None


def stated_by_ome(scales: Sequence[Any], units: Sequence[str | None], zyx_places: Sequence[int]) -> Stated:
    """What NGFF metadata state: the product of the scales, in the units of the axes.

    scales : of a level and of all levels, each as the file states it.   units : of all axes.
    zyx_places : which of the axes are z, y and x.
    """
    if not scales or len(zyx_places) != 3 or len(units) <= max(zyx_places):
        return Stated()
    product = np.ones(len(units))
    for scale in scales:
        numbers = _positive(scale, len(units))
        if numbers is None:
            return Stated(notes=(f"states the scale {shown(scale)}, which is not understood",))
        product *= numbers
    return _in_units(product[list(zyx_places)].tolist(), [units[i] for i in zyx_places])


def _positive(value: Any, count: int) -> Any:
    try:
        numbers = np.asarray(value, np.float64)
    except _NO_NUMBERS:
        return None
    return numbers if numbers.shape == (count,) and np.isfinite(numbers).all() and numbers.min() > 0 else None


def _in_units(scale: Sequence[float], units: Sequence[object]) -> Stated:
    shown = " x ".join(f"{s:g}" for s in scale)
    if all(unit is None for unit in units):
        # A scale of 1 without unit counts voxels.
        return Stated(
            notes=(f"states the scale {shown} without a unit: it is not compared",) if set(scale) != {1} else ()
        )
    nm = [nm_per_unit(unit) for unit in units]
    wrong = [repr(unit) for unit, factor in zip(units, nm, strict=True) if factor is None]
    if wrong:
        return Stated(
            notes=(f"states the scale {shown} in {', '.join(dict.fromkeys(wrong))}, which is not understood",)
        )
    z, y, x = (s * (f or 0.0) for s, f in zip(scale, nm, strict=True))
    return Stated((z, y, x))
