"""Changes of uploads. A PATCH, a HEAD, a worker and the timer all call these."""

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from evalserver.accounts.models import DELETED_DOMAIN, User
from evalserver.disk import has_room
from evalserver.jobs import FAILED, REJECTED, RUNNING, WAITING, Lease, Rejection, change_status, run_job, send
from evalserver.uploads import store
from evalserver.uploads.files import display_name
from evalserver.uploads.models import Upload

logger = logging.getLogger("evalserver.uploads")

HASH_BLOCK = 2**22
CHECKSUMS = {"sha256": hashlib.sha256, "sha1": hashlib.sha1}
ON_DISK = (Upload.RECEIVING, WAITING, RUNNING, Upload.DONE_STATUS, FAILED)
ORPHAN_AGE_S = 3600.0
LOCK_WAIT_S = 1.0


class UploadRefused(Exception):
    """The request cannot be carried out. status : of the HTTP answer; code : stable word for programs."""

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details = status, code, message, details


def expiry() -> Any:
    """When an upload that is touched now expires."""
    return timezone.now() + timedelta(hours=settings.UPLOAD_EXPIRE_HOURS)


def stored_bytes(user: User) -> int:
    """Bytes that the user's uploads hold or have reserved; what a submission took does not count."""
    return Upload.objects.filter(user=user, status__in=ON_DISK).aggregate(total=Sum("size_bytes"))["total"] or 0


def create_upload(
    *,
    user: User,
    file_name: str,
    size_bytes: int,
    declared_sha256: str = "",
    metadata: str = "",
    benchmark_slug: str = "",
    volume_slug: str = "",
) -> Upload:
    """Reserve room for a file before its first byte. Raises UploadRefused."""
    if size_bytes > settings.UPLOAD_MAX_BYTES:
        raise UploadRefused(
            413, "too_large", f"The file has {size_bytes:,} bytes; this server takes {settings.UPLOAD_MAX_BYTES:,}."
            " Write the labels with gzip compression in chunks of about 64 x 64 x 64 voxels.",
            limit_bytes=settings.UPLOAD_MAX_BYTES,
        )  # fmt: skip
    if declared_sha256 and not re.fullmatch(r"[0-9a-f]{64}", declared_sha256):
        raise UploadRefused(400, "bad_metadata", "sha256 is not 64 lower-case hexadecimal digits.")
    if not has_room(settings.UPLOAD_DIR, size_bytes):
        raise UploadRefused(507, "disk_full", "This server has no space for the file now. Nothing was stored.")
    with transaction.atomic():
        # Parallel requests of one user queue here, so that together they cannot pass the quota.
        User.objects.select_for_update().get(pk=user.pk)
        _check_quota(user, size_bytes)
        upload = Upload(
            user=user,
            status=Upload.RECEIVING,
            file_name=display_name(file_name),
            size_bytes=size_bytes,
            declared_sha256=declared_sha256,
            metadata=metadata,
            benchmark_slug=benchmark_slug,
            volume_slug=volume_slug,
            expires_at=expiry(),
        )
        store.create(upload.code)
        upload.save()
    if size_bytes == 0:
        finish(upload)
    return upload


def _check_quota(user: User, size_bytes: int) -> None:
    receiving = Upload.objects.filter(user=user, status=Upload.RECEIVING).count()
    if receiving >= settings.UPLOAD_MAX_OPEN:
        raise UploadRefused(
            403, "too_many_uploads", f"{receiving} uploads of yours are unfinished, and {settings.UPLOAD_MAX_OPEN} may"
            " be. Finish or remove one on the page “My submissions”.", limit=settings.UPLOAD_MAX_OPEN,
        )  # fmt: skip
    taken = stored_bytes(user)
    if taken + size_bytes > settings.UPLOAD_QUOTA_BYTES:
        raise UploadRefused(
            403, "quota_exceeded", f"Your uploads hold {taken:,} of {settings.UPLOAD_QUOTA_BYTES:,} bytes, and the "
            f"file has {size_bytes:,}. Submit or remove some on the page “My submissions”.",
            taken_bytes=taken, limit_bytes=settings.UPLOAD_QUOTA_BYTES,
        )  # fmt: skip


def settle(upload: Upload) -> int:
    """Bytes that have safely arrived. Also completes what a killed server left undone."""
    if upload.is_complete:
        return upload.size_bytes
    try:
        with store.locked(upload.code) as descriptor:
            return settle_locked(upload, descriptor)
    except store.Locked:
        proven = upload.size_bytes if upload.unverified_from is None else upload.unverified_from
        return min(store.size_of(upload.code), proven)


def settle_locked(upload: Upload, descriptor: int) -> int:
    """The same for who holds the lock on the file."""
    upload.refresh_from_db()
    if upload.is_complete:
        return upload.size_bytes
    have = os.fstat(descriptor).st_size
    if upload.unverified_from is not None:
        # The piece was never proven against its checksum: its sender died or we did.
        have = min(have, upload.unverified_from)
        os.ftruncate(descriptor, have)
        note(upload, offset=have, unverified_from=None)
    elif have != upload.offset:
        note(upload, offset=have)
    if have == upload.size_bytes:
        finish(upload, descriptor)
    return have


def note(upload: Upload, **changes: Any) -> None:
    """Change a row that still receives bytes."""
    Upload.objects.filter(pk=upload.pk, status=Upload.RECEIVING).update(**changes)
    for name, value in changes.items():
        setattr(upload, name, value)


def finish(upload: Upload, descriptor: int | None = None) -> None:
    """All bytes are here: have a worker compute the checksum of the whole file."""
    if descriptor is not None:
        os.fsync(descriptor)
    with transaction.atomic():
        if change_status(
            Upload,
            upload.pk,
            sources=[Upload.RECEIVING],
            target=WAITING,
            offset=upload.size_bytes,
            unverified_from=None,
            expires_at=expiry(),
        ):
            send(upload)
    upload.refresh_from_db()


def remove_upload(upload: Upload) -> None:
    """Delete an upload, also one that is not finished. Raises store.Locked, and UploadRefused when it is in use."""
    if upload.status == Upload.USED:
        raise UploadRefused(
            410, "upload_used", f"A submission has taken this file: {upload.used_by}.", submission=upload.used_by
        )
    try:
        with store.locked(upload.code, wait_s=LOCK_WAIT_S):
            store.remove(upload.code)
    except store.Missing:
        pass
    Upload.objects.filter(pk=upload.pk).exclude(status=Upload.USED).delete()


def take(upload: Upload, *, used_by: str) -> bool:
    """Mark a ready upload as used, inside the transaction that uses it; False when another was faster."""
    moved = change_status(
        Upload, upload.pk, sources=[Upload.DONE_STATUS], target=Upload.USED, used_by=used_by, expires_at=expiry()
    )
    if moved:
        transaction.on_commit(lambda: store.remove(upload.code), robust=True)
    return moved


def check_upload(upload_id: int) -> None:
    """The worker's part: checksum of the whole file, compared with what the client declared."""
    run_job(Upload, upload_id, _check)


def _check(lease: Lease) -> None:
    upload = Upload.objects.get(pk=lease.pk)
    digest, done = hashlib.sha256(), 0
    with store.path_of(upload.code).open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
            done += len(block)
            lease.progress("Computing the checksum", 100 * done / max(1, upload.size_bytes))
    found = digest.hexdigest()
    if upload.declared_sha256 and found != upload.declared_sha256:
        message = (
            f"{upload.file_name}: what arrived has SHA-256 {found[:16]}…, its sender declared "
            f"{upload.declared_sha256[:16]}…. Upload it again"
        )
        raise Rejection([{"code": "checksum_mismatch", "message": message}])
    lease.finish(Upload.DONE_STATUS, sha256=found, percent=100)


def remove_expired() -> int:
    """Delete uploads that have expired or whose owner is gone, and files that no row needs; how many uploads went."""
    removed = 0
    gone = Q(user__is_active=False, user__email__endswith=f"@{DELETED_DOMAIN}")
    due = Upload.objects.filter(Q(expires_at__lt=timezone.now()) | gone).exclude(status__in=(WAITING, RUNNING))
    for upload in due:
        try:
            with store.locked(upload.code):
                store.remove(upload.code)
        except store.Missing:
            pass
        except store.Locked:
            continue
        removed += upload.delete()[0]
    for code in Upload.objects.filter(status__in=(REJECTED, Upload.USED)).values_list("code", flat=True):
        store.remove(code)
    for path in _old_files():
        if not Upload.objects.filter(code=path.name).exists():
            path.unlink(missing_ok=True)
    _finish_forgotten()
    return removed


def _old_files() -> Iterator[Any]:
    """Files of uploads and second names of them that nobody has touched for an hour."""
    oldest = time.time() - ORPHAN_AGE_S
    for path in store.folder().iterdir():
        try:
            if path.is_file() and path.stat().st_ctime < oldest:
                yield path
        except FileNotFoundError:
            continue


def _finish_forgotten() -> None:
    """Uploads whose last byte was written by a server that was killed right after it."""
    silent = timezone.now() + timedelta(hours=settings.UPLOAD_EXPIRE_HOURS) - timedelta(minutes=1)
    for upload in Upload.objects.filter(status=Upload.RECEIVING, expires_at__lt=silent):
        try:
            if store.size_of(upload.code) == upload.size_bytes:
                settle(upload)
        except store.Missing:
            logger.warning("the file of upload %s is gone", upload.code)


def remove_abandoned_uploads(older_than_hours: float = 48) -> int:
    """Delete temporary upload files that no request can still be writing."""
    oldest = time.time() - older_than_hours * 3600
    removed = 0
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*.upload*"):
        try:
            if path.stat().st_mtime < oldest:
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed
