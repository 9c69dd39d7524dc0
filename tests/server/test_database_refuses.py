"""A database that is locked, or whose disk is full: requests that write say so, and pages are still read."""

import sqlite3
import time
from contextlib import closing

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evalserver.accounts.models import ApiToken
from evalserver.benchmarks.models import Participation
from tests.factories import make_benchmark, make_scored, make_user
from tests.server.caller import Caller, assert_problem
from tests.server.permission_files import make_workshop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def submission():
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL locks rows, not the database")
    return make_scored(make_benchmark(), 5000, published_at=timezone.now())


@pytest.fixture
def member(submission):
    user = submission.team.members.get()
    browser = Client(raise_request_exception=False)
    browser.force_login(user)
    return browser


def pragma(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def lock():
    """Lock the database as a long write of another process does; a request waits 50 ms for it, and not 30 s."""
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:

        def take() -> None:
            pragma("PRAGMA busy_timeout = 50")
            other.execute("BEGIN IMMEDIATE")

        yield take
    pragma("PRAGMA busy_timeout = 30000")


@pytest.fixture
def fill():
    """Leave the database no further page, as a full disk does."""

    def fill() -> None:
        pragma("VACUUM")
        pragma("PRAGMA max_page_count = 1")  # SQLite takes the present size instead

    yield fill
    pragma("PRAGMA max_page_count = 1073741823")


def edit(browser, submission):
    form = {"method_name": "m", "description": "long " * 1900}
    return browser.post(reverse("submission_edit", args=[submission.code]), form)


def test_a_page_that_writes_says_that_the_database_is_busy(member, submission, lock):
    lock()
    answer = edit(member, submission)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert "The server is busy" in answer.content.decode()


def test_a_log_in_says_so_too(submission, lock):
    user = make_user("Ada")
    user.set_password("correct-horse-battery")
    user.save()
    lock()
    browser = Client(raise_request_exception=False)
    form = f"login={user.email}&password=correct-horse-battery"
    answer = browser.post(reverse("login"), form, "application/x-www-form-urlencoded")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")


def test_the_api_says_so_in_its_own_shape(submission, lock):
    caller = Caller(submission.team.members.get())
    lock()
    answer = caller.send("PATCH", f"/submissions/{submission.code}", {"description": "new"})
    assert_problem(answer, 503, "busy")
    assert answer.headers["Retry-After"] == "10"


def test_an_upload_says_so_in_that_shape(submission, lock):
    caller = Caller()
    caller.client.raise_request_exception = False
    lock()
    answer = caller.client.generic(
        "POST", "/api/v1/uploads/", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "10"}
    )
    assert_problem(answer, 503, "busy")
    assert answer.headers["Retry-After"] == "10"


def test_what_only_reads_goes_on_while_the_database_is_locked(member, submission, lock):
    caller = Caller(submission.team.members.get())
    slug = submission.phase.benchmark.slug
    lock()
    for browser in (member, Client()):
        for page in (
            reverse("home"),
            reverse("benchmark", args=[slug]),
            reverse("leaderboard", args=[slug]),
            reverse("submission", args=[submission.code]),
            reverse("result_json", args=[submission.code]),
        ):
            assert browser.get(page).status_code == 200, page
    assert member.get(reverse("my_submissions")).status_code == 200
    assert caller.get(f"/submissions/{submission.code}").status_code == 200


def test_a_tokens_use_is_noted_when_the_lock_is_gone(submission, lock, caplog):
    caller = Caller()
    lock()
    for _ in range(3):
        assert caller.get("/benchmarks").status_code == 200
    assert ApiToken.objects.get().last_used_at is None
    assert caplog.text.count("is not noted") == 1  # the first tried, the others did not


def test_a_read_with_a_token_waits_for_no_lock(submission):
    caller = Caller()
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        assert caller.get("/me").status_code == 200
        assert time.monotonic() - began < 5
    with connection.cursor() as cursor:
        assert cursor.execute("PRAGMA busy_timeout").fetchone() == (30_000,)  # for what writes


def test_a_full_disk_is_507(member, submission, fill):
    caller = Caller(submission.team.members.get())
    caller.get("/me")
    fill()
    answer = edit(member, submission)
    assert answer.status_code == 507
    assert "disk is full" in answer.content.decode()
    assert_problem(
        caller.send("PATCH", f"/submissions/{submission.code}", {"description": "long " * 1900}), 507, "disk_full"
    )


def test_a_fault_of_ours_is_still_a_500(member, submission):
    pragma("ALTER TABLE submissions_submission RENAME COLUMN description TO elsewhere")
    try:
        assert edit(member, submission).status_code == 500
    finally:
        pragma("ALTER TABLE submissions_submission RENAME COLUMN elsewhere TO description")


def test_a_nul_which_postgresql_refuses_is_no_fault_of_ours():
    phase = make_benchmark()
    name, shop = phase.benchmark.slug, make_workshop(phase.volumes.get()).pk
    user = make_user(is_staff=True, is_superuser=True)
    browser = Client(raise_request_exception=False)
    browser.force_login(user)
    asked = [
        browser.get(reverse("leaderboard", args=[name]), {"phase": "\0"}),
        browser.get(reverse("organise_workshop_picture", args=[shop]), {"segment": "\0"}),
        browser.post(reverse("organise_workshop_label", args=[shop]), {"segment": "\0", "label": "axon"}),
        browser.post(reverse("organise_change_submissions"), {"action": "hide", "code": "\0"}),
        browser.post(reverse("participate", args=[name]), {"team": user.teams.get().pk, "message": "a\0b"}),
    ]
    assert max(answer.status_code for answer in asked) < 500
    assert Participation.objects.get().message == "ab"
