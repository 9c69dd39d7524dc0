"""The command line `axonem-eval`: its commands, each in the module that is named here.

Results go to stdout, progress and errors to stderr. Exit 0: success; 1: a fault in the input, one line for each;
2: wrong usage.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from axonem_eval.errors import InputError
from axonem_eval.extras import missing_package
from axonem_eval.version import add_version

EPILOG = """Arrays and sizes are in the order z,y,x. Sizes are in nm. An HDF5 path may name a dataset: file.h5:main.
Exit status: 0 success, 1 a fault in the input (one line for each on stderr), 2 wrong usage."""

# Name, module and text of each command; the names are a contract that others build on.
COMMANDS = (
    ("info", "score", "Show what a label file contains, as the server reads it."),
    ("check", "score", "Check that a segmentation fits its volume, as the server does."),
    ("skeletonize", "skeletons", "Make a bundle of ground-truth skeletons from a label volume."),
    ("import", "skeletons", "Make a bundle of ground-truth skeletons from skeletons of another program."),
    ("score", "score", "Score a segmentation by tolerant ERL against a bundle of skeletons."),
    ("nodes", "score", "Write the labels at the nodes of public skeletons, to submit instead of the volume."),
    ("report", "report", "Write one HTML page about a segmentation: its score, and where the score is lost."),
    (
        "compare",
        "report",
        "Compare two segmentations of one volume, and test whether their difference is more than chance.",
    ),
    ("diagnose", "skeletons", "List likely errors of a segmentation, without ground truth."),
    ("export", "skeletons", "Write the skeletons of a bundle for other programs."),
    ("workshop", "workshop", "Make ground truth: identify segments, proofread them, and make a benchmark volume."),
    ("view", "skeletons", "Open a segmentation with skeletons and errors in Neuroglancer on this machine."),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = build_parser(sys.argv[1:] if argv is None else argv).parse_args(argv)
    try:
        arguments.run(arguments)
    except InputError as error:
        for complaint in error.complaints:
            print(f"axonem-eval: {complaint.message}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        line = missing_package(error)
        if line is None:
            raise
        print(f"axonem-eval: {line}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return 0


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The command line, with the options of the command that ``argv`` names."""
    parser = argparse.ArgumentParser(
        prog="axonem-eval",
        description="Score segmentations of axons by tolerant ERL, as the server does.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_version(parser)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module, text in COMMANDS:
        command = commands.add_parser(name, help=text, description=text, epilog=EPILOG)
        if name in argv:
            add_options, run = import_module(f"axonem_eval.cli.{module}").COMMANDS[name]
            add_options(command)
            command.set_defaults(run=run, wrong_usage=command.error)
    return parser
