"""All phases of a benchmark as the columns of one table."""

import csv
import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from evalserver.benchmarks.models import Benchmark, Phase, PublishedEntry, PublishedScore
from tests.factories import make_benchmark, make_scored, make_team

pytestmark = pytest.mark.django_db


@pytest.fixture
def tracks():
    """Two tracks of one volume each, with public ground truth."""
    first = make_benchmark(("a", "b"))
    benchmark = first.benchmark
    benchmark.phases_are_tracks = True
    benchmark.save()
    benchmark.volumes.update(ground_truth_public=True)
    a, b = benchmark.volumes.order_by("slug")
    first.volumes.set([a])
    second = Phase.objects.create(benchmark=benchmark, slug="second", name="Second")
    second.volumes.set([b])
    return first, second


def page(client, phase, **view):
    return client.get(reverse("tracks", args=[phase.benchmark.slug]), view)


def table(answer):
    return [
        (row.rank, row.method, row.mean, [cell and cell.value for cell in row.cells])
        for row, *_ in answer.context["rows"]
    ]


def test_methods_are_ranked_by_the_mean_over_all_tracks(client, tracks):
    first, second = tracks
    for name, erl_a, erl_b in (("low", 1000, 2000), ("high", 3000, 4000)):
        team = make_team()
        make_scored(first, erl_a, team=team, method_name=name)
        make_scored(second, erl_b, team=team, method_name=name)
    make_scored(second, 9000, method_name="one track only")
    answer = page(client, first)
    assert table(answer) == [
        (1, "high", 3500, [3000, 4000]),
        (2, "low", 1500, [1000, 2000]),
        (None, "one track only", None, [None, 9000]),
    ]
    assert "1 of 2" in answer.content.decode()


def test_a_cell_is_the_best_entry_of_the_method_and_leads_to_it(client, tracks):
    first, _ = tracks
    team = make_team()
    make_scored(first, 1000, team=team, method_name="U-Net")
    best = make_scored(first, 2000, team=team, method_name="u-net")
    make_scored(first, 3000, method_name="U-Net")  # of another team: another method
    rows = page(client, first).context["rows"]
    cells = {row.team: row.cells[0] for row, *_ in rows}
    assert (cells[team.name].value, cells[team.name].code) == (2000, best.code)
    assert len(rows) == 2
    client.force_login(team.members.get())
    marked = [(row.team, mine) for row, *_, mine in page(client, first).context["rows"] if mine]
    assert marked == [(team.name, "you")]
    assert reverse("submission", args=[best.code]) in page(client, first).content.decode()


def test_a_column_sorts_by_its_track_and_the_best_is_marked_in_words_too(client, tracks):
    first, _ = tracks
    make_scored(first, 1000, method_name="low")
    make_scored(first, 2000, method_name="high")
    answer = page(client, first, sort=first.slug)
    assert [row[1] for row in table(answer)] == ["high", "low"]
    assert answer.content.decode().count('<span class="hidden"> best</span>') == 1


def test_published_results_stand_below_with_their_mean(client, tracks):
    first, _ = tracks
    entry = PublishedEntry.objects.create(benchmark=first.benchmark, method="BANIS", source="paper")
    for volume, um in zip(first.benchmark.volumes.order_by("slug"), (1.0, 3.0), strict=True):
        PublishedScore.objects.create(entry=entry, volume=volume, erl_um=um)
    ((row, mean, *_),) = page(client, first).context["published"]
    assert (row.method, row.mean, mean, row.rank) == ("BANIS", 2000, "2.00", None)


def test_a_track_under_embargo_is_left_out(client, tracks):
    first, second = tracks
    make_scored(second, 1000, method_name="secret winner")
    Phase.objects.filter(pk=second.pk).update(ranking_hidden_until=timezone.now() + timedelta(days=1))
    content = page(client, first).content.decode()
    assert "secret winner" not in content
    assert "Not shown" in content
    assert b"secret winner" not in client.get(f"/api/v1/benchmarks/{first.benchmark.slug}/tracks").content


def test_csv_json_and_api_hold_the_same_table(client, tracks):
    first, second = tracks
    team = make_team()
    entry = make_scored(first, 1000, team=team, method_name="m", extra_training_data=True)
    make_scored(first, 2000, team=team, method_name="m", run_of=entry)
    make_scored(second, 3000, team=team, method_name="m")
    slug = first.benchmark.slug
    given = client.get(f"/api/v1/benchmarks/{slug}/tracks").json()
    assert given == client.get(reverse("tracks_download", args=[slug, "json"])).json()
    (row,) = given["rows"]
    assert (row["rank"], row["mean"], row["marks"]) == (1, 2250, ["extra_training_data"])
    assert row["results"][first.slug]["runs"] == 2
    path = reverse("tracks_download", args=[slug, "csv"])
    (line,) = csv.DictReader(io.StringIO(client.get(path).content.decode("utf-8-sig")))
    assert (line["mean"], line[first.slug], line[f"{second.slug}_submission"]) != ("", "", "")


def test_the_leaderboard_of_such_a_benchmark_begins_with_all_tracks(client, tracks):
    first, _ = tracks
    address = reverse("leaderboard", args=[first.benchmark.slug])
    assert client.get(address).headers["Location"] == reverse("tracks", args=[first.benchmark.slug])
    assert client.get(address, {"phase": first.slug}).status_code == 200
    Benchmark.objects.update(phases_are_tracks=False)
    assert client.get(address).status_code == 200
    assert page(client, first).status_code == 404


def test_the_number_of_queries_does_not_grow_with_the_entries(client, tracks):
    def count():
        with CaptureQueriesContext(connection) as queries:
            page(client, tracks[0])
        return len(queries)

    for phase in tracks:
        make_scored(phase, 1000)
    page(client, tracks[0])
    before = count()
    for phase in tracks:
        for erl in (2000, 3000, 4000):
            make_scored(phase, erl)
    page(client, tracks[0])
    assert count() == before
