"""Reads a pickle without running anything that it names: only here, and only in a confined process.

A pickle is a program that may call any importable function. This reader knows a short list of names, and gives each a
stand-in of its own: networkx graphs, scipy's dictionary-of-keys matrix and the lite graph of AxonEM become plain
objects with the state that was stored; NumPy arrays are built from their bytes by us. No class or function of a library
is called, so a pickle can build containers, numbers and arrays, and nothing else.
"""

import io
import pickle
import re
from collections import OrderedDict
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError

MAX_OBJECTS = 8  # a stream of AxonEM holds two
_PLAIN = re.compile(r"[biufUS]\d+")


class StoredObject:
    """An object of a class that is not loaded: ``state`` is what the pickle stored of it, ``items`` of a mapping."""

    kind = ""

    state: dict[str, Any]
    items: dict[Any, Any]

    def __new__(cls, *_: Any) -> "StoredObject":
        """Made with or without a call: pickles of some protocols make an object and set its state alone."""
        made = super().__new__(cls)
        made.state, made.items = {}, {}
        return made

    def __init__(self, *_: Any) -> None:
        """What it was made with is not used."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.state |= part


class StoredGraph(StoredObject):
    """networkx.Graph and its kin."""

    kind = "networkx graph"


class StoredLiteGraph(StoredObject):
    """NetworkXGraphLite of the AxonEM challenge."""

    kind = "lite graph"


class StoredMatrix(StoredObject):
    """scipy.sparse.dok_matrix: entries as items (old scipy) or in its state (new)."""

    kind = "sparse matrix"

    @property
    def entries(self) -> dict[Any, Any]:
        """Values by (row, column)."""
        stored = self.state.get("_dict", self.items)
        return stored if isinstance(stored, dict) else {}


class _View(StoredObject):
    """A view of a graph that networkx keeps beside it; nothing of it is used."""


class _DType:
    """A NumPy dtype of numbers or text."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self._code, self._order = str(code), "="

    def __setstate__(self, state: Any) -> None:
        order, subarray, names = state[1], state[2], state[3]
        if subarray is not None or names is not None:
            _refuse("an array of records")
        self._order = "<" if order not in ("<", ">", "|", "=") else order

    @property
    def numpy(self) -> "np.dtype[Any]":
        if not _PLAIN.fullmatch(self._code):
            _refuse(f"an array of dtype {self._code!r}, which holds objects")
        order = "=" if self._order == "|" else self._order
        return np.dtype(f"{order}{self._code}")


class StoredArray:
    """A NumPy array, built from its bytes."""

    def __init__(self) -> None:
        self.array: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: Any) -> None:
        shape, dtype, is_fortran, raw = state[-4:]
        self.array = _array(raw, dtype, shape, "F" if is_fortran else "C")


def _array(raw: Any, dtype: Any, shape: Any, order: str) -> NDArray[Any]:
    if not isinstance(dtype, _DType) or not isinstance(raw, bytes | bytearray | str):
        _refuse("an array whose content is not bytes")
    data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    return np.frombuffer(data, dtype.numpy).reshape(shape, order="F" if order == "F" else "C")


def _reconstruct_array(*_: Any) -> StoredArray:
    return StoredArray()


def _array_of_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> StoredArray:
    stored = StoredArray()
    stored.array = _array(raw, dtype, shape, str(order))
    return stored


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    return _array(raw, dtype, (1,), "C")[0].item()


def _reconstruct_object(stand_in: Any, *_: Any) -> Any:
    if not (isinstance(stand_in, type) and issubclass(stand_in, StoredObject)):
        _refuse("an object of a class that is none of a graph")
    return stand_in()


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        _refuse("an encoded object")
    return text.encode("latin1")


def _refuse(what: str) -> NoReturn:
    raise InputError.of(
        "pickle_refused",
        f"the pickle holds {what}, which no graph of skeletons needs. It is not loaded, because unpickling runs code. "
        "Save the skeletons as .npz (em_erl), SWC or precomputed",
    )


_GRAPHS = ("Graph", "DiGraph", "MultiGraph", "OrderedGraph")
_VIEWS = ("NodeView", "EdgeView", "OutEdgeView", "DegreeView", "AdjacencyView", "AtlasView", "NodeDataView")
_NUMPY = ("numpy.core", "numpy._core")
_LITE = {"NetworkXGraphLite": StoredLiteGraph, "NodeViewerLite": _View, "EdgeViewerLite": _View}
KNOWN: dict[tuple[str, str], Any] = {
    **{(f"networkx.classes.{name.lower()}", name): StoredGraph for name in _GRAPHS},
    **{("networkx.classes.ordered", name): StoredGraph for name in _GRAPHS},
    **{(f"networkx.classes.{module}", name): _View for module in ("reportviews", "coreviews") for name in _VIEWS},
    **{(f"scipy.sparse.{module}", "dok_matrix"): StoredMatrix for module in ("dok", "_dok")},
    ("scipy.sparse._dok", "dok_array"): StoredMatrix,
    **{(f"{core}.multiarray", "_reconstruct"): _reconstruct_array for core in _NUMPY},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _NUMPY},
    **{(f"{core}.numeric", "_frombuffer"): _array_of_buffer for core in _NUMPY},
    ("numpy", "ndarray"): StoredArray,
    ("numpy", "dtype"): _DType,
    **{("numpy", f"{kind}{bits}"): kind for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)},
    ("_codecs", "encode"): _latin1,
    ("copyreg", "_reconstructor"): _reconstruct_object,
    ("copy_reg", "_reconstructor"): _reconstruct_object,
    **{(module, name): kind for module in ("builtins", "__builtin__") for name, kind in (
        ("dict", dict), ("list", list), ("tuple", tuple), ("set", set), ("object", object),
    )},
    ("collections", "OrderedDict"): OrderedDict,
}  # fmt: skip


class _Reader(pickle.Unpickler):
    """Knows the names above; everything else is refused by name."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name. Raises InputError for any other."""
        if name in _LITE and module.rpartition(".")[2] in ("networkx_lite", "__main__"):
            return _LITE[name]
        if (module, name) not in KNOWN:
            _refuse(f"{module}.{name}"[:200])
        return KNOWN[module, name]

    def persistent_load(self, _: Any) -> NoReturn:
        """Raises InputError: a reference to something outside the file."""
        _refuse("a reference to an object outside the file")


def read_objects(data: bytes) -> list[Any]:
    """The objects of a pickle stream, in its order. Raises InputError for what is no such stream, or needs more."""
    file = io.BytesIO(data)
    found: list[Any] = []
    while len(found) < MAX_OBJECTS and file.tell() < len(data):
        try:
            found.append(_Reader(file, encoding="latin1").load())
        except (InputError, MemoryError):
            raise
        except Exception as error:  # a stream that somebody made may fail anywhere
            raise InputError.of(
                "bad_pickle",
                f"the pickle cannot be read after {file.tell():,} of {len(data):,} bytes ({type(error).__name__}: "
                f"{str(error)[:200]}); it is cut off or damaged. Copy it again",
            ) from None
    return found
