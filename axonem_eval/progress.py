"""Callbacks that report how far a long piece of work has come."""

from collections.abc import Callable

# (items done, items in all)
Progress = Callable[[int, int], None]
# (name of the stage, items done, items in all)
StageProgress = Callable[[str, int, int], None]
