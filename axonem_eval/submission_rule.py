"""What a submitted file must be besides labels: its grid in the image, the order of its axes, its names.

A benchmark's definition states it (docs/organisers.md, "What participants submit"); the server, the client and
`axonem-eval` check files by the same object.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Any, Literal

from axonem_eval.errors import InputError
from axonem_eval.spec import FloatTriple, Region, Triple, VolumeSpec, format_triple

Axes = Literal["zyx", "xyz"]
AXES: tuple[Axes, ...] = ("zyx", "xyz")
# The ending that tells a table of labels at nodes from a label file.
NODE_TABLE = ".npz"
# Of a voxel, in nm that a definition states and that must be whole voxels.
_WHOLE = 1e-6
# Of a path that leads elsewhere, or that a system reads as one; and what no terminal should be shown.
_NO_NAME = re.compile(r"[/\\\x00-\x1f]")


@dataclass(frozen=True)
class FileRule:
    """How a label file is stored; the default is this project's own rule.

    axes : order of the axes of an array that does not name them, and of what its attributes state.
    dataset : the array that is read; empty: the only one, or the one named main.
    file_name : the name that the file must have, also within an archive; empty: any.
    zipped : whether a .zip that holds the one file is taken too.
    offset_nm_zyx : where the grid begins in the image; a file that states another offset is refused. None: any.
    """

    axes: Axes = "zyx"
    dataset: str = ""
    file_name: str = ""
    zipped: bool = False
    offset_nm_zyx: FloatTriple | None = None

    def __post_init__(self) -> None:
        """Raises InputError for another order of axes."""
        if self.axes not in AXES:
            raise InputError.of("bad_rule", f"axes = {self.axes!r}; expected one of {', '.join(AXES)}")
        if self.file_name and (_NO_NAME.search(self.file_name) or self.file_name in (".", "..")):
            raise InputError.of("bad_rule", f"file_name = {self.file_name!r}; expected a name without a folder")
        if self.zipped and not self.file_name:
            raise InputError.of("bad_rule", "zipped needs file_name: the name of the one file in the archive")

    def name_complaint(self, name: str) -> str:
        """What is wrong with the name of a file; empty where it is right."""
        if not self.file_name or name == self.file_name or (self.zipped and name.lower().endswith(".zip")):
            return ""
        zipped = f", or a .zip that holds it ({self.file_name} alone)" if self.zipped else ""
        return f"the file is named {name}; this benchmark wants {self.file_name}{zipped}. Rename it"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, for ``of_json``."""
        offset = self.offset_nm_zyx
        return {**vars(self), "offset_nm_zyx": None if offset is None else list(offset)}

    @classmethod
    def of_json(cls, stated: Mapping[str, Any]) -> "FileRule":
        """What ``to_json`` wrote."""
        offset = stated["offset_nm_zyx"]
        return cls(**{**stated, "offset_nm_zyx": None if offset is None else tuple(offset)})


ANY_FILE = FileRule()


@dataclass(frozen=True)
class SubmissionRule:
    """What a submission for one volume must be.

    image : the volume that the ground truth is made in.
    factor_zyx : voxels of the image along each axis in one voxel of the submission.
    region : the part of the image that is submitted, in its voxels; None is all of it.
    node_tables : whether the labels at the ground truth's nodes are taken in place of the volume.
    The rest is of ``FileRule``.

    Raises InputError where the region is no whole number of the submission's voxels.
    """

    image: VolumeSpec
    factor_zyx: Triple = (1, 1, 1)
    region: Region | None = None
    node_tables: bool = False
    axes: Axes = "zyx"
    dataset: str = ""
    file_name: str = ""
    zipped: bool = False

    def __post_init__(self) -> None:
        """Raises InputError where the grid does not fit the image."""
        if min(self.factor_zyx) < 1:
            raise InputError.of("bad_rule", f"factor_zyx = {list(self.factor_zyx)}; expected whole numbers from 1 on")
        self.box.require_inside(self.image.shape_zyx)
        _ = self.file  # complains of its own parts
        size = [b - a for a, b in zip(self.box.start_zyx, self.box.stop_zyx, strict=True)]
        if any(n % f for n, f in zip(size, self.factor_zyx, strict=True)):
            raise InputError.of(
                "bad_rule",
                f"{format_triple(tuple(size))} voxels of the image are no whole number of voxels of a submission, "
                f"which have {format_triple(self.factor_zyx)} of them (z,y,x); choose region_nm_zyx or "
                "factor_zyx so that they fit",
            )

    def name_complaint(self, name: str) -> str:
        """What is wrong with the name of a label file or of a table of labels at nodes; empty where it is right."""
        if not name.lower().endswith(NODE_TABLE):
            return self.file.name_complaint(name)
        if self.node_tables:
            return ""
        return (
            f"the file is named {name}, as tables of labels at nodes are; this volume is taken as a whole. Upload the "
            "label file"
        )

    @property
    def box(self) -> Region:
        """The part of the image that is submitted, in its voxels."""
        return self.region or Region((0, 0, 0), self.image.shape_zyx)

    @property
    def is_coarser(self) -> bool:
        """Whether a voxel of a submission stands for several of the image."""
        return max(self.factor_zyx) > 1

    @property
    def is_plain(self) -> bool:
        """Whether the grid is that of the image."""
        return self.spec == self.image and self.box.start_zyx == (0, 0, 0)

    @property
    def is_usual(self) -> bool:
        """Whether the rule states nothing: the whole image, in z,y,x, under any name."""
        return self == SubmissionRule(self.image)

    @property
    def spec(self) -> VolumeSpec:
        """Shape and voxel size of a submission, z,y,x."""
        (az, ay, ax), (bz, by, bx), (fz, fy, fx) = self.box.start_zyx, self.box.stop_zyx, self.factor_zyx
        vz, vy, vx = self.image.voxel_size_nm_zyx
        return VolumeSpec(((bz - az) // fz, (by - ay) // fy, (bx - ax) // fx), (vz * fz, vy * fy, vx * fx))

    @property
    def offset_nm_zyx(self) -> FloatTriple:
        """Where a submission begins in the image."""
        z, y, x = (a * v for a, v in zip(self.box.start_zyx, self.image.voxel_size_nm_zyx, strict=True))
        return z, y, x

    @property
    def file(self) -> FileRule:
        """How the file is stored."""
        offset = None if self.region is None else self.offset_nm_zyx
        return FileRule(self.axes, self.dataset, self.file_name, self.zipped, offset)

    def options(self) -> list[str]:
        """Options of `axonem-eval check` for a file by this rule, shape and voxel size included."""
        shape, size = _comma(self.spec.shape_zyx), _comma(self.spec.voxel_size_nm_zyx)
        return [f"--shape {shape}", f"--voxel-size {size}", *self.file_options()]

    def file_options(self) -> list[str]:
        """Options of all commands of `axonem-eval` that read such a file; none for the usual form.

        Participants copy them into a shell, so names are quoted.
        """
        told = [f"--axes {self.axes}"] * (self.axes != "zyx")
        told += [f"--dataset {quote(self.dataset)}"] * bool(self.dataset)
        told += [f"--offset-nm {_comma(self.offset_nm_zyx)}"] * (self.region is not None)
        return told + [f"--file-name {quote(self.file_name)}"] * bool(self.file_name) + ["--zipped"] * self.zipped

    @classmethod
    def parse(cls, image: VolumeSpec, stated: Mapping[str, Any]) -> "SubmissionRule":
        """The rule that a definition states: keys of KEYS, all optional.

        region_nm_zyx : [begin, end] of what is submitted, in nm from the corner of the image.
        Raises InputError for another key, a value of another kind, and a grid that does not fit the image.
        """
        if not isinstance(stated, Mapping):
            raise InputError.of("bad_rule", f"submission = {stated!r}; expected {{}}, or some of {', '.join(KEYS)}")
        unknown = sorted(set(stated) - set(KEYS))
        if unknown:
            raise InputError.of("bad_rule", f"submission has no key {', '.join(unknown)}; it has {', '.join(KEYS)}")
        for key, value in stated.items():
            kind, words = KEYS[key]
            if not isinstance(value, kind):
                raise InputError.of("bad_rule", f"submission: {key} = {value!r}; expected {words}")
        fields = {key: value for key, value in stated.items() if key not in ("factor_zyx", "region_nm_zyx")}
        region = stated.get("region_nm_zyx")
        return cls(
            image,
            factor_zyx=_whole_numbers(stated.get("factor_zyx", (1, 1, 1))),
            region=None if region is None else _region(image, region),
            **fields,
        )


KEYS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "factor_zyx": ((list, tuple), "three whole numbers z,y,x"),
    "region_nm_zyx": ((list, tuple), "[[z, y, x], [z, y, x]], begin and end in nm"),
    "axes": (str, "zyx or xyz"),
    "dataset": (str, "the name of a dataset"),
    "file_name": (str, "the name of a file"),
    "zipped": (bool, "true or false"),
    "node_tables": (bool, "true or false"),
}


def _comma(values: tuple[float, ...] | tuple[int, ...]) -> str:
    return ",".join(f"{v:.10g}" for v in values)


def _whole_numbers(values: Any) -> Triple:
    if len(values) != 3 or not all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        raise InputError.of("bad_rule", f"submission: factor_zyx = {values!r}; expected {KEYS['factor_zyx'][1]}")
    z, y, x = values
    return z, y, x


def _is_length(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _region(image: VolumeSpec, stated: Any) -> Region:
    ends: list[Triple] = []
    for end in stated:
        if len(stated) != 2 or not isinstance(end, list | tuple) or len(end) != 3 or not all(map(_is_length, end)):
            raise InputError.of("bad_rule", f"region_nm_zyx = {stated!r}; expected {KEYS['region_nm_zyx'][1]}")
        voxel = [nm / size for nm, size in zip(end, image.voxel_size_nm_zyx, strict=True)]
        if any(abs(v - round(v)) > _WHOLE for v in voxel):
            raise InputError.of(
                "bad_rule",
                f"region_nm_zyx: {list(end)} nm is no whole number of voxels of "
                f"{format_triple(image.voxel_size_nm_zyx)} nm (z,y,x); let "
                "the region begin and end at the border of a voxel of the image",
            )
        z, y, x = (round(v) for v in voxel)
        ends.append((z, y, x))
    return Region(ends[0], ends[1])
