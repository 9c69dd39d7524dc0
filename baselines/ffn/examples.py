"""Examples to learn from: places balanced by how full their surroundings are, and augmented crops around them.

An example depends on the seed and its number alone, so that a resumed run sees the examples it would have.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from axonem_eval.errors import InputError
from axonem_eval.spec import format_triple
from baselines.common.augment import Rng, augment, source_shape, with_drawn_moves
from baselines.common.config import AugmentConfig
from baselines.common.crops import cut_around
from baselines.common.data import Volume, compact
from baselines.ffn.model import Triple

# Shares of an object in the box around a voxel that divide the classes 1 to 13 (google/ffn, compute_partitions.py).
THRESHOLDS = (0.025, 0.05, 0.075, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
NO_OBJECT = 0
N_CLASSES = len(THRESHOLDS) + 2
EXCLUDED = 255


@dataclass(frozen=True)
class Example:
    """One object around a voxel of it, all (z,y,x) of one odd shape with that voxel at the centre.

    image : float32, normalised.   inside : bool, where the object is.   known : bool, where its labels hold.
    shifts : the moves of the movement ``fixed`` in the order in which this example tries them.
    given : bool, what the network is told of the object before its first step; None for the centre alone.
    """

    image: NDArray[np.float32]
    inside: NDArray[np.bool_]
    known: NDArray[np.bool_]
    shifts: tuple[Triple, ...]
    given: NDArray[np.bool_] | None = None


def reach_of(fov_zyx: Triple, deltas_zyx: Triple, moves: int = 1) -> Triple:
    """Voxels from a place that its field of view reaches after so many moves along one axis."""
    z, y, x = (n // 2 + d * moves for n, d in zip(fov_zyx, deltas_zyx, strict=True))
    return z, y, x


def fill_classes(
    labels: NDArray[np.uint32], reach_zyx: Triple, min_voxels: int, mask: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Class of each voxel by the share of its own object in the box of ``reach_zyx`` around it, (z,y,x) uint8.

    1 below the first of THRESHOLDS to 13 from the last one on; NO_OBJECT where there is none or one of fewer than
    ``min_voxels``; EXCLUDED where the box leaves the volume or the mask (where labels hold) is False.
    Source: google/ffn, compute_partitions.py. Each object has a summed-area table of its bounding box.
    """
    classes = np.full(labels.shape, EXCLUDED, np.uint8)
    inner = tuple(slice(r, max(r, n - r)) for r, n in zip(reach_zyx, labels.shape, strict=True))
    classes[inner] = NO_OBJECT
    number = compact(labels).astype(np.int32)
    for index, box in enumerate(ndimage.find_objects(number), start=1):
        inside = number[box] == index
        if np.count_nonzero(inside) >= min_voxels:
            share = _box_sums(inside, reach_zyx) / np.prod([2 * r + 1 for r in reach_zyx])
            here = inside & (classes[box] != EXCLUDED)
            classes[box][here] = 1 + np.digitize(share[here], THRESHOLDS)
    if mask is not None:
        classes[~mask] = EXCLUDED
    return classes


def _box_sums(inside: NDArray[np.bool_], reach_zyx: Triple) -> NDArray[np.int64]:
    """Number of True in the box around each voxel, from differences of one summed-area table."""
    sums = np.pad(inside, ((1, 0),) * 3).astype(np.int64).cumsum(0).cumsum(1).cumsum(2)
    for axis, (reach, n) in enumerate(zip(reach_zyx, inside.shape, strict=True)):
        place = np.arange(n)
        sums = sums.take(np.minimum(place + reach + 1, n), axis) - sums.take(np.maximum(place - reach, 0), axis)
    return sums


class Places:
    """Voxels to begin at, by class. A class is drawn first, so that each has the same share of the examples."""

    def __init__(self, classes: Sequence[NDArray[np.uint8]]) -> None:
        """classes : one array of ``fill_classes`` for each volume."""
        self.shapes = [array.shape for array in classes]
        by_class = [[_places(array, k) for array in classes] for k in range(N_CLASSES)]
        self._places = [places for places in by_class if any(map(len, places))]

    def __bool__(self) -> bool:
        return bool(self._places)

    def draw(self, rng: Rng) -> tuple[int, Triple]:
        """Index of a volume and a voxel of it."""
        places = self._places[int(rng.integers(len(self._places)))]
        number = int(rng.integers(sum(map(len, places))))
        for volume, found in enumerate(places):
            if number < len(found):
                z, y, x = np.unravel_index(int(found[number]), self.shapes[volume])
                return volume, (int(z), int(y), int(x))
            number -= len(found)
        raise AssertionError("a number beyond all places")


def _places(classes: NDArray[np.uint8], wanted: int) -> NDArray[np.integer]:
    """Flat indices of a class, in the smallest type that holds them."""
    return np.flatnonzero(classes == wanted).astype(np.min_scalar_type(classes.size))


def shifts_of(deltas_zyx: Triple) -> list[Triple]:
    """All moves by one delta along some of the axes, 26 in three dimensions; the centre is not among them."""
    z, y, x = (sorted({-d, 0, d}) for d in deltas_zyx)
    return [shift for shift in itertools.product(z, y, x) if any(shift)]


@dataclass(frozen=True)
class ExampleOptions:
    """What an example is. Sizes in voxels, (z,y,x).

    moves : moves along one axis that fit into an example.   min_voxels : smaller objects count as none.
    grey_mean, grey_std : grey values enter as (value - mean) / std.
    given_share : of the examples, so many tell the network more of the object than one voxel.
    """

    fov_zyx: Triple
    deltas_zyx: Triple
    moves: int = 1
    min_voxels: int = 10_000
    grey_mean: float = 128.0
    grey_std: float = 33.0
    isotropic: bool = False
    given_share: float = 0.0

    @property
    def patch_zyx(self) -> Triple:
        """Shape of an example."""
        z, y, x = (2 * r + 1 for r in reach_of(self.fov_zyx, self.deltas_zyx, self.moves))
        return z, y, x


class ExampleStream:
    """An endless, random-access list of examples: the same seed and number give the same bytes."""

    def __init__(
        self, volumes: Sequence[Volume], options: ExampleOptions, augmentation: AugmentConfig, seed: int
    ) -> None:
        """Raises InputError where no volume has room for an example."""
        self.volumes, self.options, self.augmentation, self.seed = list(volumes), options, augmentation, seed
        reach = reach_of(options.fov_zyx, options.deltas_zyx)
        classes = []
        for volume in self.volumes:
            assert volume.labels is not None
            classes.append(fill_classes(volume.labels, reach, options.min_voxels, volume.mask))
        self.places = Places(classes)
        if not self.places:
            needed = format_triple(tuple(2 * r + 1 for r in reach))
            found = ", ".join(f"{v.name} {format_triple(v.shape_zyx)}" for v in self.volumes)
            raise InputError.of(
                "too_small",
                f"no training volume has room for a field of view and a move around a voxel, {needed} (z,y,x) with "
                f"labels; found {found}. Take larger volumes, or smaller model.fov and model.deltas",
            )

    def __getitem__(self, number: int) -> Example:
        options, rng = self.options, np.random.default_rng([self.seed, number])
        volume, place = self.places.draw(rng)
        augmentation = with_drawn_moves(self.augmentation, rng)
        patch, isotropic = options.patch_zyx, options.isotropic
        sample = cut_around(self.volumes[volume], place, source_shape(patch, augmentation, isotropic=isotropic))
        sample = augment(sample, patch, augmentation, rng, isotropic=isotropic)
        z, y, x = (n // 2 for n in patch)
        at_centre = sample.labels[z, y, x]
        image = (sample.grey * np.float32(255) - np.float32(options.grey_mean)) / np.float32(options.grey_std)
        shifts = shifts_of(options.deltas_zyx)
        order = tuple(shifts[int(i)] for i in rng.permutation(len(shifts)))
        inside = (sample.labels == at_centre) & (at_centre > 0)
        given = (
            inside & _ellipsoid(patch, options.fov_zyx, rng.random()) if rng.random() < options.given_share else None
        )
        return Example(image, inside, sample.mask, order, given)


def _ellipsoid(shape_zyx: Triple, fov_zyx: Triple, part: float) -> NDArray[np.bool_]:
    """The middle of an example, up to this part of the half of the field of view along each axis."""
    grid = np.ogrid[tuple(slice(-(n // 2), n // 2 + 1) for n in shape_zyx)]
    distance = sum((axis / max(1.0, part * (n // 2))) ** 2 for axis, n in zip(grid, fov_zyx, strict=True))
    found: NDArray[np.bool_] = np.asarray(distance <= 1)
    return found
