"""Atom feeds of published entries and news: of the site, and of each benchmark."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Greatest
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.feedgenerator import Atom1Feed
from django.views.decorators.cache import cache_control
from django.views.decorators.http import conditional_page

from evalserver.benchmarks.models import News
from evalserver.benchmarks.selectors import visible_benchmark_or_404
from evalserver.site import site_url, xml_text
from evalserver.submissions.models import Submission
from evalserver.submissions.results.selectors import results_of
from evalserver.submissions.selectors import public_entries

MAX_ENTRIES = 30
FEED_SECONDS = 300


@dataclass(frozen=True)
class Item:
    """One thing that happened. link : absolute.   guid : names it for ever.   at : since when everybody may read it."""

    title: str
    words: str
    author: str
    link: str
    guid: str
    at: datetime


def items_of(entries: QuerySet[Submission]) -> list[Item]:
    """The newest of these entries, and the news, newest first."""
    shown_at = Coalesce(Greatest("published_at", "phase__ranking_hidden_until"), "published_at")
    rows = list(
        # Further runs belong to an entry that is told of already.
        entries.filter(run_of=None)
        .annotate(shown_at=shown_at)
        .select_related("team", "phase__benchmark")
        .order_by("-shown_at", "-pk")[:MAX_ENTRIES]
    )
    results = results_of(rows, reports=False)
    items = []
    for row in rows:
        if row.pk not in results:
            continue
        benchmark, words = row.phase.benchmark, results[row.pk].headline.in_words
        address = site_url(reverse("submission", args=[row.code]))
        title = f"{row.method_name}, {row.team.name}: {words} ({benchmark.name})"
        text = f"A new entry on {benchmark.name}, {row.phase.name} phase: {words}."
        items.append(Item(xml_text(title), xml_text(text), xml_text(row.team.name), address, address, row.shown_at))
    home = site_url(reverse("home"))
    for line in News.objects.filter(published_at__lte=timezone.now())[:MAX_ENTRIES]:
        words = xml_text(line.text)
        guid = f"{home}#news-{line.pk}"
        items.append(Item(words, words, settings.SITE_NAME, line.url or f"{home}#news", guid, line.published_at))
    return sorted(items, key=lambda item: item.at, reverse=True)[:MAX_ENTRIES]


def _feed(name: str, page: str, own: str, entries: QuerySet[Submission]) -> HttpResponse:
    """page, own : paths of what it is about, and of the feed itself."""
    address = site_url(own)
    title = xml_text(f"{name}: entries and news")
    feed = Atom1Feed(title, site_url(page), description="", feed_url=address, feed_guid=address, language="en")
    for item in items_of(entries):
        feed.add_item(
            item.title,
            item.link,
            item.words,
            author_name=item.author,
            unique_id=item.guid,
            pubdate=item.at,
            updateddate=item.at,
        )
    return HttpResponse(feed.writeString("utf-8"), content_type=feed.content_type)


@cache_control(public=True, max_age=FEED_SECONDS)
@conditional_page
def site_feed(request: HttpRequest) -> HttpResponse:
    """New entries of all benchmarks, as Atom."""
    return _feed(settings.SITE_NAME, reverse("home"), reverse("feed"), public_entries())


@cache_control(private=True, max_age=FEED_SECONDS)
@conditional_page
def benchmark_feed(request: HttpRequest, slug: str) -> HttpResponse:
    """Of a benchmark that the reader may see; the entries are those that everybody sees."""
    benchmark = visible_benchmark_or_404(request, slug)
    own = reverse("benchmark_feed", args=[slug])
    return _feed(
        benchmark.name, reverse("benchmark", args=[slug]), own, public_entries().filter(phase__benchmark=benchmark)
    )
