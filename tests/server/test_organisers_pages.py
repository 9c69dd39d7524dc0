"""The organisers' own pages: who may open them, what they show, and what a press of a button changes."""

import io
import json
import zipfile

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core import mail
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from evalserver.benchmarks import services as benchmark_services
from evalserver.benchmarks.models import Benchmark, GroundTruth, Participation, Phase, Role
from evalserver.jobs import redis_client
from evalserver.jobs.broker import QUEUES
from evalserver.organisers.urls import urlpatterns
from evalserver.submissions.models import Export, Submission
from evalserver.submissions.results.export_job import make_export, request_export
from evalserver.workshop.models import Workshop
from tests.factories import (
    add_ground_truth,
    h5_bytes,
    make_benchmark,
    make_scored,
    make_submission,
    make_team,
    make_user,
    tiny_labels,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]
ROUTES = {route.name: route for route in urlpatterns}
# Pages that every organiser sees; what they show and allow depends on permissions.
FOR_ALL_ORGANISERS = {"organise", "organise_queue", "organise_stop_job"}


@pytest.fixture
def organiser(client):
    user = make_user("Olga", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def address(name: str, phase: Phase) -> str:
    """Address of a route, of a real row where it names one."""
    wanted = ROUTES[name].pattern.regex.groupindex
    volume = phase.volumes.first()
    of_row = {
        "organise_answer": lambda: (
            benchmark_services.request_participation(benchmark=phase.benchmark, team=make_team("Asking")).pk
        ),
        "organise_ground_truth": lambda: volume.ground_truths.first().pk,
        "organise_change_ground_truth": lambda: volume.ground_truths.first().pk,
        "organise_take_role": lambda: Role.objects.create(benchmark=phase.benchmark, user=make_user("Rita")).pk,
    }
    if name.startswith("organise_workshop_") or name == "organise_workshop":
        of_row[name] = lambda: Workshop.objects.create(volume=volume, source_name="labels.h5").pk
    values = {"slug": phase.benchmark.slug, "volume": volume.slug, "phase": phase.slug, "name": "info"}
    return reverse(name, kwargs={key: of_row[name]() if key == "pk" else values[key] for key in wanted})


def open_route(client, name: str, phase: Phase) -> int:
    """Status of the route, by GET or where that is not allowed by POST."""
    path = address(name, phase)
    answer = client.get(path)
    answer.close()
    return (client.post(path) if answer.status_code == 405 else answer).status_code


def test_every_page_is_for_organisers():
    assert len(ROUTES) > 15
    for route in urlpatterns:
        view = route.callback
        while not getattr(view, "is_for_organisers", False):
            view = view.__wrapped__  # raises where no decorator lets organisers alone in
    assert all(name.startswith("organise") for name in ROUTES)


def test_no_page_changes_anything_without_the_token_of_a_form(organiser):
    phase, strange = make_benchmark(), Client(enforce_csrf_checks=True)
    strange.force_login(organiser)
    addresses = [address(name, phase) for name in ROUTES]
    assert {strange.post(path).status_code for path in addresses} <= {403, 405}


@pytest.mark.slow
@pytest.mark.parametrize("name", ROUTES)
def test_who_may_open_a_page(client, name):
    phase = make_benchmark()
    path = address(name, phase)
    for method in (client.get, client.post):
        answer = method(path)
        assert answer.status_code in (302, 405)
        if answer.status_code == 302:
            assert answer.headers["Location"].startswith("/accounts/login/?next=/organise/")
    client.force_login(make_user("Pia"))
    assert open_route(client, name, phase) == 403
    client.force_login(make_user("Hal", is_staff=True))
    assert (open_route(client, name, phase) == 403) is (name not in FOR_ALL_ORGANISERS)
    client.force_login(make_user("Olga", is_staff=True, is_superuser=True))
    assert open_route(client, name, phase) in (200, 302, 404)


def test_a_participant_sees_no_link_to_them(client):
    client.force_login(make_user("Pia"))
    assert "/organise/" not in client.get("/").content.decode()


def test_the_dashboard_shows_what_waits_and_where(client, organiser):
    phase = make_benchmark(ready=False)
    assert "1 volume without ground truth" in client.get(reverse("organise")).content.decode()
    benchmark_services.request_participation(benchmark=phase.benchmark, team=make_team("Lab"))
    make_submission(phase, status="failed", incident_id="ab12")
    page = client.get(reverse("organise")).content.decode()
    assert f'<a href="{reverse("organise_requests")}">1 request to take part</a>' in page
    assert "1 submission failed on our side" in page
    assert "other job" not in page  # the failed submission is told once


def test_the_dashboard_says_when_nothing_waits(client, organiser):
    make_benchmark()
    assert '<p class="quiet">Nothing.</p>' in client.get(reverse("organise")).content.decode()


def test_a_benchmark_is_made_with_volume_and_phase_and_opens_with_its_ground_truth(client, organiser):
    client.post(
        reverse("organise_add_benchmark"),
        {
            "name": "New",
            "slug": "new",
            "summary": "A summary.",
            "position": 1,
            "is_visible": "on",
            "scoring_variant": "axonem",
        },
    )
    benchmark = Benchmark.objects.get(slug="new")
    phase = {"name": "Test", "slug": "test", "kind": "test", "submissions_per_day": 5, "opens_at": "2026-01-01 00:00"}
    client.post(reverse("organise_add_phase", args=["new"]), phase)
    volume = {
        "name": "Cube", "slug": "cube", "position": 0, "shape_z": 24, "shape_y": 64, "shape_x": 96, "voxel_z_nm": 30,
        "voxel_y_nm": 30, "voxel_x_nm": 30, "tolerance_nodes": 5, "min_length_um": 0, "target_voxel_nm": 30,
        "axons_shown": "nothing",
        "ends_inside_voxels": 0,
    }  # fmt: skip
    client.post(reverse("organise_add_volume", args=["new"]), volume)
    assert [v.slug for v in benchmark.phases.get().volumes.all()] == ["cube"]
    labels = SimpleUploadedFile("gt.h5", h5_bytes(tiny_labels()))
    answer = client.post(
        reverse("organise_add_ground_truth", args=["new", "cube"]),
        {"source_kind": "labels", "source_file": labels, "unit": "nm", "axes": "zyx"},
    )
    row = GroundTruth.objects.get()
    assert answer.headers["Location"] == reverse("organise_ground_truth", args=[row.pk])
    assert (row.status, row.created_by) == ("uploaded", organiser)
    assert LogEntry.objects.filter(user=organiser).count() == 4


def test_a_form_with_a_mistake_is_shown_again_and_stores_nothing(client, organiser):
    answer = client.post(reverse("organise_add_benchmark"), {"name": "", "slug": "x y"})
    assert answer.status_code == 422
    assert not Benchmark.objects.exists()


def test_an_answer_to_a_request_is_stored_noted_and_mailed(client, organiser):
    phase, member = make_benchmark(), make_user("Pia")
    phase.benchmark.requires_approval = True
    phase.benchmark.save()
    row = benchmark_services.request_participation(
        benchmark=phase.benchmark, team=member.teams.get(), message="We trace axons."
    )
    asked = [message for message in mail.outbox if message.to == [organiser.email]]
    assert "We trace axons." in asked[0].body
    assert reverse("organise_requests") in asked[0].body
    assert "We trace axons." in client.get(reverse("organise_requests")).content.decode()
    client.post(reverse("organise_answer", args=[row.pk]), {"answer": "approve"})
    row.refresh_from_db()
    assert (row.status, row.decided_by) == (Participation.Status.APPROVED, organiser)
    told = [message for message in mail.outbox if message.to == [member.email]]
    assert "can submit" in told[0].body
    assert LogEntry.objects.get().change_message == "approved"
    client.post(reverse("organise_answer", args=[row.pk]), {"answer": "approve"})
    assert len([message for message in mail.outbox if message.to == [member.email]]) == 1


def test_only_organisers_who_may_answer_are_mailed(client):
    hal, pia = make_user("Hal", is_staff=True), make_user("Pia", is_staff=True)
    hal.user_permissions.add(Permission.objects.get(codename="change_participation"))
    benchmark_services.request_participation(benchmark=make_benchmark().benchmark, team=make_team("Lab"))
    assert [message.to for message in mail.outbox] == [[hal.email]]
    assert pia.is_staff


def test_a_version_is_looked_at_and_made_current(client, organiser):
    phase = make_benchmark()
    volume = phase.volumes.get()
    newer = add_ground_truth(volume, is_current=False)
    page = client.get(reverse("organise_ground_truth", args=[newer.pk])).content.decode()
    assert "Skeletons" in page
    assert "Make current and re-score" in page
    client.post(reverse("organise_change_ground_truth", args=[newer.pk]), {"action": "current"})
    assert volume.ground_truths.get(is_current=True) == newer


def test_a_frozen_phase_keeps_its_ground_truth(client, organiser):
    phase = make_benchmark()
    newer = add_ground_truth(phase.volumes.get(), is_current=False)
    freeze = reverse("organise_freeze_phase", args=[phase.benchmark.slug, phase.slug])
    client.post(freeze, {"action": "freeze"})
    answer = client.post(reverse("organise_change_ground_truth", args=[newer.pk]), {"action": "current"}, follow=True)
    assert "is frozen" in answer.content.decode()
    newer.refresh_from_db()
    assert not newer.is_current
    client.post(freeze, {"action": "unfreeze"})
    phase.refresh_from_db()
    assert not phase.is_frozen


def test_the_progress_of_a_registration_is_fetched_by_itself(client, organiser):
    phase = make_benchmark(ready=False)
    row = GroundTruth.objects.create(
        volume=phase.volumes.get(), version=1, source_kind="labels", status="running", percent=37, stage="Skeletonizing"
    )
    path = reverse("organise_ground_truth", args=[row.pk])
    assert f'hx-get="{path}?part=state"' in client.get(path).content.decode()
    part = client.get(path, {"part": "state"}).content.decode()
    assert "37%" in part
    assert "<html" not in part


def test_submissions_are_found_and_changed(client, organiser):
    phase = make_benchmark()
    one, other = make_scored(phase, 5000, method_name="Watershed"), make_scored(phase, 6000, method_name="Flood")
    page = client.get(reverse("organise_submissions"), {"q": "water"}).content.decode()
    assert "5.00" in page
    assert (one.code in page, other.code in page) == (True, False)
    change = reverse("organise_change_submissions")
    client.post(change, {"action": "hide", "code": [one.code]})
    assert list(Submission.objects.filter(hidden_at=None)) == [other]
    assert LogEntry.objects.get().object_id == str(one.pk)
    answer = client.post(change, {"action": "hide", "code": [one.code, other.code]}, follow=True)
    assert "1 of 2" in answer.content.decode()
    client.post(change, {"action": "show", "code": [one.code, other.code]})
    assert Submission.objects.filter(hidden_at=None).count() == 2
    assert client.post(change, {"action": "delete", "code": [one.code]}).status_code == 404


def test_rescoring_ticked_submissions_is_the_workers_job(client, organiser):
    phase = make_benchmark()
    old = make_scored(phase, 5000)
    phase.volumes.update(tolerance_nodes=7)
    current = make_scored(phase, 6000)
    given = {"action": "rescore", "code": [old.code, current.code]}
    answer = client.post(reverse("organise_change_submissions"), given, follow=True)
    assert "Re-score: 1 of 2" in answer.content.decode()
    # The file of the first is not there, so scoring it here would have failed.
    assert old.scores.count() == 1
    assert sum(redis_client().llen(name) for name in QUEUES) == 1
    assert LogEntry.objects.get().object_id == str(old.pk)


def test_the_export_is_written_by_a_worker_and_holds_what_the_command_writes(client, organiser):
    phase = make_benchmark()
    submission = make_scored(phase, 5000)
    page = reverse("organise_benchmark", args=[phase.benchmark.slug])
    path = reverse("organise_export", args=[phase.benchmark.slug])
    asked = client.post(reverse("organise_request_export", args=[phase.benchmark.slug]), follow=True)
    assert "Waiting for a worker" in asked.content.decode()
    assert client.get(path).status_code == 404
    make_export(Export.objects.get().pk)
    assert f'href="{path}"' in client.get(page).content.decode()
    answer = client.get(path)
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        assert sorted(archive.namelist()) == ["benchmark.json", "evaluations.csv", "submissions.json"]
        assert json.loads(archive.read("submissions.json"))[0]["code"] == submission.code
    assert {row.change_message for row in LogEntry.objects.all()} == {"export asked for", "exported"}


def test_only_the_newest_export_is_kept(client, organiser):
    benchmark = make_benchmark().benchmark
    first = request_export(benchmark, organiser)
    make_export(first.pk)
    first.refresh_from_db()
    second = request_export(benchmark, organiser)
    make_export(second.pk)
    assert [row.pk for row in Export.objects.all()] == [second.pk]
    assert not default_storage.exists(first.file.name)


def test_the_queue_names_jobs_only_to_who_may_read_what_they_are(client):
    submission = make_submission(make_benchmark(), method_name="Secret method")
    hal = make_user("Hal", is_staff=True)
    client.force_login(hal)
    page = client.get(reverse("organise_queue")).content.decode()
    assert f"submission {submission.pk}" in page
    assert "Secret method" not in page
    assert "Stop: " not in page
    hal.user_permissions.add(Permission.objects.get(codename="view_submission"))
    page = client.get(reverse("organise_queue")).content.decode()
    assert "Secret method" in page
    assert "Stop: " not in page


def test_the_audit_log_names_who_changed_what(client, organiser):
    phase = make_benchmark()
    client.post(reverse("organise_freeze_phase", args=[phase.benchmark.slug, phase.slug]), {"action": "freeze"})
    page = client.get(reverse("organise_audit_log")).content.decode()
    assert "frozen: its ranking no longer changes" in page
    assert "Olga" in page
    assert "No entry fits" in client.get(reverse("organise_audit_log"), {"q": "nothing"}).content.decode()


def test_the_old_address_of_the_queue_leads_to_the_new_one(client, organiser):
    assert client.get("/admin/queue/").headers["Location"] == reverse("organise_queue")
