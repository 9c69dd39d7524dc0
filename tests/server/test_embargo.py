"""Before the date of an embargo no address tells of another team's result; afterwards the same addresses do."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django import forms
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from axonem_eval.errors import InputError
from evalserver.api.urls import api
from evalserver.benchmarks.admin import PhaseForm, VolumeForm
from evalserver.benchmarks.models import Phase
from evalserver.benchmarks.services import load_benchmark
from evalserver.submissions import services
from evalserver.submissions.evaluation import job
from evalserver.submissions.models import Submission
from tests.factories import make_benchmark, make_scored, make_submission, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]

# As 8.67 um, 8670 nm, 86.7% or a share of 0.867; not as a part of a token or of a time.
DIGITS = re.compile(r"(?<![\w.])(?:8[.,]?6[.,]?7|0\.867)(?![A-Za-z])")
NAME = "secret winner"


class Site:
    """A rival's published entry in a phase under embargo, and one of a participant who would like to know of it."""

    def __init__(self) -> None:
        self.phase = make_benchmark()
        self.volume = self.phase.volumes.get()
        type(self.volume).objects.update(ground_truth_public=True)
        self.people = {
            "anonymous": None,
            "participant": make_user("Pia"),
            "team": make_user("Rita Rival"),
            "helper": make_user("Hal", is_staff=True),
            "organiser": make_user("Olga", is_staff=True, is_superuser=True),
        }
        self.rival = make_scored(self.phase, 8670, team=self.people["team"].teams.get(), method_name=NAME)
        self.own = make_scored(self.phase, 3000, team=self.people["participant"].teams.get(), method_name="mine")
        self.embargo(timedelta(days=1))
        # What stands for each parameter of an address. A route with another one must be added here.
        self.values: dict[str, str] = {
            **dict.fromkeys(("slug", "benchmark"), self.phase.benchmark.slug),
            **{"code": self.rival.code, "volume": self.volume.slug, "table": "axons", "form": "csv"},
            **{"phase": self.phase.slug, "a": self.own.code, "b": self.rival.code, "action": "publish"},
            **dict.fromkeys(("pk", "user_pk", "invitation_pk", "content_type_id"), str(self.rival.team_id)),
            **{"object_id": str(self.rival.pk), "app_label": "submissions", "url": "x", "client_id": "x"},
            **dict.fromkeys(("name", "key", "uidb36"), "x"),
            **{"path": "x", "final": "", "id": "1", "kind": "longest", "number": "1", "provider": "github"},
        }

    def embargo(self, ahead: timedelta) -> None:
        Phase.objects.filter(pk=self.phase.pk).update(ranking_hidden_until=timezone.now() + ahead)

    def addresses(self) -> list[str]:
        """Every address of the site and of the API, about the rival's entry wherever a parameter asks for one."""
        pages = [self.fill(route) for route in routes(get_resolver().url_patterns)]
        operations = [self.fill(path) for path in api.get_openapi_schema()["paths"]]
        asked = [f"/compare/?a={self.own.code}&b={self.rival.code}", f"/?q={NAME}"]
        boards = [
            f"/benchmarks/{self.values['slug']}/leaderboard.json",
            f"/benchmarks/{self.values['slug']}/leaderboard/",
        ]
        searched = [f"{board}?q=secret&sort=-mean&rows=best&superseded=1" for board in boards]
        errors = [f"/submissions/{self.rival.code}/{self.volume.slug}/errors.csv"]
        return sorted({*pages, *operations, *asked, *boards, *searched, *errors})

    def fill(self, route: str) -> str:
        def value(found: re.Match[str]) -> str:
            name = (found[1] or found[2] or found[3]).rpartition(":")[2]
            assert name in self.values, f"{route} has a parameter {name} that this test knows no value for"
            return self.values[name]

        plain = re.sub(r"<([^<>]+)>|\{([^{}]+)\}|\0(\w+)\0", value, route)
        return f"/{plain.lstrip('/')}"

    def telling(self, who: str, method: str = "GET") -> list[str]:
        """Addresses whose answer shows the rival's figures or the name of its entry to that person."""
        person, found = self.people[who], []
        for address in self.addresses():
            client = Client(raise_request_exception=False)
            if person:
                client.force_login(person)
            answer = client.generic(method, address, b"{}" if method != "GET" else b"", "application/json")
            content = b"".join(answer.streaming_content) if answer.streaming else answer.content
            text = content.decode(errors="replace")
            assert answer.status_code < 500, (who, address, text[:500])
            if DIGITS.search(text) or NAME in text or (who != "team" and self.rival.team.name in text):
                found.append(address)
        return found


def routes(patterns: Any, prefix: str = "") -> Iterator[str]:
    """All routes as text; a regular expression's groups become \\0name\\0."""
    for pattern in patterns:
        text = str(pattern.pattern)
        if not hasattr(pattern.pattern, "_route"):
            text = re.sub(r"\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)", "\0\\1\0", text)
            text = re.sub(r"\(\?:(\w+)[^)]*\)", r"\1", text).replace("\\", "").strip("^$")
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, prefix + text)
        elif isinstance(pattern, URLPattern):
            yield prefix + text


@pytest.fixture
def site():
    return Site()


@pytest.mark.slow
def test_no_address_tells_an_outsider_of_anothers_entry_before_the_date(site):
    assert len(site.addresses()) > 100
    assert site.telling("anonymous") == []
    assert site.telling("participant") == []


@pytest.mark.slow
def test_no_post_tells_an_outsider_of_anothers_entry_before_the_date(site):
    assert site.telling("anonymous", "POST") == []
    assert site.telling("participant", "POST") == []


@pytest.mark.slow
def test_staff_without_a_permission_read_no_more_than_an_outsider(site):
    assert site.telling("helper") == []


@pytest.mark.slow
def test_its_own_team_reads_its_result_before_the_date_and_no_ranking(site):
    found = site.telling("team")
    assert f"/submissions/{site.rival.code}/" in found
    assert f"/api/v1/submissions/{site.rival.code}/evaluations" in found
    assert not [address for address in found if "leaderboard" in address]


@pytest.mark.slow
def test_organisers_see_everything_before_the_date(site):
    found = site.telling("organiser")
    board = f"/benchmarks/{site.values['slug']}/leaderboard/"
    assert {board, f"/submissions/{site.rival.code}/", f"/teams/{site.rival.team_id}/"} <= set(found)


def test_after_the_date_everybody_sees_it_at_the_same_addresses(site):
    site.embargo(-timedelta(seconds=1))
    found = site.telling("anonymous")
    assert {f"/submissions/{site.rival.code}/", f"/teams/{site.rival.team_id}/"} <= set(found)
    assert {f"/methods/{site.rival.code}/", "/feed.atom", f"/benchmarks/{site.values['slug']}/feed.atom"} <= set(found)
    assert f"/submissions/{site.rival.code}/badge.svg" in found
    assert len([address for address in found if "leaderboard" in address]) >= 4
    assert len(found) >= 12


def test_the_home_page_does_not_count_entries_under_embargo(site, client):
    assert "0 scored entries" in client.get("/").content.decode()
    site.embargo(-timedelta(seconds=1))
    assert "2 scored entries" in client.get("/").content.decode()


def test_what_is_scored_after_the_freeze_stays_out_of_the_ranking():
    phase = make_benchmark()
    listed = make_scored(phase, 2000)
    queued = make_submission(phase, publish_when_scored=True)
    Phase.objects.update(frozen_at=timezone.now() - timedelta(seconds=1))
    job.evaluate_submission(queued.pk)
    queued.refresh_from_db()
    assert (queued.status, queued.published_at) == ("scored", None)
    assert not services.publish_submission(queued)
    assert list(Submission.objects.filter(published_at__isnull=False)) == [listed]
    Phase.objects.update(frozen_at=None)
    assert services.publish_submission(queued)


def test_what_a_frozen_ranking_is_measured_by_stays():
    phase = make_benchmark(("a", "b"))
    volume, other = phase.volumes.order_by("slug")
    phase.volumes.remove(other)
    Phase.objects.update(frozen_at=timezone.now() - timedelta(seconds=1))
    phase.refresh_from_db()
    volumes = forms.modelform_factory(type(volume), form=VolumeForm, fields=["tolerance_nodes"])
    assert "frozen" in str(volumes({"tolerance_nodes": 7}, instance=volume).errors)
    assert volumes({"tolerance_nodes": volume.tolerance_nodes}, instance=volume).is_valid()
    phases = forms.modelform_factory(Phase, form=PhaseForm, fields=["volumes"])
    assert "frozen" in str(phases({"volumes": [other.pk]}, instance=phase).errors)
    definition = {"slug": phase.benchmark.slug, "name": "Tiny", "volumes": [{"slug": "a", "tolerance_nodes": 7}]}
    definition["volumes"][0] |= {"shape_zyx": volume.shape_zyx, "voxel_size_nm_zyx": volume.voxel_size_nm_zyx}
    with pytest.raises(InputError, match="unfreeze"):
        load_benchmark(definition)
