"""Mail to whoever made a submission, when its evaluation has ended.

`Submission.mailed_status` is the end state that they were last told of. Who sets it sends the mail: of two
deliveries of a task one does. A mail server that refuses the message gets it again later; a worker that is
killed while it hands the message over may lose it, but never sends it twice.
"""

import logging
import smtplib
from datetime import timedelta
from functools import partial
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from evalserver.jobs import FAILED, REJECTED
from evalserver.site import send_templated, site_url
from evalserver.submissions import quota, selectors
from evalserver.submissions.models import Submission

logger = logging.getLogger("evalserver.notifications")

TASK = "evalserver.submissions.tasks.mail_result_task"
END_STATES = (Submission.DONE_STATUS, REJECTED, FAILED)
SUBJECTS = {Submission.DONE_STATUS: "Scored", REJECTED: "Rejected", FAILED: "Failed on our side"}
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


def mail_result(submission_id: int) -> bool:
    """Tell the maker of a submission how it ended, unless they know or do not want to; whether mail was sent."""
    submission = (
        Submission.objects.select_related("created_by", "team", "phase__benchmark").filter(pk=submission_id).first()
    )
    if submission is None or submission.status not in END_STATES:
        return False
    before, status = submission.mailed_status, submission.status
    rows = Submission.objects.filter(pk=submission.pk, status=status)
    if not rows.exclude(mailed_status=status).update(mailed_status=status):
        return False
    user = submission.created_by
    if user is None or not user.is_active or not user.mail_when_done or _was_cancelled(submission):
        return False
    try:
        send_templated(
            "submissions/mail/result",
            to=user.email,
            subject=f"{SUBJECTS[status]}: {submission.method_name}",
            context=_context(submission),
        )
    except (OSError, smtplib.SMTPException):
        logger.exception("could not mail the result of submission %s; the reconciler tries again", submission.pk)
        rows.update(mailed_status=before)
        return False
    return True


def _was_cancelled(submission: Submission) -> bool:
    return any(complaint.get("code") == "cancelled" for complaint in submission.complaints)


def _context(submission: Submission) -> dict[str, Any]:
    return {
        "submission": submission,
        "benchmark": submission.phase.benchmark,
        "result": selectors.result_of(submission) if submission.status == Submission.DONE_STATUS else None,
        "link": site_url(reverse("submission", args=[submission.code])),
        "preferences": site_url(reverse("account")),
    }
