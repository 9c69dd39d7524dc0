"""Mail about the end of an evaluation: once, to whoever submitted, unless they do not want it."""

from datetime import timedelta

import numpy as np
import pytest
from django.core import mail
from django.utils import timezone

from evalserver.jobs import FAILED, REJECTED, WAITING, redis_client
from evalserver.jobs.broker import CONTROL_QUEUE
from evalserver.submissions import services
from evalserver.submissions.evaluation.job import evaluate_submission
from evalserver.submissions.evaluation.notifications import TASK, queue_overdue_mail
from evalserver.submissions.models import Submission
from evalserver.submissions.results.mail import mail_result
from evalserver.submissions.tasks import mail_result_task
from tests.factories import make_benchmark, make_scored, make_submission, make_user
from tests.server.people import plain_site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _site(settings):
    plain_site(settings)


@pytest.fixture
def ada():
    return make_user("Ada")


def ended(ada, status, **fields):
    """A submission of Ada's in an end state, of which she has not been told."""
    team = ada.teams.get()
    if status == "scored":
        return make_scored(make_benchmark(), 5_250.0, team=team, created_by=ada, finished_at=timezone.now(), **fields)
    return make_submission(
        make_benchmark(), team=team, created_by=ada, status=status, finished_at=timezone.now(), **fields
    )


def test_a_score_is_mailed_with_its_figures_and_an_absolute_link(ada):
    submission = ended(ada, "scored", method_name="My net")
    assert mail_result(submission.pk)
    (message,) = mail.outbox
    assert message.to == [ada.email]
    assert "Scored: My net" in message.subject
    assert "Mean ERL 5.00 um, mean share of the ground truth's ERL 50.0%" in message.body
    assert "Volume A: 5.00 um, 50.0% (tolerance 5 nodes)" in message.body
    assert f"https://bench.example.org/submissions/{submission.code}/" in message.body
    ((html, kind),) = message.alternatives
    assert kind == "text/html"
    assert f'href="https://bench.example.org/submissions/{submission.code}/"' in html


def test_a_rejection_is_mailed_with_every_reason(ada):
    reasons = [
        {"volume": "Volume A", "code": "wrong-shape", "message": "The shape is <1, 2>."},
        {"volume": "Volume B", "code": "float", "message": "The labels are float32."},
    ]
    mail_result(ended(ada, REJECTED, complaints=reasons).pk)
    body = mail.outbox[0].body
    assert "Volume A: The shape is <1, 2>." in body
    assert "Volume B: The labels are float32." in body
    assert "&lt;1, 2&gt;" in mail.outbox[0].alternatives[0][0]


def test_a_failure_is_mailed_with_its_incident(ada):
    mail_result(ended(ada, FAILED, incident_id="ab12cd34ef").pk)
    assert "ab12cd34ef" in mail.outbox[0].body
    assert "does not count" in mail.outbox[0].body


def test_a_task_that_is_delivered_twice_sends_one_mail(ada):
    submission = ended(ada, "scored")
    mail_result_task(submission.pk)
    mail_result_task(submission.pk)
    assert len(mail.outbox) == 1


def test_another_end_state_is_another_mail(ada):
    submission = ended(ada, FAILED, incident_id="1")
    mail_result(submission.pk)
    Submission.objects.filter(pk=submission.pk).update(status=REJECTED)
    mail_result(submission.pk)
    assert len(mail.outbox) == 2


def test_who_opted_out_gets_none_and_none_later_either(ada):
    type(ada).objects.update(mail_when_done=False)
    submission = ended(ada, "scored")
    assert not mail_result(submission.pk)
    type(ada).objects.update(mail_when_done=True)
    assert not mail_result(submission.pk)
    assert mail.outbox == []


@pytest.mark.parametrize("status", [WAITING, "running"])
def test_nothing_is_mailed_before_the_end(ada, status):
    assert not mail_result(ended(ada, status).pk)
    assert mail.outbox == []


def test_a_submission_that_is_gone_or_has_no_maker_is_no_error(ada):
    submission = ended(ada, "scored")
    Submission.objects.filter(pk=submission.pk).update(created_by=None)
    assert not mail_result(submission.pk)
    assert not mail_result(10**9)


def test_whoever_cancels_needs_no_mail(ada):
    submission = make_submission(make_benchmark(), team=ada.teams.get(), created_by=ada)
    services.cancel_submission(submission)
    assert not mail_result(submission.pk)


def test_mail_that_the_server_refuses_is_sent_later(ada, settings):
    submission = ended(ada, "scored")
    works, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert not mail_result(submission.pk)
    settings.EMAIL_BACKEND = works
    assert mail_result(submission.pk)
    assert len(mail.outbox) == 1


def test_the_reconciler_finds_mail_whose_task_was_lost(ada, empty_queue):
    for age, status in (
        (timedelta(minutes=5), "scored"),
        (timedelta(seconds=1), "scored"),
        (timedelta(days=3), FAILED),
    ):
        submission = ended(ada, status)
        Submission.objects.filter(pk=submission.pk).update(finished_at=timezone.now() - age)
    assert queue_overdue_mail() == 1  # neither one that is on its way nor old news
    assert redis_client().llen(CONTROL_QUEUE) == 1
    mail_result(Submission.objects.order_by("pk").first().pk)
    assert queue_overdue_mail() == 0


def queued_mail():
    return sum(TASK.encode() in raw for raw in redis_client().lrange(CONTROL_QUEUE, 0, -1))


@pytest.mark.django_db(transaction=True)  # the thread that renews the lease has a connection of its own
@pytest.mark.parametrize(
    ("labels", "status"), [(None, "scored"), (np.zeros((2, 2, 2), np.uint32), REJECTED)], ids=["scored", "rejected"]
)
def test_the_end_of_an_evaluation_queues_the_mail(ada, empty_queue, labels, status):
    files = {} if labels is None else {"a": labels}
    submission = make_submission(make_benchmark(), team=ada.teams.get(), created_by=ada, files=files)
    evaluate_submission(submission.pk)
    submission.refresh_from_db()
    assert submission.status == status
    assert queued_mail() == 1
