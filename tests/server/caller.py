"""A user's program that calls the REST API."""

import json

from django.test import Client

from evalserver.accounts.services import create_token
from tests.factories import make_user

API = "/api/v1"


class Caller:
    """A user's program."""

    def __init__(self, user=None, scopes=("read", "submit")) -> None:
        self.user = user or make_user()
        token = create_token(user=self.user, name="laptop", scopes=scopes)[1]
        self.client = Client(headers={"Authorization": f"Bearer {token}"})

    @property
    def team(self):
        return self.user.teams.get()

    def get(self, path: str, **query):
        return self.client.get(API + path, query)

    def send(self, method: str, path: str, body=None):
        data = "" if body is None else json.dumps(body)
        return self.client.generic(method, API + path, data, "application/json")


def assert_problem(response, status: int, code: str) -> dict:
    """The answer says what is wrong in the one shape of errors; returns it."""
    assert response.status_code == status, response.content
    answer = response.json()
    assert set(answer) == {"code", "message", "details"}
    assert answer["code"] == code
    return answer
