"""What the metadata files of a Zarr store state, each value checked once, here.

A value that is not what Zarr v2, v3 or NGFF says it is gets a complaint that names the file, the place in it, and what
was expected. What passes here, tensorstore gets as it is, so that a file has one meaning, also where it states a value
twice.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from axonem_eval.errors import InputError
from axonem_eval.volumes.json_members import Members
from axonem_eval.volumes.stated import shown

# Codecs that tensorstore decodes; all others are refused.
_CODECS_V2 = ("blosc", "bz2", "gzip", "zlib", "zstd")
_CODECS_V3 = ("bytes", "transpose", "blosc", "gzip", "zstd", "crc32c", "sharding_indexed")
_ZSTD_V2 = ("id", "level")
_INTEGER_V2 = re.compile(r"[<>|][iub][1248]")
_INTEGERS_V3 = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))


@dataclass(frozen=True)
class ZarrStorage:
    """How the chunks of an array are stored.

    file_shape : voxels that one file covers, on all axes; of a sharded array a shard.
    prefix, separator : of the names of its files.   codecs : their names.
    fill_value : of what has no file.   document : the metadata for tensorstore.
    """

    file_shape: tuple[int, ...]
    prefix: str
    separator: str
    codecs: tuple[str, ...]
    fill_value: int
    document: dict[str, Any]

    @property
    def sharded(self) -> bool:
        return "sharding_indexed" in self.codecs


@dataclass(frozen=True)
class ZarrArray:
    """What every array of a store states; ``storage`` checks what only the chosen one must state.

    dtype : as NumPy names it, or as it is stated where NumPy does not know it.   names : of the axes, where given.
    """

    version: Literal[2, 3]
    shape: tuple[int, ...]
    dtype: str
    names: tuple[str | None, ...]
    stated: Members

    @classmethod
    def of(cls, stated: Members) -> "ZarrArray":
        """Raises InputError where shape, dtype or names of axes are none."""
        version: Literal[2, 3] = 2 if stated.file.rpartition("/")[2] == ".zarray" else 3
        stated.one_of("zarr_format", (version,))
        shape = stated.sizes("shape", least=0)
        names = stated.list_of("dimension_names", lambda n: n is None or isinstance(n, str), "a text for each axis")
        if names and len(names) != len(shape):
            raise stated.wrong("dimension_names", f"{len(shape)} texts, one for each axis")
        dtype = _dtype(stated.values.get("data_type" if version == 3 else "dtype"))
        return cls(version, shape, dtype, tuple(names), stated)

    def storage(self) -> ZarrStorage:
        """Raises InputError where chunks, codecs, order or fill value are none that is read."""
        storage = _storage_v3(self) if self.version == 3 else _storage_v2(self)
        known = _CODECS_V3 if self.version == 3 else _CODECS_V2
        unknown = next((name for name in storage.codecs if name not in known), None)
        if unknown is not None:
            raise _unknown_codec(self, unknown, known)
        return storage

    def fill(self) -> int:
        """The fill value. In v2, null says that it is any; then 0 is read."""
        if self.version == 2 and self.stated.values.get("fill_value", 0) is None:
            return 0
        if self.dtype == "bool":
            return int(self.stated.one_of("fill_value", (False, True)))
        info = np.iinfo(self.dtype)
        expected = f"an integer of {self.dtype}"
        value = self.stated.integer("fill_value", expected)
        if not info.min <= value <= info.max:
            raise self.stated.wrong("fill_value", expected)
        return value


def _dtype(stated: Any) -> str:
    try:
        return str(np.dtype(stated)) if isinstance(stated, str) else shown(stated)
    except Exception:  # what NumPy raises depends on the text
        return shown(stated)


def _storage_v2(array: ZarrArray) -> ZarrStorage:
    stated = array.stated
    if not _INTEGER_V2.fullmatch(stated.text("dtype")):
        raise stated.wrong("dtype", "byte order, kind and bytes, such as <u8")
    stated.one_of("order", ("C", "F"))
    filters = [] if stated.values.get("filters") is None else stated.objects("filters")
    names = [f"{codec.text('id')} (a filter)" for codec in filters]
    document = stated.values
    if "compressor" not in stated.values:
        raise stated.wrong("compressor", "an object with id, or null")
    if stated.values["compressor"] is not None:
        compressor = stated.object("compressor")
        names.append(compressor.text("id"))
        if names[-1] == "zstd":
            # zarr-python writes keys that tensorstore does not know. A frame of Zstandard states itself whether a
            # checksum follows, so nothing is lost.
            known = {name: value for name, value in compressor.values.items() if name in _ZSTD_V2}
            document = {**document, "compressor": known}
    return ZarrStorage(
        file_shape=stated.sizes("chunks", least=1, count=len(array.shape)),
        prefix="",
        separator=stated.one_of("dimension_separator", (".", "/"), "."),
        codecs=tuple(names),
        fill_value=array.fill(),
        document=document,
    )


def _storage_v3(array: ZarrArray) -> ZarrStorage:
    stated, n_axes = array.stated, len(array.shape)
    stated.one_of("data_type", _INTEGERS_V3)
    grid = stated.object("chunk_grid")
    grid.one_of("name", ("regular",))
    encoding = stated.object("chunk_key_encoding")
    is_v2 = encoding.one_of("name", ("default", "v2")) == "v2"
    separator = encoding.object("configuration", {}).one_of("separator", ("/", "."), "." if is_v2 else "/")
    stated.list_of("storage_transformers", lambda _: False, "none, that is []")
    codecs = stated.objects("codecs", required=True)
    for codec in codecs:  # also over those that are added
        if codec.text("name") == "sharding_indexed":
            inside = codec.object("configuration")
            inside.sizes("chunk_shape", least=1, count=n_axes)
            codecs += inside.objects("codecs", required=True)
    return ZarrStorage(
        file_shape=grid.object("configuration").sizes("chunk_shape", least=1, count=n_axes),
        prefix="" if is_v2 else f"c{separator}",
        separator=separator,
        codecs=tuple(codec.text("name") for codec in codecs),
        fill_value=array.fill(),
        document={name: value for name, value in stated.values.items() if name != "attributes" and value is not None},
    )


def _unknown_codec(array: ZarrArray, name: str, known: tuple[str, ...]) -> InputError:
    numcodecs = ", which only zarr-python reads" if name.startswith("numcodecs.") else ", which is not read here"
    write = "zarr.codecs.ZstdCodec()" if array.version == 3 else "numcodecs.Zstd() and no filters"
    return array.stated.store.error(
        "codec",
        f"its chunks are written with the codec {name[:60]}{numcodecs}; expected "
        f"{', '.join(n for n in known if n not in ('bytes', 'crc32c', 'transpose'))} or none. Write the array again, "
        f"e.g. with {write}",
    )


@dataclass(frozen=True)
class Multiscale:
    """A pyramid as NGFF describes it.

    axes : names in lower case.   units : of the axes.   levels : folders of its arrays, the full resolution first.
    scales : for each level the scales that are stated for it and for all levels, of any form.
    """

    axes: tuple[str, ...] = ()
    units: tuple[str | None, ...] = ()
    levels: tuple[str, ...] = ()
    scales: tuple[tuple[Any, ...], ...] = ()

    @classmethod
    def of(cls, attributes: Members, folder: str) -> "Multiscale":
        """The first pyramid of the group in that folder, empty where its attributes describe none.

        Raises InputError where axes, datasets or transformations are of another type, or a level lies outside.
        """
        owner = attributes if attributes.values.get("ome") is None else attributes.object("ome")
        found = owner.objects("multiscales")
        if not found:
            return cls()
        axes = found[0].list_of("axes", _is_axis, "a list of names, or of objects with name and unit")
        datasets = found[0].objects("datasets", required=True)
        store, of_all = attributes.store, _scales(found[0])
        inside = [store.inner_path(dataset.values.get("path"), "its multiscales") for dataset in datasets]
        return cls(
            axes=tuple((axis["name"] if isinstance(axis, dict) else axis).lower() for axis in axes),
            units=tuple(axis.get("unit") if isinstance(axis, dict) else None for axis in axes),
            levels=tuple(f"{folder}/{path}".strip("/") for path in inside),
            scales=tuple((*_scales(dataset), *of_all) for dataset in datasets),
        )


def _is_axis(axis: Any) -> bool:
    if isinstance(axis, dict):
        return isinstance(axis.get("name"), str) and isinstance(axis.get("unit"), str | None)
    return isinstance(axis, str)


def _scales(owner: Members) -> tuple[Any, ...]:
    transformations = owner.objects("coordinateTransformations")
    return tuple(
        each.values.get("scale", each.values.get("path")) for each in transformations if each.text("type") == "scale"
    )
