"""Marks of an entry and entries of several runs: declared, checked, shown."""

import csv
import io

import pytest
from django.test import Client
from django.urls import reverse

from evalserver.submissions.marks import MARKS
from evalserver.submissions.models import Submission
from evalserver.submissions.services import withdraw_submission
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
    assert "Let the entry itself replace" in answer.content.decode()


def board(client, phase, **view):
    return client.get(reverse("leaderboard", args=[phase.benchmark.slug]), {"phase": phase.slug, **view})


def public_phase():
    phase = make_benchmark()
    phase.volumes.update(ground_truth_public=True)
    return phase


def runs_of(phase, *erls, **fields):
    team = make_team()
    entry = make_scored(phase, erls[0], team=team, method_name="five seeds", **fields)
    return entry, [make_scored(phase, erl, team=team, run_of=entry) for erl in erls[1:]]


def test_an_entry_of_several_runs_ranks_by_their_mean_with_the_interval_of_student(client):
    phase = public_phase()
    make_scored(phase, 3500, method_name="one run")
    entry, _ = runs_of(phase, 1000, 2000, 3000, 4000, 5000)
    make_scored(phase, 2500, method_name="another")
    rows = board(client, phase).context["board"].rows
    assert [(row.rank, row.method, row.mean_erl_nm) for row in rows] == [
        (1, "one run", 3500), (2, "five seeds", 3000), (3, "another", 2500),
    ]  # fmt: skip
    row = rows[1]
    # By hand: s = 1581.1, t = 2.776, n = 5.
    assert (row.runs, row.code) == (5, entry.code)
    assert row.half_interval == pytest.approx(1963.24, abs=0.01)
    assert (row.low_nm, row.high_nm) == (pytest.approx(1036.76, abs=0.01), pytest.approx(4963.24, abs=0.01))
    page = board(client, phase).content.decode()
    assert "mean of 5 runs: 3.00 µm ± 1.96" in page


def test_each_run_is_on_the_page_of_the_entry_and_of_every_other_run(client):
    phase = public_phase()
    entry, (second, third) = runs_of(phase, 1000, 2000, 6000)
    for code in (entry.code, third.code):
        page = client.get(reverse("submission", args=[code])).content.decode()
        assert "<strong>3.00 µm</strong> ± 6.57" in page
        assert reverse("submission", args=[second.code]) in page


def test_a_withdrawn_run_leaves_the_mean(client):
    phase = public_phase()
    entry, (second, third) = runs_of(phase, 1000, 2000, 6000)
    withdraw_submission(third)
    (row,) = board(client, phase).context["board"].rows
    assert (row.runs, row.mean_erl_nm) == (2, 1500)
    withdraw_submission(entry)
    (row,) = board(client, phase).context["board"].rows
    assert (row.runs, row.mean_erl_nm, row.code, row.half_interval) == (1, 2000, second.code, None)


def test_an_entry_replaced_takes_its_runs_with_it(client):
    phase = public_phase()
    entry, _ = runs_of(phase, 1000, 9000)
    make_scored(phase, 2000, method_name="newer", team=entry.team, supersedes=entry)
    assert [row.method for row in board(client, phase).context["board"].rows] == ["newer"]


def test_runs_on_hidden_ground_truth_are_means_of_the_figures_shown(client):
    phase = make_benchmark()
    runs_of(phase, 5004, 5004)
    (row,) = board(client, phase).context["board"].rows
    alone = make_scored(phase, 5004)
    shown = next(r for r in board(client, phase).context["board"].rows if r.code == alone.code)
    assert row.mean_erl_nm == shown.mean_erl_nm != 5004


@pytest.mark.parametrize(
    ("marks", "shown"),
    [
        ("", {"plain", "more", "hand"}),
        ("none", {"plain"}),
        ("extra_training_data", {"more"}),
        ("nonsense", {"plain", "more", "hand"}),
    ],
)
def test_the_board_is_filtered_by_marks_and_ranks_stay(client, marks, shown):
    phase = public_phase()
    make_scored(phase, 3000, method_name="more", extra_training_data=True)
    make_scored(phase, 2000, method_name="hand", manual_fixup=True)
    make_scored(phase, 1000, method_name="plain")
    rows = board(client, phase, marks=marks).context["board"].rows
    assert {row.method for row in rows} == shown
    assert {row.rank for row in rows if row.method == "plain"} <= {3}


def test_marks_and_runs_stand_in_words_in_csv_json_and_api(client):
    phase = public_phase()
    runs_of(phase, 1000, 2000, made_ground_truth=True)
    assert "made the ground truth</span>" in board(client, phase).content.decode()
    path = reverse("leaderboard_download", args=[phase.benchmark.slug, "csv"])
    (line,) = csv.DictReader(io.StringIO(client.get(path).content.decode("utf-8-sig")))
    assert (line["marks"], line["runs"]) == ("made_ground_truth", "2")
    api = client.get(f"/api/v1/benchmarks/{phase.benchmark.slug}/leaderboard", {"marks": "made_ground_truth"}).json()
    assert [(row["marks"], row["runs"]) for row in api["rows"]] == [(["made_ground_truth"], 2)]
    assert api["rows"][0]["headline_half_interval"] == pytest.approx(6353.1, abs=0.1)
