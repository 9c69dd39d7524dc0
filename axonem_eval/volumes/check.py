"""Check that a label file fits its benchmark volume; all complaints at once, each with a remedy.

`axonem-eval check` and the server run the same code.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import Complaint, InputError, raise_all
from axonem_eval.progress import Progress
from axonem_eval.spec import FloatTriple, Triple, VolumeSpec, format_triple
from axonem_eval.submission_rule import ANY_FILE, Axes, FileRule
from axonem_eval.volumes.background_ids import reserved_of, reserved_warning
from axonem_eval.volumes.label_info import LabelInfo
from axonem_eval.volumes.label_volume import LabelVolume
from axonem_eval.volumes.native import native_unsigned, negative_label
from axonem_eval.volumes.open import open_labels, split_dataset
from axonem_eval.volumes.read_options import AS_STORED, ReadOptions
from axonem_eval.volumes.reversed_axes import reverse
from axonem_eval.volumes.select_array import NoLabelArray
from axonem_eval.volumes.single_file import unpacked
from axonem_eval.volumes.threads import for_each_chunk

VOXEL_SIZE_TOLERANCE = 0.01
_OFFSET_SLACK_NM = 0.5
# A check always reads about this much, in at least and at most this number of chunks.
_LOOKED_AT_BYTES = 32 << 20
_LEAST_CHUNKS, _MOST_CHUNKS = 3, 64


def check_labels(
    path: str | Path, spec: VolumeSpec, *, rule: FileRule = ANY_FILE, on_progress: Progress | None = None
) -> LabelInfo:
    """Check a segmentation and return what the file states; ``warnings`` say what may be wrong.

    rule : how the file must be stored.
    Reads the header and chunks until two labels are found. Files of a signed dtype are read whole, because any chunk
    may hold a negative label.
    Raises InputError with every complaint found.
    """
    with unpacked(path, rule) as file, open_for(spec, file, reading=ReadOptions(rule)) as volume:
        return check_volume(volume, spec, rule=rule, on_progress=on_progress)


def open_for(
    spec: VolumeSpec,
    path: str | Path,
    dataset: str | None = None,
    reading: ReadOptions = AS_STORED,
) -> LabelVolume:
    """Open a label file for this volume. If it has no label array, the error names a wrong shape and voxel size too.

    dataset : the array that is read, in place of that of the rule.
    """
    rule = reading.rule
    try:
        return open_labels(path, dataset or rule.dataset or None, background_ids=reading.background_ids, axes=rule.axes)
    except NoLabelArray as error:
        stated = None if reading.trust_voxel_size else error.stated.voxel_size_nm_zyx
        complaints = _header_complaints(split_dataset(path)[0].name, error.shape, stated, spec, rule)
        raise InputError([*error.complaints, *complaints]) from None


def check_volume(
    volume: LabelVolume,
    spec: VolumeSpec,
    *,
    rule: FileRule = ANY_FILE,
    trust_voxel_size: bool = False,
    on_progress: Progress | None = None,
) -> LabelInfo:
    """Like ``check_labels``, for an open volume."""
    complaints = header_complaints(volume, spec, rule=rule, trust_voxel_size=trust_voxel_size)
    warnings = volume.info.warnings
    if not any(c.code in ("wrong_shape", "swapped_axes", "no_voxels") for c in complaints):
        content = look_inside(volume, on_progress)
        complaints += content.complaints
        warnings += content.warnings
    raise_all(complaints)
    return replace(volume.info, warnings=warnings)


def header_complaints(
    volume: LabelVolume, spec: VolumeSpec, *, rule: FileRule = ANY_FILE, trust_voxel_size: bool = False
) -> list[Complaint]:
    """Complaints about shape, axis order, voxel size and offset."""
    stated = None if trust_voxel_size else volume.info.voxel_size_nm_zyx
    shape, name = volume.shape_zyx, volume.path.name
    if not volume.has_plain_axes:
        rule = replace(rule, axes="zyx")  # a file that says which axis is which is told of in that order
    elif rule.axes == "xyz":
        shape, stated = reverse(shape), stated and (stated[2], stated[1], stated[0])
    complaints = _header_complaints(name, shape, stated, spec, rule)
    return [*complaints, *_offset_complaints(name, volume.info.offset_nm_zyx, rule)]


def _header_complaints(
    name: str, shape: tuple[int, ...], stated_nm: FloatTriple | None, spec: VolumeSpec, rule: FileRule
) -> list[Complaint]:
    """shape, stated_nm : in the order of the file, which is that of the rule."""
    size = spec.voxel_size_nm_zyx if rule.axes == "zyx" else spec.voxel_size_nm_zyx[::-1]
    complaints = _shape_complaints(name, shape, spec, rule)
    if stated_nm is not None and not _close(stated_nm, size):
        complaints.append(_voxel_size_complaint(name, stated_nm, size, axes=rule.axes))
    return complaints


def _offset_complaints(name: str, stated_nm_zyx: FloatTriple | None, rule: FileRule) -> list[Complaint]:
    wanted = rule.offset_nm_zyx
    if wanted is None or stated_nm_zyx is None or np.allclose(stated_nm_zyx, wanted, rtol=0, atol=_OFFSET_SLACK_NM):
        return []
    return [
        Complaint(
            "wrong_offset",
            f"{name}: the file states that it begins at {format_triple(stated_nm_zyx)} nm, expected "
            f"{format_triple(wanted)} (z,y,x). Submit the region that the benchmark asks for, or correct the attribute "
            "offset",
        )
    ]


def _shape_complaints(name: str, shape: tuple[int, ...], spec: VolumeSpec, rule: FileRule) -> list[Complaint]:
    """Complaints about the shape. Axes of length 1 do not count; if three others are not left, nothing is said."""
    wanted = spec.shape_zyx if rule.axes == "zyx" else spec.shape_zyx[::-1]
    found = shape if len(shape) == 3 else tuple(n for n in shape if n != 1)
    if len(found) != 3 or found == wanted:
        return []
    if 0 in found:
        what = f"the labels have shape {format_triple(found)} and so no voxel; expected {format_triple(wanted)} "
        return [
            Complaint("no_voxels", f"{name}: {what}({','.join(rule.axes)}). Write the labels, not only the dataset")
        ]
    return [_shape_complaint(name, found, wanted, rule)]


def require_voxel_size(volume: LabelVolume, given_nm_zyx: FloatTriple, remedy: str = "") -> None:
    """Raise InputError where the file states another voxel size than the one that is given for it.

    remedy : what to tell the user instead of naming options of the command line.
    """
    stated = volume.info.voxel_size_nm_zyx
    if stated is not None and not _close(stated, given_nm_zyx):
        otherwise = remedy or (
            f"Give --voxel-size {','.join(f'{v:g}' for v in stated)}, correct the file, or give --trust-voxel-size "
            "where the file is wrong"
        )
        raise InputError(_voxel_size_complaint(volume.path.name, stated, given_nm_zyx, otherwise))


def _shape_complaint(name: str, found: tuple[int, ...], wanted: tuple[int, ...], rule: FileRule) -> Complaint:
    axes = ",".join(rule.axes)
    if sorted(found) == sorted(wanted):
        order = _axes_to(wanted, found)
        return Complaint(
            "swapped_axes",
            f"{name}: the axes are swapped: labels have shape {format_triple(found)}, expected {format_triple(wanted)} "
            f"in the order {', '.join(rule.axes)}. Write labels.transpose{order} instead",
        )
    part = "the whole volume, uncropped" if rule.offset_nm_zyx is None else "the region that the benchmark asks for"
    remedy = f"Submit {part}, in voxels of the expected size"
    if times := _times(wanted, found):
        remedy = (
            f"If they are downsampled by {format_triple(times)}, upsample them (nearest label). If they are cropped, "
            f"submit {part}"
        )
    elif times := _times(found, wanted):
        steps = ", ".join(f"::{n}" for n in times)
        remedy = f"It looks finer than the submission's grid by {format_triple(times)}: write labels[{steps}]"
    return Complaint(
        "wrong_shape",
        f"{name}: labels have shape {format_triple(found)}, expected {format_triple(wanted)} ({axes}). {remedy}",
    )


def _times(large: tuple[int, ...], small: tuple[int, ...]) -> Triple | None:
    """Whole numbers that a grid is finer than another by; None where there are none."""
    ratio = np.asarray(large) / np.asarray(small)
    whole = np.rint(ratio)
    if (whole >= 1).all() and (whole > 1).any() and (np.abs(large - whole * small) < whole).all():
        z, y, x = (int(n) for n in whole)
        return z, y, x
    return None


def _axes_to(wanted: tuple[int, ...], found: tuple[int, ...]) -> tuple[int, ...]:
    """Axes for ``transpose`` that turn ``found`` into ``wanted``; the reversal (from x,y,z) if several do."""
    if found[::-1] == wanted:
        return (2, 1, 0)
    free = list(range(3))
    order = []
    for size in wanted:
        axis = next(a for a in free if found[a] == size)
        free.remove(axis)
        order.append(axis)
    return tuple(order)


def _close(a: FloatTriple, b: FloatTriple) -> bool:
    return bool(np.allclose(a, b, rtol=VOXEL_SIZE_TOLERANCE, atol=0))


def _voxel_size_complaint(
    name: str, stated: FloatTriple, wanted: FloatTriple, remedy: str = "", axes: Axes = "zyx"
) -> Complaint:
    """stated, wanted : in the order ``axes``."""
    like = _reads_like(stated, wanted, axes)
    if not remedy:
        remedy = (
            f"Write the voxel size in nm, and it and the labels in the order {', '.join(axes)}"
            if like
            else "Resample the labels to the volume's voxels, or correct the voxel size in the file: voxel_size_nm or "
            "resolution in HDF5 and Zarr, scale in OME-Zarr, resolution in precomputed"
        )
    return Complaint(
        "wrong_voxel_size",
        f"{name}: the file states voxels of {format_triple(stated)} nm, expected {format_triple(wanted)} "
        f"({','.join(axes)}). {like}{remedy}",
    )


def _reads_like(stated: FloatTriple, wanted: FloatTriple, axes: Axes) -> str:
    """The order or unit in which the stated size equals the wanted one; empty if there is none."""
    for order, said in ((stated, ""), (stated[::-1], ", ".join(axes[::-1]))):
        for unit, nm in (
            ("", 1.0),
            ("um", 1e3),
            ("m", 1e9),
            ("mm", 1e6),
            ("angstrom", 0.1),
            ("nm that were called um", 1e-3),
        ):
            z, y, x = (v * nm for v in order)
            if _close((z, y, x), wanted) and (said or unit):
                return f"It reads like {' in '.join(filter(None, (said, unit)))}. "
    return ""


class _Enough(Exception):
    """Enough was read: the volume has at least two labels."""


@dataclass(frozen=True)
class Contents:
    """Complaints and warnings about the labels themselves."""

    complaints: list[Complaint]
    warnings: tuple[str, ...] = ()


def look_inside(volume: LabelVolume, on_progress: Progress | None = None) -> Contents:
    """Read some chunks. Complaints: only background, only one label, a negative label. Warnings: reserved ids.

    Chunks without data in the file are not read.
    """
    name, signed = volume.path.name, volume.dtype.kind == "i"
    chunks = _chunks_to_read(volume)
    seen: set[int] = set()
    if len(chunks) < volume.n_chunks:
        if volume.fill_value < 0:
            return Contents(list(negative_label(volume, volume.fill_value, (0, 0, 0)).complaints))
        seen.add(volume.fill_value)
    looked_at, enough = _LookedAt(volume), _looked_at_first(volume)

    def visit(position: int, labels: NDArray[np.generic]) -> None:
        box = volume.chunk_box(int(chunks[position]))
        inside = labels[tuple(slice(0, s.stop - s.start) for s in box)]
        inside = native_unsigned(volume, inside, volume.chunk_origin(int(chunks[position])))
        seen.update((int(inside.min()), int(inside.max())))
        if position < enough:
            looked_at.add(inside)
        if not signed and len(seen) > 1 and looked_at.chunks >= min(enough, len(chunks)):
            raise _Enough

    try:
        for_each_chunk(volume, chunks, visit, on_progress=on_progress)
    except _Enough:
        pass
    except InputError as error:
        return Contents(list(error.complaints))
    return Contents([] if len(seen) > 1 else [_too_few(name, seen, len(chunks))], looked_at.warnings())


def reserved_id_warnings(volume: LabelVolume) -> tuple[str, ...]:
    """Warnings about reserved ids in the chunks that ``check_labels`` reads first."""
    looked_at = _LookedAt(volume)
    if looked_at.reserved:
        for chunk in _chunks_to_read(volume)[: _looked_at_first(volume)]:
            looked_at.add(volume.read(volume.chunk_box(int(chunk))))
    return looked_at.warnings()


def _looked_at_first(volume: LabelVolume) -> int:
    """Number of chunks that every check reads; 1 where the file can only be read from front to back."""
    if volume.sequential:
        return 1
    return min(_MOST_CHUNKS, max(_LEAST_CHUNKS, _LOOKED_AT_BYTES // volume.chunk_bytes))


def _chunks_to_read(volume: LabelVolume) -> NDArray[np.int64]:
    """Chunks with data in the file, in the order of reading.

    The middle one comes first: it alone is enough for nearly every file. Then come two corners, which show what lies
    outside the tissue, some at random, and the others in storage order.
    """
    stored = volume.stored_chunks()
    there = np.arange(volume.n_chunks) if stored is None else np.flatnonzero(stored)
    if not len(there):
        return there
    wanted = [there[len(there) // 2], there[0], there[-1]]
    n = min(_looked_at_first(volume), len(there))
    drawn = np.random.default_rng(0).choice(len(there), n, replace=False)
    ahead = np.array(list(dict.fromkeys([*wanted, *there[drawn]]))[:n])
    in_order = there[np.argsort(volume.storage_rank()[there], kind="stable")]
    return np.concatenate([ahead, in_order[~np.isin(in_order, ahead)]])


class _LookedAt:
    """Counts voxels of reserved ids in the chunks that are read first."""

    def __init__(self, volume: LabelVolume) -> None:
        self._name = volume.path.name
        self.reserved = reserved_of(volume.dtype)
        self.chunks = self._voxels = 0
        self._count = dict.fromkeys(self.reserved, 0)

    def add(self, labels: NDArray[Any]) -> None:
        """Count in the labels of one chunk."""
        self._voxels += labels.size
        if self.reserved and labels.size and labels.max() >= min(self.reserved):
            for label in self.reserved:
                self._count[label] += int(np.count_nonzero(labels == label))
        self.chunks += 1

    def warnings(self) -> tuple[str, ...]:
        """A line for each reserved id that was found."""
        met = [(label, count) for label, count in self._count.items() if count]
        return tuple(
            reserved_warning(self._name, label, f"at {100 * count / self._voxels:.2g}% of the voxels looked at")
            for label, count in met
        )


def _too_few(name: str, seen: set[int], n_read: int) -> Complaint:
    if not n_read:
        return Complaint(
            "all_background",
            f"{name}: none of its chunks was ever written, so that every voxel is {seen.pop()}; expected segment ids. "
            "Write the labels, not only the dataset",
        )
    if seen == {0}:
        return Complaint(
            "all_background",
            f"{name}: every voxel is 0, the background; expected segment ids. Check that the labels, not an empty "
            "array, were written",
        )
    return Complaint(
        "one_label",
        f"{name}: every voxel has label {seen.pop()}; expected one id for each segment. Threshold and label the "
        "prediction (connected components or agglomeration) before writing it",
    )
