"""Marks of an entry and entries of several runs: declared, checked, shown."""

import pytest
from django.test import Client
from django.urls import reverse

from evalserver.submissions.marks import MARKS
from evalserver.submissions.models import Submission
from tests.factories import make_benchmark, make_scored, make_team, make_user
from tests.server.uploaded import sent

pytestmark = pytest.mark.django_db
MARKED = {mark.field: "on" for mark in MARKS}


@pytest.fixture
def browser():
    client = Client()
    client.user = make_user()
    client.force_login(client.user)
    return client


def submit(browser, phase, **fields):
    form = {"team": browser.user.teams.get().pk, "method_name": "m", "upload-a": sent(browser.user, phase).code}
    return browser.post(reverse("upload", args=[phase.benchmark.slug]), {**form, **fields})


def test_a_team_declares_marks_in_the_form_and_the_page_says_what_they_mean(browser, empty_queue):
    phase = make_benchmark()
    assert submit(browser, phase, **MARKED).status_code == 302
    submission = Submission.objects.get()
    assert submission.marks == MARKS
    page = browser.get(reverse("submission", args=[submission.code])).content.decode()
    for mark in MARKS:
        assert mark.label.capitalize() in page
        assert mark.words[1:] in page


def test_an_entry_takes_further_runs_of_its_own_team_only(browser, empty_queue):
    phase = make_benchmark()
    entry = make_scored(phase, 5000, team=browser.user.teams.get())
    assert submit(browser, phase, run_of=entry.pk).status_code == 302
    run = Submission.objects.get(run_of=entry)
    answer = submit(browser, phase, run_of=run.pk)
    assert answer.status_code == 422  # a run of a run: the choice is not offered
    answer = submit(browser, phase, run_of=make_scored(phase, 5000, team=make_team()).pk)
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("state", "words"),
    [({"status": "rejected"}, "takes another run"), ({"withdrawn_at": "2026-01-01T00:00Z"}, "takes another run")],
)
def test_what_ended_badly_takes_no_further_run(browser, empty_queue, state, words):
    phase = make_benchmark()
    entry = make_scored(phase, 5000, team=browser.user.teams.get())
    Submission.objects.filter(pk=entry.pk).update(**state)
    answer = submit(browser, phase, run_of=entry.pk)
    assert answer.status_code == 422
    assert words in answer.content.decode()


def test_a_run_replaces_nothing(browser, empty_queue):
    phase = make_benchmark()
    team = browser.user.teams.get()
    entry, earlier = make_scored(phase, 5000, team=team), make_scored(phase, 4000, team=team)
    answer = submit(browser, phase, run_of=entry.pk, supersedes=earlier.pk)
    assert answer.status_code == 422
    assert "let the entry itself replace" in answer.content.decode()
