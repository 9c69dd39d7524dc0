"""Nothing is lost and nothing is scored twice, whatever is killed and however often a task comes."""

import errno
import time
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from django.db import OperationalError as OperationalErrorOfDatabase
from django.db import transaction
from django.utils import timezone
from kombu.exceptions import OperationalError

from axonem_eval.sandbox import OtherCode
from evalserver.benchmarks.selectors import current_ground_truths
from evalserver.celery import app as celery_app
from evalserver.jobs import (
    FAILED,
    REJECTED,
    RUNNING,
    WAITING,
    Rejection,
    change_status,
    redis_client,
    release_all_leases,
    run_job,
    send,
)
from evalserver.jobs.broker import JOB_QUEUE, waiting_task_ids
from evalserver.jobs.model import LeaseLost, claim
from evalserver.submissions import quota, services
from evalserver.submissions.evaluation import job, scoring
from evalserver.submissions.evaluation.reconciler import requeue_stale
from evalserver.submissions.models import Evaluation, QuotaSlot, Score, Submission
from tests.factories import make_benchmark, make_submission, make_user, upload

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def submission():
    return make_submission(make_benchmark())


def make_stale(submission) -> None:
    Submission.objects.filter(pk=submission.pk).update(heartbeat_at=timezone.now() - timedelta(hours=1))


def test_only_one_of_two_workers_gets_a_job(submission):
    assert claim(Submission, submission.pk) is not None
    assert claim(Submission, submission.pk) is None


def test_a_status_moves_only_from_where_it_is_expected(submission):
    assert not change_status(Submission, submission.pk, sources=[RUNNING], target=FAILED)
    assert change_status(Submission, submission.pk, sources=[WAITING], target=REJECTED)
    submission.refresh_from_db()
    assert submission.status == REJECTED


@pytest.mark.slow
def test_the_heartbeat_keeps_a_long_job(submission, settings):
    settings.LEASE_SECONDS = 1
    lease = claim(Submission, submission.pk)
    with lease:
        time.sleep(2.5)
        requeue_stale()
        lease.finish("scored")
    submission.refresh_from_db()
    assert (submission.status, submission.attempts) == ("scored", 1)


def test_progress_is_written_while_the_job_runs(submission, settings):
    settings.LEASE_SECONDS = 1
    with claim(Submission, submission.pk) as lease:
        lease.progress("Reading labels of Volume A", 41.9)
        deadline = time.monotonic() + 20
        while submission.percent != 41 and time.monotonic() < deadline:
            time.sleep(0.05)
            submission.refresh_from_db()
    assert (submission.stage, submission.percent) == ("Reading labels of Volume A", 41)


def test_a_worker_that_comes_back_late_cannot_write(submission, empty_queue):
    late = claim(Submission, submission.pk)
    make_stale(submission)
    assert requeue_stale().taken_back == 1
    taken_over = claim(Submission, submission.pk)
    with pytest.raises(LeaseLost):
        late.finish("scored")
    taken_over.finish("scored")


def test_a_late_worker_hears_of_it_at_its_next_progress(submission, settings, empty_queue):
    settings.LEASE_SECONDS = 1
    late = claim(Submission, submission.pk)
    make_stale(submission)
    requeue_stale()
    with late:
        deadline = time.monotonic() + 20
        while not late.lost and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(LeaseLost):
            late.progress("sample", 50)


def test_the_fifth_lost_worker_is_the_last(submission, empty_queue):
    QuotaSlot.objects.create(
        phase=submission.phase, team=submission.team, day=quota.today(), number=0, submission=submission
    )
    for _ in range(5):
        assert claim(Submission, submission.pk) is not None
        make_stale(submission)
        requeue_stale()
    submission.refresh_from_db()
    assert submission.status == FAILED
    assert submission.incident_id
    assert not QuotaSlot.objects.exists()


def test_a_lost_task_is_sent_again(submission, empty_queue):
    Submission.objects.update(queued_at=timezone.now() - timedelta(minutes=1))
    assert requeue_stale().sent_again == 1
    queued, _ = waiting_task_ids(redis_client())
    assert queued == {submission.task_id}


def test_a_task_that_waits_in_the_queue_is_not_sent_again(submission, empty_queue):
    send(submission)
    Submission.objects.update(queued_at=timezone.now() - timedelta(hours=5))
    assert requeue_stale().sent_again == 0
    assert redis_client().llen(JOB_QUEUE) == 1


def test_without_redis_a_submission_is_stored_and_sent_later(monkeypatch, empty_queue):
    def away(*args, **kwargs):
        raise OperationalError("Connection refused")

    phase, user = make_benchmark(), make_user()
    with monkeypatch.context() as patch:
        patch.setattr(celery_app, "send_task", away)
        submission = services.create_submission(
            team=user.teams.get(), user=user, phase=phase, method_name="m", files={phase.volumes.get(): upload()}
        )
    assert submission.status == WAITING
    assert redis_client().llen(JOB_QUEUE) == 0
    Submission.objects.update(queued_at=timezone.now() - timedelta(minutes=1))
    assert requeue_stale().sent_again == 1
    assert redis_client().llen(JOB_QUEUE) == 1


def test_a_failing_job_is_tried_three_times(submission, empty_queue):
    def work(lease):
        raise ZeroDivisionError

    statuses = []
    for _ in range(3):
        run_job(Submission, submission.pk, work)
        submission.refresh_from_db()
        statuses.append(submission.status)
    assert statuses == [WAITING, WAITING, FAILED]


PASSING = {
    "the database is away": OperationalErrorOfDatabase("server closed the connection unexpectedly"),
    "the files of the release were replaced": OtherCode("restart the worker"),
    "the disk is full": OSError(errno.ENOSPC, "No space left on device"),
    "the bucket is away": EndpointConnectionError(endpoint_url="http://bucket"),
    "the bucket is broken": ClientError({"ResponseMetadata": {"HTTPStatusCode": 503}}, "PutObject"),
}


@pytest.mark.parametrize("error", PASSING.values(), ids=PASSING)
def test_what_the_job_is_not_to_blame_for_is_tried_again_however_often(submission, empty_queue, error):
    def work(lease):
        raise error

    for _ in range(7):
        run_job(Submission, submission.pk, work)
    submission.refresh_from_db()
    assert (submission.status, submission.attempts) == (WAITING, 0)


def test_a_rejection_is_not_tried_again(submission):
    def work(lease):
        raise Rejection([{"code": "wrong_shape", "message": "wrong"}])

    run_job(Submission, submission.pk, work)
    submission.refresh_from_db()
    assert (submission.status, submission.attempts) == (REJECTED, 1)


def test_results_of_a_lost_lease_are_not_stored(submission, empty_queue):
    lease = claim(Submission, submission.pk)
    volume_file = submission.files.get()
    ground_truth = current_ground_truths(submission.phase)[volume_file.volume_id]
    graph = scoring.load_graph(ground_truth)
    labels = job.sample_file(volume_file, ground_truth, graph)
    measured = [scoring.score_labels(labels, graph)]
    make_stale(submission)
    requeue_stale()

    @transaction.atomic
    def write():
        scoring.record(submission, measured)
        lease.finish("scored")

    with pytest.raises(LeaseLost):
        write()
    assert not Evaluation.objects.exists()
    assert not Score.objects.exists()


@pytest.mark.slow
def test_a_task_delivered_many_times_leaves_one_evaluation(worker, ended):
    submission = make_submission(make_benchmark())
    last = make_submission(submission.phase)
    for _ in range(6):
        send(submission)
    ended(submission)
    send(last)
    ended(last)  # queued last: by then all earlier tasks have been taken
    submission.refresh_from_db()
    assert (submission.status, submission.attempts) == ("scored", 1)
    assert Evaluation.objects.filter(volume_file__submission=submission).count() == 1


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_loses_nothing(workers, running, ended):
    submission = make_submission(make_benchmark(("a", "b")))
    doomed = workers.start()
    send(submission)
    running(submission)
    workers.kill(doomed)
    submission.refresh_from_db()
    assert submission.status == RUNNING  # it was in the middle
    workers.start()
    deadline = time.monotonic() + 60
    while not requeue_stale().taken_back and time.monotonic() < deadline:
        time.sleep(0.2)
    ended(submission)
    assert (submission.status, submission.attempts) == ("scored", 2)
    assert Evaluation.objects.count() == 2
    assert Score.objects.count() == 1


@pytest.mark.slow
def test_a_start_after_a_crash_takes_up_what_ran(submission, empty_queue):
    claim(Submission, submission.pk)
    assert release_all_leases() == 1
    assert requeue_stale().taken_back == 1
