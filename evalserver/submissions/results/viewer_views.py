"""Neuroglancer, served from this server: its client, the state of a result, and the files that it shows."""

import json
import mimetypes
import re
from typing import Any

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt

from axonem_eval.spec import VolumeSpec
from evalserver.benchmarks import images
from evalserver.benchmarks.models import GroundTruth, TrainingFile
from evalserver.benchmarks.selectors import stored_image, visible_benchmark_or_404
from evalserver.site import opened
from evalserver.submissions import selectors
from evalserver.submissions.evaluation import view_files
from evalserver.submissions.models import Submission
from evalserver.submissions.results import viewer
from evalserver.submissions.results.result_page import VolumeResult
from evalserver.submissions.results.views import volume_result
from evalserver.uploads import IMAGE, SEGMENTATION, SKELETONS, shown_precomputed

# Its decoders are WebAssembly, its workers start from blobs, its style sheets are set by script.
CLIENT_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
# A worker has the policy of its own script. The one that decodes JPEG and PNG makes functions from text.
WORKER_POLICY = CLIENT_POLICY.replace("'wasm-unsafe-eval'", "'unsafe-eval'")
YEAR_S = 365 * 24 * 3600


def client(request: HttpRequest, name: str) -> HttpResponseBase:
    """A file of the client; without a name its page, with scripts of ours before its own."""
    path = viewer.client_files().get(name or "index.html")
    if path is None:
        raise Http404
    if name:
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        response: HttpResponseBase = FileResponse(path.open("rb"), content_type=kind)
        # The digest of its content is part of the name.
        response.headers["Cache-Control"] = f"max-age={YEAR_S}, immutable"
    else:
        scripts = "".join(f'<script src="{static(name)}"></script>' for name in ("viewer.js", "keep_layers.js"))
        response = HttpResponse(path.read_text().replace("<head>", f"<head>{scripts}", 1))
    response.headers["Content-Security-Policy"] = WORKER_POLICY if name.endswith(".js") else CLIENT_POLICY
    return response


@csrf_exempt
def no_python(request: HttpRequest) -> HttpResponse:
    """Requests of the client to a Python process. There is none, so they are ignored."""
    return HttpResponse(status=204)


def state(request: HttpRequest, code: str, volume: str) -> HttpResponse:
    """The state that Neuroglancer opens with."""
    _, found = volume_result(request, code, volume)
    if not found.has_view:
        raise Http404
    benchmark = found.volume.benchmark
    names = {
        "segmentation": reverse("view_file", args=[code, volume, ""]),
        "ground_truth": reverse("skeleton_file", args=[benchmark.slug, volume, ""]),
    }
    absolute = {name: request.build_absolute_uri(path) for name, path in names.items()}
    image = stored_image(found.volume, in_viewer=True)
    absolute["image"] = _image_address(request, image) if image else ""
    return JsonResponse(viewer.state(found.evaluation, **absolute, error=_asked_error(request, found)))


def _asked_error(request: HttpRequest, found: VolumeResult) -> dict[str, Any] | None:
    """The error that ?error=3 asks for, from 1; None where none is asked for. 404 for one that is not listed."""
    asked = request.GET.get("error")
    if asked is None:
        return None
    if not re.fullmatch(r"[0-9]{1,6}", asked) or not 1 <= int(asked) <= len(found.top_errors):
        raise Http404
    return found.top_errors[int(asked) - 1]


def _image_address(request: HttpRequest, image: TrainingFile) -> str:
    return request.build_absolute_uri(reverse("image_file", args=[image.benchmark.slug, image.pk, ""]))


def image_state(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """EM of a benchmark, as Neuroglancer shows it."""
    image = _image(request, slug, pk)
    if image is None:
        raise Http404
    with opened(f"{images.folder_of(image)}/info") as file:
        scale = json.load(file)["scales"][0]
    z, y, x = scale["size"][::-1]
    size_z, size_y, size_x = scale["resolution"][::-1]
    spec = VolumeSpec((z, y, x), (size_z, size_y, size_x))
    return JsonResponse(viewer.image_state(image, spec, _image_address(request, image)))


def image_file(request: HttpRequest, slug: str, pk: int, name: str) -> FileResponse:
    """A file of EM that is shown."""
    image = _image(request, slug, pk)
    if image is None:
        raise Http404
    return shown_precomputed(images.folder_of(image), name, IMAGE)


def _image(request: HttpRequest, slug: str, pk: int) -> TrainingFile | None:
    benchmark = visible_benchmark_or_404(request, slug)
    row = benchmark.training_files.filter(pk=pk).select_related("benchmark").first()
    return row if row and row.opens_in_viewer else None


def view_file(request: HttpRequest, code: str, volume: str, name: str) -> FileResponse:
    """A file of the segmentation or of its skeletons."""
    rows = selectors.visible_submissions(request.user).filter(status=Submission.DONE_STATUS)
    volume_file = get_object_or_404(
        selectors.files_of(get_object_or_404(rows, code=code)), volume__slug=volume, diagnosis__view_files__gt=0
    )
    if not view_files.is_shown(volume_file.volume):
        raise Http404
    return shown_precomputed(f"{view_files.folder_of(volume_file)}-view", name, SEGMENTATION)


def skeleton_file(request: HttpRequest, slug: str, volume: str, name: str) -> FileResponse:
    """A file of the skeletons of public ground truth."""
    benchmark = visible_benchmark_or_404(request, slug)
    rows = GroundTruth.objects.filter(volume__benchmark=benchmark, volume__ground_truth_public=True, is_current=True)
    ground_truth = get_object_or_404(rows.select_related("volume__benchmark"), volume__slug=volume)
    return shown_precomputed(view_files.ground_truth_folder(ground_truth), name, SKELETONS)
