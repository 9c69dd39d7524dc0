"""A worker that is told to stop takes its attempts back: only its death counts against a job."""

import signal
import time

import pytest

from evalserver.jobs import RUNNING, WAITING, send
from evalserver.submissions.evaluation.reconciler import requeue_stale
from tests.factories import make_benchmark, make_submission
from tests.server.readers import stalled_reader

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def taken_back(submission) -> None:
    """Sweep until the job is not the dead worker's any more."""
    deadline = time.monotonic() + 60
    while submission.status == RUNNING and time.monotonic() < deadline:
        requeue_stale()
        time.sleep(0.2)
        submission.refresh_from_db()


def stop_at_once(workers, worker, submission) -> None:
    """As `up` and compose stop a worker."""
    worker.process.send_signal(signal.SIGQUIT)
    worker.process.wait(60)
    workers.family.children.remove(worker)


def stop_and_kill_later(workers, worker, submission) -> None:
    """A stop that lets jobs end, and a service manager that loses its patience."""
    worker.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 60
    while submission.attempts and time.monotonic() < deadline:
        time.sleep(0.05)
        submission.refresh_from_db()
    assert submission.status == RUNNING
    workers.kill(worker)


@pytest.mark.parametrize("stop", [stop_at_once, stop_and_kill_later])
def test_a_clean_stop_does_not_count_against_a_job(workers, ended, stop):
    submission = make_submission(make_benchmark())
    worker = workers.start()
    send(submission)
    stalled_reader(worker.process.pid)  # it keeps the job from its end
    submission.refresh_from_db()
    assert (submission.status, submission.attempts) == (RUNNING, 1)
    stop(workers, worker, submission)
    submission.refresh_from_db()
    taken_back(submission)
    assert (submission.status, submission.attempts) == (WAITING, 0)
    workers.start()
    ended(submission)
    assert (submission.status, submission.attempts) == ("scored", 1)
