"""What organisers decide: who takes part, how often, until when, with which data; and what is noted of it."""

import hashlib
import json
import time
import zipfile
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from evalserver.benchmarks import services as benchmark_services
from evalserver.benchmarks.models import Participation, Phase, TrainingFile
from evalserver.jobs import send
from evalserver.submissions import services
from tests.factories import TOLERANCE, make_benchmark, make_scored, make_submission, make_team, make_user, upload

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_queue")]


@pytest.fixture
def organiser(client):
    user = make_user("Olga", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.mark.slow
def test_a_team_submits_only_once_it_is_approved(client, organiser):
    phase, team = make_benchmark(), make_team("Lab")
    phase.benchmark.requires_approval = True
    phase.benchmark.save()
    assert "not approved" in services.refuse_reason(team=team, phase=phase)
    row = benchmark_services.request_participation(benchmark=phase.benchmark, team=team)
    answer = client.post(
        reverse("admin:benchmarks_participation_changelist"), {"action": "approve", "_selected_action": [row.pk]}
    )
    assert answer.status_code == 302
    assert services.refuse_reason(team=team, phase=phase) is None
    row.refresh_from_db()
    assert row.decided_by == organiser


def test_asking_again_does_not_undo_a_refusal(organiser):
    phase, team = make_benchmark(), make_team("Lab")
    row = benchmark_services.request_participation(benchmark=phase.benchmark, team=team)
    benchmark_services.decide_participation(participation=row, status=Participation.Status.DECLINED, by=organiser)
    again = benchmark_services.request_participation(benchmark=phase.benchmark, team=team)
    assert again.status == Participation.Status.DECLINED


def test_a_member_asks_on_the_benchmarks_page(client):
    phase, user = make_benchmark(), make_user("Pia")
    phase.benchmark.requires_approval = True
    phase.benchmark.save()
    client.force_login(user)
    team = user.teams.get()
    assert "Ask to take part" in client.get(reverse("benchmark", args=[phase.benchmark.slug])).content.decode()
    client.post(reverse("participate", args=[phase.benchmark.slug]), {"team": team.pk, "message": "please"})
    assert Participation.objects.get(team=team).message == "please"


def test_nobody_asks_for_another_team(client):
    phase, other = make_benchmark(), make_team("Other")
    client.force_login(make_user("Pia"))
    answer = client.post(reverse("participate", args=[phase.benchmark.slug]), {"team": other.pk})
    assert answer.status_code == 404
    for no_team in ("²", "9" * 5000, ""):
        answer = client.post(reverse("participate", args=[phase.benchmark.slug]), {"team": no_team})
        assert answer.status_code == 404
    assert not Participation.objects.exists()


def test_a_frozen_ranking_takes_no_entry_and_loses_none():
    phase, team = make_benchmark(), make_team("Lab")
    listed = make_scored(phase, 5000, team=team)
    private = make_scored(phase, 6000, team=team, published_at=None)
    Phase.objects.filter(pk=phase.pk).update(frozen_at=timezone.now() - timedelta(seconds=1))
    phase.refresh_from_db()
    assert "frozen" in services.refuse_reason(team=team, phase=phase)
    assert not services.withdraw_submission(listed)
    assert not services.unpublish_submission(listed)
    assert not services.publish_submission(private)


def test_freezing_in_the_admin_is_noted(client, organiser):
    phase = make_benchmark()
    answer = client.post(
        reverse("admin:benchmarks_benchmark_changelist"),
        {"action": "freeze", "_selected_action": [phase.benchmark_id]},
    )
    assert answer.status_code == 302
    phase.refresh_from_db()
    assert phase.is_frozen
    entry = LogEntry.objects.get(object_id=str(phase.benchmark_id))
    assert (entry.user, "frozen" in entry.change_message) == (organiser, True)
    page = client.get(reverse("admin:admin_logentry_changelist")).content.decode()
    assert "frozen: Test" in page


def test_the_audit_log_cannot_be_changed(client, organiser):
    entry = LogEntry.objects.create(user=organiser, object_repr="x", action_flag=2, change_message="seen")
    assert client.get(reverse("admin:admin_logentry_add")).status_code == 403
    assert client.post(reverse("admin:admin_logentry_delete", args=[entry.pk]), {"post": "yes"}).status_code == 403
    client.post(reverse("admin:admin_logentry_change", args=[entry.pk]), {"change_message": "changed"})
    entry.refresh_from_db()
    assert entry.change_message == "seen"


def test_a_limit_over_the_whole_phase_holds_across_days():
    phase, user = make_benchmark(per_day=5), make_user("Pia")
    Phase.objects.filter(pk=phase.pk).update(submissions_total=2)
    phase.refresh_from_db()
    team = user.teams.get()
    for number in range(2):
        row = services.create_submission(
            team=team, user=user, phase=phase, method_name=f"m{number}", files={phase.volumes.get(): upload()}
        )
        row.quota_slot.day -= timedelta(days=number + 1)
        row.quota_slot.save()
    with pytest.raises(services.NotAccepted, match="all 2 submissions of this phase"):
        services.create_submission(
            team=team, user=user, phase=phase, method_name="m", files={phase.volumes.get(): upload()}
        )


def test_training_data_is_downloaded_with_its_checksum_shown(client):
    phase, content = make_benchmark(), b"grey values"
    row = benchmark_services.store_training_file(
        TrainingFile(benchmark=phase.benchmark, title="Cube 1", file=SimpleUploadedFile("../x/cube.h5", content))
    )
    page = client.get(reverse("benchmark", args=[phase.benchmark.slug])).content.decode()
    assert hashlib.sha256(content).hexdigest() in page
    download = client.get(reverse("training_file", args=[phase.benchmark.slug, row.pk]))
    assert b"".join(download.streaming_content) == content
    assert 'filename="cube.h5"' in download.headers["Content-Disposition"]


def test_training_data_of_an_invisible_benchmark_is_not_served(client):
    phase = make_benchmark()
    row = benchmark_services.store_training_file(
        TrainingFile(benchmark=phase.benchmark, title="Cube 1", file=SimpleUploadedFile("cube.h5", b"x"))
    )
    phase.benchmark.is_visible = False
    phase.benchmark.save()
    assert client.get(reverse("training_file", args=[phase.benchmark.slug, row.pk])).status_code == 404


def test_rules_are_markdown_without_scripts(client):
    phase = make_benchmark()
    phase.benchmark.rules = "**One** team each.\n\n<script>alert(1)</script>[x](javascript:alert(1))"
    phase.benchmark.save()
    page = client.get(reverse("benchmark", args=[phase.benchmark.slug])).content.decode()
    assert "<strong>One</strong>" in page
    assert "<script>alert" not in page
    assert 'href="javascript' not in page


def test_an_export_holds_every_record_and_no_person_and_no_ground_truth(tmp_path):
    phase = make_benchmark()
    user = make_user("Private Person")
    submission = make_scored(phase, 5000, team=user.teams.get())
    newer = make_scored(phase, 6000, team=user.teams.get(), supersedes=submission, code_url="https://example.org/code")
    call_command("export_benchmark", phase.benchmark.slug, output=tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert sorted(archive.namelist()) == ["benchmark.json", "evaluations.csv", "submissions.json"]
        submissions = json.loads(archive.read("submissions.json"))
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert [(row["code"], row["supersedes"]) for row in submissions] == [
        (submission.code, None),
        (newer.code, submission.code),
    ]
    assert submissions[1]["code_url"] == "https://example.org/code"
    assert submissions[0]["scores"][0]["mean_erl_nm"] == 5000
    assert user.email not in everything
    assert "node_voxel" not in everything


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_rescoring_everything_is_the_workers_job(client, worker, ended):
    organiser = make_user("Olga", is_staff=True, is_superuser=True)
    client.force_login(organiser)
    phase = make_benchmark()
    submission = make_submission(phase)
    send(submission)
    assert ended(submission).status == "scored"
    phase.volumes.update(tolerance_nodes=1)
    client.post(
        reverse("admin:benchmarks_benchmark_changelist"),
        {"action": "rescore", "_selected_action": [phase.benchmark_id]},
    )
    deadline = time.monotonic() + 30
    while submission.scores.count() < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    tolerances = submission.files.get().evaluations.values_list("tolerance_nodes", flat=True)
    assert sorted(tolerances) == [1, TOLERANCE]
