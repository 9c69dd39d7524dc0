"""Uploads that arrive piece by piece. The bytes are in UPLOAD_DIR (see `store`), the rows say whose and how many."""

import secrets

from django.db import models
from django.db.models import F, Q

from evalserver.accounts.models import User
from evalserver.jobs import FAILED, REJECTED, RUNNING, WAITING, Job

CODE_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
MAX_METADATA_LENGTH = 4096


def new_code() -> str:
    """Unguessable name of an upload in URLs and on disk: 16 characters, 79 bits."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(16))


class Upload(Job):
    """One file on its way in.

        receiving ──last byte──▶ uploaded ──worker──▶ running ──▶ ready ──submission made──▶ used
                                                         └──────▶ rejected (checksum differs) | failed (ours)

    offset : bytes that have arrived; while a request writes, the file itself may be ahead of it.
    unverified_from : where the piece begins whose own checksum is not proven yet; None when all is.
    declared_sha256 : what the client says the whole file has; empty when it did not say.
    metadata : the header Upload-Metadata as it came, for the protocol's HEAD.
    used_by : code of the submission that took the file.
    """

    RECEIVING, DONE_STATUS, USED = "receiving", "ready", "used"
    STATUSES = (RECEIVING, WAITING, RUNNING, DONE_STATUS, USED, REJECTED, FAILED)
    is_stoppable = False  # its bytes are read once, at the speed of the disk
    TASK = "evalserver.uploads.tasks.check_upload_task"
    # What participants read: their own words for where a file is.
    WORDS = {WAITING: "checking", RUNNING: "checking", REJECTED: "corrupt"}

    code = models.CharField(max_length=16, unique=True, default=new_code, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="uploads")
    file_name = models.CharField(max_length=100)
    size_bytes = models.PositiveBigIntegerField()
    offset = models.PositiveBigIntegerField(default=0)
    unverified_from = models.PositiveBigIntegerField(null=True, editable=False)
    declared_sha256 = models.CharField(max_length=64, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    metadata = models.CharField(max_length=MAX_METADATA_LENGTH, blank=True)
    benchmark_slug = models.CharField(max_length=50, blank=True)
    volume_slug = models.CharField(max_length=50, blank=True)
    used_by = models.CharField(max_length=16, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["user", "status"]), models.Index(fields=["expires_at"])]
        constraints = [
            models.CheckConstraint(
                condition=Q(status__in=("receiving", WAITING, RUNNING, "ready", "used", REJECTED, FAILED)),
                name="upload_status_is_known",
            ),
            models.CheckConstraint(condition=Q(offset__lte=F("size_bytes")), name="upload_offset_within_size"),
        ]

    def __str__(self) -> str:
        return f"{self.file_name} ({self.code})"

    @property
    def state(self) -> str:
        """receiving, checking, ready, used, corrupt or failed."""
        return self.WORDS.get(self.status, self.status)

    @property
    def is_complete(self) -> bool:
        return self.status != self.RECEIVING

    @property
    def percent_received(self) -> int:
        """Whole percent of the bytes that are here; 100 only when all are."""
        return 100 * self.offset // self.size_bytes if self.size_bytes else 100
