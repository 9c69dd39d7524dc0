"""Volumes to learn from: grey values, labels and a mask of where the labels hold, checked before anything starts."""

import gzip
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from axonem_eval.errors import Complaint, InputError, raise_all
from axonem_eval.spec import format_triple
from axonem_eval.synthetic import Tissue, make_tissue
from axonem_eval.volumes import open_labels, split_dataset
from baselines.common.coarser import coarser_labels, coarser_mask, downsampled
from baselines.common.config import ExperimentConfig
from baselines.common.config_data import VolumeConfig
from baselines.common.config_types import FloatTriple, Triple
from baselines.common.stored_raw import StoredRaw


@dataclass(frozen=True)
class Volume:
    """A training or test volume.

    raw (z,y,x) uint8. labels (z,y,x) uint32, 0 is background or boundary; None where there is none.
    mask (z,y,x) bool, where the labels hold; None for everywhere. voxel_size_nm_zyx in nm.
    """

    name: str
    raw: NDArray[np.uint8]
    labels: NDArray[np.uint32] | None
    mask: NDArray[np.bool_] | None = None
    voxel_size_nm_zyx: FloatTriple = (1.0, 1.0, 1.0)

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        z, y, x = self.raw.shape
        return z, y, x


def load_volumes(config: ExperimentConfig, wanted: Sequence[VolumeConfig], *, need_labels: bool = True) -> list[Volume]:
    """Load and check volumes. Raises InputError with the complaints about all of them at once."""
    volumes, complaints = [], []
    for spec in wanted:
        try:
            for volume in _LOADERS[spec.kind](config, spec):
                volumes.append(_finish(config, spec, volume))
                complaints += _complaints(volumes[-1], need_labels)
        except InputError as error:
            complaints += error.complaints
    raise_all(complaints)
    return volumes


def load_one(config: ExperimentConfig, spec: VolumeConfig, *, need_labels: bool = True) -> Volume:
    """Load one volume. Raises InputError where it is at fault or is several."""
    volumes = load_volumes(config, [spec], need_labels=need_labels)
    if len(volumes) != 1:
        raise InputError.of("several_volumes", f"{spec.path}: {len(volumes)} volumes; expected one here")
    return volumes[0]


def _complaints(volume: Volume, need_labels: bool) -> list[Complaint]:
    found = []
    name = volume.name
    if volume.raw.dtype != np.uint8:
        found.append(
            Complaint("wrong_dtype", f"{name}: raw has dtype {volume.raw.dtype}, expected uint8 grey values 0..255")
        )
    elif volume.raw.size and volume.raw.min() == volume.raw.max():
        found.append(Complaint("blank_raw", f"{name}: every grey value is {volume.raw.min()}; is this the right file?"))
    if volume.labels is None:
        if need_labels:
            found.append(Complaint("no_labels", f"{name}: it has no labels, which training and scoring need"))
        return found
    if volume.labels.shape != volume.raw.shape:
        found.append(
            Complaint(
                "shape_mismatch",
                f"{name}: labels have shape {format_triple(volume.labels.shape)}, raw "
                f"{format_triple(volume.raw.shape)} (z,y,x); they must match. Set raw_offset where raw is padded",
            )
        )
    if need_labels and not volume.labels.any():
        found.append(Complaint("empty_labels", f"{name}: all labels are 0 (background)"))
    return found


def _finish(config: ExperimentConfig, spec: VolumeConfig, volume: Volume) -> Volume:
    """Crop to the asked range, make it coarser, and erode the labels' boundaries."""
    if volume.labels is not None and volume.labels.shape != volume.raw.shape:
        return volume
    box = _crop(spec, volume.shape_zyx, volume.name)
    labels = None if volume.labels is None else np.ascontiguousarray(volume.labels[box])
    if labels is not None:
        _leave_scored(labels, spec, box, volume.name)
        labels = coarser_labels(labels, spec.coarser)
    if labels is not None and spec.erode:
        axes = (0, 1, 2) if config.isotropic else (1, 2)
        labels = erode_labels(labels, spec.erode, axes, spare_thin=spec.erode_spare_thin)
    mask = None if volume.mask is None else coarser_mask(volume.mask[box], spec.coarser)
    raw = np.ascontiguousarray(downsampled(volume.raw[box], spec.coarser))
    return Volume(volume.name, raw, labels, mask, config.voxel_size_of(spec))


def _crop(spec: VolumeConfig, shape_zyx: Triple, name: str) -> tuple[slice, slice, slice]:
    """The asked range of a volume. Raises InputError where it is outside, or too small for what it shall become."""
    for axis, span, size, coarser in zip("zyx", (spec.z, spec.y, spec.x), shape_zyx, spec.coarser, strict=True):
        first, end = span or (0, size)
        if not 0 <= first < end <= size:
            raise InputError.of("bad_range", f"{name}: {axis} = [{first}, {end}] lies outside the volume's 0 to {size}")
        if end - first < coarser:
            raise InputError.of(
                "bad_range", f"{name}: {end - first} voxels along {axis}; coarser makes one of {coarser} of them"
            )
    z, y, x = (slice(*(span or (0, n))) for span, n in zip((spec.z, spec.y, spec.x), shape_zyx, strict=True))
    return z, y, x


def _leave_scored(labels: NDArray[np.uint32], spec: VolumeConfig, box: tuple[slice, ...], name: str) -> None:
    """Set to 0, in place, the labels around what is scored. Raises InputError where that is outside the volume."""
    for axis, scored in ((0, spec.scored_z), (2, spec.scored_x)):
        if scored is None:
            continue
        first, end = (place - box[axis].start for place in scored)
        if not 0 <= first < end <= labels.shape[axis]:
            raise InputError.of(
                "bad_range", f"{name}: scored_{'zyx'[axis]} {list(scored)} lies outside what {'zyx'[axis]} leaves"
            )
        along = np.moveaxis(labels, axis, 0)
        along[:first] = along[end:] = 0


def open_raw(config: ExperimentConfig, spec: VolumeConfig) -> tuple[StoredRaw | NDArray[np.uint8], str]:
    """Grey values of a volume and what identifies them: a file's stay on disk, others are loaded.

    Raises InputError where they are not uint8.
    """
    if spec.kind != "pair" or Path(spec.raw).suffix.lower() in (".tif", ".tiff"):
        raw = load_one(config, spec, need_labels=False).raw
        return raw, checksum(raw)
    path = config.resolve(spec.raw)
    volume = open_labels(path)
    if volume.dtype != np.uint8:
        raise InputError.of("wrong_dtype", f"{path}: raw has dtype {volume.dtype}, expected uint8 grey values 0..255")
    box = _crop(spec, volume.shape_zyx, spec.name or Path(spec.raw).stem)
    origin = (box[0].start, box[1].start, box[2].start)
    z, y, x = ((part.stop - part.start) // f for part, f in zip(box, spec.coarser, strict=True))
    status = split_dataset(path)[0].stat()
    identity = f"{spec.raw} {status.st_size} bytes, changed {status.st_mtime_ns}"
    if any(origin) or spec.coarser != (1, 1, 1):
        identity += f", from {list(origin)}, coarser {list(spec.coarser)}"
    return StoredRaw(volume, origin, (z, y, x), spec.coarser), identity


def checksum(array: NDArray[Any]) -> str:
    """sha256 of an array's dtype, shape and values."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def erode_labels(
    labels: NDArray[np.uint32], voxels: int, axes: Sequence[int], *, spare_thin: bool = False
) -> NDArray[np.uint32]:
    """Set to 0 what lies within ``voxels`` of another label along the given axes; (z,y,x) in and out.

    spare_thin : where a body is so thin that nothing of it would be left within ``voxels`` along each of the axes, it
    keeps its voxels, and those ``voxels + 1`` around as well, so that it stays in one piece.
    """
    eroded = _without_faces(labels, voxels, axes)
    if not spare_thin:
        return eroded
    thin = np.where(_has_in_reach(labels, eroded, voxels, axes), np.uint32(0), labels)
    spared = _has_in_reach(labels, thin, voxels + 1, axes)
    return np.where(spared, labels, eroded)


def _without_faces(labels: NDArray[np.uint32], voxels: int, axes: Sequence[int]) -> NDArray[np.uint32]:
    current = labels
    for _ in range(voxels):
        keep = np.ones(labels.shape, bool)
        for axis in axes:
            before = [slice(None)] * 3
            after = [slice(None)] * 3
            before[axis], after[axis] = slice(None, -1), slice(1, None)
            same = current[tuple(before)] == current[tuple(after)]
            keep[tuple(before)] &= same
            keep[tuple(after)] &= same
        current = np.where(keep, current, np.uint32(0))
    return current


def _has_in_reach(
    labels: NDArray[np.uint32], some: NDArray[np.uint32], reach: int, axes: Sequence[int]
) -> NDArray[np.bool_]:
    """Where a voxel's own label occurs in ``some`` within ``reach`` along each of the axes (a box)."""
    near = np.zeros(labels.shape, bool)
    spans = [range(-reach, reach + 1) if axis in axes else range(1) for axis in range(3)]
    for shift in itertools.product(*spans):
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, labels.shape, strict=True))
        there = tuple(slice(max(0, s), n + min(0, s)) for s, n in zip(shift, labels.shape, strict=True))
        near[here] |= labels[here] == some[there]
    return near


def compact(labels: NDArray[Any]) -> NDArray[np.uint32]:
    """The same partition numbered from 1 in uint32, 0 kept; any integer dtype."""
    import fastremap

    found: NDArray[np.uint32] = fastremap.renumber(labels, preserve_zero=True, in_place=False)[0].astype(np.uint32)
    return found


def _read(path: Path, dataset: str | None = None) -> NDArray[Any]:
    """A whole integer volume (z,y,x) in any format that the scorer reads, or a TIFF stack."""
    if path.suffix.lower() in (".tif", ".tiff"):
        import tifffile

        if not path.exists():
            raise InputError.of("no_file", f"{path}: no such file")
        return np.asarray(tifffile.imread(path))
    with open_labels(path, dataset) as volume:
        return volume.read(tuple(slice(0, n) for n in volume.shape_zyx))  # type: ignore[arg-type]


def _load_pair(config: ExperimentConfig, spec: VolumeConfig) -> list[Volume]:
    complaints: list[Complaint] = []

    def read(path: str) -> NDArray[Any] | None:
        try:
            return _read(config.resolve(path)) if path else None
        except InputError as error:
            complaints.extend(error.complaints)
            return None

    raw, labels, mask, ignore = (read(path) for path in (spec.raw, spec.labels, spec.mask, spec.ignore))
    name = spec.name or Path(spec.raw).stem
    if not spec.raw:
        complaints.append(Complaint("no_raw", f"{name or 'a volume'}: kind pair needs raw = a file of grey values"))
    raise_all(complaints)
    assert raw is not None
    shape = raw.shape if labels is None else labels.shape
    holds = None
    for key, found in (("mask", mask), ("ignore", None if ignore is None else ignore == 0)):
        if found is not None and found.shape != shape:
            raise InputError.of(
                "shape_mismatch",
                f"{name}: {key} has shape {format_triple(found.shape)}, expected {format_triple(shape)} (z,y,x)",
            )
        if found is not None:
            holds = found != 0 if holds is None else holds & (found != 0)
    return [_pair(name, raw, labels, holds, spec.raw_offset)]


def _pair(
    name: str,
    raw: NDArray[Any],
    labels: NDArray[Any] | None,
    mask: NDArray[Any] | None = None,
    raw_offset: tuple[int, int, int] = (0, 0, 0),
) -> Volume:
    if labels is not None and any(raw_offset):
        raw = raw[tuple(slice(o, o + n) for o, n in zip(raw_offset, labels.shape, strict=True))]
    return Volume(
        name, raw, None if labels is None else compact(labels), None if mask is None else np.asarray(mask) != 0
    )


def _load_fib25(config: ExperimentConfig, spec: VolumeConfig) -> list[Volume]:
    """The folder shared by its publishers: PNG sections, and supervoxels with a table supervoxel -> body."""
    import h5py
    from PIL import Image

    folder = config.resolve(spec.path)
    sections = sorted((folder / "grayscale_maps").glob("*.png"))
    truth = folder / "groundtruth.h5.gz"
    missing = [
        str(p) for p, there in ((folder / "grayscale_maps", bool(sections)), (truth, truth.exists())) if not there
    ]
    if missing:
        raise InputError(
            Complaint("no_file", f"{path}: missing; fib25 needs it (see docs/baselines.md)") for path in missing
        )
    raw = np.stack([np.asarray(Image.open(p)) for p in sections])
    with gzip.open(truth, "rb") as packed, h5py.File(packed, "r") as file:
        supervoxels = file["stack"][()]
        table = file["transforms"][()]
    lookup = np.zeros(int(max(supervoxels.max(), table[:, 0].max())) + 1, np.uint32)
    lookup[table[:, 0]] = table[:, 1]
    return [_pair(spec.name or "fib25", raw, lookup[supervoxels])]


def _load_snemi3d(config: ExperimentConfig, spec: VolumeConfig) -> list[Volume]:
    """A folder with train-input and train-labels, each .tif or .h5."""
    folder = config.resolve(spec.path)
    found = {}
    complaints = []
    for part in ("train-input", "train-labels"):
        files = [folder / f"{part}{end}" for end in (".tif", ".tiff", ".h5") if (folder / f"{part}{end}").exists()]
        if files:
            found[part] = _read(files[0])
        else:
            complaints.append(Complaint("no_file", f"{folder}: no {part}.tif or {part}.h5; SNEMI3D has both"))
    raise_all(complaints)
    return [_pair(spec.name or "snemi3d", found["train-input"], found["train-labels"])]


def _load_cremi(config: ExperimentConfig, spec: VolumeConfig) -> list[Volume]:
    """One CREMI file: volumes/raw, volumes/labels/neuron_ids, whose largest value marks what is not annotated."""
    path = config.resolve(spec.path)
    raw = _read(path, "volumes/raw")
    labels = _read(path, "volumes/labels/neuron_ids")
    unknown = labels == np.iinfo(labels.dtype).max
    labels = np.where(unknown, 0, labels)
    return [_pair(spec.name or path.stem, raw, labels, ~unknown if unknown.any() else None)]


# Distributed with AxonEM-M without labels.
_AXONEM_UNLABELLED = {"im_675-800-800_pad.h5"}


def _load_axonem(config: ExperimentConfig, spec: VolumeConfig) -> list[Volume]:
    """A folder of AxonEM training subvolumes: im_Z-Y-X_pad.h5 with seg_Z-Y-X_pad.h5, raw and labels of one shape.

    Only a box in the middle is labelled, and 0 around it says nothing; the volume is cut to what the labels reach.
    """
    folder = config.resolve(spec.path)
    images = [path for path in sorted(folder.glob("im_*.h5")) if path.name not in _AXONEM_UNLABELLED]
    volumes, complaints = [], []
    if not images:
        complaints.append(Complaint("no_file", f"{folder}: no im_*.h5; unpack the AxonEM training subvolumes there"))
    for image in images:
        labels = image.with_name(image.name.replace("im_", "seg_", 1))
        if not labels.exists():
            complaints.append(Complaint("no_file", f"{labels}: no such file; {image.name} has no labels"))
            continue
        try:
            volumes.append(_to_labels(_pair(image.stem, _read(image), _read(labels))))
        except InputError as error:
            complaints += error.complaints
    raise_all(complaints)
    return volumes


def _to_labels(volume: Volume) -> Volume:
    """The volume cut to the smallest box that holds all its labels; one without labels as it is."""
    if volume.labels is None or volume.labels.shape != volume.raw.shape or not volume.labels.any():
        return volume
    box = ndimage.find_objects((volume.labels > 0).astype(np.uint8))[0]
    return Volume(volume.name, volume.raw[box], volume.labels[box])


def _load_synthetic(config: ExperimentConfig, spec: VolumeConfig) -> list[Volume]:
    """Synthetic axon tissue, made on the spot: the same shape and seed give the same bytes."""
    if spec.shape is None:
        raise InputError.of("no_shape", f"{spec.name or 'a volume'}: kind synthetic needs shape = [z, y, x]")
    tissue = _tissue(spec.shape, config.voxel_size_of(spec), spec.seed)
    labels = tissue.labels.astype(np.uint32)
    if spec.axons_only:
        labels[~np.isin(labels, tissue.axon_ids)] = 0
    return [Volume(spec.name or f"synthetic-{spec.seed}", tissue.raw.copy(), labels)]


@lru_cache(maxsize=1)
def _tissue(shape_zyx: Triple, voxel_size_nm_zyx: FloatTriple, seed: int) -> Tissue:
    """Cached: prediction and scoring need the same tissue, and making it takes longer than either."""
    return make_tissue(shape_zyx, voxel_size_nm_zyx, seed=seed)


_LOADERS: dict[str, Callable[[ExperimentConfig, VolumeConfig], list[Volume]]] = {
    "pair": _load_pair,
    "fib25": _load_fib25,
    "snemi3d": _load_snemi3d,
    "cremi": _load_cremi,
    "axonem": _load_axonem,
    "synthetic": _load_synthetic,
}
