"""The tus 1.0 protocol: core, creation, creation-with-upload, checksum, expiration and termination.

https://tus.io/protocols/resumable-upload. These are plain Django views, because a PATCH's body is taken piece by
piece and never held whole.
"""

import base64
import binascii
import errno
import logging
import re
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import http_date
from django.views.decorators.csrf import csrf_exempt

from evalserver.accounts.models import Team, User
from evalserver.api.problems import SUBMIT, Problem, authenticated_user
from evalserver.benchmarks.selectors import phase_or_404, visible_benchmark_or_404
from evalserver.front import BODY_COMES_LATER, TUS_TYPE, TakesBody
from evalserver.jobs import REJECTED
from evalserver.submissions.services import NO_TEAM, refuse_reason
from evalserver.unavailable import unavailable
from evalserver.uploads import display_name, services, store
from evalserver.uploads.models import MAX_METADATA_LENGTH, Upload
from evalserver.uploads.receiving import Checksum, Receiving

logger = logging.getLogger("evalserver.uploads")

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,checksum,expiration,termination"
# A file of 8 EiB is larger than any, and still fits the database's integer.
LARGEST = 2**63 - 1

Handler = Callable[..., HttpResponse]


@csrf_exempt
def collection(request: HttpRequest) -> HttpResponse:
    """Where uploads are made. Whoever comes with a session shows a CSRF token: `authenticated_user` looks."""
    return _answer(request, {"OPTIONS": _options, "POST": _create})


@csrf_exempt
def upload(request: HttpRequest, code: str) -> HttpResponse:
    """One upload, for its owner alone."""
    return _answer(request, {"OPTIONS": _options, "HEAD": _head, "PATCH": _patch, "DELETE": _delete}, code=code)


def _answer(request: HttpRequest, handlers: dict[str, Handler], **path: str) -> HttpResponse:
    method = request.method or ""
    if method == "POST":
        # For clients behind proxies that let only GET and POST through.
        method = request.headers.get("X-HTTP-Method-Override", method).upper()

    def handle() -> HttpResponse:
        _check_request(request, method, handlers)
        return handlers[method](request, **path)

    return _answered(handle)


def _answered(work: Callable[[], HttpResponse]) -> HttpResponse:
    """What the work answers, or the answer to what it raises."""
    try:
        response = work()
    except Problem as problem:
        response = problem.response()
    except services.UploadRefused as refusal:
        response = Problem(refusal.status, refusal.code, refusal.message, refusal.details).response()
        if refusal.status == 460:
            response.reason_phrase = "Checksum Mismatch"
    except store.Locked:
        response = Problem(423, "locked", "Another request is writing to this upload. Try again.").response()
    except store.Missing:
        response = Problem(410, "gone", "The upload no longer exists. Begin a new one.").response()
    except Http404:
        response = Problem(404, "not_found", "There is no such benchmark or phase.").response()
    except store.CutOff:
        response = Problem(400, "cut_off", "The request ended early. Ask for the offset to continue.").response()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        response = Problem(507, "disk_full", "This server's disk is full. What has arrived is kept.").response()
    except DatabaseError as error:
        # The end of a body is noted outside of Django's own handling of errors.
        found = unavailable(error)
        if found is None:
            raise
        logger.warning("an upload cannot be noted now: %s", error)
        headers = {name.replace("-", "_"): value for name, value in found.headers.items()}
        response = Problem(found.status, found.code, found.message, **headers).response()
    response.headers["Tus-Resumable"] = VERSION
    response.headers["Cache-Control"] = "no-store"
    return response


def _check_request(request: HttpRequest, method: str, handlers: dict[str, Handler]) -> None:
    """Raise Problem for a method or an extension that this server does not have, or another protocol version."""
    if method not in handlers:
        raise Problem(405, "method_not_allowed", f"{method} is not possible here.", Allow=", ".join(handlers))
    if method == "OPTIONS":
        return
    if request.headers.get("Tus-Resumable") != VERSION:
        raise Problem(
            412, "wrong_version", f"This server speaks tus {VERSION}: send the header Tus-Resumable: {VERSION}.",
            Tus_Version=VERSION,
        )  # fmt: skip
    _refuse_extensions(request)


def _options(request: HttpRequest, **path: str) -> HttpResponse:
    return HttpResponse(
        status=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(settings.UPLOAD_MAX_BYTES),
            "Tus-Checksum-Algorithm": ",".join(services.CHECKSUMS),
        },
    )


# Headers of the protocol that this server acts on. Others belong to extensions that it does not offer.
KNOWN_HEADERS = {"upload-length", "upload-offset", "upload-metadata", "upload-checksum"}
REFUSED_HEADERS = {
    "upload-concat": ("no_concatenation", "parallel uploads are not supported: set parallelUploads to 1"),
    "upload-defer-length": ("length_needed", "this server needs the size at the start: send Upload-Length"),
}


def _refuse_extensions(request: HttpRequest) -> None:
    """Say at the first request what would fail at the last one: an extension that this server does not offer."""
    asked = {name.lower() for name in request.headers if name.lower().startswith("upload-")}
    for name in sorted(asked - KNOWN_HEADERS):
        unknown = ("unsupported_extension", f"{name} belongs to no extension that this server offers: {EXTENSIONS}")
        code, message = REFUSED_HEADERS.get(name, unknown)
        raise Problem(400, code, message, {"header": name, "extensions": EXTENSIONS.split(",")})


def _create(request: HttpRequest) -> HttpResponse:
    user = authenticated_user(request, SUBMIT)
    size = _number(request, "Upload-Length")
    raw = request.headers.get("Upload-Metadata", "")
    metadata = parse_metadata(raw)
    _refuse_what_could_not_be_submitted(request, user, metadata)
    has_body = request.content_type == TUS_TYPE
    length, checksum = (_body_length(request), _checksum(request)) if has_body else (0, None)
    if has_body and length is not None and length > size:
        raise Problem(413, "past_the_end", f"The request has {length} bytes, the file {size}.")
    upload = services.create_upload(
        user=user,
        file_name=metadata.get("filename", ""),
        size_bytes=size,
        declared_sha256=metadata.get("sha256", "").lower(),
        metadata=raw,
        benchmark_slug=metadata.get("benchmark", ""),
        volume_slug=metadata.get("volume", ""),
    )
    if has_body:
        return _taken(request, _CreatingBody(Receiving(upload, offset=0, length=length, checksum=checksum)))
    return _created(upload)


def _created(upload: Upload) -> HttpResponse:
    response = HttpResponse(status=201, headers={"Location": reverse("tus_upload", args=[upload.code])})
    _say_expiry(response, upload)
    return response


def _head(request: HttpRequest, code: str) -> HttpResponse:
    upload = _own_upload(request, code)
    response = HttpResponse(
        headers={"Upload-Offset": str(services.settle(upload)), "Upload-Length": str(upload.size_bytes)}
    )
    if upload.metadata:
        response.headers["Upload-Metadata"] = upload.metadata
    _say_expiry(response, upload)
    return response


def _patch(request: HttpRequest, code: str) -> HttpResponse:
    upload = _own_upload(request, code)
    if request.content_type != TUS_TYPE:
        raise Problem(415, "wrong_content_type", f"Send the bytes as Content-Type: {TUS_TYPE}.")
    receiving = Receiving(
        upload,
        offset=_number(request, "Upload-Offset"),
        length=_body_length(request),
        checksum=_checksum(request),
    )
    return _taken(request, _PatchBody(receiving))


class _PatchBody(TakesBody):
    """Bytes for an upload: the answer says how far it has come."""

    def __init__(self, receiving: Receiving) -> None:
        super().__init__(status=204)
        self.receiving = receiving

    def take(self, piece: bytes) -> HttpResponse | None:
        try:
            self.receiving.write(piece)
        except (services.UploadRefused, OSError, DatabaseError) as error:
            return _answered(partial(self._end, refusal=error))
        return None

    def finish(self, *, complete: bool) -> HttpResponse:
        return _answered(partial(self._end, complete=complete))

    def _end(self, *, complete: bool = False, refusal: Exception | None = None) -> HttpResponse:
        try:
            offset = self.receiving.end(complete=complete)
        except store.CutOff:
            if refusal is not None:
                raise refusal from None
            raise
        response = HttpResponse(status=204, headers={"Upload-Offset": str(offset)})
        _say_expiry(response, self.receiving.upload)
        return response


class _CreatingBody(_PatchBody):
    """The first bytes, sent with the request that makes the upload."""

    def _end(self, *, complete: bool = False, refusal: Exception | None = None) -> HttpResponse:
        upload = self.receiving.upload
        try:
            super()._end(complete=complete, refusal=refusal)
        except services.UploadRefused:
            # Nobody was told its address.
            services.remove_upload(upload)
            raise
        except store.CutOff:
            pass  # it exists, and the client that is gone may ask for it later
        response = _created(upload)
        response.headers["Upload-Offset"] = str(upload.offset)
        return response


def _taken(request: HttpRequest, body: TakesBody) -> HttpResponse:
    """The body's reader where the server hands the body over piece by piece, else the answer."""
    return body if BODY_COMES_LATER in request.META else body.read_all(request)


def _delete(request: HttpRequest, code: str) -> HttpResponse:
    services.remove_upload(_own_upload(request, code))
    return HttpResponse(status=204)


def _own_upload(request: HttpRequest, code: str) -> Upload:
    """The upload of that code, when it is the asker's; to others it does not exist."""
    user = authenticated_user(request, SUBMIT)
    upload = Upload.objects.filter(code=code, user=user).first()
    if upload is None:
        raise Problem(404, "not_found", "You have no upload of this name.")
    if upload.expires_at < timezone.now() or upload.status in (Upload.USED, REJECTED):
        raise Problem(410, "gone", "The upload has expired or is submitted. Begin a new one.", {"state": upload.state})
    return upload


def _refuse_what_could_not_be_submitted(request: HttpRequest, user: User, metadata: dict[str, str]) -> None:
    """A file that the benchmark would not accept is refused before its first byte."""
    if not metadata.get("benchmark"):
        return
    benchmark = visible_benchmark_or_404(request, metadata["benchmark"])
    phase = phase_or_404(benchmark, metadata.get("phase"))
    volumes = {volume.slug for volume in phase.volumes.all()}
    if metadata.get("volume") and metadata["volume"] not in volumes:
        raise Problem(400, "bad_metadata", f"{benchmark} has no such volume in this phase.", {"volumes": list(volumes)})
    if volume := phase.volumes.filter(slug=metadata.get("volume", "")).first():
        name = display_name(metadata.get("filename", ""))
        if (wrong := volume.rule.name_complaint(name)) and metadata.get("filename"):
            raise Problem(400, "wrong_name", f"{wrong[0].upper()}{wrong[1:]}.", {"volume": volume.slug})
    teams = Team.objects.filter(members=user)
    none = NO_TEAM
    if metadata.get("team", "").isdecimal():
        teams = teams.filter(pk=int(metadata["team"][:18]))
        none = "You belong to no such team."
    reasons = [refuse_reason(team=team, phase=phase) for team in teams] or [none]
    if all(reasons):
        raise Problem(403, "not_accepted", reasons[0] or "")


def parse_metadata(raw: str) -> dict[str, str]:
    """The header Upload-Metadata: `key base64, key base64`. Raises Problem where it does not follow the protocol."""
    if len(raw) > MAX_METADATA_LENGTH or not re.fullmatch(r"[\x20-\x7e]*", raw):
        raise Problem(400, "bad_metadata", f"Upload-Metadata is not ASCII of at most {MAX_METADATA_LENGTH} characters.")
    found: dict[str, str] = {}
    for pair in filter(None, (part.strip() for part in raw.split(","))):
        key, _, value = pair.partition(" ")
        if key in found:
            raise Problem(400, "bad_metadata", f"Upload-Metadata has the key {key!r} twice.")
        try:
            decoded = base64.b64decode(value.strip(), validate=True)
        except (binascii.Error, ValueError):
            raise Problem(400, "bad_metadata", f"The value of {key!r} in Upload-Metadata is not base64.") from None
        found[key] = decoded.decode("utf-8", errors="replace").replace("\0", "")
    for key in ("benchmark", "phase", "volume"):
        if not re.fullmatch(r"[-\w]{0,50}", found.get(key, "")):
            raise Problem(400, "bad_metadata", f"{key} in Upload-Metadata is not a short name.")
    return found


def _number(request: HttpRequest, header: str) -> int:
    raw = request.headers.get(header, "")
    if not re.fullmatch(r"[0-9]{1,19}", raw) or int(raw) > LARGEST:
        raise Problem(400, "bad_header", f"{header} must be a whole number of bytes.", {"header": header})
    return int(raw)


def _checksum(request: HttpRequest) -> Checksum | None:
    raw = request.headers.get("Upload-Checksum")
    if raw is None:
        return None
    algorithm, _, encoded = raw.strip().partition(" ")
    if algorithm not in services.CHECKSUMS:
        raise Problem(400, "unknown_checksum", f"Upload-Checksum takes {', '.join(services.CHECKSUMS)}.")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != services.CHECKSUMS[algorithm]().digest_size:
        raise Problem(400, "bad_header", "Upload-Checksum is `algorithm base64-of-the-digest`.")
    return Checksum(algorithm, digest)


def _body_length(request: HttpRequest) -> int | None:
    """Bytes of the body; None if it is sent in chunks, so that only its end shows the size."""
    if "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        if BODY_COMES_LATER not in request.META:
            raise Problem(411, "length_required", "Send Content-Length.")
        return None
    return int(request.META.get("CONTENT_LENGTH") or 0)


def _say_expiry(response: HttpResponse, upload: Upload) -> None:
    response.headers["Upload-Expires"] = http_date(upload.expires_at.timestamp())
