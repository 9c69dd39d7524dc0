"""Label volumes in Neuroglancer's precomputed format: a folder or a zip archive with an ``info`` file."""

from dataclasses import replace
from typing import Any

from axonem_eval.errors import guarded
from axonem_eval.volumes.select_array import Candidate, choose
from axonem_eval.volumes.stated import Stated, stated_by_attributes
from axonem_eval.volumes.store import Store
from axonem_eval.volumes.store_chunks import precomputed_chunk_files
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
    info = store.read_json(name)
    scale = _first_scale(store, info)
    key = store.inner_path(scale.get("key"), "its info file")
    encoding = str(scale.get("encoding"))
    dtype = str(info.get("data_type"))
    stated = _stated(scale)
    only = Candidate(key, dtype, _shape_zyx(store, scale), None, lambda: stated)
    choose(store.path, [only], None, kind="scale", mask=mask)
    if info.get("num_channels") != 1:
        raise store.error("wrong_ndim", f"{info.get('num_channels')} channels; expected one, of segment ids")
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
        store, folder, {"driver": "neuroglancer_precomputed", "scale_index": 0}, sharded=bool(scale.get("sharding"))
    )
    others = [str(each.get("key")) for each in info["scales"][1:] if isinstance(each, dict)]
    files = guarded(
        store.path, "its info file", lambda: precomputed_chunk_files(store, f"{folder}/{key}".strip("/"), scale, others)
    )
    if not mask:
        files.require_some(store)
    array = array[ts.d["channel"][0]][ts.d["z", "y", "x"].transpose[0, 1, 2]][ts.d[:].translate_to[0]]
    return StoreVolume(
        store,
        array,
        only,
        files,
        form="Neuroglancer precomputed",
        compression=encoding + (", sharded" if scale.get("sharding") else ""),
    )


def _first_scale(store: Store, info: Any) -> dict[str, Any]:
    scales = info.get("scales") if isinstance(info, dict) else None
    kind = info.get("@type") if isinstance(info, dict) else None
    if not scales and isinstance(kind, str) and kind.startswith("neuroglancer_") and "volume" not in kind:
        raise store.error(
            "bad_metadata", f"its info file is that of {kind}; expected that of a precomputed volume, with scales"
        )
    if not (isinstance(scales, list) and scales and isinstance(scales[0], dict)):
        raise store.error("bad_metadata", "its info file lists no scale; expected that of a precomputed volume")
    return scales[0]


def _shape_zyx(store: Store, scale: dict[str, Any]) -> tuple[int, ...]:
    size = scale.get("size")
    if not (isinstance(size, list) and all(isinstance(n, int) and n >= 0 for n in size)):
        raise store.error("bad_metadata", f"its info file states the size {size!r}; expected three integers x, y, z")
    return tuple(size[::-1])


def _stated(scale: dict[str, Any]) -> Stated:
    stated = stated_by_attributes({name: scale[name] for name in ("resolution", "voxel_offset") if name in scale})
    size = stated.voxel_size_nm_zyx
    return replace(stated, voxel_size_nm_zyx=None if size is None else (size[2], size[1], size[0]))
