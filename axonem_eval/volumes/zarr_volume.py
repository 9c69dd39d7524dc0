"""Label volumes in Zarr v2 and v3: a folder or a zip archive, one array or groups of them, OME-Zarr, sharded.

This module finds the array and reads its metadata; ``tensorstore_volume.py`` decodes its chunks.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from axonem_eval.errors import InputError, guarded
from axonem_eval.submission_rule import Axes
from axonem_eval.volumes.select_array import PREFERRED, Candidate, choose
from axonem_eval.volumes.stated import Stated, stated_by_attributes, stated_by_ome
from axonem_eval.volumes.store import Store
from axonem_eval.volumes.store_chunks import zarr_chunk_files
from axonem_eval.volumes.tensorstore_volume import StoreVolume, open_store

# Codecs that tensorstore decodes; all others are refused.
_CODECS_V2 = ("blosc", "bz2", "gzip", "zlib", "zstd")
_CODECS_V3 = ("bytes", "transpose", "blosc", "gzip", "zstd", "crc32c", "sharding_indexed")
_ZSTD_V2 = ("id", "level")


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
    metadata = nodes.array[chosen.handle]
    version = 3 if metadata.get("zarr_format") == 3 else 2
    names = guarded(store.path, "its codecs", lambda: _require_codecs(store, metadata, version))
    sharded = "sharding_indexed" in names
    driver = {"driver": f"zarr{version}"}
    array = open_store(store, chosen.handle, driver, sharded=sharded, metadata=_without_checksum(metadata, version))
    places, named = nodes.zyx_places(chosen.handle), nodes.axes(chosen.handle)
    array = array[tuple(slice(None) if i in places else 0 for i in range(array.ndim))]
    _require_order(store, named, axes)
    files = guarded(
        store.path, "its metadata", lambda: zarr_chunk_files(store, chosen.handle, metadata, sharded, places)
    )
    if not mask:
        files.require_some(store)
    fill = metadata.get("fill_value")
    volume = StoreVolume(
        store,
        array,
        chosen,
        files,
        form=f"Zarr v{version}",
        compression=", ".join(n for n in names if n not in ("bytes", "crc32c")) or "none",
        fill_value=int(fill) if isinstance(fill, int) else 0,
    )
    volume.has_plain_axes = named is None or named != ["z", "y", "x"]
    return volume


def _require_codecs(store: Store, metadata: dict[str, Any], version: int) -> list[str]:
    """Names of the codecs. Raises InputError for one that is not read."""
    codecs = _codecs(metadata) if version == 3 else [*(metadata.get("filters") or []), metadata.get("compressor")]
    names = [str(c.get("name", c.get("id"))) for c in codecs if isinstance(c, dict)]
    known = _CODECS_V3 if version == 3 else _CODECS_V2
    unknown = [name for name in names if name not in known]
    if not unknown:
        return names
    numcodecs = ", which only zarr-python reads" if unknown[0].startswith("numcodecs.") else ", which is not read here"
    write = "zarr.codecs.ZstdCodec()" if version == 3 else "numcodecs.Zstd() and no filters"
    raise store.error(
        "codec",
        f"its chunks are written with the codec {unknown[0]}{numcodecs}; expected "
        f"{', '.join(n for n in known if n not in ('bytes', 'crc32c', 'transpose'))} or none. Write the array again, "
        f"e.g. with {write}",
    )


def _without_checksum(metadata: dict[str, Any], version: int) -> dict[str, Any] | None:
    """Metadata without keys that zarr-python writes and tensorstore does not know; None if there are no such keys.

    A frame of Zstandard states itself whether a checksum follows, so nothing is lost.
    """
    compressor = metadata.get("compressor")
    if version == 3 or not isinstance(compressor, dict) or compressor.get("id") != "zstd":
        return None
    known = {name: value for name, value in compressor.items() if name in _ZSTD_V2}
    return {**metadata, "compressor": known} if known != compressor else None


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _folder(name: str) -> str:
    return name.rpartition("/")[0]


def _codecs(metadata: dict[str, Any]) -> list[Any]:
    """Codecs of a v3 array and of its shards."""
    codecs = metadata.get("codecs")
    flat = []
    for codec in codecs if isinstance(codecs, list) else []:
        flat.append(codec)
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("codecs"), list):
            flat += inner["codecs"]
    return flat


def _dtype(metadata: dict[str, Any]) -> str:
    stated = metadata.get("data_type", metadata.get("dtype"))
    try:
        return str(np.dtype(stated)) if isinstance(stated, str) else str(stated)
    except Exception:  # what NumPy raises depends on the text
        return str(stated)


class _Nodes:
    """The metadata of all arrays and groups of a store, by folder."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.array: dict[str, dict[str, Any]] = {}
        self._attributes: dict[str, dict[str, Any]] = {}
        for name in sorted(store.metadata):
            folder, base = _folder(name), _base(name)
            if base not in ("zarr.json", ".zarray", ".zattrs"):
                continue
            content = store.read_json(name)
            if not isinstance(content, dict):
                raise store.error("bad_metadata", f"{name} is not a JSON object")
            if base == ".zattrs":
                self._attributes.setdefault(folder, content)
            elif base == ".zarray" or content.get("node_type") == "array":
                self.array.setdefault(folder, content)
            if base == "zarr.json" and isinstance(content.get("attributes"), dict):
                self._attributes[folder] = content["attributes"]
        self._top = min((_folder(n) for n in store.metadata), key=len, default="")
        self._levels_of = {folder: self._named_levels(folder) for folder in self._attributes}
        # The first group that names an array as a level of its pyramid.
        self._pyramid_of: dict[str, str] = {}
        for folder, levels in self._levels_of.items():
            for level in levels:
                self._pyramid_of.setdefault(level, folder)

    def candidates(self, beside_labels: bool) -> Iterator[Candidate]:
        """The arrays; of a multiscale group only the first level, without further axes of length 1.

        beside_labels : also images that have labels below them, as OME-Zarr stores them.
        """
        levels: dict[str, str] = {}
        images = [] if beside_labels else self._labelled_images()
        for folder in self._attributes:
            level = self._full_resolution(folder)
            for other in self._levels_of[folder]:
                levels[other] = level or other
        for folder, metadata in self.array.items():
            if levels.get(folder, folder) != folder or self._pyramid_of.get(folder) in images:
                continue
            stated = metadata.get("shape")
            if not (isinstance(stated, list) and all(isinstance(n, int) and n >= 0 for n in stated)):
                raise self._store.error("bad_metadata", f"the shape of {folder or 'the array'} is {stated!r}")
            shape = tuple(stated)
            places = self.zyx_places(folder)
            if folder in levels and len(shape) > 3 and all(n == 1 for i, n in enumerate(shape) if i not in places):
                shape = tuple(shape[i] for i in places)
            yield Candidate(self._name(folder), _dtype(metadata), shape, folder, partial(self.stated, folder))

    def _labelled_images(self) -> list[str]:
        """Pyramids with labels below them, which by NGFF are those in the group ``labels``."""
        return [g for g in self._attributes if any(f.startswith(f"{g}/labels/".lstrip("/")) for f in self.array)]

    def _name(self, folder: str) -> str:
        """The folder as seen from the top group, which an archive may hold in a folder of its own."""
        inside = folder[len(self._top) :].strip("/")
        return inside or _base(folder) or self._store.path.stem

    def _multiscale(self, folder: str) -> dict[str, Any]:
        attributes = self._attributes.get(folder, {})
        owner = attributes.get("ome") if isinstance(attributes.get("ome"), dict) else attributes
        scales = owner.get("multiscales") if isinstance(owner, dict) else None
        first = scales[0] if isinstance(scales, list) and scales else None
        return first if isinstance(first, dict) else {}

    def _named_levels(self, folder: str) -> list[str]:
        datasets = self._multiscale(folder).get("datasets")
        named = [d.get("path") for d in datasets if isinstance(d, dict)] if isinstance(datasets, list) else []
        inside = [self._store.inner_path(path, "its multiscales") for path in named]
        return [f"{folder}/{path}".strip("/") for path in inside]

    def _full_resolution(self, folder: str) -> str | None:
        present = [level for level in self._levels_of[folder] if level in self.array]
        return present[0] if present else None

    def _all_axes(self, folder: str) -> list[str]:
        """Names of all axes where the metadata give them, in lower case; empty otherwise."""
        pyramid = self._pyramid_of.get(folder)
        axes: Any = self._multiscale(pyramid).get("axes") if pyramid is not None else None
        axes = axes or self.array[folder].get("dimension_names") or self._attributes.get(folder, {}).get("axes")
        names = [a.get("name") if isinstance(a, dict) else a for a in axes] if isinstance(axes, list) else []
        return [str(n).lower() for n in names] if all(isinstance(n, str) for n in names) else []

    def zyx_places(self, folder: str) -> tuple[int, ...]:
        """Which axes of an array are z, y and x: by their names, or else the last three."""
        names, n_axes = self._all_axes(folder), len(self.array[folder]["shape"])
        if len(names) == n_axes and sorted(n for n in names if n in "xyz") == ["x", "y", "z"]:
            return tuple(i for i, name in enumerate(names) if name in "xyz")
        return tuple(range(max(0, n_axes - 3), n_axes))

    def axes(self, folder: str) -> list[str] | None:
        """Names of the three axes where the metadata give any, in the order of the file."""
        names = self._all_axes(folder)
        return [names[i] for i in self.zyx_places(folder)] if len(names) == len(self.array[folder]["shape"]) else None

    def stated(self, folder: str) -> Stated:
        """What OME's scale states, or else the attributes of the array and of the groups above it."""
        above = [folder]
        while above[-1]:
            above.append(_folder(above[-1]))
        by_attributes = stated_by_attributes(*(self._attributes.get(f, {}) for f in above))
        pyramid = self._pyramid_of.get(folder)
        if pyramid is None:
            return by_attributes
        by_ome = stated_by_ome(
            self._multiscale(pyramid), self._levels_of[pyramid].index(folder), self.zyx_places(folder)
        )
        return by_ome if by_ome != Stated() else by_attributes


def _require_order(store: Store, named: list[str] | None, axes: Axes) -> None:
    if named is not None and set(named) == set("xyz") and named not in (["z", "y", "x"], list(axes)):
        raise InputError.of(
            "swapped_axes",
            f"{store.path.name}: its metadata name the axes {', '.join(named)}; expected {', '.join(axes)}. Transpose "
            "the array and write the names in that order",
        )
