"""Where a file is damaged: a read of many stored chunks fails without saying at which voxel."""

from collections.abc import Callable
from itertools import product
from typing import Any

from axonem_eval.spec import Triple

Box = tuple[slice, slice, slice]


def first_damage(
    read: Callable[[Box], Any], box: Box, chunk: tuple[int, ...], shape: Triple
) -> tuple[Triple, Exception] | None:
    """First voxel of the first stored chunk in a box that cannot be read, and why; None if each can be read alone.

    read : raises an exception where a box cannot be read.   chunk : shape of the stored chunks.
    """
    ends = (s.indices(n)[:2] for s, n in zip(box, shape, strict=True))
    starts = (range(start // c * c, stop, c) for (start, stop), c in zip(ends, chunk, strict=True))
    for z, y, x in product(*starts):
        bounds = zip((z, y, x), chunk, shape, strict=True)
        part_z, part_y, part_x = (slice(start, min(start + c, n)) for start, c, n in bounds)
        try:
            read((part_z, part_y, part_x))
        except MemoryError:
            raise
        except Exception as error:
            return (z, y, x), error
    return None
