"""One round of the reconciler."""

from evalserver.jobs import Sweep, sweep
from evalserver.submissions.evaluation import notifications
from evalserver.uploads.services import remove_abandoned_uploads, remove_expired


def requeue_stale() -> Sweep:
    """Send lost jobs of every kind and overdue mail again, and remove what broken-off uploads left behind."""
    remove_abandoned_uploads()
    remove_expired()
    notifications.queue_overdue_mail()
    return sweep()
