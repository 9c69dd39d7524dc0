"""What several commands share: options, the progress bar, warnings, results on stdout."""

import argparse
import json
import math
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from axonem_eval.errors import InputError
from axonem_eval.processes import usable_cores
from axonem_eval.spec import FloatTriple, Region, Triple, VolumeSpec
from axonem_eval.submission_rule import FileRule, SubmissionRule

if TYPE_CHECKING:
    from axonem_eval.scoring import DenseTruth, ScoringVariant
    from axonem_eval.volumes import ReadOptions


def add_labels(parser: argparse.ArgumentParser, name: str = "segmentation", metavar: str = "SEG") -> None:
    """The label file that a command reads."""
    parser.add_argument(name, metavar=metavar, help="label file: HDF5, TIFF, Zarr or precomputed (docs/formats.md)")


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Options of commands that read a segmentation and know a voxel size."""
    parser.add_argument(
        "--background-ids",
        type=id_list,
        default=(),
        metavar="ID,ID",
        help="labels to read as 0, such as 18446744073709551615; --background-ids=-1 means -1 cast to unsigned",
    )
    parser.add_argument(
        "--trust-voxel-size",
        action="store_true",
        help="continue although a file states another voxel size than the command or the ground truth",
    )
    add_file_rule(parser)


def add_file_rule(parser: argparse.ArgumentParser) -> None:
    """Options for files of benchmarks that store them in their own way; the submit form shows the right ones."""
    parser.add_argument(
        "--axes",
        choices=("zyx", "xyz"),
        default="zyx",
        help="order of the axes of HDF5 and Zarr arrays that do not name them (default zyx)",
    )
    parser.add_argument("--dataset", default="", metavar="NAME", help="array to read; the same as FILE:NAME")
    parser.add_argument("--file-name", default="", metavar="NAME", help="name that the benchmark asks for")
    parser.add_argument(
        "--zipped", action="store_true", help="also accept a .zip that holds nothing but the file of that name"
    )
    parser.add_argument(
        "--offset-nm",
        type=offset_triple,
        metavar="Z,Y,X",
        help="corner of the submitted region, in nm; a file that states another offset is refused",
    )


def file_rule(arguments: argparse.Namespace) -> FileRule:
    """The values of ``add_file_rule``. Exits with a usage error where they do not go together."""
    given = arguments
    if given.zipped and not given.file_name:
        given.wrong_usage("--zipped needs --file-name NAME, the name of the one file in the archive")
    return FileRule(given.axes, given.dataset, given.file_name, given.zipped, given.offset_nm)


def add_grid(parser: argparse.ArgumentParser) -> None:
    """Options of commands that make ground truth for submissions on another grid than the image."""
    parser.add_argument(
        "--factor",
        type=int_triple,
        default=(1, 1, 1),
        metavar="Z,Y,X",
        help="voxels of the image in one voxel of a submission (default 1,1,1)",
    )
    parser.add_argument(
        "--region-nm",
        type=region_nm,
        metavar="Z:Z,Y:Y,X:X",
        help="part of the image that is submitted, in nm from its corner (default: all of it)",
    )


def submission_rule(arguments: argparse.Namespace, image: VolumeSpec) -> SubmissionRule:
    """The grid of ``add_grid``. Raises InputError where it does not fit the image."""
    stated: dict[str, Any] = {"factor_zyx": arguments.factor}
    return SubmissionRule.parse(image, stated | ({"region_nm_zyx": arguments.region_nm} if arguments.region_nm else {}))


def region_nm(text: str) -> list[list[float]]:
    """Parse ``8316:31383,8316:31383,8316:31383``."""
    try:
        ends = [[float(end) for end in part.split(":")] for part in text.split(",")]
        begin, end = zip(*ends, strict=True)
    except ValueError:
        begin = end = ()
    if len(begin) != 3 or not all(map(math.isfinite, (*begin, *end))):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not three ranges Z:Z,Y:Y,X:X in nm, such as 0:9900,0:9900,0:9900"
        )
    return [list(begin), list(end)]


def read_options(arguments: argparse.Namespace) -> "ReadOptions":
    """The values of ``add_label_options``, as the functions that read labels take them."""
    from axonem_eval.volumes import ReadOptions

    return ReadOptions(file_rule(arguments), arguments.background_ids, arguments.trust_voxel_size, warn)


def add_processes(parser: argparse.ArgumentParser) -> None:
    """How many processes make skeletons."""
    parser.add_argument(
        "--processes",
        type=at_least_one,
        default=usable_cores(),
        metavar="N",
        help="number of processes (default: one per core)",
    )


def at_least_one(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def person(text: str) -> str:
    """Parse who labels or decides: a name on one line."""
    name = text.strip()
    if not name or not name.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not a name, such as ada")
    return name


def id_list(text: str) -> tuple[int, ...]:
    """Parse ``18446744073709551615,18446744073709551613``."""
    try:
        ids = tuple(int(part, 0) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of ids, such as 18446744073709551615,7") from None
    if not all(-(1 << 63) <= i < 1 << 64 for i in ids):
        raise argparse.ArgumentTypeError(f"{text!r}: ids have at most 64 bits")
    return ids


def segment_ids(text: str) -> tuple[int, ...]:
    """Parse ids as ``id_list`` does, of segments: none is 0 or below."""
    if min(ids := id_list(text)) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of segment ids, such as 17,4711")
    return ids


def warn(line: str) -> None:
    """Say what may be wrong, on stderr; the command goes on."""
    print(f"axonem-eval: warning: {line}", file=sys.stderr)


def add_ground_truth(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The ground truth that a command scores against, and the rule."""
    parser.add_argument(
        "--ground-truth", required=required, metavar="GT", help="bundle of ground-truth skeletons (.npz)"
    )
    add_rule(parser)
    parser.add_argument(
        "--no-merge-mask", metavar="MASK", help="label file; its non-zero voxels belong to no scored axon"
    )


def add_rule(parser: argparse.ArgumentParser) -> None:
    """The options of the rule that scores."""
    parser.add_argument(
        "--variant",
        default="axonem",
        metavar="NAME",
        help="scoring rule: axonem (default), axonem2021, axonem2024, snemi3d, snemi3d-gc, xpress, nisb, cremi, "
        "ffn-j0126 or lsd-j0126; docs/metric.md defines them",
    )
    parser.add_argument(
        "--tolerance",
        type=int,
        metavar="NODES",
        help="merge tolerance (default: that of the variant, 50 for axonem; 1 is the strict ERL)",
    )
    parser.add_argument(
        "--region",
        type=region,
        metavar="Z:Z,Y:Y,X:X",
        help="part of the volume that is scored: first voxel, and first voxel after it, on each axis; only for "
        "variants that cut skeletons, such as xpress",
    )


def variant_of(arguments: argparse.Namespace) -> "ScoringVariant":
    """The rule that the options of ``add_rule`` name. Raises InputError where there is none, or it cuts nothing."""
    from axonem_eval.scoring import variant_named

    variant = variant_named(arguments.variant).at_tolerance(arguments.tolerance)
    return variant if arguments.region is None else replace(variant, region=arguments.region)


def add_dense_ground_truth(parser: argparse.ArgumentParser, use: str) -> None:
    """The labels that voxels are counted against."""
    parser.add_argument("--dense-ground-truth", metavar="LABELS", help=f"label file of the ground truth; {use}")


def dense_truth_of(arguments: argparse.Namespace, variant: "ScoringVariant") -> "DenseTruth | None":
    """The value of ``add_dense_ground_truth``, with the voxels that the variant scores."""
    from axonem_eval.scoring import DenseTruth

    return DenseTruth(arguments.dense_ground_truth, variant.dense) if arguments.dense_ground_truth else None


def region(text: str) -> Region:
    """Parse ``25:75,97:928,97:928``."""
    try:
        start, stop = zip(*(map(int, part.split(":")) for part in text.split(",")), strict=True)
        z, y, x = start
        return Region((z, y, x), stop)
    except (ValueError, InputError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not three ranges Z:Z,Y:Y,X:X of voxels, such as 25:75,97:928,97:928"
        ) from None


def add_tolerance(parser: argparse.ArgumentParser) -> None:
    """The option --tolerance."""
    parser.add_argument(
        "--tolerance", type=int, default=50, metavar="NODES", help="merge tolerance (default 50; 1 is the strict ERL)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """The option --json."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, with lengths in nm")


def _triple(text: str, number: type) -> tuple[Any, Any, Any]:
    parts = text.replace("x", ",").split(",")
    try:
        z, y, x = (number(p) for p in parts)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers Z,Y,X, such as 30,8,8") from None
    if not all(0 < n < math.inf for n in (z, y, x)):
        raise argparse.ArgumentTypeError(f"{text!r}: each of Z,Y,X must be positive")
    return z, y, x


def int_triple(text: str) -> Triple:
    """Parse ``1000,3750,3750``."""
    return _triple(text, int)


def float_triple(text: str) -> FloatTriple:
    """Parse ``30,8,8``."""
    return _triple(text, float)


def offset_triple(text: str) -> FloatTriple:
    """Parse ``3267,3267,3267``; 0 and negative numbers are offsets too."""
    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError:
        z = math.nan
    if not all(map(math.isfinite, (z, y, x) if math.isfinite(z) else (z,))):
        raise argparse.ArgumentTypeError(f"{text!r} is not three numbers Z,Y,X, such as 3267,3267,3267")
    return z, y, x


def voxel(text: str) -> Triple:
    """Parse ``12,340,96``, a voxel; 0 is the first along an axis."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.isdecimal() and len(part) < 10 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not a voxel Z,Y,X of three whole numbers, such as 12,340,96")
    z, y, x = map(int, parts)
    return z, y, x


class ProgressBar:
    """A tqdm bar for each stage, on stderr and only on a terminal."""

    def __init__(self) -> None:
        """No bar yet."""
        self._stage = ""
        self._bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` of a stage is done."""
        from tqdm import tqdm

        if stage != self._stage or self._bar is None:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=total, desc=stage, file=sys.stderr, disable=None, leave=False)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def print_result(as_json: bool, data: dict[str, Any], lines: Sequence[str]) -> None:
    """Print a result as one JSON object, or as lines for people."""
    print(json.dumps(data, indent=2) if as_json else "\n".join(lines))


def shown_command() -> str:
    """The command line with the names of files only: a report must not reveal where they lie."""
    words = [Path(word).name if os.sep in word else word for word in sys.argv[1:]]
    return shlex.join(["axonem-eval", *words])
