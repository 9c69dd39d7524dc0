"""The tus 1.0 protocol, case by case: statuses, headers, offsets, and what is on disk afterwards."""

import base64
import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from evalserver.accounts.services import create_token
from evalserver.uploads import services, store
from evalserver.uploads.models import Upload
from evalserver.uploads.receiving import Receiving
from tests.factories import make_benchmark, make_user
from tests.server.caller import assert_problem

pytestmark = pytest.mark.django_db

COLLECTION = "/api/v1/uploads/"
BODY = "application/offset+octet-stream"


def b64(value: str | bytes) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()


class Tus:
    """A client that speaks the protocol's words and nothing more."""

    def __init__(self, user=None) -> None:
        self.user = user or make_user()
        token = create_token(user=self.user, name="t", scopes=["submit"])[1]
        self.client = Client(headers={"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"})

    def create(self, length: object = 10, body: bytes = b"", **headers: str):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.generic(
            "POST", COLLECTION, body, BODY if body else "", headers={"Upload-Length": str(length), **names}
        )

    def new(self, length: int = 10, **headers: str) -> str:
        response = self.create(length, **headers)
        assert response.status_code == 201, response.content
        return response.headers["Location"]

    def patch(self, url: str, offset: object, body: bytes, content_type: str = BODY, **headers: str):
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        headers = {"Upload-Offset": str(offset), **names}
        # Given apart, because the test client leaves it out where there is no body.
        return self.client.generic("PATCH", url, body, content_type, headers=headers, CONTENT_TYPE=content_type)

    def head(self, url: str):
        return self.client.head(url)

    def offset(self, url: str) -> int:
        return int(self.head(url).headers["Upload-Offset"])


@pytest.fixture
def tus() -> Tus:
    return Tus()


def row(url: str) -> Upload:
    return Upload.objects.get(code=url.rpartition("/")[2])


def on_disk(url: str) -> bytes:
    return store.path_of(url.rpartition("/")[2]).read_bytes()


def assert_tus_problem(response, status: int, code: str) -> dict:
    assert response.headers["Tus-Resumable"] == "1.0.0"
    return assert_problem(response, status, code)


def test_options_says_what_this_server_can(client):
    response = client.options(COLLECTION)
    assert response.status_code == 204
    assert response.headers["Tus-Version"] == "1.0.0"
    assert response.headers["Tus-Extension"] == "creation,creation-with-upload,checksum,expiration,termination"
    assert response.headers["Tus-Checksum-Algorithm"] == "sha256,sha1"
    assert int(response.headers["Tus-Max-Size"]) > 2**30


def test_a_file_arrives_in_two_pieces(tus):
    url = tus.new(10)
    assert tus.offset(url) == 0
    response = tus.patch(url, 0, b"01234")
    assert (response.status_code, response.headers["Upload-Offset"]) == (204, "5")
    assert tus.offset(url) == 5
    assert tus.patch(url, 5, b"56789").headers["Upload-Offset"] == "10"
    assert on_disk(url) == b"0123456789"
    assert row(url).status == "uploaded"


def test_head_repeats_length_metadata_and_expiry_and_is_never_cached(tus):
    metadata = f"filename {b64('seg.h5')},note"
    response = tus.head(tus.new(7, Upload_Metadata=metadata))
    assert response.status_code == 200
    assert response.headers["Upload-Length"] == "7"
    assert response.headers["Upload-Metadata"] == metadata
    assert response.headers["Upload-Expires"].endswith("GMT")
    assert response.headers["Cache-Control"] == "no-store"


def test_creation_may_bring_the_first_bytes(tus):
    response = tus.create(10, b"0123")
    assert (response.status_code, response.headers["Upload-Offset"]) == (201, "4")
    assert tus.patch(response.headers["Location"], 4, b"456789").status_code == 204


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0"])
def test_another_version_is_refused_before_anything_happens(tus, version):
    url = tus.new(4)
    headers = {"Tus-Resumable": version} if version else {}
    tus.client.defaults.pop("HTTP_TUS_RESUMABLE")
    response = tus.client.generic("PATCH", url, b"abcd", BODY, headers={"Upload-Offset": "0", **headers})
    assert_tus_problem(response, 412, "wrong_version")
    assert response.headers["Tus-Version"] == "1.0.0"
    assert on_disk(url) == b""


@pytest.mark.parametrize("length", ["", "-1", "ten", "1.5", "9" * 20])
def test_creation_needs_a_length(tus, length):
    assert_tus_problem(tus.create(length), 400, "bad_header")


def test_a_deferred_length_is_refused(tus):
    assert_tus_problem(tus.create(5, Upload_Defer_Length="1"), 400, "length_needed")


@pytest.mark.parametrize("part", ["partial", "final;/api/v1/uploads/aaaa /api/v1/uploads/bbbb"])
def test_parallel_uploads_are_refused_at_the_first_request_with_the_setting_to_change(tus, part):
    answer = assert_tus_problem(tus.create(5, Upload_Concat=part), 400, "no_concatenation")
    assert answer["message"] == "parallel uploads are not supported: set parallelUploads to 1"
    without_length = tus.client.generic("POST", COLLECTION, b"", "", headers={"Upload-Concat": part})
    assert_tus_problem(without_length, 400, "no_concatenation")
    assert not Upload.objects.exists()


@pytest.mark.parametrize("header", ["Upload-Complete", "Upload-Draft-Interop-Version", "Upload-Something"])
def test_a_header_of_an_extension_that_is_not_offered_is_refused_at_once(tus, header):
    answer = assert_tus_problem(tus.create(5, **{header.replace("-", "_"): "1"}), 400, "unsupported_extension")
    assert header.lower() in answer["message"]
    assert answer["details"]["extensions"] == tus.client.options(COLLECTION).headers["Tus-Extension"].split(",")
    assert not Upload.objects.exists()
    url = tus.new(4)
    assert_tus_problem(tus.patch(url, 0, b"abcd", **{header.replace("-", "_"): "1"}), 400, "unsupported_extension")
    assert on_disk(url) == b""


def test_a_file_over_the_limit_is_refused_before_its_first_byte(tus, settings):
    settings.UPLOAD_MAX_BYTES = 1000
    assert assert_tus_problem(tus.create(1001), 413, "too_large")["details"] == {"limit_bytes": 1000}
    assert tus.create(1000).status_code == 201


def test_more_bytes_than_announced_are_refused(tus):
    url = tus.new(4)
    assert_tus_problem(tus.patch(url, 0, b"abcde"), 413, "past_the_end")
    assert on_disk(url) == b""


@pytest.mark.parametrize("offset", [0, 4, 6])
def test_a_wrong_offset_is_a_conflict_and_writes_nothing(tus, offset):
    url = tus.new(10)
    tus.patch(url, 0, b"01234")
    assert assert_tus_problem(tus.patch(url, offset, b"x"), 409, "wrong_offset")["details"] == {"offset": 5}
    assert on_disk(url) == b"01234"


@pytest.mark.parametrize("offset", ["", "-1", "zero"])
def test_a_patch_needs_an_offset(tus, offset):
    assert_tus_problem(tus.patch(tus.new(), offset, b"x"), 400, "bad_header")


def test_a_patch_of_another_content_type_is_refused(tus):
    assert_tus_problem(
        tus.patch(tus.new(), 0, b"x", content_type="application/octet-stream"), 415, "wrong_content_type"
    )


def test_an_empty_file_is_complete_at_once(tus):
    url = tus.new(0)
    assert tus.offset(url) == 0
    assert row(url).is_complete


def test_a_finished_upload_takes_no_more(tus):
    url = tus.new(3)
    tus.patch(url, 0, b"abc")
    assert tus.patch(url, 3, b"").status_code == 204
    assert_tus_problem(tus.patch(url, 0, b"abc"), 409, "wrong_offset")


def test_a_proxy_that_knows_only_post_can_be_worked_through(tus):
    url = tus.new(3)
    headers = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0"}
    response = tus.client.generic("POST", url, b"abc", BODY, headers=headers)
    assert response.headers["Upload-Offset"] == "3"


def test_other_methods_say_what_is_possible(tus):
    response = tus.client.put(tus.new(), b"x", BODY)
    assert_tus_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "OPTIONS, HEAD, PATCH, DELETE"


@pytest.mark.parametrize("algorithm", ["sha256", "sha1"])
def test_a_piece_with_its_right_checksum_is_taken(tus, algorithm):
    url = tus.new(5)
    digest = hashlib.new(algorithm, b"01234").digest()
    assert tus.patch(url, 0, b"01234", Upload_Checksum=f"{algorithm} {b64(digest)}").status_code == 204


def test_a_piece_with_a_wrong_checksum_is_thrown_away(tus):
    url = tus.new(10)
    tus.patch(url, 0, b"012")
    digest = hashlib.sha256(b"other").digest()
    response = tus.patch(url, 3, b"34567", Upload_Checksum=f"sha256 {b64(digest)}")
    assert_tus_problem(response, 460, "checksum_mismatch")
    assert response.reason_phrase == "Checksum Mismatch"
    assert on_disk(url) == b"012"
    assert tus.offset(url) == 3


def test_an_unknown_checksum_algorithm_is_refused(tus):
    assert_tus_problem(tus.patch(tus.new(), 0, b"x", Upload_Checksum="crc32 AAAA"), 400, "unknown_checksum")


def test_a_wrong_checksum_at_creation_leaves_nothing(tus):
    digest = hashlib.sha256(b"other").digest()
    assert_tus_problem(tus.create(10, b"0123", Upload_Checksum=f"sha256 {b64(digest)}"), 460, "checksum_mismatch")
    assert not Upload.objects.exists()


def test_a_piece_whose_checksum_was_never_proven_is_dropped(tus):
    """As a server leaves it that was killed in the middle of a PATCH with a checksum."""
    url = tus.new(10)
    tus.patch(url, 0, b"0123")
    store.path_of(row(url).code).write_bytes(b"0123??")
    Upload.objects.filter(code=row(url).code).update(unverified_from=4)
    assert tus.offset(url) == 4
    assert on_disk(url) == b"0123"


def test_bytes_that_a_killed_server_wrote_are_kept(tus):
    """The file is ahead of its row: the size of the file is what counts."""
    url = tus.new(10)
    store.path_of(row(url).code).write_bytes(b"012345")
    assert tus.offset(url) == 6
    assert tus.patch(url, 6, b"6789").status_code == 204
    assert on_disk(url) == b"0123456789"


def test_an_upload_whose_last_byte_came_before_a_kill_is_finished_by_head(tus):
    url = tus.new(4)
    store.path_of(row(url).code).write_bytes(b"0123")
    assert tus.offset(url) == 4
    assert row(url).status == "uploaded"


def test_an_upload_whose_last_byte_came_before_a_kill_is_finished_by_the_timer(tus, settings):
    url = tus.new(4)
    store.path_of(row(url).code).write_bytes(b"0123")
    Upload.objects.update(expires_at=timezone.now() + timedelta(hours=settings.UPLOAD_EXPIRE_HOURS, minutes=-2))
    services.remove_expired()
    assert row(url).status == "uploaded"


@pytest.mark.slow
def test_the_second_of_two_parallel_patches_is_locked_out(tus):
    url = tus.new(10)
    with store.locked(row(url).code):
        assert_tus_problem(tus.patch(url, 0, b"01234"), 423, "locked")
        assert tus.offset(url) == 0
        assert_tus_problem(tus.client.delete(url), 423, "locked")
    assert tus.patch(url, 0, b"01234").status_code == 204


def test_bytes_wait_for_a_question_that_holds_the_lock_for_a_moment(tus):
    url = tus.new(5)
    holder = store.locked(row(url).code)
    holder.__enter__()
    threading.Timer(0.2, holder.__exit__, (None, None, None)).start()
    assert tus.patch(url, 0, b"01234").status_code == 204


def test_of_many_that_wait_for_a_lock_few_hold_a_thread(tus):
    code = row(tus.new(5)).code

    def refused_after_s(_):
        began = time.monotonic()
        with pytest.raises(store.Locked), store.locked(code, wait_s=1):
            pass
        return time.monotonic() - began

    with store.locked(code), ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(refused_after_s, range(8)))
    assert sum(wait >= 1 for wait in waits) == 2
    assert sum(wait < 0.9 for wait in waits) == 6


def test_a_client_that_breaks_off_keeps_what_it_sent(tus):
    url = tus.new(10)

    receiving = Receiving(row(url), offset=0, length=10)
    receiving.write(b"0123")
    with pytest.raises(store.CutOff):
        receiving.end(complete=False)
    assert tus.offset(url) == 4
    assert on_disk(url) == b"0123"


def test_termination_removes_row_and_file(tus):
    url = tus.new(10)
    path = store.path_of(row(url).code)
    assert tus.client.delete(url).status_code == 204
    assert not path.exists()
    assert_tus_problem(tus.patch(url, 0, b"x"), 404, "not_found")


def test_an_expired_upload_is_gone(tus):
    url = tus.new(10)
    path = store.path_of(row(url).code)
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert tus.head(url).status_code == 410
    assert_tus_problem(tus.patch(url, 0, b"x"), 410, "gone")
    assert services.remove_expired() == 1
    assert not path.exists()
    assert tus.head(url).status_code == 404


def test_the_timer_leaves_an_upload_alone_that_is_being_written(tus):
    url = tus.new(10)
    Upload.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with store.locked(row(url).code):
        assert services.remove_expired() == 0
    assert Upload.objects.exists()


@pytest.mark.parametrize("method", ["head", "patch", "delete"])
def test_nobody_touches_another_users_upload(tus, method):
    url = tus.new(10)
    outsider = Tus()
    response = outsider.patch(url, 0, b"x") if method == "patch" else getattr(outsider.client, method)(url)
    assert response.status_code == 404
    assert on_disk(url) == b""


def test_without_login_nothing_is_stored(client):
    response = client.post(COLLECTION, content_type=BODY, headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"})
    assert_tus_problem(response, 401, "not_logged_in")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_session_needs_the_csrf_token():
    browser = Client(enforce_csrf_checks=True, headers={"Tus-Resumable": "1.0.0"})
    browser.force_login(make_user())
    assert_tus_problem(browser.post(COLLECTION, content_type=BODY, headers={"Upload-Length": "5"}), 403, "csrf_failed")
    browser.cookies["csrftoken"] = "x" * 32
    shown = {"Upload-Length": "5", "X-CSRFToken": "x" * 32}
    assert browser.post(COLLECTION, headers=shown, content_type=BODY).status_code == 201


def test_a_token_that_may_only_read_uploads_nothing():
    token = create_token(user=make_user(), name="t", scopes=["read"])[1]
    headers = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0", "Upload-Length": "5"}
    assert_tus_problem(Client().post(COLLECTION, content_type=BODY, headers=headers), 403, "wrong_scope")


def test_the_bytes_of_one_user_have_a_limit(tus, settings):
    settings.UPLOAD_QUOTA_BYTES = 100
    tus.new(60)
    assert assert_tus_problem(tus.create(41), 403, "quota_exceeded")["details"] == {
        "taken_bytes": 60,
        "limit_bytes": 100,
    }
    assert tus.create(40).status_code == 201
    assert Tus().create(100).status_code == 201


def test_unfinished_uploads_have_a_limit(tus, settings):
    settings.UPLOAD_MAX_OPEN = 2
    first = tus.new(2)
    tus.new(2)
    assert_tus_problem(tus.create(2), 403, "too_many_uploads")
    tus.patch(first, 0, b"ab")
    assert tus.create(2).status_code == 201


HOSTILE = ["../../etc/passwd", "/abs/olute.h5", "..\\..\\win.h5", "a\0b.h5", "\n\r<script>.h5", "x" * 500, "", ".", "…"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_name_is_only_ever_shown(tus, name):
    url = tus.new(3, Upload_Metadata=f"filename {b64(name)}")
    shown = row(url).file_name
    assert 0 < len(shown) <= 100
    assert not set(shown) & set("/\\\0\n\r<>")
    assert store.path_of(row(url).code).parent == store.folder()


@pytest.mark.parametrize(
    "metadata",
    [
        "filename not*base64",
        "filename YQ==,filename Yg==",
        "a " + "A" * 5000,
        "näme YQ==",
        f"benchmark {b64('../x')}",
        f"sha256 {b64('zz')}",
    ],
)
def test_bad_metadata_is_refused(tus, metadata):
    assert_tus_problem(tus.create(3, Upload_Metadata=metadata), 400, "bad_metadata")


def test_what_the_benchmark_would_not_take_is_refused_before_its_first_byte(tus):
    phase = make_benchmark(per_day=0)
    metadata = f"benchmark {b64(phase.benchmark.slug)},volume {b64('a')}"
    assert_tus_problem(tus.create(3, Upload_Metadata=metadata), 403, "not_accepted")
    unknown = f"benchmark {b64(phase.benchmark.slug)},volume {b64('zz')}"
    assert_tus_problem(tus.create(3, Upload_Metadata=unknown), 400, "bad_metadata")
    assert_tus_problem(tus.create(3, Upload_Metadata=f"benchmark {b64('nowhere')}"), 404, "not_found")


def test_a_worker_computes_the_checksum_of_the_whole(tus):
    url = tus.new(5)
    tus.patch(url, 0, b"01234")
    services.check_upload(row(url).pk)
    assert row(url).state == "ready"
    assert row(url).sha256 == hashlib.sha256(b"01234").hexdigest()


def test_a_file_that_is_not_what_was_declared_is_corrupt(tus):
    declared = hashlib.sha256(b"other").hexdigest()
    url = tus.new(5, Upload_Metadata=f"sha256 {b64(declared)}")
    tus.patch(url, 0, b"01234")
    services.check_upload(row(url).pk)
    assert row(url).state == "corrupt"
    assert row(url).complaints[0]["code"] == "checksum_mismatch"
    assert tus.head(url).status_code == 410
    services.remove_expired()
    assert not store.path_of(row(url).code).exists()


def test_files_without_a_row_are_removed_once_they_are_old(tus, monkeypatch):
    stray = store.path_of("stray.link-00")
    stray.write_bytes(b"x")
    services.remove_expired()
    assert stray.exists()
    monkeypatch.setattr(services, "ORPHAN_AGE_S", -1.0)
    url = tus.new(5)
    services.remove_expired()
    assert not stray.exists()
    assert store.path_of(row(url).code).exists()
