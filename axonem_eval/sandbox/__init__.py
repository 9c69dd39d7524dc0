"""Untrusted files, opened in a child process that can do nothing but read them."""

from typing import TYPE_CHECKING

from axonem_eval.lazy import on_demand

if TYPE_CHECKING:
    from axonem_eval.sandbox.parent import (
        Limits,
        OtherCode,
        SharedTracing,
        counting_seconds,
        diagnose_confined,
        has_traced_share,
        node_table_confined,
        open_confined,
        sample_confined,
        trace_share_confined,
        unpickle_confined,
    )
    from axonem_eval.sandbox.protection import Wall, walls

__all__ = [
    "Limits",
    "OtherCode",
    "SharedTracing",
    "Wall",
    "counting_seconds",
    "diagnose_confined",
    "has_traced_share",
    "node_table_confined",
    "open_confined",
    "sample_confined",
    "trace_share_confined",
    "unpickle_confined",
    "walls",
]

_OF_PROTECTION = ("Wall", "walls")
# The child imports this package too, and needs nothing of the parent.
__getattr__ = on_demand(
    __name__,
    {name: f"{__name__}.{'protection' if name in _OF_PROTECTION else 'parent'}" for name in __all__},
)
