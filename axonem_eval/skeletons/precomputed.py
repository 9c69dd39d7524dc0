"""Neuroglancer precomputed skeletons: the layer's ``info`` and the file of each skeleton."""

import json
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.file_kinds import foreign_content
from axonem_eval.spec import FloatTriple

MAX_INFO_BYTES = 16 << 20


@dataclass(frozen=True)
class SkeletonLayer:
    """The ``info`` of a folder of precomputed skeletons.

    transform : (3, 4) float64, from stored coordinates to nm, both x,y,z.   attribute_bytes : of each vertex.
    """

    transform: NDArray[np.float64]
    attribute_bytes: int

    @classmethod
    def none(cls) -> "SkeletonLayer":
        """Files without an ``info``, as osteoid.save and cloud-volume write them: nm, perhaps radius and type."""
        return cls(np.eye(3, 4), 0)

    def moved(self, origin_nm_xyz: NDArray[np.float64]) -> "SkeletonLayer":
        """The layer with coordinates that begin at ``origin_nm_xyz``."""
        return replace(self, transform=self.transform - np.column_stack([np.zeros((3, 3)), origin_nm_xyz]))

    @classmethod
    def of(cls, folder: str, info: dict[str, Any]) -> "SkeletonLayer":
        """Raises InputError: sharded, a transform that is none, attributes that are none."""
        if info.get("sharding"):
            raise InputError.of(
                "sharded",
                f"{folder}: sharded skeletons, which are not read; write them unsharded (cloud-volume: fetch them with "
                "cv.skeleton.get, set no sharding in the info, and cv.skeleton.upload), or as SWC (skeleton.to_swc)",
            )
        return cls(_transform(folder, info.get("transform")), _attribute_bytes(folder, info.get("vertex_attributes")))


def read_info(folder: Path, data: bytes) -> dict[str, Any]:
    """The JSON object of an ``info``. Raises InputError where it is none."""
    try:
        info = json.loads(data) if len(data) <= MAX_INFO_BYTES else None
    except (ValueError, RecursionError):
        info = None
    if not isinstance(info, dict):
        foreign = foreign_content(data)
        what = f"; it is {foreign}" if foreign and "JSON" not in foreign else ""
        raise InputError.of("bad_info", f"{folder}: info is not readable as a JSON object{what}. Fetch the layer again")
    return info


def skeletons_below(folder: Path, info: dict[str, Any]) -> str | None:
    """The folder of a segmentation layer's skeletons, relative to it; None where ``info`` is of skeletons itself.

    Raises InputError for a layer of something else, and for one without skeletons.
    """
    kind = info.get("@type")
    if kind in (None, "neuroglancer_skeletons") and "scales" not in info:
        return None
    if "scales" not in info or info.get("type") == "image":
        what = "an image layer" if "scales" in info else repr(str(kind)[:60])
        raise InputError.of("not_skeletons", f"{folder}: info is of {what}, expected neuroglancer_skeletons")
    named = str(info.get("skeletons") or "")
    parts = PurePosixPath(named).parts
    if not parts or ".." in parts or named.startswith("/"):
        raise InputError.of(
            "segmentation_layer",
            f"{folder}: this is a segmentation layer, and its info names no skeletons{_skeletons_nearby(folder)}",
        )
    below = "/".join(parts)
    if folder.is_dir() and not (folder / below / "info").is_file():
        raise InputError.of(
            "segmentation_layer",
            f"{folder}: this is a segmentation layer; its skeletons are in {folder / below}, which is not there or has "
            "no info. Fetch that folder too",
        )
    return below


def _skeletons_nearby(folder: Path) -> str:
    found = [p.parent for p in sorted(folder.glob("*/info")) if b"neuroglancer_skeletons" in p.read_bytes()[:10_000]]
    if found:
        return f"; there are some in {found[0]}: give that folder"
    return ". Give the folder of the skeletons, or make some from the labels with `axonem-eval skeletonize`"


@dataclass(frozen=True)
class StatedScale:
    """What a segmentation layer states of one scale: nm and voxels, both z,y,x."""

    voxel_size_nm_zyx: FloatTriple
    offset_voxel_zyx: FloatTriple

    @property
    def origin_nm_xyz(self) -> NDArray[np.float64]:
        """(3,) where the volume begins in the coordinates of its skeletons."""
        return np.multiply(self.voxel_size_nm_zyx, self.offset_voxel_zyx)[::-1]


def stated_scales(info: dict[str, Any]) -> list[StatedScale]:
    """The scales of a segmentation layer; what is not understood is left out."""
    scales = info.get("scales")
    found = []
    for scale in scales if isinstance(scales, list) else []:
        if isinstance(scale, dict) and (size := _triple_zyx(scale.get("resolution"))):
            found.append(StatedScale(size, _triple_zyx(scale.get("voxel_offset")) or (0.0, 0.0, 0.0)))
    return found


def _triple_zyx(xyz: Any) -> FloatTriple | None:
    if isinstance(xyz, list) and len(xyz) == 3 and all(isinstance(v, int | float) for v in xyz):
        return (float(xyz[2]), float(xyz[1]), float(xyz[0]))
    return None


def decode_skeleton(data: bytes, layer: SkeletonLayer, name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(n, 3) vertices x,y,z in nm and (m, 2) edges of one skeleton file.

    Raises InputError where its length is not what its counts say, a coordinate is not finite or an edge leads nowhere.
    """
    counts = np.frombuffer(data[:8], "<u4").astype(np.int64) if len(data) >= 8 else None
    least = 8 if counts is None else 8 + 12 * int(counts[0]) + 8 * int(counts[1])
    if counts is None or len(data) < least:
        stated = "" if counts is None else f" for the {counts[0]:,} vertices and {counts[1]:,} edges that it states"
        raise InputError.of(
            "truncated",
            f"{name}: {len(data):,} bytes, expected at least {least:,}{stated}; either no precomputed skeleton, or it "
            "breaks off. Copy it again, or take it out of the folder",
        )
    n, m = (int(c) for c in counts)
    _require_attributes(len(data) - least, n, layer, name)
    if n == 0:
        raise InputError.of("no_node", f"{name}: holds no node; leave the file out if its axon is empty")
    stored = np.frombuffer(data, "<f4", 3 * n, 8).reshape(n, 3).astype(np.float64)
    edges = np.frombuffer(data, "<u4", 2 * m, 8 + 12 * n).reshape(m, 2).astype(np.int64)
    vertex = stored @ layer.transform[:, :3].T + layer.transform[:, 3]
    wrong = np.flatnonzero(~np.isfinite(vertex).all(axis=1))
    if wrong.size:
        raise InputError.of(
            "not_finite",
            f"{name}: {len(wrong):,} of {n:,} vertices have no finite place, the first is vertex {wrong[0]} at "
            f"{tuple(stored[wrong[0]].tolist())}; write the skeleton again without them",
        )
    beyond = np.flatnonzero((edges >= n).any(axis=1))
    if beyond.size:
        raise InputError.of(
            "bad_edge",
            f"{name}: {len(beyond):,} of {m:,} edges name a vertex that is not there, the first is edge {beyond[0]} "
            f"between {edges[beyond[0], 0]} and {edges[beyond[0], 1]} of {n:,} vertices; the file is damaged",
        )
    return vertex, edges


def _require_attributes(rest: int, n: int, layer: SkeletonLayer, name: str) -> None:
    """What follows the edges: the attributes that ``info`` lists, or radius and type as cloud-volume has them."""
    expected = sorted({0, 4 * n, 5 * n, layer.attribute_bytes * n})
    if rest not in expected:
        raise InputError.of(
            "wrong_length",
            f"{name}: {rest:,} bytes follow its edges, expected {' or '.join(f'{e:,}' for e in expected)} "
            f"for the attributes of {n:,} vertices; either no precomputed skeleton, or it is damaged or its info is "
            "not its own",
        )


def _transform(folder: str, transform: Any) -> NDArray[np.float64]:
    if transform is None:
        return np.eye(3, 4)
    try:
        matrix = np.asarray(transform, np.float64)
    except (ValueError, TypeError):
        matrix = np.empty(0)
    if matrix.size != 12 or not np.isfinite(matrix).all():
        raise InputError.of(
            "bad_transform",
            f"{folder}: the transform in info is {json.dumps(transform)[:80]}, expected 12 numbers, a 3 x 4 matrix row "
            "by row into nm (x,y,z); null or none means that coordinates are nm already",
        )
    matrix = matrix.reshape(3, 4)
    if abs(np.linalg.det(matrix[:, :3])) == 0:
        raise InputError.of(
            "bad_transform", f"{folder}: the transform in info is {matrix.tolist()}, which flattens space; correct it"
        )
    return matrix


def _attribute_bytes(folder: str, attributes: Any) -> int:
    try:
        return sum(int(np.dtype(a["data_type"]).itemsize) * int(a["num_components"]) for a in attributes or [])
    except (TypeError, KeyError, ValueError):
        raise InputError.of(
            "bad_info",
            f"{folder}: vertex_attributes in info is {json.dumps(attributes)[:80]}, expected a list of objects with "
            "id, data_type and num_components",
        ) from None
