"""Uploads as the protocol leaves them."""

from evalserver.submissions import services
from evalserver.submissions.models import Submission
from evalserver.uploads import services as uploads
from evalserver.uploads import store
from evalserver.uploads.models import Upload
from tests.factories import h5_bytes, tiny_labels


def sent(user, phase, slug: str = "a", content: bytes | None = None, *, checked: bool = True) -> Upload:
    """An upload of a volume, all bytes here, as the protocol leaves it; a worker has seen it unless told otherwise."""
    content = h5_bytes(tiny_labels()) if content is None else content
    row = uploads.create_upload(
        user=user, file_name="seg.h5", size_bytes=len(content), benchmark_slug=phase.benchmark.slug, volume_slug=slug
    )
    store.path_of(row.code).write_bytes(content)
    uploads.settle(row)
    if checked:
        uploads.check_upload(row.pk)
    row.refresh_from_db()
    return row


def submit(user, phase, files) -> Submission:
    by_slug = {volume.slug: volume for volume in phase.volumes.all()}
    taken = {by_slug[slug]: store.UploadedBefore(f) if isinstance(f, Upload) else f for slug, f in files.items()}
    try:
        return services.create_submission(team=user.teams.get(), user=user, phase=phase, method_name="m", files=taken)
    finally:
        for file in taken.values():
            file.close()
