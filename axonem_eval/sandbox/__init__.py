"""Untrusted files, opened in a child process that can do nothing but read them."""

from typing import TYPE_CHECKING

from axonem_eval.lazy import on_demand

if TYPE_CHECKING:
    from axonem_eval.sandbox.parent import (
        Contents,
        Limits,
        OtherCode,
        counting_seconds,
        node_table_confined,
        open_confined,
        sample_confined,
    )
    from axonem_eval.sandbox.parent_diagnosis import (
        SharedTracing,
        diagnose_confined,
        has_traced_share,
        trace_share_confined,
    )
    from axonem_eval.sandbox.parent_skeletons import import_confined, unpickle_confined
    from axonem_eval.sandbox.protection import Wall, walls

__all__ = [
    "Contents",
    "Limits",
    "OtherCode",
    "SharedTracing",
    "Wall",
    "counting_seconds",
    "diagnose_confined",
    "has_traced_share",
    "import_confined",
    "node_table_confined",
    "open_confined",
    "sample_confined",
    "trace_share_confined",
    "unpickle_confined",
    "walls",
]

_MODULE_OF = {
    **dict.fromkeys(("Wall", "walls"), "protection"),
    **dict.fromkeys(
        ("SharedTracing", "diagnose_confined", "has_traced_share", "trace_share_confined"), "parent_diagnosis"
    ),
    **dict.fromkeys(("import_confined", "unpickle_confined"), "parent_skeletons"),
}
# The child imports this package too, and needs nothing of the parent.
__getattr__ = on_demand(
    __name__,
    {name: f"{__name__}.{_MODULE_OF.get(name, 'parent')}" for name in __all__},
)
