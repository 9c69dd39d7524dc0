"""The option --version, which every command of the package has."""

import argparse
from typing import Any


class _PrintVersion(argparse.Action):
    """Print name and version on stdout and exit. They are looked up only when they are asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        print(f"{parser.prog} {version('axonem')}")
        parser.exit()


def add_version(parser: argparse.ArgumentParser) -> None:
    """Give a command line the option --version."""
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="show the version of the package and exit")
