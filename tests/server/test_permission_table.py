"""docs/permissions.md says who may do what, for every route. A route without a row fails here.

After a wanted change: WRITE_PERMISSIONS=1 .venv/bin/pytest tests/server/test_permission_table.py, then read the diff.
"""

import os
import re
from pathlib import Path

import pytest

from tests.server.people import plain_site
from tests.server.permission_table import API, PAGES, SESSIONS, TOKENS, ask, make_world, routes, tables

pytestmark = pytest.mark.django_db

DOCUMENT = Path(__file__).parents[2] / "docs" / "permissions.md"
# Addresses that lead to nothing here: for an account without a second factor or a provider, for a benchmark without
# tracks, for an entry that is not public, for a link of a mail or a file that nobody has, for tables of hidden
# axons. Of the others a row says who may only where there is something to be had.
NOTHING_THERE = {
    "/accounts/2fa/recovery-codes/",
    "/accounts/2fa/recovery-codes/download/",
    "/accounts/2fa/totp/deactivate/",
    "/accounts/3rdparty/login/error/",
    "/accounts/3rdparty/signup/",
    "/api/",
    "/api/v1/",
    "/api/v1/benchmarks/{slug}/tracks",
    "/api/v1/submissions/{code}/reference",
    "/benchmarks/{slug}/tracks.{form}",
    "/benchmarks/{slug}/tracks/",
    "/methods/{code}/",
    "/metrics",
    "/submissions/{code}/badge.svg",
    "/submissions/{code}/{volume}/{table}.csv",
    "/teams/invitations/{key}/",
    "/viewer/v/result/{name}",
}


@pytest.fixture(autouse=True)
def _quick(settings):
    plain_site(settings)
    settings.EVEN_ANSWER_SECONDS = 0
    settings.API_REQUESTS_PER_MINUTE = 10**6


def documented(table: str) -> list[str]:
    text = DOCUMENT.read_text()
    section = text.partition(f"## {table}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def write(found: dict[str, list[str]]) -> None:
    text = DOCUMENT.read_text()
    for table, rows in found.items():
        columns = SESSIONS + (TOKENS if table == API else [])
        head = [f"| address | method | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
        before, mark, rest = text.partition(f"## {table}\n")
        after = re.sub(r"^(?!## )(?:.*\n)*?(?=## |\Z)", "", rest, count=1)
        text = before + mark + "\n" + "\n".join(head + rows) + "\n" + (f"\n{after}" if after else "")
    DOCUMENT.write_text(text)


def test_every_route_has_a_row():
    for table in (PAGES, API):
        known = {line.split("`")[1] for line in documented(table)}
        assert {route.pattern for route in routes() if route.table == table} == known


def test_somebody_gets_something_at_each_address_so_that_its_row_says_who():
    rows = [line for table in (PAGES, API) for line in documented(table)]
    reached = {line.split("`")[1] for line in rows if "| yes |" in line or "| confirm |" in line}
    assert {line.split("`")[1] for line in rows} - reached == NOTHING_THERE


@pytest.mark.slow
def test_everybody_gets_what_the_table_says():
    found = tables(make_world())
    if os.environ.get("WRITE_PERMISSIONS"):
        write(found)
    for table, rows in found.items():
        assert rows == documented(table)
        assert not [row for row in rows if "ERROR" in row]


@pytest.mark.slow
def test_no_other_method_lets_a_stranger_in_where_these_do_not():
    world = make_world()
    for route in routes():
        if route.table == PAGES:
            address = route.build(world.values | world.of_route.get(route.name, {}))
            allowed = {ask(world, "visitor", method, address) for method in ("GET", "POST")}
            for method in ("PUT", "PATCH", "DELETE"):
                assert ask(world, "visitor", method, address) in allowed | {"–", "no"}, (method, route.pattern)
