"""The dense ground truth as a rule scores it: a part of it, without its borders, with another label as background."""

import math

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.scoring.variant import DenseRule
from axonem_eval.volumes import Labels, LabelVolume, native_unsigned

Box = tuple[slice, slice, slice]


class ScoredTruth:
    """Reads boxes of a ground truth; voxels that are not scored are 0."""

    def __init__(self, volume: LabelVolume, rule: DenseRule) -> None:
        """Raises InputError where the volume does not contain the rule's region, or has no pixel size for its mask."""
        self._volume, self._rule = volume, rule
        if rule.region is not None:
            rule.region.require_inside(volume.shape_zyx)
        self._border_px = _border_px(volume, rule) if rule.border_nm else None

    @property
    def reads_beyond(self) -> bool:
        """Whether a box is read with a margin."""
        return self._border_px is not None

    def scored(self, box: Box) -> Box | None:
        """The part of a box that lies in the rule's region; None where none does."""
        if self._rule.region is None:
            return box
        part = [
            slice(max(s.start, low), min(s.stop, high))
            for s, low, high in zip(box, self._rule.region.start_zyx, self._rule.region.stop_zyx, strict=True)
        ]
        return None if any(s.start >= s.stop for s in part) else (part[0], part[1], part[2])

    def read(self, box: Box) -> Labels:
        """Labels of a box, unsigned."""
        if self._border_px is None:
            return self._renamed(self._labels(box))
        # The distance to a border is only asked up to the threshold, so a margin of that width gives it exactly.
        margin = math.floor(self._border_px) + 2
        wide = [box[0]]
        for s, size in zip(box[1:], self._volume.shape_zyx[1:], strict=True):
            wide.append(slice(max(0, s.start - margin), min(size, s.stop + margin)))
        around = self._labels((wide[0], wide[1], wide[2]))
        inner = tuple(slice(s.start - w.start, s.stop - w.start) for s, w in zip(box, wide, strict=True))
        labels = self._renamed(around[inner])
        for section, whole in zip(labels, around, strict=True):
            section[near_border(whole, self._border_px)[inner[1:]]] = 0
        return labels

    def _labels(self, box: Box) -> Labels:
        origin = (box[0].start, box[1].start, box[2].start)
        chunk = self._chunk_of(box)
        labels = self._volume.read(box) if chunk is None else self._whole_chunk(chunk, box)
        return native_unsigned(self._volume, labels, origin)

    def _chunk_of(self, box: Box) -> int | None:
        """The chunk that a box is; None where it is no single one. Such a chunk needs no copy."""
        place = [s.start // c for s, c in zip(box, self._volume.chunk_shape_zyx, strict=True)]
        chunk = int(np.ravel_multi_index(place, self._volume.grid_zyx))
        return chunk if self._volume.chunk_box(chunk) == box else None

    def _whole_chunk(self, chunk: int, box: Box) -> Labels:
        return self._volume.read_chunk(chunk)[tuple(slice(0, s.stop - s.start) for s in box)]

    def _renamed(self, labels: Labels) -> Labels:
        """Labels that are 0 where they are the rule's background; then 0 takes the background's number."""
        if self._rule.background == 0:
            return labels.copy() if self.reads_beyond else labels
        wide = labels.astype(np.uint64)
        background, zero = wide == np.uint64(self._rule.background), wide == 0
        wide[background] = 0
        wide[zero] = np.uint64(self._rule.background)
        return wide


def _border_px(volume: LabelVolume, rule: DenseRule) -> float:
    size = volume.info.voxel_size_nm_zyx
    if size is None or size[1] != size[2]:
        stated = "states no voxel size" if size is None else f"has pixels of {size[1]:g} x {size[2]:g} nm (y,x)"
        raise InputError.of(
            "border_pixels",
            f"{volume.path.name}: the dense ground truth {stated}; a mask of {rule.border_nm:g} nm around its borders "
            "needs square pixels of a known size. Write the attribute resolution (z, y, x in nm) on its dataset",
        )
    return rule.border_nm / size[1]


def near_border(section: Labels, border_px: float) -> NDArray[np.bool_]:
    """(y, x) whether a pixel lies at most so many pixels from one that has a neighbour of another label.

    Neighbours are the four that share a side; beyond the edge of the section there is none.
    """
    from scipy.ndimage import distance_transform_edt  # of the extra groundtruth; no other rule needs it

    interior = np.ones(section.shape, bool)
    down, across = section[1:] != section[:-1], section[:, 1:] != section[:, :-1]
    interior[1:][down] = interior[:-1][down] = False
    interior[:, 1:][across] = interior[:, :-1][across] = False
    if interior.all():
        return np.zeros(section.shape, bool)
    return np.asarray(distance_transform_edt(interior) <= border_px)
