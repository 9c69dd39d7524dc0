"""The user of the token, and their uploads. The bytes themselves go over the resumable protocol (`tus`)."""

from contextlib import suppress

from django.conf import settings
from django.shortcuts import get_object_or_404
from ninja import Router

from evalserver.accounts.models import Team
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.api.auth import reader
from evalserver.api.outputs import upload_out
from evalserver.api.schemas.account import MeOut, TeamOut, TokenOut, UploadList, UploadOut
from evalserver.api.schemas.common import PROBLEMS, ProblemOut, Sha256
from evalserver.uploads import services, store
from evalserver.uploads.models import Upload

router = Router(tags=["me"], auth=reader)

MOST_UPLOADS = 200


@router.get("", response={200: MeOut, PROBLEMS: ProblemOut})
def get_me(request: AuthenticatedRequest) -> MeOut:
    """Your name, your teams, and what this token may do."""
    token = getattr(request, "auth_token", None)
    teams = Team.objects.filter(members=request.user).order_by("-is_personal", "name")
    return MeOut(
        email=request.user.email,
        name=request.user.name,
        teams=[TeamOut(id=team.pk, name=team.name) for team in teams],
        token=TokenOut(name=token.name, scopes=token.scopes, expires_at=token.expires_at) if token else None,
    )


@router.get("/uploads", response={200: UploadList, PROBLEMS: ProblemOut})
def list_uploads(
    request: AuthenticatedRequest,
    sha256: Sha256 | None = None,
) -> UploadList:
    """Your uploads, newest first. Filter by declared checksum to find an interrupted one."""
    rows = Upload.objects.filter(user=request.user)
    if sha256:
        rows = rows.filter(declared_sha256=sha256)
    items = [upload_out(row) for row in rows[:MOST_UPLOADS]]
    return UploadList(
        count=len(items),
        stored_bytes=services.stored_bytes(request.user),
        limit_bytes=settings.UPLOAD_QUOTA_BYTES,
        max_file_bytes=settings.UPLOAD_MAX_BYTES,
        items=items,
    )


@router.get("/uploads/{slug:code}", response={200: UploadOut, PROBLEMS: ProblemOut})
def get_upload(request: AuthenticatedRequest, code: str) -> UploadOut:
    """How much of a file has arrived, and whether its checksum is right."""
    upload = get_object_or_404(Upload, user=request.user, code=code)
    with suppress(store.Missing):
        services.settle(upload)
    return upload_out(upload)
