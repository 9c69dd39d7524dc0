"""Figures of whole volumes: how long their axons are, and what the longest and shortest look like."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.report.pictures import Pixels, render_axons
from axonem_eval.report.svg import Frame, standalone, svg, text, ticks
from axonem_eval.spec import FloatTriple
from axonem_eval.volumes import blocks, near_isotropic_factor, open_labels, read_small

WIDTH, HEIGHT = 600, 320
# A class is 1.5 times as long as the one before it, from the shortest axon that counts.
FIRST_UM, RATIO = 5.0, 1.5
# One colour and dash each.
MOST_VOLUMES = 4
# Voxels along the longest side of the volume that a picture of axons is drawn from.
PICTURE_VOXELS = 320
STYLE = """text{font:13px sans-serif;fill:#333}.label{font-weight:bold}.grid{stroke:#ddd}.axis{stroke:#333}
polyline{fill:none;stroke-width:2.5}.v0{stroke:#0072b2}.v1{stroke:#d55e00;stroke-dasharray:7 3}.v2{stroke:#009e73;
stroke-dasharray:2 3}.v3{stroke:#777;stroke-dasharray:9 3 2 3}.t0{fill:#0072b2}.t1{fill:#b54a00}.t2{fill:#007a58}
.t3{fill:#555}"""


def lengths_figure(length_um: Mapping[str, NDArray[np.float64]]) -> str:
    """Share of the axons of each volume by length, as an SVG file.

    length_um : (n,) lengths of the axons by the volume's name, at most ``MOST_VOLUMES``. Classes of length grow by
    ``RATIO`` from ``FIRST_UM``, so that the axis is logarithmic; shorter axons are in the first class.
    """
    longest = max((float(length.max(initial=0.0)) for length in length_um.values()), default=0.0)
    classes = max(1, int(np.ceil(np.log(max(longest, FIRST_UM) / FIRST_UM) / np.log(RATIO) + 1e-9)))
    edges = FIRST_UM * RATIO ** np.arange(classes + 1)
    shares = {}
    for name, length in length_um.items():
        place = np.clip(np.searchsorted(edges, length, side="right") - 1, 0, classes - 1)
        shares[name] = np.bincount(place, minlength=classes) * 100 / max(1, len(length))
    levels = ticks(max(float(share.max(initial=0.0)) for share in shares.values()), 5)
    frame = Frame.of(WIDTH, HEIGHT, classes, levels[-1])
    content = frame.y_axis(levels, "share of the axons", "%")
    content += frame.x_axis([(i, f"{edge:.3g}") for i, edge in enumerate(edges.tolist())], "length (µm)")
    for number, (name, share) in enumerate(shares.items()):
        content += frame.line([i + 0.5 for i in range(classes)], share.tolist(), f"v{number}")
        words = f"{name}: {len(length_um[name]):,} axons, median {np.median(length_um[name]):.1f} µm"
        content += text(WIDTH - 16, 44 + 18 * number, words, f"t{number}", "end")
    return standalone(str(svg(WIDTH, HEIGHT, content, "Axons by length")), STYLE)


def axons_picture(
    path: str | Path, ids: Sequence[int], voxel_size_nm_zyx: FloatTriple, *, dataset: str | None = None
) -> Pixels:
    """The surfaces of some labels of a file, each in a colour of its own. Returns (h, w, 4) uint8.

    Labels are read block by block, at voxels so coarse that the longest side of the volume has ``PICTURE_VOXELS``.
    Raises InputError for unreadable labels.
    """
    wanted = np.array(sorted(ids), np.uint64)
    number = np.array([list(ids).index(i) + 1 for i in wanted.tolist()], np.uint8)
    with open_labels(path, dataset) as volume:
        extent = np.asarray(volume.shape_zyx) * np.asarray(voxel_size_nm_zyx)
        factor = near_isotropic_factor(voxel_size_nm_zyx, max(float(extent.max()) / PICTURE_VOXELS, 30.0))
        small = np.zeros([-(-n // f) for n, f in zip(volume.shape_zyx, factor, strict=True)], np.uint8)
        for box in blocks(volume.shape_zyx, volume.chunk_shape_zyx, factor):
            labels = read_small(volume, box, factor).astype(np.uint64)
            place = np.minimum(np.searchsorted(wanted, labels), len(wanted) - 1)
            at = tuple(slice(s.start // f, s.start // f + n) for s, f, n in zip(box, factor, labels.shape, strict=True))
            small[at] = np.where(wanted[place] == labels, number[place], 0)
    z, y, x = (size * f for size, f in zip(voxel_size_nm_zyx, factor, strict=True))
    return render_axons(small, list(range(1, len(ids) + 1)), (z, y, x), width=900)
