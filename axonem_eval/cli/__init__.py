"""The command line `axonem-eval`."""

from axonem_eval.cli.main import main

__all__ = [
    "main",
]
