"""Errors that end a command. Each message says what its user can do."""

from typing import Any


class ClientError(Exception):
    """The command cannot continue. The message is for its user. Exit status 1."""


class ServerRefused(ClientError):
    """The server answered with an error. code : a word that does not change; details : depends on the code."""

    def __init__(self, status: int, code: str, message: str, details: Any) -> None:
        """status : of HTTP.   message : for people."""
        super().__init__(message)
        self.status, self.code, self.details = status, code, details
