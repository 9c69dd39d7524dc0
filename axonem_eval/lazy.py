"""Names of a package that are imported when they are asked for.

Numba and the libraries that read files take most of the time that a command or a confined child needs to start, and few
of them need all. (PEP 562.)
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_demand(package: str, module_of: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package. module_of : the module that each name comes from."""

    def get(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(module_of[name]), name)

    return get
