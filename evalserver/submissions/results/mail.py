"""Mail to whoever made a submission, when its evaluation has ended.

`Submission.mailed_status` is the end state of the last mail. The task that sets it sends the mail, so a task that is
delivered twice sends one. A mail server that refuses the message gets it again later. A worker that is killed while
it hands the message over may lose it, but never sends it twice.
"""

import logging
import smtplib
from typing import Any

from django.urls import reverse

from evalserver.jobs import FAILED, REJECTED
from evalserver.site import send_templated, site_url
from evalserver.submissions.evaluation.notifications import END_STATES
from evalserver.submissions.models import Submission
from evalserver.submissions.results import selectors

logger = logging.getLogger("evalserver.notifications")

SUBJECTS = {Submission.DONE_STATUS: "Scored", REJECTED: "Rejected", FAILED: "Failed on our side"}


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
