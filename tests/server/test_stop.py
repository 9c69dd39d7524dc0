"""An organiser stops a job: its worker lets go within seconds, and the row says what happened."""

import os
import signal
import subprocess
import threading
import time

import psutil
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from axonem_eval.sandbox import walls
from evalserver.benchmarks.models import GroundTruth
from evalserver.jobs import FAILED, REJECTED, RUNNING, run_job, send
from evalserver.jobs.model import LeaseLost, claim
from evalserver.submissions import quota, services
from evalserver.submissions.evaluation import comparison
from evalserver.submissions.evaluation.job import evaluate_submission, stop_submission
from evalserver.submissions.models import Comparison, Diagnosis, Submission
from evalserver.uploads.models import Upload
from tests.factories import make_benchmark, make_scored, make_submission, make_user
from tests.server.readers import stalled_reader
from tests.server.real_scores import submit

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def organiser(client):
    user = make_user("Olga", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def press_stop(client, job):
    return client.post(reverse("organise_stop_job"), {"job": job.task_id}, follow=True).content.decode()


def gone(process: psutil.Process, within_s: float) -> bool:
    _, alive = psutil.wait_procs([process], timeout=within_s)
    return not alive or alive[0].status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_worker_lets_go_of_a_stopped_job_while_its_reader_says_nothing(client, organiser, workers, running, ended):
    submission, following = make_submission(make_benchmark()), make_submission(make_benchmark())
    busy = workers.start()
    send(submission)
    reader = stalled_reader(busy.process.pid)
    running(submission)
    page = press_stop(client, submission)
    assert "is stopped" in page
    assert f"{busy.name}@test" in page
    submission.refresh_from_db()
    assert (submission.status, submission.complaints[0]["code"]) == (REJECTED, "stopped")
    assert gone(reader, within_s=8)
    send(following)
    assert ended(following).status == "scored"  # the worker is alive and free
    submission.refresh_from_db()
    assert (submission.status, submission.incident_id) == (REJECTED, "")


def test_the_readers_process_ends_with_the_job_in_this_process_too(empty_queue):
    submission = make_submission(make_benchmark())
    ended_after = []

    def stop():
        reader = stalled_reader(os.getpid())
        stopped_at = time.monotonic()
        stop_submission(submission)
        assert gone(reader, within_s=8)
        ended_after.append(time.monotonic() - stopped_at)

    thread = threading.Thread(target=stop)
    thread.start()
    evaluate_submission(submission.pk)
    thread.join()
    assert len(ended_after) == 1
    assert ended_after[0] < 8


@pytest.mark.slow
@pytest.mark.parametrize("wait", ["sleep", "child", "lock", "computing"])
def test_whatever_the_work_waits_for_it_ends(empty_queue, wait):
    submission = make_submission(make_benchmark())
    waits = {
        "sleep": lambda: time.sleep(60),
        "child": lambda: subprocess.run(["sleep", "60"], check=True),
        "lock": lambda: threading.Event().wait(60),
        "computing": lambda: sum(i % 7 for i in iter(int, 1)),
    }

    def work(lease):
        threading.Timer(0.3, stop_submission, [submission]).start()
        waits[wait]()

    started = time.monotonic()
    run_job(Submission, submission.pk, work)
    assert time.monotonic() - started < 8
    submission.refresh_from_db()
    assert (submission.status, submission.incident_id) == (REJECTED, "")


@pytest.mark.slow
def test_the_signal_is_the_leases_only_while_it_lasts(empty_queue):
    before = signal.getsignal(signal.SIGUSR2)
    submission = make_submission(make_benchmark())

    def hold():
        with claim(Submission, submission.pk):
            stop_submission(submission)
            time.sleep(30)

    with pytest.raises(LeaseLost):
        hold()
    assert signal.getsignal(signal.SIGUSR2) == before


def test_a_stopped_submission_says_so_keeps_its_slot_and_can_be_sent_again(client, organiser, empty_queue):
    user, phase = make_user("Ada"), make_benchmark(per_day=1)
    submission = submit(phase, user=user)
    press_stop(client, submission)
    assert quota.slots_left(team=user.teams.get(), phase=phase) == 0
    client.force_login(user)
    assert "Stopped by an organiser" in client.get(reverse("submission", args=[submission.code])).content.decode()
    submission.refresh_from_db()
    assert services.retry_submission(submission)
    submission.refresh_from_db()
    assert (submission.status, submission.complaints) == ("uploaded", [])


def test_a_stopped_re_scoring_leaves_the_result_that_there_was(client, organiser, empty_queue):
    submission = make_scored(make_benchmark(), 5000)
    Submission.objects.update(status=RUNNING)
    press_stop(client, submission)
    submission.refresh_from_db()
    assert (submission.status, submission.is_listed) == ("scored", True)


def jobs():
    phase = make_benchmark()
    a, b = make_scored(phase, 5000), make_scored(phase, 6000)
    ground_truth = GroundTruth.objects.create(volume=phase.volumes.get(), version=9, source_kind="labels")
    return [ground_truth, Diagnosis.objects.create(volume_file=a.files.get()), comparison.request_comparison(a, b)]


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1, 2], ids=["registration", "diagnosis", "comparison"])
def test_every_other_kind_of_job_can_be_stopped(client, organiser, empty_queue, which):
    job = jobs()[which]
    type(job).objects.filter(pk=job.pk).update(status=RUNNING, heartbeat_at=timezone.now())
    assert job.task_id in client.get(reverse("organise_queue")).content.decode()
    press_stop(client, job)
    job.refresh_from_db()
    assert (job.status, job.complaints[0]["code"]) == (REJECTED, "stopped")


def test_a_stop_is_noted_with_who_did_it(client, organiser, empty_queue):
    submission = make_submission(make_benchmark())
    press_stop(client, submission)
    entry = LogEntry.objects.get(object_id=str(submission.pk))
    assert (entry.user, entry.change_message) == (organiser, "stopped")


def test_what_has_ended_is_not_stopped(client, organiser, empty_queue):
    submission = make_submission(make_benchmark(), status=FAILED)
    assert "had ended before" in press_stop(client, submission)
    submission.refresh_from_db()
    assert submission.status == FAILED
    assert not LogEntry.objects.exists()


@pytest.mark.slow
def test_only_organisers_who_may_change_submissions_stop_them(client, empty_queue):
    submission = make_submission(make_benchmark())
    client.force_login(make_user("Ada"))
    press_stop(client, submission)
    helper = make_user("Hal", is_staff=True)
    client.force_login(helper)
    assert "may not" in press_stop(client, submission)
    submission.refresh_from_db()
    assert submission.is_active
    helper.user_permissions.add(Permission.objects.get(codename="change_submission"))
    assert "is stopped" in press_stop(client, submission)


@pytest.mark.parametrize(
    "job",
    [
        "",
        "x",
        "submissions.submission-",
        "auth.user-1",
        "submissions.submission-99",
        f"submissions.submission-{'9' * 5000}",
    ],
)
def test_a_name_of_no_job_stops_nothing(client, organiser, empty_queue, job):
    assert "no such job" in client.post(reverse("organise_stop_job"), {"job": job}, follow=True).content.decode()


def test_failed_uploads_and_comparisons_reach_the_organisers_page(client, organiser, empty_queue):
    *_, compared = jobs()
    Comparison.objects.filter(pk=compared.pk).update(status=FAILED, incident_id="ab12")
    Upload.objects.create(
        user=organiser, file_name="seg.h5", size_bytes=1, status=FAILED, incident_id="cd34", expires_at=timezone.now()
    )
    page = client.get(reverse("organise_queue")).content.decode()
    assert "ab12" in page
    assert "cd34" in page
    assert "2 other jobs failed" in client.get(reverse("organise")).content.decode()


def test_the_page_says_what_the_kernel_gives(client, organiser, empty_queue):
    page = client.get(reverse("organise_queue")).content.decode()
    for wall in walls():
        assert wall.keeps_from in page
