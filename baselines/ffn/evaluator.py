"""Steps of the network for several canvases at a time, so that a GPU is full.

Each canvas asks for a step and waits; the steps that are asked for are computed in one forward pass. On a GPU there are
two groups of canvases: while it computes for one, the processor works on the other.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.common.precision import autocast
from baselines.ffn.flood import Request, Work
from baselines.ffn.model import ConvStack

# Waits for the new logits (n, z, y, x) of the fields of view that were asked for.
Pending = Callable[[], NDArray[np.float32]]


class Evaluator:
    """The network, for ``batch`` fields of view at a time.

    precision : ``float32`` or ``bfloat16`` (or ``auto``) of the convolutions; old logits and update are float32, and so
    is their sum. A pass always has ``batch`` fields of view, blank ones included: the output for one of them then
    depends on the others by nothing, or by rounding where the library's kernels share sums.
    """

    def __init__(self, network: ConvStack, *, batch: int = 1, precision: str = "float32") -> None:
        self.network, self.batch, self.precision = network, batch, precision
        self.device = next(network.parameters()).device
        if self.device.type == "cuda" and precision == "float32":
            torch.backends.cudnn.allow_tf32 = False  # its mantissa has 10 bits

    @property
    def groups(self) -> int:
        """Groups of canvases that keep the device busy."""
        return 2 if self.device.type == "cuda" else 1

    def submit(self, requests: Sequence[Request]) -> Pending:
        """Begin a pass for up to ``batch`` fields of view."""
        given = [self._moved([request[part] for request in requests]) for part in (0, 1)]
        with torch.inference_mode(), autocast(self.device, self.precision):
            output = self.network(*given)

        def wait() -> NDArray[np.float32]:
            return np.asarray(output[: len(requests), 0].float().cpu(), dtype=np.float32)

        return wait

    def step(self, image: NDArray[np.float32], logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """One step for one canvas: grey values and logits (z, y, x) in, new logits out."""
        (found,) = self.submit([(image, logits)])()
        return np.asarray(found, np.float32)

    def _moved(self, fields: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        """(batch, 1, z, y, x) on the device, the last ones blank."""
        stack = np.zeros((self.batch, 1, *fields[0].shape), np.float32)
        for place, field in enumerate(fields):
            stack[place, 0] = field
        tensor = torch.from_numpy(stack)
        # From pinned memory the copy does not wait for the pass before it.
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor


def run_together(
    works: Iterable[Work[None]], evaluator: Evaluator, after_pass: Callable[[int], None] | None = None
) -> None:
    """Do all works, ``evaluator.batch`` at a time in each group; one that ends makes room for the next.

    after_pass : called after each forward pass with the number of its fields of view.
    """
    waiting = iter(works)
    running: deque[tuple[list[tuple[Work[None], Request]], Pending]] = deque()

    def start(active: list[tuple[Work[None], Request]]) -> None:
        """Fill a group up, and begin its pass."""
        active = [*active, *islice(_begun(waiting), evaluator.batch - len(active))]
        if active:
            running.append((active, evaluator.submit([request for _, request in active])))

    for _ in range(evaluator.groups):
        start([])
    while running:
        active, pending = running.popleft()
        outputs = pending()
        if after_pass:
            after_pass(len(active))
        start([pair for pair in map(_went_on, active, outputs) if pair])


def _begun(works: Iterator[Work[None]]) -> Iterator[tuple[Work[None], Request]]:
    """Works with what each asks for first; those that need no step end here."""
    for work in works:
        request = next(work, None)
        if request is not None:
            yield work, request


def _went_on(active: tuple[Work[None], Request], output: NDArray[np.float32]) -> tuple[Work[None], Request] | None:
    """A work with what it asks for next; None where it has ended."""
    work, _ = active
    try:
        return work, work.send(output)
    except StopIteration:
        return None
