"""Makes a volume of synthetic neuropil: labels, grey values, and what each label is."""

import os
from dataclasses import dataclass, field

import h5py
import numpy as np
from numpy.typing import NDArray

from axonem_eval.synthetic.anatomy import AXON, GLIA, KIND_NAMES, Anatomy, Chains, grow
from axonem_eval.synthetic.fill import Warp, fill_labels, separate_components
from axonem_eval.synthetic.imaging import Defect, Imaging, draw_defects, render, section_shifts
from axonem_eval.synthetic.organelles import Organelles, joined, place_granules, place_organelles

Triple = tuple[int, int, int]
FloatTriple = tuple[float, float, float]


@dataclass(frozen=True)
class Tissue:
    """A volume of synthetic neuropil.

    labels (z,y,x) uint32, every label one 26-connected component, none of them 0.
    raw (z,y,x) uint8 grey values, or an array of size 0 when they were not asked for.
    kind : label -> "axon", "dendrite" or "glia".
    centre_nm (n,3), centre_radius_nm (n,), centre_label (n,) : points of the centre lines inside the volume (z,y,x,
    nm from the corner), the radius drawn there, and the label found there.
    defects : what is wrong with which section.
    """

    labels: NDArray[np.uint32]
    raw: NDArray[np.uint8]
    kind: dict[int, str]
    voxel_size_nm_zyx: FloatTriple
    seed: int
    centre_nm: NDArray[np.float64] = field(repr=False)
    centre_radius_nm: NDArray[np.float64] = field(repr=False)
    centre_label: NDArray[np.uint32] = field(repr=False)
    defects: tuple[Defect, ...] = ()

    @property
    def axon_ids(self) -> NDArray[np.uint32]:
        """Labels of the axons, ascending."""
        return np.array(sorted(k for k, v in self.kind.items() if v == "axon"), np.uint32)

    def no_merge_mask(self) -> NDArray[np.uint8]:
        """1 where a voxel belongs to no axon (dendrite or glia), else 0; (z,y,x)."""
        lookup = np.zeros(max(self.kind, default=0) + 1, np.uint8)
        for label, kind in self.kind.items():
            lookup[label] = kind != "axon"
        return lookup[self.labels]


def make_tissue(
    shape_zyx: Triple,
    voxel_size_nm_zyx: FloatTriple,
    *,
    seed: int = 0,
    anatomy: Anatomy | None = None,
    imaging: Imaging | None = None,
    grey: bool = True,
) -> Tissue:
    """Synthetic neuropil of any size; the same arguments give the same bytes.

    grey : False skips the grey values, which take most of the time of a small volume.
    Needs some 9 bytes a voxel while it works.
    """
    anatomy, imaging = anatomy or Anatomy(), imaging or Imaging()
    voxel = np.array(voxel_size_nm_zyx, np.float64)
    extent = np.array(shape_zyx) * voxel
    chains = grow(extent, anatomy, np.random.default_rng([seed, 1]))
    warp = Warp(extent, anatomy.wiggle_nm, anatomy.void_nm, np.random.default_rng([seed, 2]))
    defects = draw_defects(shape_zyx[0], imaging, np.random.default_rng([seed, 3]))
    shift = section_shifts(shape_zyx[0], defects)
    glia = np.flatnonzero(chains.kind == GLIA).astype(np.int32)
    glia_root = np.array([chains.points_nm[np.argmax(chains.neurite == g)] for g in glia])
    spheres = np.column_stack([chains.points_nm, chains.radius_nm])
    labels = fill_labels(shape_zyx, voxel, spheres, chains.neurite, warp, shift, glia_root, glia)
    minimum = max(2, round(anatomy.minimum_fragment_um3 * 1e9 / float(np.prod(voxel))))
    neurite = (separate_components(labels, minimum) - 1).astype(np.int32)  # by label; -1 for background
    kinds = np.where(neurite >= 0, chains.kind[neurite], AXON).astype(np.uint8)
    raw = np.zeros((0, 0, 0), np.uint8)
    if grey:
        things = place_organelles(chains, np.random.default_rng([seed, 4]))
        spheres = things.spheres.copy()
        spheres[:, :3] = _seen_at(spheres[:, :3], warp)
        granules = place_granules(labels, voxel, kinds == GLIA, neurite, np.random.default_rng([seed, 5]))
        things = joined(Organelles(spheres, things.sort, things.neurite), granules)
        raw = render(labels, voxel, kinds, neurite, things, defects, imaging, seed)
    centre, radius, centre_label = _centre_points(chains, warp, shift, labels, neurite, voxel)
    return Tissue(
        labels=labels,
        raw=raw,
        kind={i: KIND_NAMES[kinds[i]] for i in range(1, len(kinds))},
        voxel_size_nm_zyx=voxel_size_nm_zyx,
        seed=seed,
        centre_nm=centre,
        centre_radius_nm=radius,
        centre_label=centre_label,
        defects=defects,
    )


def _seen_at(points_nm: NDArray[np.float64], warp: Warp) -> NDArray[np.float64]:
    """Where in the volume a point of unwarped tissue appears: the fixed point of x = p - warp(x)."""
    seen = points_nm
    for _ in range(3):
        seen = points_nm - warp.at(seen)
    return seen


def _centre_points(
    chains: Chains,
    warp: Warp,
    shift_nm: NDArray[np.float64],
    labels: NDArray[np.uint32],
    neurite: NDArray[np.int32],
    voxel: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint32]]:
    """Centre points as they appear in the volume, those that lie in their own neurite's label."""
    seen = _seen_at(chains.points_nm, warp)
    section = np.clip((seen[:, 0] / voxel[0]).astype(np.int64), 0, len(labels) - 1)
    seen[:, 1:] -= shift_nm[section]
    index = np.floor(seen / voxel).astype(np.int64)
    inside = np.all((index >= 0) & (index < labels.shape), axis=1)
    found = labels[tuple(index[inside].T)]
    own = neurite[found] == chains.neurite[inside]
    return seen[inside][own], chains.radius_nm[inside][own], found[own]


def write_labels(
    path: str | os.PathLike[str],
    labels: NDArray[np.integer],
    voxel_size_nm_zyx: FloatTriple,
    *,
    dataset: str = "main",
    chunks: Triple = (16, 128, 128),
    compression: int | str | None = 4,
) -> None:
    """Write labels or grey values as chunked HDF5; attribute `voxel_size_nm` holds nm along z,y,x.

    compression : gzip level, a filter's name, or None.
    """
    chunk = tuple(min(c, n) for c, n in zip(chunks, labels.shape, strict=True))
    with h5py.File(path, "w") as file:
        stored = file.create_dataset(
            dataset, labels.shape, labels.dtype, chunks=chunk, compression=compression, shuffle=False
        )
        for z in range(0, len(labels), chunk[0]):
            stored[z : z + chunk[0]] = labels[z : z + chunk[0]]
        stored.attrs["voxel_size_nm"] = np.array(voxel_size_nm_zyx, np.float64)
