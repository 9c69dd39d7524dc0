"""Is a file what a volume demands? All complaints at once, each with its remedy.

The participant's `axonem-eval check` and the server run this same code.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import Complaint, InputError
from axonem_eval.sample import native_unsigned
from axonem_eval.spec import FloatTriple, VolumeSpec, format_triple
from axonem_eval.volume import LabelInfo, LabelVolume, Progress, for_each_chunk, open_labels

VOXEL_SIZE_TOLERANCE = 0.01


def check_labels(
    path: str | Path,
    spec: VolumeSpec,
    *,
    dataset: str | None = None,
    on_progress: Progress | None = None,
) -> LabelInfo:
    """What the file holds, if a segmentation of the volume may look like that.

    Reads the header and as many chunks as it takes to meet two labels; files of a signed dtype are read whole in
    search of negative labels. Raises InputError with every complaint found.
    """
    with open_labels(path, dataset) as volume:
        complaints = header_complaints(volume, spec)
        if not any(c.code in ("wrong_shape", "swapped_axes", "no_voxels") for c in complaints):
            complaints += content_complaints(volume, on_progress)
        if complaints:
            raise InputError(complaints)
        return volume.info


def header_complaints(volume: LabelVolume, spec: VolumeSpec) -> list[Complaint]:
    """Complaints about shape, axis order and voxel size."""
    complaints = []
    name = volume.path.name
    if 0 in volume.shape_zyx:
        complaints.append(
            Complaint(
                "no_voxels",
                f"{name}: dataset {volume.info.dataset!r} has shape {volume.shape_zyx} and so no voxel; expected "
                f"{format_triple(spec.shape_zyx)} (z,y,x). Write the labels, not only the dataset",
            )
        )
    elif volume.shape_zyx != spec.shape_zyx:
        complaints.append(_shape_complaint(volume, spec))
    stated = volume.info.voxel_size_nm_zyx
    if stated is not None and not _close(stated, spec.voxel_size_nm_zyx):
        complaints.append(_voxel_size_complaint(name, stated, spec.voxel_size_nm_zyx))
    return complaints


def _shape_complaint(volume: LabelVolume, spec: VolumeSpec) -> Complaint:
    found, wanted, name = volume.shape_zyx, spec.shape_zyx, volume.path.name
    if sorted(found) == sorted(wanted):
        order = _axes_to(wanted, found)
        return Complaint(
            "swapped_axes",
            f"{name}: the axes are swapped: labels have shape {format_triple(found)}, expected {format_triple(wanted)} "
            f"in the order z, y, x. Write labels.transpose{order} instead",
        )
    remedy = "Predict the whole test volume, uncropped and at full resolution"
    ratio = np.asarray(wanted) / np.asarray(found)
    whole = np.rint(ratio)
    if (whole >= 1).all() and (whole > 1).any() and (np.abs(wanted - whole * found) < whole).all():
        remedy = f"It looks downsampled by {format_triple(tuple(int(r) for r in whole))}: upsample it (nearest label)"
    return Complaint(
        "wrong_shape",
        f"{name}: labels have shape {format_triple(found)}, expected {format_triple(wanted)} (z,y,x). {remedy}",
    )


def _axes_to(wanted: tuple[int, ...], found: tuple[int, ...]) -> tuple[int, ...]:
    """Axes for ``transpose`` that turn ``found`` into ``wanted``; reversal (x,y,z order) where several do."""
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


def _voxel_size_complaint(name: str, stated: FloatTriple, wanted: FloatTriple) -> Complaint:
    stated_text, wanted_text = format_triple(stated), format_triple(wanted)
    if _close((stated[2], stated[1], stated[0]), wanted):
        why = "It reads like x, y, z: write the attribute, and check the labels, in the order z, y, x"
    elif _close((stated[0] * 1e3, stated[1] * 1e3, stated[2] * 1e3), wanted):
        why = "It reads like um: the attribute is in nm"
    else:
        why = "Resample the labels to the volume's voxels, or correct the attribute (voxel_size_nm or resolution)"
    return Complaint(
        "wrong_voxel_size", f"{name}: the file states voxels of {stated_text} nm, expected {wanted_text} (z,y,x). {why}"
    )


class _TwoLabelsSeen(Exception):
    """Enough was read: the volume is neither empty nor of one label."""


def content_complaints(volume: LabelVolume, on_progress: Progress | None = None) -> list[Complaint]:
    """Complaints about the labels themselves: all background, all one label, negative ones."""
    signed = volume.dtype.kind == "i"
    seen: set[int] = set()

    def visit(position: int, labels: NDArray[np.generic]) -> None:
        box = volume.chunk_box(int(chunks[position]))
        inside = labels[tuple(slice(0, s.stop - s.start) for s in box)]
        inside = native_unsigned(volume, inside, volume.chunk_origin(int(chunks[position])))
        seen.update((int(inside.min()), int(inside.max())))
        if not signed and len(seen) > 1:
            raise _TwoLabelsSeen

    # From the middle outwards would need a seek each; the middle chunk alone settles nearly every file.
    in_order = np.argsort(volume.storage_rank(), kind="stable")
    middle = volume.n_chunks // 2
    chunks = np.concatenate([[middle], in_order[in_order != middle]])
    try:
        for_each_chunk(volume, chunks, visit, on_progress=on_progress)
    except _TwoLabelsSeen:
        return []
    except InputError as error:
        return list(error.complaints)
    if len(seen) > 1:
        return []
    name = volume.path.name
    if seen == {0}:
        return [
            Complaint(
                "all_background",
                f"{name}: every voxel is 0, the background; expected segment ids. Check that the labels, not an empty "
                "array, were written",
            )
        ]
    return [
        Complaint(
            "one_label",
            f"{name}: every voxel has label {seen.pop()}; expected one id for each segment. Threshold and label the "
            "prediction (connected components or agglomeration) before writing it",
        )
    ]
