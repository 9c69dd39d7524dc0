"""Write labels, or EM, as a Neuroglancer precomputed volume with coarser scales, block by block."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.progress import Progress
from axonem_eval.spec import FloatTriple, Triple
from axonem_eval.volumes.downsample import Box, blocks, downsample_block
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
    stores = [_scale(folder, volume.shape_zyx, factor, voxel_size_nm_zyx, _segmentation(dtype)) for factor in scales]
    if skeletons:
        info = json.loads((folder / "info").read_text())
        (folder / "info").write_text(json.dumps({**info, "skeletons": skeletons}))

    def read(box: Box) -> NDArray[Any]:
        origin = (box[0].start, box[1].start, box[2].start)
        return native_unsigned(volume, volume.read(box), origin).astype(dtype)

    _write(volume.shape_zyx, scales, stores, read, downsample_block, on_progress)


def write_precomputed_image(
    volume: LabelVolume, folder: str | Path, voxel_size_nm_zyx: FloatTriple, *, on_progress: Progress | None = None
) -> None:
    """Write grey values as an unsharded image of JPEG chunks; coarser scales take means.

    Raises InputError for a damaged chunk, and where the values are not uint8.
    """
    if volume.dtype != np.uint8:
        raise InputError.of("wrong_dtype", f"the image has dtype {volume.dtype}, expected uint8 grey values")
    folder = Path(folder).resolve()
    scales = scale_factors(volume.shape_zyx, voxel_size_nm_zyx)
    stores = [_scale(folder, volume.shape_zyx, factor, voxel_size_nm_zyx, IMAGE) for factor in scales]
    _write(volume.shape_zyx, scales, stores, volume.read, _mean_block, on_progress)


def _write(
    shape_zyx: Triple,
    scales: list[Triple],
    stores: list[Any],
    read: Callable[[Box], NDArray[Any]],
    coarser: Callable[[NDArray[Any], Triple], NDArray[Any]],
    on_progress: Progress | None,
) -> None:
    boxes = list(blocks(shape_zyx, CHUNK_ZYX, scales[-1]))
    for done, box in enumerate(boxes, start=1):
        origin = (box[0].start, box[1].start, box[2].start)
        values = read(box)
        before = (1, 1, 1)
        for factor, store in zip(scales, stores, strict=True):
            step = tuple(new // old for new, old in zip(factor, before, strict=True))
            values, before = coarser(values, (step[0], step[1], step[2])), factor
            at = tuple(slice(o // f, o // f + n) for o, f, n in zip(origin, factor, values.shape, strict=True))
            store[at].write(values).result()
        if on_progress:
            on_progress(done, len(boxes))


def _mean_block(values: NDArray[Any], factor: Triple) -> NDArray[Any]:
    """Means of factor-sized boxes; those at the far faces are filled up with the last values."""
    if factor == (1, 1, 1):
        return values
    padding = [(0, -n % f) for n, f in zip(values.shape, factor, strict=True)]
    whole = np.pad(values, padding, mode="edge")
    parts = [k for n, f in zip(whole.shape, factor, strict=True) for k in (n // f, f)]
    return np.asarray(whole.reshape(parts).mean(axis=(1, 3, 5)).round().astype(values.dtype))


def scale_factors(shape_zyx: Triple, voxel_size_nm_zyx: FloatTriple) -> list[Triple]:
    """(1, 1, 1) and the factors of each coarser scale."""
    size, factor = np.asarray(voxel_size_nm_zyx), np.ones(3, np.int64)
    factors: list[Triple] = [(1, 1, 1)]
    while np.prod(-(-np.asarray(shape_zyx) // factor)) > COARSEST_VOXELS:
        factor = np.where(size * factor < 2 * (size * factor).min(), 2 * factor, factor)
        z, y, x = factor.tolist()
        factors.append((z, y, x))
    return factors


def _segmentation(dtype: str) -> dict[str, Any]:
    """What the specification of a segmentation has beside sizes: of the whole, and of each scale."""
    return {
        "multiscale_metadata": {"type": "segmentation", "data_type": dtype, "num_channels": 1},
        "scale": {"encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 8, 8]},
    }


IMAGE: dict[str, Any] = {
    "multiscale_metadata": {"type": "image", "data_type": "uint8", "num_channels": 1},
    "scale": {"encoding": "jpeg", "jpeg_quality": 85},
}


def _scale(folder: Path, shape: Triple, factor: Triple, voxel_nm: FloatTriple, kind: dict[str, Any]) -> Any:
    """The array of one scale, z,y,x, made in the folder."""
    ts = tensorstore_module()
    size = [-(-n // f) for n, f in zip(shape, factor, strict=True)]
    resolution = [v * f for v, f in zip(voxel_nm, factor, strict=True)]
    store = ts.open(
        {
            "driver": "neuroglancer_precomputed",
            "kvstore": {"driver": "file", "path": f"{folder}/"},
            "multiscale_metadata": kind["multiscale_metadata"],
            "scale_metadata": {
                "key": "_".join(str(f) for f in factor[::-1]),
                "size": size[::-1],
                "resolution": resolution[::-1],
                "chunk_size": CHUNK_ZYX[::-1],
                **kind["scale"],
            },
        },
        create=True,
        open=True,
    ).result()
    return store[ts.d["channel"][0]][ts.d["z", "y", "x"].transpose[0, 1, 2]]
