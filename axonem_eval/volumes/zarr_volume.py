"""Label volumes in Zarr v2 and v3: a folder or a zip archive, one array or groups of them, OME-Zarr, sharded.

This module finds the array and reads its metadata; ``tensorstore_volume.py`` decodes its chunks.
"""

import posixpath
from collections.abc import Iterator
from functools import partial
from typing import Any

from axonem_eval.submission_rule import Axes
from axonem_eval.volumes.axis_names import axis_names, require_order
from axonem_eval.volumes.json_members import Members
from axonem_eval.volumes.select_array import PREFERRED, Candidate, choose
from axonem_eval.volumes.stated import Stated, stated_by_attributes, stated_by_ome
from axonem_eval.volumes.store import Store
from axonem_eval.volumes.store_chunks import zarr_chunk_files
from axonem_eval.volumes.tensorstore_volume import StoreVolume, open_store
from axonem_eval.volumes.zarr_metadata import Multiscale, ZarrArray


def is_zarr(store: Store) -> bool:
    """Whether the store holds a Zarr node."""
    return any(_base(name) in ("zarr.json", ".zarray", ".zgroup") for name in store.metadata)


def open_zarr(store: Store, dataset: str | None = None, *, mask: bool = False, axes: Axes = "zyx") -> StoreVolume:
    """Open the one label array of a Zarr store, or the named one; of an OME-Zarr pyramid the full resolution.

    axes : the order that is asked for. An array that names its axes may have z,y,x or that order.
    Raises InputError: no or several candidates, not integer, not three-dimensional, codecs that are not read.
    """
    nodes = _Nodes(store)
    preferred = (*PREFERRED, "labels", "segmentation")
    found = list(nodes.candidates(beside_labels=dataset is not None))
    chosen = choose(store.path, found, dataset, kind="array", preferred=preferred, mask=mask)
    described = nodes.array[chosen.handle]
    storage = described.storage()
    array = open_store(
        store,
        chosen.handle,
        {"driver": "zarr" if described.version == 2 else "zarr3"},
        sharded=storage.sharded,
        metadata=storage.document,
    )
    places, named = nodes.zyx_places(chosen.handle), nodes.axes(chosen.handle)
    array = array[tuple(slice(None) if i in places else 0 for i in range(array.ndim))]
    require_order(store.path.name, named, axes)
    files = zarr_chunk_files(store, chosen.handle, described, storage, places)
    if not mask:
        files.require_some(store)
    volume = StoreVolume(
        store,
        array,
        chosen,
        files,
        form=f"Zarr v{described.version}",
        compression=", ".join(n for n in storage.codecs if n not in ("bytes", "crc32c")) or "none",
        fill_value=storage.fill_value,
    )
    volume.has_plain_axes = named != ["z", "y", "x"]
    return volume


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


class _Nodes:
    """The metadata of all arrays and groups of a store, by folder."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.array: dict[str, ZarrArray] = {}
        self._attributes: dict[str, dict[str, Any]] = {}
        self._multiscale: dict[str, Multiscale] = {}
        for name in sorted(store.metadata):
            folder, base = _folder(name), _base(name)
            if base not in ("zarr.json", ".zarray", ".zattrs"):
                continue
            stated = Members.of(store, name, store.read_json(name))
            if base == ".zarray" or (base == "zarr.json" and stated.one_of("node_type", ("array", "group")) == "array"):
                self.array.setdefault(folder, ZarrArray.of(stated))
            if base != ".zarray":
                attributes = stated if base == ".zattrs" else stated.object("attributes", {})
                self._attributes[folder] = attributes.values
                self._multiscale[folder] = Multiscale.of(attributes, folder)
        self._top = posixpath.commonpath([_folder(n) for n in store.metadata] or [""])
        # The first group that names an array as a level of its pyramid.
        self._pyramid_of: dict[str, str] = {}
        for folder, multiscale in self._multiscale.items():
            for level in multiscale.levels:
                self._pyramid_of.setdefault(level, folder)

    def candidates(self, beside_labels: bool) -> Iterator[Candidate]:
        """The arrays; of a multiscale group only the first level, without further axes of length 1.

        beside_labels : also images that have labels below them, as OME-Zarr stores them.
        """
        levels: dict[str, str] = {}
        images = [] if beside_labels else self._labelled_images()
        for folder in self._attributes:
            level = self._full_resolution(folder)
            for other in self._multiscale[folder].levels:
                levels[other] = level or other
        for folder, array in self.array.items():
            if levels.get(folder, folder) != folder or self._pyramid_of.get(folder) in images:
                continue
            shape = array.shape
            places = self.zyx_places(folder)
            if folder in levels and len(shape) > 3 and all(n == 1 for i, n in enumerate(shape) if i not in places):
                shape = tuple(shape[i] for i in places)
            yield Candidate(self._name(folder), array.dtype, shape, folder, partial(self.stated, folder))

    def _labelled_images(self) -> list[str]:
        """Pyramids with labels below them, which by NGFF are those in the group ``labels``."""
        return [g for g in self._attributes if any(f.startswith(f"{g}/labels/".lstrip("/")) for f in self.array)]

    def _name(self, folder: str) -> str:
        """The folder as seen from the top group, which an archive may hold in a folder of its own."""
        inside = folder[len(self._top) :].strip("/")
        return inside or _base(folder) or self._store.path.stem

    def _full_resolution(self, folder: str) -> str | None:
        present = [level for level in self._multiscale[folder].levels if level in self.array]
        return present[0] if present else None

    def _all_axes(self, folder: str) -> list[str]:
        """Names of all axes where the metadata give them, in lower case; empty otherwise."""
        if (pyramid := self._pyramid_of.get(folder)) is not None and self._multiscale[pyramid].axes:
            return list(self._multiscale[pyramid].axes)
        array = self.array[folder]
        named = {"axes": list(array.names)} if array.names else self._attributes.get(folder, {})
        return axis_names(named, len(array.shape))

    def zyx_places(self, folder: str) -> tuple[int, ...]:
        """Which axes of an array are z, y and x: by their names, or else the last three."""
        names, n_axes = self._all_axes(folder), len(self.array[folder].shape)
        if len(names) == n_axes and sorted(n for n in names if n in "xyz") == ["x", "y", "z"]:
            return tuple(i for i, name in enumerate(names) if name in "xyz")
        return tuple(range(max(0, n_axes - 3), n_axes))

    def axes(self, folder: str) -> list[str]:
        """Names of the three axes in the order of the file; empty where the metadata give none."""
        names = self._all_axes(folder)
        return [names[i] for i in self.zyx_places(folder)] if len(names) == len(self.array[folder].shape) else []

    def stated(self, folder: str) -> Stated:
        """What OME's scale states, or else the attributes of the array and of the groups above it."""
        above = [folder]
        while above[-1]:
            above.append(_folder(above[-1]))
        by_attributes = stated_by_attributes(*(self._attributes.get(f, {}) for f in above))
        pyramid = self._pyramid_of.get(folder)
        if pyramid is None:
            return by_attributes
        of_level = self._multiscale[pyramid]
        scales = of_level.scales[of_level.levels.index(folder)]
        by_ome = stated_by_ome(scales, of_level.units, self.zyx_places(folder))
        return by_ome if by_ome != Stated() else by_attributes
