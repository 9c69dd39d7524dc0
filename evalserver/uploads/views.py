"""Pages of uploads."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.uploads import services, store
from evalserver.uploads.models import Upload
from evalserver.uploads.selectors import uploads_of


@login_required
def my_uploads(request: AuthenticatedRequest) -> HttpResponse:
    """The part of the page “My submissions” that changes while files arrive."""
    if request.headers.get("HX-Request") != "true":
        return redirect("my_submissions")
    return render(request, "uploads/_uploads.html", {"uploads": uploads_of(request.user)})


@require_POST
@login_required
def remove(request: AuthenticatedRequest, code: str) -> HttpResponse:
    """Remove an upload that no submission has taken."""
    upload = get_object_or_404(Upload, user=request.user, code=code)
    try:
        services.remove_upload(upload)
        messages.success(request, f"{upload.file_name} is removed.")
    except store.Locked:
        messages.error(request, "Bytes are still arriving. Pause the upload first.")
    except services.UploadRefused as refusal:
        messages.error(request, refusal.message)
    return redirect("my_submissions")
