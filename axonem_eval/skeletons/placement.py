"""Whether imported skeletons lie where skeletons of the volume would: inside it, and not all in a corner of it.

A wrong unit or axis order is the usual reason, so each other one is tried, and named where it would fit.
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import Complaint
from axonem_eval.spec import VolumeSpec, format_triple

UNITS = ("nm", "um", "voxel")
# A set that spans less than this of the volume along every axis is questioned.
CORNER_SHARE = 0.05
# So is one within the first shape nm of the volume, where voxels taken for nm lie, if that is less than this of it.
_VOXEL_CORNER_SHARE = 0.01
_FEW_VOXELS = 2
# See importers.to_voxels: float32 nm of a voxel corner can fall just short of it.
ROUNDING = 1e-4


def unit_nm(unit: str, spec: VolumeSpec) -> NDArray[np.float64]:
    """(3,) nm of one unit along z,y,x."""
    voxel = np.asarray(spec.voxel_size_nm_zyx, np.float64)
    return {"nm": np.ones(3), "um": np.full(3, 1000.0), "voxel": voxel}[unit]


def placement_complaints(
    position_nm_zyx: NDArray[np.float64],
    skeleton: NDArray[np.integer],
    names: list[str],
    spec: VolumeSpec,
    unit: str,
    axes: str,
    *,
    anyway: bool,
) -> list[Complaint]:
    """What is wrong with the places of all nodes, as they were read with that unit and order of axes.

    position_nm_zyx : (n_nodes, 3).   skeleton : (n_nodes,) index into ``names``, the files' names.
    anyway : do not question a set that lies in a corner.
    """
    outside = ~_inside(position_nm_zyx, spec)
    if outside.any():
        return _outside(position_nm_zyx, outside, skeleton, names, spec, _fitting(position_nm_zyx, spec, unit, axes))
    if anyway or not _cornered(position_nm_zyx, spec):
        return []
    span = np.ptp(position_nm_zyx, axis=0) / 1000.0
    volume = np.multiply(spec.shape_zyx, spec.voxel_size_nm_zyx) / 1000.0
    fitting = _fitting(position_nm_zyx, spec, unit, axes)
    # A wrong order moves a set, a wrong unit shrinks it.
    units = [option for option in fitting if "--axes" not in option]
    return [
        Complaint(
            "corner",
            f"all {len(position_nm_zyx):,} nodes lie in a corner: they span {_um(span)} um (z,y,x) of a volume of "
            f"{_um(volume)} um. {_advice(units or fitting, unit)}If they are right, say so with --anyway",
        )
    ]


def _inside(position_nm_zyx: NDArray[np.float64], spec: VolumeSpec) -> NDArray[np.bool_]:
    voxel = np.floor(position_nm_zyx / np.asarray(spec.voxel_size_nm_zyx) + ROUNDING)
    inside: NDArray[np.bool_] = ((voxel >= 0) & (voxel < np.asarray(spec.shape_zyx))).all(axis=1)
    return inside


def _cornered(position_nm_zyx: NDArray[np.float64], spec: VolumeSpec) -> bool:
    if not len(position_nm_zyx):
        return False
    shape, voxel = np.asarray(spec.shape_zyx, np.float64), np.asarray(spec.voxel_size_nm_zyx)
    span = np.ptp(position_nm_zyx, axis=0) / voxel
    if (span < CORNER_SHARE * shape).all() or ((span <= _FEW_VOXELS).all() and shape.max() > 10 * _FEW_VOXELS):
        return True
    return bool(np.prod(1 / voxel) < _VOXEL_CORNER_SHARE and (position_nm_zyx < shape).all())


def _fitting(position_nm_zyx: NDArray[np.float64], spec: VolumeSpec, unit: str, axes: str) -> list[str]:
    """Options with which all nodes would lie inside the volume and not in a corner of it."""
    raw = position_nm_zyx / unit_nm(unit, spec)
    fitting = []
    for other_axes, other in product((axes, "zyx" if axes == "xyz" else "xyz"), UNITS):
        if (other, other_axes) == (unit, axes):
            continue
        place = (raw if other_axes == axes else raw[:, ::-1]) * unit_nm(other, spec)
        if _inside(place, spec).all() and not _cornered(place, spec):
            options = [f"--unit {other}"] * (other != unit) + [f"--axes {other_axes}"] * (other_axes != axes)
            fitting.append(" ".join(options))
    # One changed option explains more than two.
    return [o for o in fitting if o.count("--") == 1] or fitting


def _outside(
    position_nm_zyx: NDArray[np.float64],
    outside: NDArray[np.bool_],
    skeleton: NDArray[np.integer],
    names: list[str],
    spec: VolumeSpec,
    fitting: list[str],
) -> list[Complaint]:
    n_outside = np.bincount(skeleton, weights=outside, minlength=len(names)).astype(np.int64)
    n_nodes = np.bincount(skeleton, minlength=len(names))
    files = np.flatnonzero(n_outside)
    complaints = []
    for k in files[:5]:
        node = np.flatnonzero(outside & (skeleton == k))[0]
        place = np.floor(position_nm_zyx[node] / np.asarray(spec.voxel_size_nm_zyx) + ROUNDING)
        complaints.append(
            Complaint(
                "outside",
                f"{names[k]}: {n_outside[k]:,} of {n_nodes[k]:,} nodes lie outside the volume of "
                f"{format_triple(spec.shape_zyx)} voxels (z,y,x), the first at voxel "
                f"({', '.join(f'{v:.0f}' for v in place)})",
            )
        )
    more = f"and {len(files) - 5:,} more skeletons; " if len(files) > 5 else ""
    advice = (
        f"with {' or '.join(fitting)} all nodes would lie inside; is that right?"
        if fitting
        else "check the axis order, the unit, the voxel size, the shape and where the volume begins; no other unit and "
        "axis order would put all nodes inside"
    )
    lead = "" if not fitting else "check the axis order and the unit: "
    complaints.append(Complaint("outside", f"{more}{len(files):,} of {len(names):,} skeletons: {lead}{advice}"))
    return complaints


def _advice(fitting: list[str], unit: str) -> str:
    if not fitting:
        return f"Is their unit {unit}, and are shape and voxel size those of this volume? "
    return f"With {' or '.join(fitting)} they would fill more of it: is their unit {unit}? "


def _um(zyx: NDArray[np.float64]) -> str:
    return " x ".join(f"{v:.4g}" for v in zyx)
