"""Objects in training: each slot of a batch fills one object, move by move, and then takes the next example.

Slot k of n takes the examples k, k + n, k + 2n ... and looks at no other slot. So the moves of an object depend on its
example and on the network alone.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.ffn.examples import Example
from baselines.ffn.flood import Moves, logit
from baselines.ffn.model import Triple

# Targets of voxels inside and outside of the object (google/ffn, inputs.py: soften_labels).
SOFT_TARGETS = (0.05, 0.95)


class Examples(Protocol):
    """Examples by number."""

    def __getitem__(self, number: int, /) -> Example: ...


@dataclass(frozen=True)
class FillOptions:
    """How an object is filled in training. Probabilities as in inference.

    follow : go where the output is strongest on the faces of a move; otherwise try each move by one delta.
    moves : moves along one axis that an example has room for.
    """

    fov_zyx: Triple
    deltas_zyx: Triple
    seed_probability: float = 0.95
    pad_probability: float = 0.05
    move_probability: float = 0.9
    follow: bool = False
    moves: int = 1


@dataclass
class VoxelCounts:
    """Voxels of finished objects by truth and prediction, where labels hold."""

    objects: int = 0
    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def add(self, predicted: NDArray[np.bool_], example: Example) -> None:
        """Count one object: the whole of its example, also what no field of view has met."""
        inside, known = example.inside, example.known
        self.objects += 1
        self.true_positive += int(np.count_nonzero(predicted & inside & known))
        self.false_positive += int(np.count_nonzero(predicted & ~inside & known))
        self.false_negative += int(np.count_nonzero(~predicted & inside & known))
        self.true_negative += int(np.count_nonzero(~predicted & ~inside & known))

    def scores(self) -> dict[str, float]:
        """Precision, recall and accuracy; a share of nothing is left out."""
        hits, right = self.true_positive, self.true_positive + self.true_negative
        shares = {
            "precision": (hits, hits + self.false_positive),
            "recall": (hits, hits + self.false_negative),
            "accuracy": (right, right + self.false_positive + self.false_negative),
        }
        return {"objects": self.objects} | {name: part / whole for name, (part, whole) in shares.items() if whole}


class Slot:
    """One object of a batch at work.

    logits : (z,y,x) float32 of the example. What a move has written stays for the next ones.
    """

    def __init__(self, number: int, example: Example, options: FillOptions) -> None:
        self.number, self.example, self.options = number, example, options
        shape = example.image.shape
        self._centre: Triple = (shape[0] // 2, shape[1] // 2, shape[2] // 2)
        self._move_logit = logit(options.move_probability)
        self.logits = np.full(shape, logit(options.pad_probability), np.float32)
        if example.given is not None:
            self.logits[example.given] = logit(options.seed_probability)
        self.logits[self._centre] = logit(options.seed_probability)
        self.moves = Moves(self._centre, options.deltas_zyx, self._move_logit)
        if not options.follow:
            self.moves.queue.extend(_sum(self._centre, shift) for shift in example.shifts)

    def next_box(self) -> tuple[slice, slice, slice] | None:
        """Where the field of view goes next, None where the object is finished."""
        self._at = self.moves.next(self._may_visit)
        if self._at is None:
            return None
        z, y, x = (slice(p - n // 2, p + n // 2 + 1) for p, n in zip(self._at, self.options.fov_zyx, strict=True))
        return z, y, x

    def put(self, box: tuple[slice, slice, slice], new: NDArray[np.float32]) -> None:
        """Write what the network gave for a box."""
        assert self._at is not None
        self.logits[box] = new
        if self.options.follow:
            self.moves.note(self._at, new)
        else:
            self.moves.visited.add(self.moves.cell(self._at))

    def _may_visit(self, place: Triple) -> bool:
        """Whether the object has reached a place and, where moves follow the output, belongs there."""
        reach = (d * self.options.moves for d in self.options.deltas_zyx)
        if any(abs(p - c) > r for p, c, r in zip(place, self._centre, reach, strict=True)):
            return False
        if self.logits[place] < self._move_logit:
            return False
        at_centre = self.moves.cell(place) == (0, 0, 0)
        return not self.options.follow or at_centre or bool(self.example.inside[place])

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps; the example comes from its number."""
        return {
            "number": self.number,
            "logits": torch.from_numpy(self.logits.copy()),
            "queue": [list(place) for place in self.moves.queue],
            "visited": [list(cell) for cell in sorted(self.moves.visited)],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Undo what happened since ``state``."""
        self.logits = state["logits"].numpy().copy()
        self.moves.queue = deque((z, y, x) for z, y, x in state["queue"])
        self.moves.visited = {(z, y, x) for z, y, x in state["visited"]}


@dataclass(frozen=True)
class Fields:
    """A batch of fields of view, (B,1,D,H,W) float32 each; weight is 0 where labels do not hold."""

    image: Tensor
    logits: Tensor
    target: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> "Fields":
        """The same on a device."""
        move = [part.to(device, non_blocking=True) for part in (self.image, self.logits, self.target, self.weight)]
        return Fields(*move)


class Objects:
    """The objects of a batch. Slots first to first + batch - 1 of ``n_slots`` are here, the others elsewhere."""

    def __init__(
        self,
        examples: Examples,
        options: FillOptions,
        batch: int,
        *,
        first: int = 0,
        n_slots: int = 0,
        workers: int = 0,
    ) -> None:
        """n_slots : of all processes; 0 for ``batch``. workers : threads that make the next examples ahead."""
        self.examples, self.options, self.n_slots = examples, options, n_slots or batch
        self.counts = VoxelCounts()
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._ahead: dict[int, Future[Example]] = {}
        self.slots = [self._begin(first + i) for i in range(batch)]
        self._boxes: list[tuple[slice, slice, slice]] = []

    def take(self) -> Fields:
        """The next field of view of each object."""
        self._boxes = [self._next_box(i) for i in range(len(self.slots))]
        low, high = SOFT_TARGETS
        parts = list(zip(self.slots, self._boxes, strict=True))
        return Fields(
            _stack(slot.example.image[box] for slot, box in parts),
            _stack(slot.logits[box] for slot, box in parts),
            _stack(np.where(slot.example.inside[box], np.float32(high), np.float32(low)) for slot, box in parts),
            _stack(slot.example.known[box].astype(np.float32) for slot, box in parts),
        )

    def put(self, new: Tensor, *, last: bool = False) -> None:
        """Give each object the logits (B,1,D,H,W) that the network made of what was taken.

        last : the objects make no further move.
        """
        for slot, box, logits in zip(self.slots, self._boxes, new.detach().float().cpu().numpy(), strict=True):
            slot.put(box, logits[0])
            if last:
                slot.moves.queue.clear()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def state(self) -> list[dict[str, Any]]:
        """What a checkpoint keeps of each slot."""
        return [slot.state() for slot in self.slots]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Undo what happened since ``state``."""
        self.slots = [self._begin(int(state["number"])) for state in states]
        for slot, state in zip(self.slots, states, strict=True):
            slot.restore(state)

    def _next_box(self, index: int) -> tuple[slice, slice, slice]:
        while (box := self.slots[index].next_box()) is None:
            slot = self.slots[index]
            self.counts.add(slot.logits >= logit(self.options.move_probability), slot.example)
            self.slots[index] = self._begin(slot.number + self.n_slots)
        return box

    def _begin(self, number: int) -> Slot:
        """A slot with an example; where there are threads, they begin the one after it."""
        ready = self._ahead.pop(number, None)
        example = self.examples[number] if ready is None else ready.result()
        if self._pool is not None:
            following = number + self.n_slots
            self._ahead[following] = self._pool.submit(self.examples.__getitem__, following)
        return Slot(number, example, self.options)


def _stack(parts: Iterator[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(list(parts))[:, None])


def _sum(a: Triple, b: Triple) -> Triple:
    z, y, x = (p + q for p, q in zip(a, b, strict=True))
    return z, y, x
