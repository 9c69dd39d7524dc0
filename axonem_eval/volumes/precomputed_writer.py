"""Write labels as a Neuroglancer precomputed segmentation with coarser scales, block by block."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from axonem_eval.progress import Progress
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volumes.downsample import blocks, downsample_block
from axonem_eval.volumes.label_volume import LabelVolume
from axonem_eval.volumes.native import native_unsigned
from axonem_eval.volumes.tensorstore_volume import tensorstore_module

CHUNK_ZYX = (64, 128, 128)
# The coarsest scale fits about one chunk; Neuroglancer shows it first.
COARSEST_VOXELS = 1 << 20


def write_precomputed(
    volume: LabelVolume,
    folder: str | Path,
    voxel_size_nm_zyx: FloatTriple,
    *,
    skeletons: str = "",
    on_progress: Progress | None = None,
) -> None:
    """Write ``folder`` as an unsharded segmentation, compressed, uint32 or uint64.

    Coarser scales take the most frequent label. Each halves the axes whose voxels are less than
    twice as long as the shortest.
    skeletons : name of a folder below this one with the skeletons of the segments, for the info file.
    Raises InputError for a damaged chunk or a negative label.
    """
    folder = Path(folder).resolve()
    scales = scale_factors(volume.shape_zyx, voxel_size_nm_zyx)
    dtype = "uint64" if volume.dtype.itemsize == 8 else "uint32"
    stores = [_scale(folder, volume.shape_zyx, factor, voxel_size_nm_zyx, dtype) for factor in scales]
    if skeletons:
        info = json.loads((folder / "info").read_text())
        (folder / "info").write_text(json.dumps({**info, "skeletons": skeletons}))
    boxes = list(blocks(volume.shape_zyx, CHUNK_ZYX, scales[-1]))
    for done, box in enumerate(boxes, start=1):
        origin = (box[0].start, box[1].start, box[2].start)
        labels = native_unsigned(volume, volume.read(box), origin).astype(dtype)
        before = (1, 1, 1)
        for factor, store in zip(scales, stores, strict=True):
            step = tuple(new // old for new, old in zip(factor, before, strict=True))
            labels, before = downsample_block(labels, (step[0], step[1], step[2])), factor
            at = tuple(slice(o // f, o // f + n) for o, f, n in zip(origin, factor, labels.shape, strict=True))
            store[at].write(labels).result()
        if on_progress:
            on_progress(done, len(boxes))


def scale_factors(shape_zyx: Triple, voxel_size_nm_zyx: FloatTriple) -> list[Triple]:
    """(1, 1, 1) and the factors of each coarser scale."""
    size, factor = np.asarray(voxel_size_nm_zyx), np.ones(3, np.int64)
    factors: list[Triple] = [(1, 1, 1)]
    while np.prod(-(-np.asarray(shape_zyx) // factor)) > COARSEST_VOXELS:
        factor = np.where(size * factor < 2 * (size * factor).min(), 2 * factor, factor)
        z, y, x = factor.tolist()
        factors.append((z, y, x))
    return factors


def _scale(folder: Path, shape: Triple, factor: Triple, voxel_nm: FloatTriple, dtype: str) -> Any:
    """The array of one scale, z,y,x, made in the folder."""
    ts = tensorstore_module()
    size = [-(-n // f) for n, f in zip(shape, factor, strict=True)]
    resolution = [v * f for v, f in zip(voxel_nm, factor, strict=True)]
    store = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
            "multiscale_metadata": {"type": "segmentation", "data_type": dtype, "num_channels": 1},
            "scale_metadata": {
                "key": "_".join(str(f) for f in factor[::-1]),
                "size": size[::-1],
                "resolution": resolution[::-1],
                "chunk_size": CHUNK_ZYX[::-1],
                "encoding": "compressed_segmentation",
                "compressed_segmentation_block_size": [8, 8, 8],
            },
        },
        create=True,
        open=True,
    ).result()
    return store[ts.d["channel"][0]][ts.d["z", "y", "x"].transpose[0, 1, 2]]
