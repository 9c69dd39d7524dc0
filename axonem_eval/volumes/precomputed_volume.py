"""Label volumes in Neuroglancer's precomputed format: a folder or a zip archive with an ``info`` file."""

from dataclasses import replace
from functools import partial
from typing import Any

from axonem_eval.volumes.json_members import MOST, Members
from axonem_eval.volumes.select_array import Candidate, choose
from axonem_eval.volumes.stated import Stated, stated_by_attributes
from axonem_eval.volumes.store import Store
from axonem_eval.volumes.store_chunks import PrecomputedGrid, precomputed_chunk_files
from axonem_eval.volumes.tensorstore_volume import StoreVolume, open_store, tensorstore_module

_READ = ("raw", "compressed_segmentation", "png")
_NOT_READ = {
    "crackle": "which is lossless but not read here",
    "compresso": "which is lossless but not read here",
    "kempressed": "which is for floats, not for ids",
    "fpzip": "which is for floats, not for ids",
    "zfpc": "which is for floats, not for ids",
    "jpeg": "which is lossy and changes ids",
    "jxl": "which may be lossy and change ids",
}


def is_precomputed(store: Store) -> bool:
    """Whether the store holds an ``info`` file."""
    return _info_name(store) is not None


def _info_name(store: Store) -> str | None:
    names = [n for n in store.metadata if n.rpartition("/")[2] == "info"]
    return min(names, key=lambda n: n.count("/")) if names else None


def open_precomputed(store: Store, *, mask: bool = False) -> StoreVolume:
    """Open the full-resolution scale; what is stored x,y,z,channel is read as z,y,x from voxel 0.

    Raises InputError: not integer, several channels, lossy encoding, chunk files packed by gzip, damaged metadata.
    """
    ts = tensorstore_module()
    name = _info_name(store)
    assert name is not None
    folder = name.rpartition("/")[0]
    info = Members.of(store, name, store.read_json(name))
    scales = _scales(info)
    scale = scales[0]
    key = store.inner_path(scale.values.get("key"), "its info file")
    grid = _grid(scale, key)
    encoding, dtype = scale.text("encoding"), info.text("data_type")
    stated = _stated(scale.values)
    only = Candidate(key, dtype, grid.shape_xyz[::-1], None, lambda: stated)
    choose(store.path, [only], None, kind="scale", mask=mask)
    if (channels := info.integer("num_channels", "1")) != 1:
        raise store.error("wrong_ndim", f"{channels} channels; expected one, of segment ids")
    if encoding not in _READ:
        raise store.error(
            "lossy" if "lossy" in _NOT_READ.get(encoding, "") else "encoding",
            f"its encoding is {encoding}, {_NOT_READ.get(encoding, 'which is not known here')}; write it as "
            "compressed_segmentation or raw",
        )
    if f"{folder}/{key}".strip("/") in store.packed:
        raise store.error(
            "packed_chunks",
            f"the chunk files in {key} end in .gz or .br, as a web server stores them; unpack them (gunzip -r FOLDER) "
            "or write the volume with compress=False",
        )
    array = open_store(
        store, folder, {"driver": "neuroglancer_precomputed", "scale_index": 0}, sharded=bool(grid.sharding)
    )
    others = [str(other.values.get("key")) for other in scales[1:]]
    files = precomputed_chunk_files(store, f"{folder}/{key}".strip("/"), grid, others)
    if not mask:
        files.require_some(store)
    array = array[ts.d["channel"][0]][ts.d["z", "y", "x"].transpose[0, 1, 2]][ts.d[:].translate_to[0]]
    return StoreVolume(
        store,
        array,
        only,
        files,
        form="Neuroglancer precomputed",
        compression=encoding + (", sharded" if grid.sharding else ""),
    )


def _scales(info: Members) -> list[Members]:
    kind = info.values.get("@type")
    scales = info.values.get("scales")
    if not scales and isinstance(kind, str) and kind.startswith("neuroglancer_") and "volume" not in kind:
        raise info.store.error(
            "bad_metadata", f"its info file is that of {kind}; expected that of a precomputed volume, with scales"
        )
    if not scales:
        raise info.store.error("bad_metadata", "its info file lists no scale; expected that of a precomputed volume")
    return info.objects("scales")


def _grid(scale: Members, key: str) -> PrecomputedGrid:
    """Raises InputError where size, chunk size or offset of a scale are none."""
    of_three = "three integers x, y, z"
    chunk_sizes = scale.list_of(
        "chunk_sizes", partial(_three, least=1), f"a list of chunk sizes, each {of_three} from 1 on"
    )
    if not chunk_sizes:
        raise scale.wrong("chunk_sizes", f"at least one chunk size, {of_three}")
    offset = scale.values.get("voxel_offset", [0, 0, 0])
    if not _three(offset, -MOST):
        raise scale.wrong("voxel_offset", of_three)
    sharding = {} if scale.values.get("sharding") is None else scale.object("sharding").values
    return PrecomputedGrid(
        key=key,
        shape_xyz=scale.sizes("size", least=0, count=3),
        chunk_xyz=tuple(map(int, chunk_sizes[0])),
        offset_xyz=tuple(map(int, offset)),
        sharding=dict(sharding),
    )


def _three(value: Any, least: int) -> bool:
    """Whether a value is three integers, also such that are written with a fraction of 0: tensorstore takes them."""
    if not (isinstance(value, list) and len(value) == 3):
        return False
    whole = [n.is_integer() if isinstance(n, float) else type(n) is int for n in value]
    return all(whole) and all(least <= n < MOST for n in value)


def _stated(scale: dict[str, Any]) -> Stated:
    stated = stated_by_attributes({name: scale[name] for name in ("resolution", "voxel_offset") if name in scale})
    size = stated.voxel_size_nm_zyx
    return replace(stated, voxel_size_nm_zyx=None if size is None else (size[2], size[1], size[0]))
