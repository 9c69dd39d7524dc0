"""The ranking: ties, one ruler only, published rows, and a constant number of queries."""

import math
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from evalserver.benchmarks.models import PublishedEntry, PublishedScore
from evalserver.leaderboard.templatetags.scores import fraction, nm_as_um, percent, triple, um
from evalserver.submissions.metadata import describe_submission
from evalserver.submissions.models import Evaluation, Score, Submission, VolumeFile
from evalserver.submissions.services import publish_submission, withdraw_submission
from tests.factories import add_ground_truth, make_benchmark, make_scored, make_team, tiny_graph

pytestmark = pytest.mark.django_db


@pytest.fixture
def phase():
    return make_benchmark(("a", "b"))


@pytest.fixture
def rows(client, phase):
    def rows():
        return client.get(reverse("leaderboard", args=[phase.benchmark.slug])).context["board"].rows

    return rows


def test_equal_scores_share_a_rank_and_the_earlier_comes_first(phase, rows):
    now = timezone.now()
    for erl, age in ((5000, 3), (7000, 2), (5000, 9), (1000, 1)):
        submission = make_scored(phase, erl, method_name=f"{erl}, {age} days old")
        Submission.objects.filter(pk=submission.pk).update(created_at=now - timedelta(days=age))
    assert [(row.rank, row.method) for row in rows()] == [
        (1, "7000, 2 days old"),
        (2, "5000, 9 days old"),
        (2, "5000, 3 days old"),
        (4, "1000, 1 days old"),
    ]


def test_scores_on_public_ground_truth_that_look_equal_when_rounded_are_not_tied(phase, rows):
    phase.volumes.update(ground_truth_public=True)
    make_scored(phase, 5000.0)
    make_scored(phase, 5000.0001)
    assert [(row.rank, row.mean_erl_nm) for row in rows()] == [(1, 5000.0001), (2, 5000.0)]


def test_scores_on_hidden_ground_truth_that_are_shown_equal_share_a_rank(phase, rows):
    # The order of two rows would tell which of two exact scores is higher.
    make_scored(phase, 5000.0, method_name="earlier")
    make_scored(phase, 5000.0001, method_name="later")
    assert [(row.rank, row.method, row.mean_erl_nm) for row in rows()] == [(1, "earlier", 5000), (1, "later", 5000)]


@pytest.mark.parametrize(
    "fields", [{"published_at": None}, {"withdrawn_at": timezone.now()}, {"hidden_at": timezone.now()}]
)
def test_what_is_not_listed_is_not_ranked(phase, rows, fields):
    make_scored(phase, 9000, **fields)
    make_scored(phase, 5000)
    assert [(row.rank, row.mean_erl_nm) for row in rows()] == [(1, 5000)]


def test_results_under_another_ground_truth_are_not_mixed_in(phase, rows):
    make_scored(phase, 5000)
    volume = phase.volumes.first()
    volume.ground_truths.update(is_current=False)
    add_ground_truth(volume, tiny_graph().longer_than(0))
    assert rows() == []
    make_scored(phase, 4000)
    assert [row.mean_erl_nm for row in rows()] == [4000]


def test_results_under_another_tolerance_are_not_mixed_in(phase, rows):
    make_scored(phase, 5000)
    phase.volumes.update(tolerance_nodes=7)
    assert rows() == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_score_that_is_not_finite_cannot_be_stored(phase, value):
    submission = make_scored(phase, 5000)
    for model in (Evaluation, Score):
        row = model.objects.first()
        field = "erl_nm" if model is Evaluation else "mean_erl_nm"
        with pytest.raises((IntegrityError, ValueError)), transaction.atomic():
            model.objects.filter(pk=row.pk).update(**{field: value})
    assert submission.scores.get().mean_erl_nm == 5000


def test_published_results_stand_apart_and_are_not_ranked(client, phase):
    make_scored(phase, 5000)
    entry = PublishedEntry.objects.create(benchmark=phase.benchmark, method="Affinity U-Net", source="Wei et al. 2021")
    for volume, erl in zip(phase.volumes.order_by("position"), (18.5, 38.5), strict=True):
        PublishedScore.objects.create(entry=entry, volume=volume, erl_um=erl, percent=erl)
    answer = client.get(reverse("leaderboard", args=[phase.benchmark.slug]))
    board = answer.context["board"]
    assert [row.rank for row in board.rows] == [1]
    assert [(row.method, row.mean_erl_nm) for row in board.published] == [("Affinity U-Net", 28_500)]
    page = answer.content.decode()
    assert page.index("erl 5000") < page.index("Affinity U-Net")
    assert "published" in page


def test_what_a_newer_listed_entry_replaces_has_no_rank(client, phase, rows):
    team = make_team()
    old = make_scored(phase, 7000, team=team, method_name="old")
    new = make_scored(phase, 5000, team=team, method_name="new", published_at=None)
    make_scored(phase, 6000, method_name="other")

    def ranked() -> list[tuple[int | None, str]]:
        return [(row.rank, row.method) for row in rows()]

    describe_submission(new, {"supersedes": old})
    assert ranked() == [(1, "old"), (2, "other")]  # what replaces it is not published yet
    publish_submission(new)
    assert ranked() == [(1, "other"), (2, "new")]
    page = client.get(reverse("leaderboard", args=[phase.benchmark.slug]), {"superseded": "1"})
    shown = [(row.rank, row.method) for row in page.context["board"].rows]
    assert shown == [(None, "old"), (1, "other"), (2, "new")]
    assert b'<span class="tag">superseded</span>' in page.content
    successor = reverse("submission", args=[new.code])
    assert old.code in client.get(successor).content.decode()
    describe_submission(new, {"supersedes": None})
    assert ranked() == [(1, "old"), (2, "other"), (3, "new")]


def test_a_chain_of_replacements_holds_when_its_middle_is_withdrawn(phase, rows):
    team = make_team()
    first = make_scored(phase, 9000, team=team)
    second = make_scored(phase, 8000, team=team, supersedes=first)
    make_scored(phase, 7000, team=team, supersedes=second)
    withdraw_submission(second)
    assert [row.mean_erl_nm for row in rows()] == [7000]


def test_the_history_keeps_what_was_the_best_once(client, phase):
    team = make_team()
    first = make_scored(phase, 5000, team=team)
    make_scored(phase, 7000, team=team, supersedes=first)
    board = client.get(reverse("leaderboard", args=[phase.benchmark.slug])).context["board"]
    assert [record.headline for record in board.history] == [5000, 7000]


def test_an_entry_with_the_files_of_another_says_so(client, phase):
    first, second, _ = (make_scored(phase, erl, method_name=f"m{erl}") for erl in (5000, 6000, 7000))
    for entry in (first, second):
        for file in entry.files.all():
            VolumeFile.objects.filter(pk=file.pk).update(sha256=f"{file.volume_id:064}")
    answer = client.get(reverse("leaderboard", args=[phase.benchmark.slug]))
    rows = {row.method: row.same_files_as for row in answer.context["board"].rows}
    assert rows == {"m5000": None, "m6000": (first.code, "m5000"), "m7000": None}
    assert answer.content.decode().count("same files as") == 1


def test_an_empty_table_says_so(client, phase):
    page = client.get(reverse("leaderboard", args=[phase.benchmark.slug])).content.decode()
    assert "No entry" in page


def test_the_number_of_queries_does_not_grow_with_the_entries(client, phase):
    url = reverse("leaderboard", args=[phase.benchmark.slug])

    def queries() -> int:
        with CaptureQueriesContext(connection) as context:
            client.get(url)
        return len(context)

    team = make_team()
    make_scored(phase, 1000, team=team)
    few = queries()
    for erl in range(2000, 2030):
        make_scored(phase, erl)
    assert queries() == few


def test_one_rounding_rule():
    assert (um(18.504), um(None), nm_as_um(28_499.9)) == ("18.50", "–", "28.50")
    assert (percent(99.96), fraction(0.6491)) == ("100.0%", "64.9%")
    assert triple((30.0, 8.0, 8.0)) == "30\u00a0×\u00a08\u00a0×\u00a08"
