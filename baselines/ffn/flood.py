"""Fill objects one after the other, as google/ffn's inference does.

A canvas holds the logits of the object at work and the segmentation so far. From a seed the network moves where its
own output is strongest on the faces of the field of view, until no place is left to move to. Then ``Canvas._accept``
decides whether the object is kept.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from baselines.ffn.model import Triple

# Takes normalised grey values and logits of a field of view, and gives its new logits.
Step = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]
# Takes the place of a step, the canvas's logits before it (NaN where no field of view was) and the network's output.
Watch = Callable[[Triple, NDArray[np.float32], NDArray[np.float32]], None]
Request = tuple[NDArray[np.float32], NDArray[np.float32]]
Result = TypeVar("Result")
# Work that asks for steps of the network and is sent what came of each, so that many can share a forward pass.
Work = Generator[Request, NDArray[np.float32], Result]
NO_SEED = -1  # in a segmentation: free, but no object begins here


@dataclass(frozen=True)
class FloodOptions:
    """Thresholds as probabilities, sizes in voxels; the defaults are those of the published FIB-25 run.

    seed_probability : probability of the seed at the start.   pad_probability : of voxels that were not visited yet.
    move_probability : the network moves to a place with at least this probability.
    segment_probability : a voxel with at least this probability belongs to the object.
    disconnected : if a larger share of the field of view reaches ``move_probability``, voxels that were unlikely stay
        so; negative switches the rule off.
    min_boundary_distance_zyx : least distance of a seed from other objects.   min_voxels : smaller ones are dropped.
    """

    seed_probability: float = 0.95
    pad_probability: float = 0.05
    move_probability: float = 0.9
    segment_probability: float = 0.6
    disconnected: float = 0.0
    min_boundary_distance_zyx: Triple = (1, 1, 1)
    min_voxels: int = 1000


@dataclass
class Attempt:
    """What came of one seed: ``steps`` of the network and the box of all fields of view; empty without a step."""

    steps: int = 0
    box: tuple[slice, slice, slice] = (slice(0, 0), slice(0, 0), slice(0, 0))
    too_weak: bool = False


@dataclass
class Counts:
    """Of a whole run."""

    attempts: int = 0
    steps: int = 0
    kept: int = 0
    too_weak: int = 0
    too_small: int = 0
    voxels: int = 0
    overlapping_voxels: int = 0


def finish(work: Work[Result], step: Step) -> Result:
    """Do a piece of work alone, one step of the network after the other."""
    try:
        request = next(work)
        while True:
            request = work.send(step(*request))
    except StopIteration as end:
        result: Result = end.value
        return result


def logit(probability: float) -> np.float32:
    """Log-odds of a probability between 0 and 1."""
    return np.float32(np.log(probability / (1 - probability)))


@dataclass
class Canvas:
    """One volume being filled.

    image : (z, y, x) float32, normalised.   segmentation : (z, y, x) int32, 0 is free, -1 may not be a seed.
    logits : (z, y, x) float32 of the object at work, NaN where no field of view was.   watch : is told of each step.
    probabilities : (z, y, x) uint8, 255 is 1, of the voxels of objects that are kept; None where nobody asks for them.
    """

    image: NDArray[np.float32]
    step: Step
    fov_zyx: Triple
    deltas_zyx: Triple
    options: FloodOptions = field(default_factory=FloodOptions)
    counts: Counts = field(default_factory=Counts)
    probabilities: NDArray[np.uint8] | None = None
    watch: Watch | None = None

    def __post_init__(self) -> None:
        self.segmentation = np.zeros(self.image.shape, np.int32)
        self.logits = np.full(self.image.shape, np.nan, np.float32)
        self._touched = (slice(0, 0), slice(0, 0), slice(0, 0))
        self._margin = np.array(self.fov_zyx) // 2
        self._move_logit = logit(self.options.move_probability)
        self._pad_logit = logit(self.options.pad_probability)

    def segment_all(self, seeds_zyx: Iterable[NDArray[np.int64]]) -> None:
        """Try each seed in turn; objects get the ids 1, 2, 3 ... in the order in which they are kept."""
        for seed in seeds_zyx:
            self.segment_from((int(seed[0]), int(seed[1]), int(seed[2])))

    def segment_from(self, seed: Triple) -> int:
        """Id of the object that was kept, 0 where there is none."""
        return finish(self.segmenting(seed), self.step)

    def flood(self, seed: Triple) -> Attempt:
        """Grow one object from a seed into ``logits``; the segmentation stays as it is."""
        return finish(self.flooding(seed), self.step)

    def segmenting(self, seed: Triple) -> Work[int]:
        """The work of ``segment_from``."""
        if not self._is_inside(seed) or self.segmentation[seed] > 0:
            return 0
        if (self.segmentation[_around(seed, self.options.min_boundary_distance_zyx)] > 0).any():
            self.segmentation[seed] = NO_SEED
            return 0
        attempt = yield from self.flooding(seed)
        self.counts.attempts += 1
        return self._accept(seed, attempt) if attempt.steps else 0

    def flooding(self, seed: Triple) -> Work[Attempt]:
        """The work of ``flood``."""
        self.logits[self._touched] = np.nan
        self.logits[seed] = logit(self.options.seed_probability)
        moves = Moves(seed, self.deltas_zyx, self._move_logit)
        low, high = np.array(seed), np.array(seed)
        attempt = Attempt()
        while (position := moves.next(self._may_visit)) is not None:
            if self.logits[seed] < self._move_logit:
                break
            new = yield from self._visit(position)
            low, high = np.minimum(low, position), np.maximum(high, position)
            attempt.steps += 1
            moves.note(position, new)
        z, y, x = (slice(max(0, a - m), b + m + 1) for a, b, m in zip(low, high, self._margin, strict=True))
        attempt.box = self._touched = (z, y, x)
        attempt.too_weak = bool(self.logits[seed] < self._move_logit)
        self.counts.steps += attempt.steps
        return attempt

    def _accept(self, seed: Triple, attempt: Attempt) -> int:
        """Keep the object, or refuse it and its seed; returns its id, or 0 where it is refused.

        Refused are objects whose seed has become too weak, and those with fewer than ``min_voxels`` free voxels.
        Voxels of earlier objects stay theirs.
        """
        if attempt.too_weak:
            self.counts.too_weak += 1
            self._exclude_seed(seed)
            return 0
        taken = self.segmentation[attempt.box]
        mask = self.logits[attempt.box] >= logit(self.options.segment_probability)
        free = mask & (taken <= 0)
        n_free = int(np.count_nonzero(free))
        if n_free < self.options.min_voxels:
            self.counts.too_small += 1
            self._exclude_seed(seed)
            return 0
        self.counts.overlapping_voxels += int(np.count_nonzero(mask)) - n_free
        self.counts.kept += 1
        self.counts.voxels += n_free
        taken[free] = self.counts.kept
        if self.probabilities is not None:
            probability = 1 / (1 + np.exp(-self.logits[attempt.box][free]))
            self.probabilities[attempt.box][free] = np.rint(255 * probability).astype(np.uint8)
        return self.counts.kept

    def _exclude_seed(self, seed: Triple) -> None:
        if self.segmentation[seed] == 0:
            self.segmentation[seed] = NO_SEED

    def _visit(self, position: Triple) -> Work[NDArray[np.float32]]:
        """Run the network at a place; returns the logits that the canvas has there now."""
        box = _around(position, tuple(self._margin))
        old = self.logits[box]
        new = yield self.image[box], np.where(np.isnan(old), self._pad_logit, old)
        if self.watch is not None:
            self.watch(position, old, new)
        share = np.mean(new >= self._move_logit)
        if self.options.disconnected >= 0 and share > self.options.disconnected:
            # A comparison with NaN is false, so voxels that no field of view has met are free.
            kept = (old < 0) & (new > old)
            new = np.where(kept, old, new)
        self.logits[box] = new
        return new

    def _is_inside(self, position: Triple) -> bool:
        return all(m <= p < n - m for p, m, n in zip(position, self._margin, self.image.shape, strict=True))

    def _may_visit(self, position: Triple) -> bool:
        if not self._is_inside(position):
            return False
        return not self.logits[position] < self._move_logit and self.segmentation[position] <= 0


class Moves:
    """The queue of places to visit. Cells of the size of a move, centred on the seed, are visited once each."""

    def __init__(self, seed: Triple, deltas_zyx: Triple, move_logit: np.float32) -> None:
        self._seed, self._deltas, self._move_logit = seed, deltas_zyx, move_logit
        self.queue: deque[Triple] = deque([seed])
        self.visited: set[Triple] = set()

    def next(self, may_visit: Callable[[Triple], bool]) -> Triple | None:
        """The first place in the queue whose cell is new and that may be visited now."""
        while self.queue:
            position = self.queue.popleft()
            if self.cell(position) not in self.visited and may_visit(position):
                return position
        return None

    def note(self, position: Triple, new: NDArray[np.float32]) -> None:
        """Mark a place as visited and queue where its output leads, the strongest first."""
        self.visited.add(self.cell(position))
        found = set(_strongest_on_faces(new, self._deltas, self._move_logit))
        for _, offset in sorted(found, reverse=True):
            z, y, x = (p + o for p, o in zip(position, offset, strict=True))
            self.queue.append((z, y, x))

    def cell(self, position: Triple) -> Triple:
        z, y, x = ((p - s + d // 2) // max(d, 1) for p, s, d in zip(position, self._seed, self._deltas, strict=True))
        return (z, y, x)


def _strongest_on_faces(
    new: NDArray[np.float32], deltas_zyx: Triple, move_logit: np.float32
) -> Iterable[tuple[float, Triple]]:
    """(logit, offset) of the largest voxel on each face of the box of one move, where it reaches the threshold."""
    centre = [n // 2 for n in new.shape]
    box = [slice(c - d, c + d + 1) for c, d in zip(centre, deltas_zyx, strict=True)]
    for axis, delta in enumerate(deltas_zyx):
        for shift in (-delta, delta) if delta else ():
            flat = slice(centre[axis] + shift, centre[axis] + shift + 1)
            face = new[tuple(flat if i == axis else part for i, part in enumerate(box))]
            place = np.unravel_index(int(face.argmax()), face.shape)
            score = float(face[place])
            if score >= move_logit:
                offset = [int(p) - d for p, d in zip(place, deltas_zyx, strict=True)]
                offset[axis] = shift
                yield score, (offset[0], offset[1], offset[2])


def _around(position: Iterable[int], reach: Iterable[int]) -> tuple[slice, slice, slice]:
    z, y, x = (slice(max(0, p - r), p + r + 1) for p, r in zip(position, reach, strict=True))
    return z, y, x
