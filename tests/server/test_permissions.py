"""Who may see what: private submissions, hidden ground truth, and what crosses neither."""

import json
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.urls import get_resolver, reverse
from django.utils import timezone

from evalserver.accounts.models import Membership, User
from evalserver.benchmarks.models import Benchmark
from evalserver.submissions.models import Submission
from tests.factories import make_benchmark, make_scored, make_submission, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


@pytest.fixture
def ada():
    return make_user("Ada")


@pytest.fixture
def private(ada):
    return make_scored(make_benchmark(), 5000, team=ada.teams.get(), published_at=None)


def status(client, submission, name="submission") -> int:
    return client.get(reverse(name, args=[submission.code])).status_code


def test_a_private_submission_is_its_teams_own(client, ada, private):
    assert status(client, private) == 404
    client.force_login(make_user("Bob"))
    assert status(client, private) == 404
    assert status(client, private, "submission_progress") == 404
    client.force_login(ada)
    assert status(client, private) == 200


def test_every_member_of_the_team_sees_it(client, private):
    bob = make_user("Bob")
    Membership.objects.create(user=bob, team=private.team)
    client.force_login(bob)
    assert status(client, private) == 200


def test_an_organiser_of_createsuperuser_sees_private_submissions(client, private):
    call_command("createsuperuser", email="olga@example.org", name="Olga", interactive=False)
    client.force_login(User.objects.get(email="olga@example.org"))
    assert status(client, private) == 200


@pytest.mark.parametrize("permission", ["view_submission", "change_submission"])
def test_an_organiser_with_the_permission_sees_private_submissions(client, private, permission):
    olga = make_user("Olga", is_staff=True)
    olga.user_permissions.add(Permission.objects.get(codename=permission))
    client.force_login(olga)
    assert status(client, private) == 200


def test_staff_status_alone_or_a_permission_alone_shows_no_private_submission(client, private):
    hal, pia = make_user("Hal", is_staff=True), make_user("Pia")
    pia.user_permissions.add(Permission.objects.get(codename="view_submission"))
    hal.user_permissions.add(Permission.objects.get(codename="change_benchmark"))
    for user in (hal, pia):
        client.force_login(user)
        assert status(client, private) == 404
        assert client.get(f"/api/v1/submissions/{private.code}").status_code == 404
        assert client.get(reverse("team", args=[private.team_id])).status_code == 404


@pytest.mark.parametrize("field", ["withdrawn_at", "hidden_at"])
def test_withdrawn_and_hidden_submissions_are_not_public(client, private, field):
    Submission.objects.update(published_at=timezone.now())
    assert status(client, private) == 200
    Submission.objects.update(**{field: timezone.now()})
    assert status(client, private) == 404


def test_only_the_team_may_act_on_a_submission(client, private):
    url = reverse("submission_action", args=[private.code, "publish"])
    client.force_login(make_user("Bob"))
    assert client.post(url).status_code == 404
    client.force_login(make_user("Olga", is_staff=True))
    assert client.post(url).status_code == 404
    private.refresh_from_db()
    assert private.published_at is None


def test_actions_need_a_post(client, ada, private):
    client.force_login(ada)
    assert client.get(reverse("submission_action", args=[private.code, "publish"])).status_code == 405


def test_a_submission_is_addressed_by_a_code_not_by_its_number(client, ada, private):
    client.force_login(ada)
    assert client.get(f"/submissions/{private.pk}/").status_code == 404
    assert len(private.code) == 12


def test_a_user_cannot_submit_in_another_teams_name(client, ada):
    phase, bob = make_benchmark(), make_user("Bob")
    client.force_login(bob)
    form = {"team": ada.teams.get().pk, "method_name": "m"}
    answer = client.post(reverse("upload", args=[phase.benchmark.slug]), form)
    assert answer.status_code == 422
    assert not Submission.objects.exists()


def test_a_hidden_benchmark_is_not_found(client):
    phase = make_benchmark()
    phase.benchmark.is_visible = False
    phase.benchmark.save()
    assert client.get(reverse("benchmark", args=[phase.benchmark.slug])).status_code == 404
    assert client.get(reverse("leaderboard", args=[phase.benchmark.slug])).status_code == 404


def test_published_entries_of_a_hidden_benchmark_are_shown_to_their_team_alone(client):
    submission = make_scored(make_benchmark(), 5000)
    page, team = reverse("submission", args=[submission.code]), reverse("team", args=[submission.team_id])
    assert (client.get(page).status_code, client.get(team).status_code) == (200, 200)
    Benchmark.objects.update(is_visible=False)
    assert (client.get(page).status_code, client.get(team).status_code) == (404, 404)
    assert client.get(reverse("result_json", args=[submission.code])).status_code == 404
    client.force_login(submission.team.members.get())
    assert client.get(page).status_code == 200


def test_no_address_serves_the_private_folder(client):
    """Files of ground truth and submissions lie below MEDIA_ROOT: nothing may be mapped onto it."""
    submission = make_submission(make_benchmark())
    ground_truth = submission.phase.volumes.get().ground_truths.get()
    client.force_login(make_user("Ada"))
    for stored in (ground_truth.bundle, ground_truth.source_file, submission.files.get().file):
        assert Path(stored.path).is_relative_to(django_settings.MEDIA_ROOT)
        relative = stored.name
        for prefix in ("/", "/media/", "/private/", "/static/", "/static/../private/", "/docs/img/../../private/"):
            assert client.get(f"{prefix}{relative}").status_code in (301, 302, 400, 404), relative
    assert "static.serve" not in json.dumps([str(pattern) for pattern in get_resolver().url_patterns])


def test_pages_carry_no_ground_truth_coordinates_or_paths(client):
    submission = make_scored(make_benchmark(), 5000)
    page = client.get(reverse("submission", args=[submission.code])).content.decode()
    assert str(django_settings.MEDIA_ROOT) not in page
    assert "groundtruth/" not in page


def test_pages_forbid_scripts_and_frames_from_elsewhere(client):
    headers = client.get("/").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe-inline" not in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
