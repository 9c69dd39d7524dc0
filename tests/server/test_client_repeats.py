"""`axonem submit`, run again after an answer was lost: one submission, whatever had arrived."""

import httpx
import pytest
from django.core.handlers.wsgi import WSGIHandler

from axonem_eval.client import submit
from axonem_eval.client.config import Login
from axonem_eval.client.errors import ClientError
from axonem_eval.client.method import Method
from axonem_eval.client.server import Server
from evalserver.accounts.services import create_token
from evalserver.submissions.models import Submission
from evalserver.uploads.models import Upload
from evalserver.uploads.services import check_upload
from tests.factories import labels_file, make_benchmark, make_user, tiny_labels

pytestmark = pytest.mark.django_db(transaction=True)


class LossyTransport(httpx.WSGITransport):
    """The server in this process. lose, refuse : what to do with the answers to requests of a method and path."""

    def __init__(self) -> None:
        super().__init__(app=WSGIHandler())
        self.lose: set[tuple[str, str]] = set()
        self.refuse: set[tuple[str, str]] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        key = (request.method, request.url.path.rsplit("/", 1)[0] + "/")
        if key in self.refuse:
            return httpx.Response(503, json={"code": "busy", "message": "Busy.", "details": {}}, request=request)
        answer = super().handle_request(request)
        for upload in Upload.objects.filter(status="uploaded"):
            check_upload(upload.pk)  # the worker's part
        if key in self.lose:
            self.lose.remove(key)
            raise httpx.ReadError("the answer was lost", request=request)
        return answer


@pytest.fixture
def run(empty_queue, tmp_path):
    """Runs what `axonem submit` does until the submission is made, and answers with its code."""
    phase, user = make_benchmark(), make_user()
    token = create_token(user=user, name="t", scopes=["read", "submit"])[1]
    method = Method(benchmark=phase.benchmark.slug, method="mine")
    path = labels_file(tmp_path / "seg.h5", tiny_labels())
    transport = LossyTransport()

    def submit_once() -> str:
        server = Server(Login("http://127.0.0.1", token), patience_s=0)
        server.http = httpx.Client(base_url=server.url, headers=server.http.headers, transport=transport, timeout=None)
        found = submit.phase_of(server.get(f"/benchmarks/{method.benchmark}"))
        codes, already = submit.upload_files(server, method, found, {"a": path}, lambda *_: None)
        return already or submit.create_submission(server, method, found, codes)["code"]

    submit_once.transport = transport
    return submit_once


LOST = {
    "the announcement of the file": ("POST", "/api/v1/uploads/"),
    "the last piece of the file": ("PATCH", "/api/v1/uploads/"),
    "the submission": ("POST", "/api/v1/"),
}


@pytest.mark.parametrize("answer", LOST.values(), ids=LOST)
def test_a_lost_answer_does_not_make_a_second_submission(run, answer):
    run.transport.lose.add(answer)
    codes = set()
    for _ in range(4):
        try:
            codes.add(run())
        except ClientError:
            continue
    assert codes == {Submission.objects.get().code}


def test_an_announcement_that_was_left_behind_does_not_either(run):
    code = run()
    taken = Upload.objects.get()
    Upload.objects.create(
        user=taken.user, file_name=taken.file_name, size_bytes=taken.size_bytes, status=Upload.RECEIVING,
        declared_sha256=taken.declared_sha256, benchmark_slug=taken.benchmark_slug, volume_slug=taken.volume_slug,
        expires_at=taken.expires_at,
    )  # fmt: skip
    assert run() == code
    assert Submission.objects.count() == 1


def test_nor_does_a_server_that_cannot_say_whether_there_is_one(run):
    code = run()
    run.transport.refuse.add(("GET", "/api/v1/submissions/"))
    with pytest.raises(ClientError):
        run()
    run.transport.refuse.clear()
    assert run() == code
    assert Submission.objects.count() == 1
