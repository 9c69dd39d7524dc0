"""When mail about the end of an evaluation is due; `results.mail` writes and sends it."""

import logging
from datetime import timedelta
from functools import partial

from celery import current_app
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from evalserver.jobs import FAILED, REJECTED
from evalserver.submissions import quota
from evalserver.submissions.models import Submission

logger = logging.getLogger("evalserver.notifications")

TASK = "evalserver.submissions.tasks.mail_result_task"
END_STATES = (Submission.DONE_STATUS, REJECTED, FAILED)
# Mail that was not sent within a day is stale news: the page shows the result.
GIVE_UP_AFTER = timedelta(days=1)
OVERDUE_AFTER = timedelta(minutes=2)


def end_without_result(submission_id: int) -> None:
    """What goes with the end of a submission that got no score: its slot is given back, its maker is told."""
    quota.give_back(submission_id)
    queue_mail(submission_id)


def queue_mail(submission_id: int) -> None:
    """Have the mail sent once the current transaction, which ends the evaluation, is committed."""
    transaction.on_commit(partial(_publish, submission_id), robust=True)


def _publish(submission_id: int) -> None:
    try:
        current_app.send_task(TASK, args=[submission_id])
    except Exception:
        logger.exception("could not queue the mail for submission %s; the reconciler will", submission_id)


def queue_overdue_mail() -> int:
    """Queue the mail of evaluations that ended lately and whose task was lost or refused; how many."""
    now = timezone.now()
    overdue = Submission.objects.filter(
        status__in=END_STATES, finished_at__gt=now - GIVE_UP_AFTER, finished_at__lt=now - OVERDUE_AFTER
    ).exclude(mailed_status=F("status"))
    # A few at a time: a mail server that is away costs ten seconds for each.
    numbers = list(overdue.values_list("pk", flat=True)[:20])
    for number in numbers:
        _publish(number)
    return len(numbers)
