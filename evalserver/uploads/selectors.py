"""Queries: the uploads of a user."""

from dataclasses import dataclass

from django.conf import settings

from evalserver.accounts.models import User
from evalserver.jobs import RUNNING, WAITING
from evalserver.uploads import services
from evalserver.uploads.models import Upload


@dataclass(frozen=True)
class Uploads:
    """A user's uploads that no submission has taken. moving : one of them is receiving bytes, or is being checked."""

    rows: list[Upload]
    stored_bytes: int
    limit_bytes: int

    @property
    def moving(self) -> bool:
        return any(upload.status in (Upload.RECEIVING, WAITING, RUNNING) for upload in self.rows)


def uploads_of(user: User) -> Uploads:
    """Uploads of a user that no submission has taken."""
    rows = list(Upload.objects.filter(user=user).exclude(status=Upload.USED)[:100])
    return Uploads(rows, services.stored_bytes(user) if rows else 0, settings.UPLOAD_QUOTA_BYTES)
