"""Atom feeds: published entries and news, for the site and for each benchmark."""

from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.urls import reverse
from django.utils import timezone

from evalserver.benchmarks.models import Benchmark, News, Phase
from evalserver.submissions.models import Submission
from tests.factories import make_benchmark, make_scored

pytestmark = pytest.mark.django_db
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def phase():
    made = make_benchmark()
    made.volumes.update(ground_truth_public=True)
    return made


@pytest.fixture
def feed(client):
    def feed(benchmark: Benchmark | None = None) -> ElementTree.Element:
        answer = client.get(reverse("benchmark_feed", args=[benchmark.slug]) if benchmark else reverse("feed"))
        assert answer["Content-Type"].startswith("application/atom+xml")
        return ElementTree.fromstring(answer.content)

    return feed


def titles(feed: ElementTree.Element) -> list[str]:
    return [entry.findtext(f"{ATOM}title") for entry in feed.findall(f"{ATOM}entry")]


def test_an_entry_has_method_team_score_address_and_time(phase, feed):
    entry = make_scored(phase, 8640, method_name="FFN")
    (item,) = feed().findall(f"{ATOM}entry")
    assert item.findtext(f"{ATOM}title") == f"FFN, {entry.team.name}: ERL 8.64 µm (Tiny)"
    assert item.find(f"{ATOM}link").get("href").endswith(reverse("submission", args=[entry.code]))
    assert item.find(f"{ATOM}link").get("href").startswith("http")
    assert item.findtext(f"{ATOM}author/{ATOM}name") == entry.team.name
    assert item.findtext(f"{ATOM}updated")[:19] == f"{entry.published_at:%Y-%m-%dT%H:%M:%S}"


def test_a_benchmark_has_its_own_entries_and_the_news_of_the_site(phase, feed):
    make_scored(phase, 1000, method_name="here")
    make_scored(make_benchmark(), 2000, method_name="elsewhere")
    News.objects.create(text="A workshop", published_at=timezone.now() - timedelta(days=1))
    News.objects.create(text="Tomorrow", published_at=timezone.now() + timedelta(days=1))
    here, news = titles(feed(phase.benchmark))
    assert here.startswith("here, ")
    assert news == "A workshop"
    assert [title.split(",")[0] for title in titles(feed())] == ["elsewhere", "here", "A workshop"]


def test_only_public_entries_are_in_it(phase, feed):
    for fields in ({"published_at": None}, {"withdrawn_at": timezone.now()}, {"hidden_at": timezone.now()}):
        make_scored(phase, 1000, **fields)
    entry = make_scored(phase, 1000)
    assert len(titles(feed())) == 1
    Benchmark.objects.update(is_visible=False)
    assert titles(feed()) == []
    Benchmark.objects.update(is_visible=True)
    Submission.objects.filter(pk=entry.pk).update(published_at=timezone.now() - timedelta(days=9))
    Phase.objects.update(ranking_hidden_until=timezone.now() + timedelta(days=1))
    assert titles(feed()) == []
    # Everybody may read it since the end of the embargo, and that is when it is new.
    until = timezone.now() - timedelta(hours=1)
    Phase.objects.update(ranking_hidden_until=until)
    (item,) = feed().findall(f"{ATOM}entry")
    assert item.findtext(f"{ATOM}updated")[:19] == f"{until:%Y-%m-%dT%H:%M:%S}"


def test_a_hidden_benchmark_has_no_feed(phase, client):
    Benchmark.objects.update(is_visible=False)
    assert client.get(reverse("benchmark_feed", args=[phase.benchmark.slug])).status_code == 404


def test_it_is_xml_whatever_people_write(phase, feed):
    make_scored(phase, 1000, method_name="<b>&\x0b\x1b bold")
    News.objects.create(text="a\x0b <i>b</i>")
    assert sorted(title.split(",")[0] for title in titles(feed())) == ["<b>& bold", "a <i>b</i>"]


def test_pages_name_their_feeds(phase, client):
    home = client.get(reverse("home")).content.decode()
    assert home.count("application/atom+xml") == 1
    assert f'href="{reverse("feed")}"' in home
    for page in ("benchmark", "leaderboard"):
        text = client.get(reverse(page, args=[phase.benchmark.slug])).content.decode()
        assert f'href="{reverse("benchmark_feed", args=[phase.benchmark.slug])}"' in text
