"""Skeletons of an image on the grid of its submissions: coarser voxels, and a part of the image."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.skeletons.graph import SkeletonGraph
from axonem_eval.spec import VolumeSpec, format_triple
from axonem_eval.submission_rule import SubmissionRule


def place_on_grid(graph: SkeletonGraph, rule: SubmissionRule, *, drop_outside: bool = False) -> SkeletonGraph:
    """The skeletons in voxels of a submission: node // factor, counted from the region's first voxel.

    Lengths of edges stay. A graph that is on that grid already is returned as it is.
    drop_outside : leave out nodes outside the region, with their edges, as rules do that cut skeletons.
    Raises InputError where the graph is of another volume, and where nodes lie outside and are not to be left out.
    """
    if _is_of(graph, rule.spec) and (rule.is_plain or graph.provenance.get("grid") == _grid(rule)):
        return graph
    if not _is_of(graph, rule.image):
        raise InputError.of(
            "wrong_shape",
            f"the skeletons are of a volume of {format_triple(graph.shape_zyx)} voxels of "
            f"{format_triple(graph.voxel_size_nm_zyx)} nm; expected the image, {format_triple(rule.image.shape_zyx)} "
            f"voxels of {format_triple(rule.image.voxel_size_nm_zyx)} nm (z,y,x)",
        )
    voxel = graph.node_voxel_zyx - np.asarray(rule.box.start_zyx, np.int32)
    voxel = np.floor_divide(voxel, np.asarray(rule.factor_zyx, np.int32))
    inside = (voxel >= 0) & (voxel < np.asarray(rule.spec.shape_zyx))
    keep: NDArray[np.bool_] = np.asarray(inside.all(axis=1))
    outside = int((~keep).sum())
    if outside and not (drop_outside and keep.any()):
        raise InputError.of(
            "node_outside",
            f"{outside:,} of {graph.n_nodes:,} nodes lie outside the region that is submitted; widen region_nm_zyx, or "
            "choose a scoring rule that cuts skeletons, such as xpress or lsd-j0126",
        )
    notes = [f"{outside:,} of {graph.n_nodes:,} nodes lie outside the submitted region and are left out"] * bool(
        outside
    )
    z, y, x = rule.spec.shape_zyx
    return replace(
        graph.part(keep),
        node_voxel_zyx=voxel[keep].astype(np.int32),
        shape_zyx=(z, y, x),
        voxel_size_nm_zyx=rule.spec.voxel_size_nm_zyx,
        provenance={**graph.provenance, "grid": _grid(rule), "notes": [*graph.notes, *notes]},
    )


def _is_of(graph: SkeletonGraph, spec: VolumeSpec) -> bool:
    sizes = zip(graph.voxel_size_nm_zyx, spec.voxel_size_nm_zyx, strict=True)
    return graph.shape_zyx == spec.shape_zyx and all(abs(a - b) <= 1e-3 * b for a, b in sizes)


def _grid(rule: SubmissionRule) -> dict[str, list[float]]:
    """What tells a grid from another of equal shape and voxel size."""
    return {"factor_zyx": list(rule.factor_zyx), "offset_nm_zyx": list(rule.offset_nm_zyx)}
