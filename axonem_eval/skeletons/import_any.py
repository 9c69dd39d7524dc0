"""Import skeletons of any kind that is known: of a program, or as a benchmark stores its ground truth."""

from collections.abc import Callable
from pathlib import Path

from axonem_eval.errors import InputError
from axonem_eval.skeletons.foreign import ForeignGraph, foreign_graph, read_hdf5_groups
from axonem_eval.skeletons.graph import SkeletonGraph
from axonem_eval.skeletons.imported_graph import ImportOptions
from axonem_eval.skeletons.importers import import_skeletons
from axonem_eval.spec import FloatTriple, VolumeSpec

PICKLES = (".p", ".pkl", ".pickle")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def import_any(
    path: str | Path,
    spec: VolumeSpec,
    options: ImportOptions,
    *,
    unpickle: Callable[[Path], ForeignGraph],
    offset_nm_zyx: FloatTriple | None = None,
    drop_outside: bool = False,
    min_length_um: float = 0.0,
) -> SkeletonGraph:
    """Ground truth from a file or folder of skeletons: a pickle, groups in HDF5, or what ``import_skeletons`` reads.

    unpickle : reads the graph of a pickle without running it (``sandbox.unpickle_confined``). The content decides: the
    .npz files of XPRESS are pickles.
    offset_nm_zyx, drop_outside : of ``foreign_graph``; None and False for skeletons of a program.
    Raises InputError as those do, and where an offset is given for skeletons of a program.
    """
    foreign = _foreign(Path(path), unpickle)
    if foreign is not None:
        return foreign_graph(
            foreign,
            spec,
            options,
            offset_nm_zyx=offset_nm_zyx or (0.0, 0.0, 0.0),
            drop_outside=drop_outside,
            min_length_um=min_length_um,
        )
    if offset_nm_zyx or drop_outside:
        raise InputError.of(
            "no_offset", "--offset and --drop-outside are for pickles and HDF5 files of a benchmark; leave them out"
        )
    return import_skeletons(
        path, spec, unit=options.unit, axes=options.axes, min_length_um=min_length_um, anyway=options.anyway
    )


def _foreign(path: Path, unpickle: Callable[[Path], ForeignGraph]) -> ForeignGraph | None:
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        head = file.read(8)
    if path.suffix.lower() in PICKLES or head[:1] == b"\x80":
        return unpickle(path)
    return read_hdf5_groups(path) if head == _HDF5 else None
