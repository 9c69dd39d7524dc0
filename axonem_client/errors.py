"""What ends a command, said so that its user can act on it."""

from typing import Any


class ClientError(Exception):
    """The command cannot go on; the message is for its user. Exit status 1."""


class ServerRefused(ClientError):
    """The server answered with an error. code : stable word; details : as the code says."""

    def __init__(self, status: int, code: str, message: str, details: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.details = status, code, details
