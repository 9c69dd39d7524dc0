"""Pages of methods, and badges: what everybody may know of a team's entries, and nothing else."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from axonem_eval.scoring import VARIANTS
from evalserver.benchmarks.models import Benchmark, Phase
from evalserver.submissions.models import Submission
from evalserver.submissions.results.headline import Headline
from tests.factories import make_benchmark, make_scored, make_team, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def phase():
    made = make_benchmark()
    made.volumes.update(ground_truth_public=True)
    return made


@pytest.fixture
def page(client):
    def page(submission: Submission) -> str:
        answer = client.get(reverse("method", args=[submission.code]))
        assert answer.status_code == 200
        return answer.content.decode()

    return page


@pytest.fixture
def badge(client):
    return lambda submission: client.get(reverse("badge", args=[submission.code]))


def codes(page: str) -> set[str]:
    return set(re.findall(r"/submissions/(\w{12})/", page))


def test_entries_of_one_name_or_in_a_chain_of_replacements_are_one_method(phase, page):
    team = make_team()
    first = make_scored(phase, 1000, team=team, method_name="FFN")
    second = make_scored(phase, 2000, team=team, method_name="ffn ", supersedes=first)
    third = make_scored(phase, 3000, team=team, method_name="FFN, consensus", supersedes=second)
    other = make_scored(phase, 4000, team=team, method_name="U-Net")
    outsider = make_scored(phase, 5000, method_name="FFN")
    for version in (first, second, third):
        assert codes(page(version)) == {first.code, second.code, third.code}
    assert codes(page(other)) == {other.code}
    assert codes(page(outsider)) == {outsider.code}


def test_it_shows_scores_and_places_on_each_benchmark(phase, page):
    team, second = make_team(), make_benchmark()
    Benchmark.objects.filter(pk=second.benchmark_id).update(name="Second")
    second.volumes.update(ground_truth_public=True)
    make_scored(phase, 9000)
    entry = make_scored(phase, 8640, team=team, method_name="FFN")
    make_scored(second, 7310, team=team, method_name="FFN")
    text = page(entry)
    assert "2 of 2" in text
    assert "1 of 1" in text
    assert "8.64" in text
    assert "7.31" in text
    assert "<h2>Second, " in text


def test_all_versions_have_one_canonical_address(phase, page):
    team = make_team()
    first, second = (make_scored(phase, nm, team=team, method_name="FFN") for nm in (1000, 2000))
    for version in (first, second):
        assert f'{reverse("method", args=[first.code])}">' in re.search('rel="canonical"[^>]*>', page(version))[0]


def test_only_public_entries_are_told(phase, page, client):
    team = make_team()
    shown = make_scored(phase, 1000, team=team, method_name="FFN")
    now = timezone.now()
    hidden = [
        make_scored(phase, 2000, team=team, method_name="FFN", published_at=None),
        make_scored(phase, 3000, team=team, method_name="FFN", withdrawn_at=now),
        make_scored(phase, 4000, team=team, method_name="FFN", hidden_at=now),
    ]
    client.force_login(team.members.get())
    assert codes(page(shown)) == {shown.code}
    for entry in hidden:
        assert client.get(reverse("method", args=[entry.code])).status_code == 404
        assert client.get(reverse("badge", args=[entry.code])).status_code == 404


def test_entries_under_embargo_or_of_a_hidden_benchmark_are_for_organisers(phase, client):
    entry = make_scored(phase, 1000)
    address = reverse("method", args=[entry.code])
    Phase.objects.update(ranking_hidden_until=timezone.now() + timedelta(days=1))
    assert client.get(address).status_code == 404
    Phase.objects.update(ranking_hidden_until=None)
    Benchmark.objects.update(is_visible=False)
    assert client.get(address).status_code == 404
    client.force_login(make_user("Olga", is_staff=True, is_superuser=True))
    assert client.get(address).status_code == 200
    # A badge is kept by caches, so not even organisers get one.
    assert client.get(reverse("badge", args=[entry.code])).status_code == 404


def test_the_number_of_queries_does_not_grow_with_versions(phase, page):
    team = make_team()

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            page(entry)
        return len(seen)

    entry = make_scored(phase, 1000, team=team, method_name="FFN")
    make_scored(phase, 2000, team=team, method_name="FFN")
    before = queries()
    for nm in range(3000, 9000, 1000):
        make_scored(phase, nm, team=team, method_name="FFN")
    assert queries() == before


def test_its_plot_names_the_best_of_each_time(phase, page):
    team = make_team()
    entry = make_scored(phase, 2000, team=team, method_name="FFN")
    assert "entries over time" not in page(entry)
    make_scored(phase, 8000, team=team, method_name="FFN")
    assert "2 entries over time. The best mean ERL rose from 2.00 µm to 8.00 µm." in page(entry)


def test_its_bibtex_is_escaped_for_tex_and_for_html(phase, page):
    entry = make_scored(phase, 2000, method_name="50% <b>{x}_y & z")
    text = page(entry)
    assert r"title = {{50\% &lt;b&gt;\{x\}\_y \&amp; z}}" in text
    assert f"@misc{{{entry.code}," in text
    assert "<b>" not in text


def test_it_says_how_to_make_reference_entries_again(phase, page):
    team = make_team()
    entry = make_scored(
        phase, 1, team=team, method_name="U", is_reference=True, reproduce_command="baselines reproduce x"
    )
    make_scored(phase, 2, team=team, method_name="U", is_reference=True, reproduce_command="baselines reproduce y")
    make_scored(phase, 3, team=team, method_name="U", reproduce_command="rm -rf")
    text = page(entry)
    assert "baselines reproduce x" in text
    assert "baselines reproduce y" in text
    assert "rm -rf" not in text


def test_rows_of_the_leaderboard_and_the_result_page_lead_there(phase, client):
    entry = make_scored(phase, 1000)
    link = f'href="{reverse("method", args=[entry.code])}"'
    assert link in client.get(reverse("leaderboard", args=[phase.benchmark.slug])).content.decode()
    assert link in client.get(reverse("submission", args=[entry.code])).content.decode()


def test_a_badge_says_benchmark_score_and_place(phase, badge):
    make_scored(phase, 9000)
    answer = badge(make_scored(phase, 8640))
    title = ElementTree.fromstring(answer.content).find("{http://www.w3.org/2000/svg}title")
    assert title.text == "Tiny | ERL 8.64 µm | #2"
    assert answer["Content-Type"] == "image/svg+xml"


def test_a_badge_of_a_superseded_entry_has_no_place(phase, badge):
    team = make_team()
    old = make_scored(phase, 8640, team=team)
    make_scored(phase, 9000, team=team, supersedes=old)
    assert "<title>Tiny | ERL 8.64 µm</title>" in badge(old).content.decode()


@pytest.mark.parametrize(
    ("variant", "ranked", "words"),
    [
        ("axonem", 8640.0, "ERL 8.64 µm"),
        ("nisb", 0.864, "ERL 86.4% of GT"),
        ("xpress", 0.4321, "XPRESS score 0.4321"),
        ("snemi3d-gc", 0.031, "ARAND 0.0310"),
    ],
)
def test_a_badge_says_what_ranks(variant, ranked, words):
    assert Headline(VARIANTS[variant].headline, ranked, None, None, None, None).in_words == words


def test_figures_of_hidden_ground_truth_are_rounded_as_on_the_leaderboard(phase, page, badge, client):
    phase.volumes.update(ground_truth_public=False)
    entry = make_scored(phase, 8640)
    for text in (page(entry), badge(entry).content.decode(), client.get(reverse("feed")).content.decode()):
        assert "8.50" in text
        assert "8.64" not in text
        assert "86.4" not in text


def test_a_badge_is_xml_whatever_the_benchmark_is_called(phase, badge):
    Benchmark.objects.update(name='</text><script>alert("x")</script>\x0b & more')
    answer = badge(make_scored(phase, 8640))
    root = ElementTree.fromstring(answer.content)
    assert not root.findall(".//{http://www.w3.org/2000/svg}script")
    assert root.find("{http://www.w3.org/2000/svg}title").text.startswith('</text><script>alert("x")</script> & more')


def test_a_badge_may_be_kept_by_caches_and_is_not_sent_twice(phase, badge, client):
    entry = make_scored(phase, 8640)
    client.force_login(make_user())
    answer = badge(entry)
    assert "public" in answer["Cache-Control"]
    assert "Cookie" not in answer.get("Vary", "")
    again = client.get(reverse("badge", args=[entry.code]), headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304


def test_a_result_page_shows_how_to_embed_the_badge_once_it_is_public(phase, client):
    entry = make_scored(phase, 8640)
    address = reverse("submission", args=[entry.code])
    line = re.search(r"\[!\[[^\]]+\]\(([^)]+)\)\]\(([^)]+)\)", client.get(address).content.decode())
    assert line[1].endswith(reverse("badge", args=[entry.code]))
    assert line[2].endswith(address)
    assert line[1].startswith("http")
    Submission.objects.update(published_at=None)
    client.force_login(entry.team.members.get())
    assert "badge.svg" not in client.get(address).content.decode()


def test_a_team_page_shows_its_best_entry_of_each_benchmark_and_its_methods(phase, client):
    team, second = make_team(), make_benchmark()
    Benchmark.objects.filter(pk=second.benchmark_id).update(name="Second")
    second.volumes.update(ground_truth_public=True)
    make_scored(phase, 9000)
    make_scored(phase, 1000, team=team, method_name="FFN")
    best = make_scored(phase, 8640, team=team, method_name="FFN")
    make_scored(second, 7310, team=team, method_name="U-Net")
    make_scored(phase, 9990, team=team, method_name="Secret", published_at=None)
    text = client.get(reverse("team", args=[team.pk])).content.decode()
    assert "3 published entries of 2 methods" in text
    assert "2 of 3" in text
    assert "1 of 1" in text
    assert f'{reverse("submission", args=[best.code])}">FFN' in text
    assert "Secret" not in text
    assert "All submissions" not in text


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_entries_are_grouped_alike_in_whatever_order_they_come(phase, client, order):
    """One method by a name that two share, and by a replacement under a new name that comes between them."""
    team = make_team()
    made = {}
    for place in order:
        made[place] = make_scored(phase, 1000 + place, team=team, method_name=["FFN", "ffn ", "FFN 2", "U-Net"][place])
    Submission.objects.filter(pk=made[2].pk).update(supersedes=made[1])
    text = client.get(reverse("team", args=[team.pk])).content.decode()
    assert "4 published entries of 2 methods" in text
