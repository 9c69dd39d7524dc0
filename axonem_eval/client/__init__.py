"""The command line `axonem` and its steps: submit to a server over HTTP. Needs the extra [client]."""

from axonem_eval.client.cli import main
from axonem_eval.client.config import load_login
from axonem_eval.client.errors import ClientError
from axonem_eval.client.output import result_table
from axonem_eval.client.server import Server

__all__ = [
    "ClientError",
    "Server",
    "load_login",
    "main",
    "result_table",
]
