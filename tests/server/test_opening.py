"""A benchmark that takes no submissions: no page invites to submit, and each says why."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from evalserver.benchmarks.models import Phase, TrainingFile
from evalserver.submissions.models import Submission
from tests.factories import make_benchmark, make_scored, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_queue")]


def changed(**fields) -> Phase:
    phase = make_benchmark()
    Phase.objects.filter(pk=phase.pk).update(**fields)
    return Phase.objects.get(pk=phase.pk)


def before(days: float):
    return timezone.now() - timedelta(days=days)


def without_a_phase() -> Phase:
    phase = make_benchmark()
    phase.delete()
    return phase


def without_a_volume() -> Phase:
    phase = make_benchmark()
    phase.volumes.clear()
    return phase


CLOSED = {
    "no phase": (without_a_phase, "have not added a phase"),
    "no volume": (without_a_volume, "has no volume yet"),
    "no ground truth": (lambda: make_benchmark(ready=False), "have not registered the ground truth"),
    "frozen": (lambda: changed(frozen_at=before(1)), "is frozen"),
    "over": (lambda: changed(opens_at=before(9), closes_at=before(1)), "closed on"),
    "to come": (lambda: changed(opens_at=before(-1)), "opens on"),
}


def pages_of(benchmark) -> list[str]:
    return ["/", *(reverse(name, args=[benchmark.slug]) for name in ("benchmark", "leaderboard"))]


def submit_links(page: str) -> list[str]:
    return re.findall(r'href="([^"]*/submit/[^"]*)"', page)


@pytest.mark.parametrize("state", CLOSED)
def test_a_closed_benchmark_invites_nobody_and_says_why(client, state):
    make, why = CLOSED[state]
    benchmark = make().benchmark
    TrainingFile.objects.create(benchmark=benchmark, title="EM", url="https://example.org/em.h5", sha256="0" * 64)
    for path in pages_of(benchmark):
        answer = client.get(path)
        if answer.status_code == 404:  # without a phase there is no leaderboard, and no link to it
            assert path not in client.get("/").content.decode() + client.get(pages_of(benchmark)[1]).content.decode()
            continue
        page = answer.content.decode()
        assert submit_links(page) == []
        assert "baseline, submit" not in page
        assert "first" not in re.sub(r"<dl.*?</dl>", "", page, flags=re.S).partition("<h1")[2].replace(
            "first error", ""
        )
        assert why in page


@pytest.mark.parametrize("state", [state for state in CLOSED if state != "no phase"])
def test_its_form_is_not_shown(client, state):
    make, why = CLOSED[state]
    client.force_login(make_user())
    page = client.get(reverse("upload", args=[make().benchmark.slug])).content.decode()
    assert why in page
    assert 'id="submission-form"' not in page


def test_each_link_to_the_form_of_an_open_benchmark_leads_to_it(client):
    benchmark = make_benchmark().benchmark
    client.force_login(make_user())
    links = [link for path in pages_of(benchmark) for link in submit_links(client.get(path).content.decode())]
    assert len(links) >= 2
    for link in links:
        assert 'id="submission-form"' in client.get(link).content.decode()


def test_submissions_go_to_the_phase_that_is_open(client):
    phase = changed(opens_at=before(9))
    later = Phase.objects.create(
        benchmark=phase.benchmark, slug="over", name="Over", closes_at=before(1), opens_at=before(2)
    )
    later.volumes.set(phase.volumes.all())
    page = client.get(reverse("benchmark", args=[phase.benchmark.slug])).content.decode()
    assert submit_links(page) == [f"{reverse('upload', args=[phase.benchmark.slug])}?phase={phase.slug}"]


def test_publishing_is_a_choice(client):
    phase, user = make_benchmark(), make_user()
    client.force_login(user)
    page = client.get(reverse("upload", args=[phase.benchmark.slug])).content.decode()
    assert "checked" not in re.search(r'<input[^>]*name="publish_when_scored"[^>]*>', page)[0]
    assert not Submission.objects.exists()


def test_a_filter_without_hits_does_not_say_that_nobody_submitted(client):
    phase = make_benchmark()
    make_scored(phase, 5000)
    page = client.get(reverse("leaderboard", args=[phase.benchmark.slug]), {"q": "nothing"}).content.decode()
    assert "No entry fits these filters" in page
    assert "has been scored and published yet" not in page
