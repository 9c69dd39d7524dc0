"""HTTP: addresses, the token, errors, and retries while the server does not answer."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import httpx

from axonem_eval.client.config import Login
from axonem_eval.client.errors import ClientError, ServerRefused

API = "/api/v1"
RETRIED_STATUSES = frozenset({423, 429, 500, 502, 503, 504})
LONGEST_PAUSE_S = 15.0
Answer = TypeVar("Answer")


class Server:
    """A benchmark server, seen by the owner of a token.

    patience_s : how long a server may fail to answer before a command gives up.
    """

    def __init__(self, login: Login, *, patience_s: float = 600.0) -> None:
        """Connect when the first request is sent."""
        self.url, self.patience_s = login.url, patience_s
        self.http = httpx.Client(
            base_url=login.url,
            headers={"Authorization": f"Bearer {login.token}", "User-Agent": "axonem"},
            timeout=httpx.Timeout(30.0, write=60.0),
        )

    def get(self, path: str, **query: Any) -> Any:
        """JSON of an address below the API; waits for a server that restarts."""
        return self.patiently(lambda: self.request("GET", path, params=query or None))

    def post(self, path: str, body: Any = None) -> Any:
        """JSON answer of a POST. It is not retried, because a lost answer may have done its work."""
        return self.request("POST", path, json=body)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """JSON answer, asked for once. Raises ServerRefused."""
        response = self.http.request(method, API + path, **options)
        return raise_for_problem(response).json()

    def patiently(self, call: Callable[[], Answer]) -> Answer:
        """The call's answer. Retries while the network or the server does not answer. Raises ClientError."""
        began, pause = time.monotonic(), 0.5
        while True:
            try:
                return call()
            except httpx.TransportError as error:
                reason: Exception = ClientError(f"{self.url} does not answer ({error}).")
            except ServerRefused as error:
                if error.status not in RETRIED_STATUSES:
                    raise
                reason = error
            if time.monotonic() - began > self.patience_s:
                raise reason
            time.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)


def raise_for_problem(response: httpx.Response) -> httpx.Response:
    """The response. Raises ServerRefused if it is an error."""
    if response.is_success:
        return response
    try:
        problem = response.json()
        code, message, details = problem["code"], problem["message"], problem["details"]
    except (ValueError, KeyError, TypeError):
        code, message, details = "unknown", f"{response.request.url} answered {response.status_code}", {}
    if response.status_code == 401:
        message += " Run `axonem login URL` again."
    raise ServerRefused(response.status_code, code, message, details)
