"""Options that several commands share, and warnings on stderr."""

import argparse
import sys


def add_label_options(parser: argparse.ArgumentParser) -> None:
    """Options of commands that read a segmentation and know a voxel size."""
    parser.add_argument(
        "--background-ids",
        type=id_list,
        default=(),
        metavar="ID,ID",
        help="labels that count as 0, e.g. 18446744073709551615; --background-ids=-1 is what -1 becomes when cast",
    )
    parser.add_argument(
        "--trust-voxel-size",
        action="store_true",
        help="go on where a file states another voxel size than the command or the ground truth",
    )


def id_list(text: str) -> tuple[int, ...]:
    """Parse ``18446744073709551615,18446744073709551613``."""
    try:
        ids = tuple(int(part, 0) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of ids, such as 18446744073709551615,7") from None
    if not all(-(1 << 63) <= i < 1 << 64 for i in ids):
        raise argparse.ArgumentTypeError(f"{text!r}: ids have at most 64 bits")
    return ids


def warn(line: str) -> None:
    """Say what may be wrong, on stderr; the command goes on."""
    print(f"axonem-eval: warning: {line}", file=sys.stderr)
