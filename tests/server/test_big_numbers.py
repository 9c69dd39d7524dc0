"""A number that no column holds, such as an id of 30 digits, is an error of the request and never ours."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_benchmark, make_user
from tests.server.permission_table import ask, make_world, routes

pytestmark = pytest.mark.django_db

BEYOND = 10**30


def test_no_address_with_a_number_that_no_column_holds_is_an_error_of_ours():
    world = make_world()
    numbers = {name for name, value in world.values.items() if isinstance(value, int)}
    numbered = [route for route in routes() if numbers & set(route.parameters)]
    assert len(numbered) > 20
    for route in numbered:
        values = world.values | world.of_route.get(route.name, {}) | dict.fromkeys(numbers, BEYOND)
        for method in ("GET", "POST"):
            assert not ask(world, "superuser", method, route.build(values)).startswith("5"), (method, route.pattern)


@pytest.mark.parametrize("query", ["?page={}", "?team={}", "?per_page={}", "?limit={}&offset={}"])
@pytest.mark.parametrize("route", ["leaderboard", "benchmark"])
def test_a_query_with_such_a_number_is_no_error_of_ours(route, query):
    phase = make_benchmark()
    client = Client(raise_request_exception=False)
    client.force_login(make_user("Ada"))
    address = reverse(route, args=[phase.benchmark.slug])
    assert client.get(address + query.format(BEYOND, BEYOND)).status_code < 500


@pytest.mark.parametrize("field", ["volumes", "submissions_per_day", "submissions_total"])
def test_a_phase_with_such_a_number_is_refused(field):
    phase = make_benchmark()
    client = Client(raise_request_exception=False)
    client.force_login(make_user("Olga", is_staff=True, is_superuser=True))
    address = reverse("organise_edit_phase", args=[phase.benchmark.slug, phase.slug])
    form = client.get(address).context["form"]
    values = {name: form[name].value() for name in form.fields if form[name].value() is not None}
    values |= {"opens_at": "2026-01-01 00:00", "closes_at": "", field: BEYOND}
    answer = client.post(address, {name: value for name, value in values.items() if value != ""})
    assert answer.status_code in (400, 422)
    phase.refresh_from_db()
    assert getattr(phase, field) != BEYOND


def test_the_api_refuses_such_a_number():
    phase = make_benchmark()
    client = Client(raise_request_exception=False)
    client.force_login(make_user("Ada"))
    body = {"benchmark": phase.benchmark.slug, "method": "m", "files": {"a": BEYOND}, "supersedes": BEYOND}
    answer = client.post("/api/v1/submissions", json.dumps(body), content_type="application/json")
    assert 400 <= answer.status_code < 500
