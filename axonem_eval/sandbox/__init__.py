"""Untrusted files, opened in a child process that can do nothing but read them."""

from axonem_eval.sandbox.parent import (
    Limits,
    OtherCode,
    counting_seconds,
    diagnose_confined,
    node_table_confined,
    open_confined,
    sample_confined,
    unpickle_confined,
)
from axonem_eval.sandbox.protection import Wall, walls

__all__ = [
    "Limits",
    "OtherCode",
    "Wall",
    "counting_seconds",
    "diagnose_confined",
    "node_table_confined",
    "open_confined",
    "sample_confined",
    "unpickle_confined",
    "walls",
]
