"""States of the table: order, filters, pages and downloads, all of them in its address."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from axonem_eval.scoring import AXONEM
from evalserver.benchmarks.models import Phase, PublishedEntry, PublishedScore
from evalserver.leaderboard import selectors
from evalserver.leaderboard.history_plot import history_plot
from evalserver.leaderboard.rows import Record
from evalserver.submissions.metadata import describe_submission
from evalserver.submissions.models import Evaluation, Submission
from tests.factories import make_benchmark, make_scored, make_team, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def phase():
    return make_benchmark(("a", "b"))


@pytest.fixture
def get(client, phase):
    def get(state: str = ""):
        return client.get(reverse("leaderboard", args=[phase.benchmark.slug]) + state)

    return get


def names(answer) -> list[str]:
    return [row.method for row in answer.context["board"].rows]


def with_volume_erl(submission: Submission, slug: str, erl_nm: float) -> None:
    Evaluation.objects.filter(volume_file__submission=submission, volume_file__volume__slug=slug).update(erl_nm=erl_nm)


def test_sorting_by_a_volume_leaves_the_ranks_alone(phase, get):
    first, second = make_scored(phase, 7000, method_name="first"), make_scored(phase, 5000, method_name="second")
    for submission, on_a, on_b in ((first, 1000, 13_000), (second, 9000, 1000)):
        with_volume_erl(submission, "a", on_a)
        with_volume_erl(submission, "b", on_b)
    answer = get("?sort=-erl-a.um")
    assert [(row.rank, row.method) for row in answer.context["board"].rows] == [
        (2, "second"),
        (1, "first"),
    ]


def test_the_sorted_column_says_so_and_its_link_turns_the_order(phase, get):
    make_scored(phase, 7000)
    page = get("?sort=-mean").content.decode()
    assert page.count("aria-sort=") == 1
    assert 'aria-sort="descending"><a href="?sort=mean"' in page


def test_a_sort_link_keeps_the_filters(phase, get):
    make_scored(phase, 7000, method_name="unet")
    page = get("?q=unet&rows=best&from=2020-01-01").content.decode()
    assert "?q=unet&amp;rows=best&amp;from=2020-01-01&amp;sort=-mean" in page


def test_an_unknown_column_is_the_plain_ranking(phase, get):
    for erl in (1000, 3000, 2000):
        make_scored(phase, erl)
    assert names(get("?sort=-erl-zzz.um&page=abc&from=yesterday&rows=none")) == ["erl 3000", "erl 2000", "erl 1000"]


def test_text_finds_methods_and_teams_in_any_case(phase, get):
    make_scored(phase, 3000, method_name="Affinity U-Net")
    make_scored(phase, 2000, method_name="FFN", team=make_team("Unetown"))
    make_scored(phase, 1000, method_name="other")
    answer = get("?q=UNET")
    assert names(answer) == ["FFN"]
    assert answer.context["board"].rows[0].rank == 2
    assert names(get("?q=u-net")) == ["Affinity U-Net"]


def test_one_row_a_team_is_its_best_with_its_rank_among_all(phase, get):
    ours, theirs = make_team(), make_team()
    for erl, team in ((9000, ours), (8000, ours), (7000, theirs), (6000, theirs)):
        make_scored(phase, erl, team=team)
    rows = get("?rows=best").context["board"].rows
    assert [(row.rank, row.mean_erl_nm) for row in rows] == [(1, 9000), (3, 7000)]


def test_dates_hold_the_whole_last_day_in_utc(phase, get):
    for day in (9, 10, 11):
        submission = make_scored(phase, day * 100, method_name=f"day {day}")
        moment = datetime(2026, 5, day, 23, 30, tzinfo=UTC)
        Submission.objects.filter(pk=submission.pk).update(created_at=moment)
    assert names(get("?from=2026-05-10&to=2026-05-10")) == ["day 10"]


def test_pages_have_a_fixed_size_and_keep_the_state(phase, get, monkeypatch):
    monkeypatch.setattr(selectors, "PAGE_SIZE", 2)
    monkeypatch.setattr(selectors.leaderboard, "__kwdefaults__", {"query": None, "page_size": 2, "state": None})
    for erl in (1000, 2000, 3000):
        make_scored(phase, erl)
    first = get("?sort=mean")
    assert names(first) == ["erl 1000", "erl 2000"]
    assert "sort=mean&amp;page=2" in first.content.decode()
    assert names(get("?sort=mean&page=2")) == ["erl 3000"]


def test_a_new_name_is_seen_at_once(phase, get):
    submission = make_scored(phase, 1000, method_name="old name")
    assert "old name" in get().content.decode()
    describe_submission(submission, {"method_name": "new name"})
    page = get().content.decode()
    assert "new name" in page
    assert "old name" not in page


def test_what_is_published_or_hidden_between_two_requests_is_seen(phase, get):
    first, second = make_scored(phase, 1000), make_scored(phase, 2000, published_at=None)
    assert names(get()) == ["erl 1000"]
    Submission.objects.filter(pk=first.pk).update(hidden_at=timezone.now())
    Submission.objects.filter(pk=second.pk).update(published_at=timezone.now())
    assert names(get()) == ["erl 2000"]


def test_a_method_name_is_text_not_markup(phase, get):
    make_scored(phase, 1000, method_name="<script>alert(1)</script>")
    page = get().content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_readers_own_rows_say_so_and_are_chosen_to_be_compared(client, phase, get):
    other, mine = make_scored(phase, 7000), make_scored(phase, 5000, method_name="mine")
    make_scored(phase, 4000)
    make_scored(phase, 9000, team=mine.team, published_at=None, method_name="secret")
    plain = get().content.decode()
    client.force_login(mine.team.members.get())
    page = get().content.decode()
    client.logout()
    for answer, marked in ((plain, []), (page, ["mine"]), (get().content.decode(), [])):
        rows = re.findall(r'<tr class="own">(.*?)</tr>', answer, re.DOTALL)
        assert [re.search(r">(\w+)</a> <span class=\"tag mine\">you</span>", row)[1] for row in rows] == marked
        assert "secret" not in answer
    assert re.findall(r'value="(\w{12})" selected', page) == [mine.code, other.code]


def test_a_reference_entry_shows_what_repeats_it(phase, get):
    make_scored(phase, 1000, is_reference=True, reproduce_command="baselines reproduce unet")
    make_scored(phase, 900, reproduce_command="rm -rf /")
    page = get().content.decode()
    assert '<span class="tag">reference</span>' in page
    assert "baselines reproduce unet" in page
    assert "rm -rf" not in page  # only organisers' entries tell readers what to run


def test_the_history_of_the_first_hour_shows_no_moment_to_come():
    until = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
    record = Record("abc", "U-Net", "Lab", until - timedelta(hours=1), 5000.0, 0.6)
    moments = re.findall(r">(\d\d-\d\d \d\d:\d\d)<", history_plot([record], [], until, AXONEM.headline))
    assert moments
    assert max(moments) <= "11-23 18:30"
    assert all(moment.endswith(":00") for moment in moments)


def test_the_history_is_the_same_at_all_times_of_an_hour():
    submitted_at = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
    record = Record("abc", "U-Net", "Lab", submitted_at, 5000.0, 0.6)
    early, late = (datetime(2026, 11, 23, 18, minute, tzinfo=UTC) for minute in (1, 59))
    assert history_plot([record], [], early, AXONEM.headline) == history_plot([record], [], late, AXONEM.headline)


def test_history_holds_each_entry_that_was_the_best_when_it_came(phase, get):
    now = timezone.now()
    for age, erl in ((5, 1000), (4, 3000), (3, 2000), (2, 4000)):
        submission = make_scored(phase, erl)
        Submission.objects.filter(pk=submission.pk).update(created_at=now - timedelta(days=age))
    answer = get()
    assert [record.headline for record in answer.context["board"].history] == [1000, 3000, 4000]
    assert "Best result over time" in answer.content.decode()


def test_a_tie_is_no_new_best(phase, get):
    for age in (3, 2, 1):
        entry = make_scored(phase, 3000)
        Submission.objects.filter(pk=entry.pk).update(created_at=timezone.now() - timedelta(days=age))
    assert [record.headline for record in get().context["board"].history] == [3000]


@pytest.mark.parametrize(("entries", "shown"), [(0, False), (1, False), (2, True)])
def test_fewer_than_two_entries_have_no_history(phase, get, entries, shown):
    for _ in range(entries):
        make_scored(phase, 3000)
    answer = get()
    assert ("Best result over time" in answer.content.decode()) is shown
    assert bool(answer.context["board"].history) is (entries > 0)


def test_the_history_shows_each_entry_and_the_best_of_them(phase, get):
    for age, erl in ((5, 1000), (4, 3000), (3, 2000), (2, 4000)):
        entry = make_scored(phase, erl)
        Submission.objects.filter(pk=entry.pk).update(created_at=timezone.now() - timedelta(days=age))
    wide = get().content.decode().partition('<figure class="plot">')[2].partition("</svg>")[0]
    path = re.search(r'<path d="([^"]*)" class="entries"', wide)
    assert path
    assert path[1].count("h0") == 4
    assert wide.count('class="dot correct"') == 3


def test_a_phase_has_a_table_of_its_own(client, phase):
    other = Phase.objects.create(benchmark=phase.benchmark, slug="practice", name="Practice")
    other.volumes.set(phase.volumes.all())
    make_scored(phase, 1000)
    make_scored(other, 2000)
    url = reverse("leaderboard", args=[phase.benchmark.slug])
    assert names(client.get(url, {"phase": "practice"})) == ["erl 2000"]
    page = client.get(url, {"phase": phase.slug}).content.decode()
    assert f'?phase={phase.slug}" aria-current="page"' in page
    assert client.get(url, {"phase": "none"}).status_code == 404


def test_under_embargo_only_organisers_see_the_ranking(client, phase):
    make_scored(phase, 1000, method_name="secret winner")
    Phase.objects.filter(pk=phase.pk).update(ranking_hidden_until=timezone.now() + timedelta(days=1))
    urls = [
        reverse("leaderboard", args=[phase.benchmark.slug]),
        reverse("leaderboard_download", args=[phase.benchmark.slug, "csv"]),
        f"/api/v1/benchmarks/{phase.benchmark.slug}/leaderboard",
    ]
    assert [b"secret winner" in client.get(url).content for url in urls] == [False] * 3
    client.force_login(make_user(is_staff=True, is_superuser=True))
    assert [b"secret winner" in client.get(url).content for url in urls] == [True] * 3


def test_the_downloads_hold_the_rows_of_the_view(client, phase):
    for erl, method in ((7000, "b unet"), (5000, "a unet"), (9000, "other")):
        make_scored(phase, erl, method_name=method)
    entry = PublishedEntry.objects.create(benchmark=phase.benchmark, method="Printed", source="Paper")
    PublishedScore.objects.create(entry=entry, volume=phase.volumes.first(), erl_um=18.5)
    state = {"q": "unet", "sort": "mean"}
    content = client.get(reverse("leaderboard_download", args=[phase.benchmark.slug, "json"]), state).json()
    assert [(row["rank"], row["method"], row["mean_erl_um"]) for row in content["entries"]] == [
        (3, "a unet", 5.0),
        (2, "b unet", 7.0),
    ]
    assert content["listed"] == 3
    text = client.get(reverse("leaderboard_download", args=[phase.benchmark.slug, "csv"]), state).content.decode()
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [(row["kind"], row["rank"], row["method"], row["a_erl_um"]) for row in lines] == [
        ("entry", "3", "a unet", "5.0"),
        ("entry", "2", "b unet", "7.0"),
        ("published", "", "Printed", "18.5"),
    ]


def test_a_csv_cell_never_begins_a_formula(client, phase):
    make_scored(phase, 1000, method_name='=HYPERLINK("http://example.org")')
    text = client.get(reverse("leaderboard_download", args=[phase.benchmark.slug, "csv"])).content.decode()
    assert "'=HYPERLINK" in text


def test_a_page_kept_for_strangers_is_never_shown_to_who_is_logged_in(client, phase, get, settings):
    settings.LEADERBOARD_CACHE_SECONDS = 60
    submission = make_scored(phase, 1000, method_name="before")
    assert "before" in get("?sort=mean").content.decode()
    describe_submission(submission, {"method_name": "after"})
    assert "before" in get("?sort=mean").content.decode()
    client.force_login(make_user())
    assert "after" in get("?sort=mean").content.decode()
    client.logout()
    client.cookies.clear()
    assert "before" in get("?sort=mean").content.decode()
    assert "after" in get("?sort=-mean").content.decode()
