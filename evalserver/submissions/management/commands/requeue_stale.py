"""`manage.py requeue_stale`."""

from typing import Any

from django.core.management.base import BaseCommand

from evalserver.submissions.evaluation.reconciler import requeue_stale


class Command(BaseCommand):
    """`manage.py requeue_stale`."""

    help = "Run the reconciler once: send jobs again whose task or worker is lost."

    def handle(self, *args: Any, **options: Any) -> None:
        done = requeue_stale()
        self.stdout.write(
            f"{done.sent_again} lost tasks sent again, {done.taken_back} taken back from dead workers, "
            f"{done.failed} failed after too many attempts"
        )
