"""Giants: segments of more voxels than any axon has (somata, glia, many axons in one), traced at a coarser voxel.

So each takes about a minute and a few GB, however large it is. Nothing is left out in silence: the skeletons name their
giants, and who reads them is told.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.skeletonize.label_runs import LabelRunReader
from axonem_eval.skeletonize.teasar import Teasar, Tree, find_voxels, trace
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volumes import small_shape

# A label with more voxels is traced at twice the voxel size, again until it fits. At 30 nm these are 450 um3: an axon
# through a cube of 30 um would have to be 4 um thick.
MAX_VOXELS = 16 << 20
MOST_NAMED = 10


def coarse_factor(voxels: int) -> int:
    """By how much larger a label's voxels are when it is traced; 1: it is no giant."""
    factor = 1
    while voxels > MAX_VOXELS * factor**3:
        factor *= 2
    return factor


def trace_giant(
    reader: LabelRunReader,
    label: int,
    factor: int,
    exits_zyx: NDArray[np.int32],
    grid: tuple[Triple, FloatTriple, Teasar],
) -> Tree:
    """Skeleton of a label at voxels ``factor`` times as large, on voxels of its own.

    exits_zyx : (n, 3) its places on the volume's faces.   grid : shape and voxel size in nm of the reader's volume.
    """
    shape, size, parameters = grid
    coarse, member = reader.coarse_voxels(label, factor)
    exits = [(z, y, x) for z, y, x in (exits_zyx // factor).tolist()]
    z, y, x = (v * factor for v in size)
    tree = trace(coarse, small_shape(shape, (factor,) * 3), (z, y, x), parameters, exits)
    return Tree(member[find_voxels(coarse, tree.node_zyx)], tree.edges, tree.radius_nm)


def giants_json(label: NDArray[np.uint64], voxels: NDArray[np.int64], voxel_nm_zyx: FloatTriple) -> dict[str, Any]:
    """The giants among some labels with (n,) ids and voxels, the largest first, and a sentence about them; or nothing.

    It goes into the provenance of skeletons. Ids are decimal strings.
    """
    um3 = float(np.prod(voxel_nm_zyx)) / 1e9
    largest = np.argsort(-voxels, kind="stable")
    rows = [(i, n, coarse_factor(n)) for i, n in zip(label[largest].tolist(), voxels[largest].tolist(), strict=True)]
    rows = [row for row in rows if row[2] > 1]
    if not rows:
        return {}
    named = ", ".join(f"{i} (at {_size_words(voxel_nm_zyx, factor)})" for i, _, factor in rows[:MOST_NAMED])
    are = "segment is" if len(rows) == 1 else "segments are"
    words = (
        f"{len(rows):,} {are} larger than {MAX_VOXELS * um3:,.4g} um3, too large for an axon, and traced at a "
        "coarser voxel, where thin branches side by side may become one: "
        f"{'such as ' * (len(rows) > MOST_NAMED)}{named}"
    )
    segments = [
        {"segment": str(i), "volume_um3": n * um3, "voxel_nm": [v * factor for v in voxel_nm_zyx]}
        for i, n, factor in rows
    ]
    return {"traced_coarsely": {"words": words, "segments": segments}}


def _size_words(voxel_nm_zyx: FloatTriple, factor: int) -> str:
    return " x ".join(f"{v * factor:g}" for v in voxel_nm_zyx) + " nm"
