"""The REST API: one shape of errors, the pages' permissions, and nothing of the ground truth."""

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from jsonschema_rs import meta

from evalserver.api.auth import rate
from evalserver.benchmarks.services import freeze_phase
from evalserver.submissions import services
from evalserver.submissions.models import Submission
from evalserver.uploads.services import create_upload
from tests.factories import make_benchmark, make_scored, make_submission, make_team, make_user
from tests.server.caller import API, Caller, assert_problem
from tests.server.uploaded import sent

pytestmark = pytest.mark.django_db


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_a_benchmark_says_what_its_volumes_demand(client):
    phase = make_benchmark()
    answer = client.get(f"{API}/benchmarks/{phase.benchmark.slug}").json()
    volume = answer["volumes"][0]
    assert volume["shape_zyx"] == [24, 64, 96]
    assert volume["voxel_size_nm_zyx"] == [30.0, 30.0, 30.0]
    assert volume["ground_truth"]["skeletons"] == 3
    assert answer["phases"][0]["volumes"] == ["a"]


def test_a_benchmark_that_is_not_visible_exists_for_organisers_alone(client):
    phase = make_benchmark()
    phase.benchmark.is_visible = False
    phase.benchmark.save()
    assert_problem(client.get(f"{API}/benchmarks/{phase.benchmark.slug}"), 404, "not_found")
    assert client.get(f"{API}/benchmarks").json()["count"] == 0
    assert Caller(make_user(is_staff=True)).get(f"/benchmarks/{phase.benchmark.slug}").status_code == 200


def test_the_leaderboard_ranks_as_the_page_does(client):
    phase = make_benchmark()
    for erl_nm in (5_000.0, 7_000.0, 5_000.0):
        make_scored(phase, erl_nm)
    rows = client.get(f"{API}/benchmarks/{phase.benchmark.slug}/leaderboard").json()["rows"]
    assert [(row["rank"], row["mean_erl_nm"]) for row in rows] == [(1, 7_000.0), (2, 5_000.0), (2, 5_000.0)]
    assert rows[0]["volumes"] == [{"volume": "a", "erl_nm": 7_000.0, "normalized_erl": 0.7, "figures": {}}]


def test_the_leaderboard_has_the_options_of_its_page(client):
    phase = make_benchmark()
    team = make_team("Unetown")
    old = make_scored(phase, 9_000.0, team=team, method_name="old U-Net")
    make_scored(phase, 8_000.0, team=team, method_name="new U-Net", supersedes=old)
    make_scored(phase, 7_000.0, team=team, method_name="third")
    make_scored(phase, 6_000.0, method_name="FFN")
    address = f"{API}/benchmarks/{phase.benchmark.slug}/leaderboard"

    def methods(**view) -> list[str]:
        answer = client.get(address, view).json()
        assert answer["count"] == len(answer["rows"])
        return [row["method"] for row in answer["rows"]]

    assert methods() == ["new U-Net", "third", "FFN"]
    assert methods(sort="mean") == ["FFN", "third", "new U-Net"]
    assert methods(sort="-erl-a.um", superseded="1") == ["old U-Net", "new U-Net", "third", "FFN"]
    assert methods(rows="best") == ["new U-Net", "FFN"]
    assert methods(q="u-net") == ["new U-Net"]
    assert methods(to="2000-01-01") == methods(**{"from": "9999-12-31"}) == []
    assert client.get(address, {"superseded": "1"}).json()["rows"][0]["rank"] is None
    for wrong in ({"sort": "colour"}, {"rows": "some"}, {"from": "yesterday"}, {"superseded": "maybe"}):
        assert_problem(client.get(address, wrong), 422, "invalid")


def test_figures_of_hidden_ground_truth_are_rounded_as_on_the_pages(client):
    phase = make_benchmark()
    submission = make_scored(phase, 5_123.456)
    address = f"{API}/submissions/{submission.code}/evaluations"
    hidden = client.get(address).json()["evaluations"][0]
    # One node moves the ERL of these three axons by up to 40 nm: ten times that, rounded up, is 500.
    assert (hidden["erl_nm"], hidden["normalized_erl"]) == (5_000.0, 0.5)
    assert hidden["edges_nm"]["correct"] == 5_000.0
    assert hidden["rounded_to"]["erl_nm"] == 500.0
    phase.volumes.update(ground_truth_public=True)
    public = client.get(address).json()["evaluations"][0]
    assert public["erl_nm"] == 5_123.456


def test_no_answer_holds_more_of_a_report_than_its_named_figures(client):
    phase = make_benchmark()
    submission = make_scored(phase, 5_000.0)
    evaluation = submission.files.get().evaluations.get()
    type(evaluation).objects.update(report={**evaluation.report, "per_axon": [{"node_voxel_zyx": [1, 2, 3]}]})
    for path in ("", "/evaluations", "/evaluations.csv"):
        assert "node_voxel" not in client.get(f"{API}/submissions/{submission.code}{path}").content.decode()


def test_the_csv_has_a_line_for_each_volume(client):
    submission = make_scored(make_benchmark(("a", "b")), 5_000.0)
    response = client.get(f"{API}/submissions/{submission.code}/evaluations.csv")
    head, *lines = response.content.decode().splitlines()
    assert response.headers["Content-Type"].startswith("text/csv")
    assert head.startswith("submission,volume,erl_nm,gt_erl_nm,normalized_erl,correct_nm")
    assert [line.split(",")[:3] for line in lines] == [[submission.code, v, "5000.0"] for v in "ab"]


def test_a_private_submission_is_its_teams_alone(caller, client):
    submission = make_submission(make_benchmark(), team=caller.team)
    assert caller.get(f"/submissions/{submission.code}").json()["status"] == "uploaded"
    assert_problem(client.get(f"{API}/submissions/{submission.code}"), 404, "not_found")
    assert_problem(Caller().get(f"/submissions/{submission.code}"), 404, "not_found")


def test_a_published_submission_shows_its_files_to_its_team_alone(caller, client):
    submission = make_scored(make_benchmark(), 5_000.0, team=caller.team)
    assert caller.get(f"/submissions/{submission.code}").json()["files"][0]["volume"] == "a"
    assert client.get(f"{API}/submissions/{submission.code}").json()["files"] is None


def test_the_list_holds_ones_own_and_filters(caller):
    phase = make_benchmark()
    mine = make_scored(phase, 5_000.0, team=caller.team)
    make_submission(phase, team=caller.team)
    make_scored(phase, 6_000.0)
    assert caller.get("/submissions").json()["count"] == 2
    scored = caller.get("/submissions", status="scored", benchmark=phase.benchmark.slug).json()
    assert [row["code"] for row in scored["items"]] == [mine.code]
    assert scored["items"][0]["headline"]["mean_erl_nm"] == 5_000.0


def test_a_submission_is_made_from_ready_uploads(caller, empty_queue):
    phase = make_benchmark()
    row = sent(caller.user, phase)
    body = {"benchmark": phase.benchmark.slug, "method": " U-Net ", "files": {"a": row.code}}
    response = caller.send("POST", "/submissions", body)
    assert response.status_code == 201, response.content
    answer = response.json()
    assert (answer["method"], answer["status"], answer["visibility"]) == ("U-Net", "uploaded", "private")
    assert answer["files"][0]["sha256"] == row.sha256
    again = assert_problem(caller.send("POST", "/submissions", body), 409, "upload_not_ready")
    assert again["details"]["used_by"] == {"a": answer["code"]}


@pytest.mark.parametrize("per_day", [1, 5])
def test_a_request_sent_again_while_the_first_runs_learns_its_submission(caller, empty_queue, monkeypatch, per_day):
    phase = make_benchmark(per_day=per_day)
    row = sent(caller.user, phase)
    body = {"benchmark": phase.benchmark.slug, "method": "U-Net", "files": {"a": row.code}}
    create, made = services.create_submission, []

    def overtaken(**asked):
        # The first request ends here: it found the upload ready, as this one did.
        monkeypatch.setattr(services, "create_submission", create)
        made.append(caller.send("POST", "/submissions", body).json()["code"])
        return create(**asked)

    monkeypatch.setattr(services, "create_submission", overtaken)
    again = assert_problem(caller.send("POST", "/submissions", body), 409, "upload_not_ready")
    assert again["details"]["used_by"] == {"a": made[0]}
    assert Submission.objects.count() == 1


def test_an_upload_that_is_not_ready_is_named(caller, empty_queue):
    phase = make_benchmark()
    row = sent(caller.user, phase, checked=False)
    body = {"benchmark": phase.benchmark.slug, "method": "m", "files": {"a": row.code}}
    answer = assert_problem(caller.send("POST", "/submissions", body), 409, "upload_not_ready")
    assert answer["details"]["states"] == {"a": "checking"}
    outsiders = Caller()
    answer = assert_problem(outsiders.send("POST", "/submissions", body), 409, "upload_not_ready")
    assert answer["details"]["states"] == {"a": "missing"}


def test_nobody_submits_for_a_team_that_is_not_theirs(caller, empty_queue):
    phase = make_benchmark()
    row = sent(caller.user, phase)
    body = {"benchmark": phase.benchmark.slug, "method": "m", "team": make_team().pk, "files": {"a": row.code}}
    assert_problem(caller.send("POST", "/submissions", body), 404, "not_found")


def test_a_used_up_quota_is_said(caller, empty_queue):
    phase = make_benchmark(per_day=0)
    body = {"benchmark": phase.benchmark.slug, "method": "m", "files": {"a": sent(caller.user, phase).code}}
    assert "has used all" in assert_problem(caller.send("POST", "/submissions", body), 409, "not_accepted")["message"]


def test_actions_follow_the_submission(caller):
    submission = make_scored(make_benchmark(), 5_000.0, team=caller.team)
    path = f"/submissions/{submission.code}"
    assert caller.send("POST", f"{path}/unpublish").json()["visibility"] == "private"
    assert caller.send("POST", f"{path}/publish").json()["visibility"] == "published"
    assert caller.send("POST", f"{path}/withdraw").json()["visibility"] == "withdrawn"
    assert assert_problem(caller.send("POST", f"{path}/publish"), 409, "not_possible")["details"] == {
        "status": "scored"
    }
    assert_problem(caller.send("POST", f"{path}/cancel"), 409, "not_possible")


def test_a_waiting_submission_can_be_cancelled(caller):
    submission = make_submission(make_benchmark(), team=caller.team)
    answer = caller.send("POST", f"/submissions/{submission.code}/cancel").json()
    assert (answer["status"], answer["complaints"][0]["code"]) == ("rejected", "cancelled")


def test_links_and_facts_come_with_a_submission(caller, empty_queue):
    phase = make_benchmark()
    about = {"paper_url": "https://example.org/paper", "compute": "4 GPUs, 3 days"}
    body = {"benchmark": phase.benchmark.slug, "method": "m", "files": {"a": sent(caller.user, phase).code}, **about}
    answer = caller.send("POST", "/submissions", body).json()
    assert {name: answer[name] for name in about} == about
    bad = caller.send("PATCH", f"/submissions/{answer['code']}", {"code_url": "javascript:alert(1)"})
    assert_problem(bad, 422, "invalid")


def test_an_entry_replaces_an_earlier_one_of_its_team(caller, client, empty_queue):
    phase = make_benchmark()
    old = make_scored(phase, 5_000.0, team=caller.team)
    body = {"benchmark": phase.benchmark.slug, "method": "m", "files": {"a": sent(caller.user, phase).code}}
    answer = caller.send("POST", "/submissions", {**body, "supersedes": old.code}).json()
    assert answer["supersedes"] == old.code
    assert client.get(f"{API}/submissions/{old.code}").json()["superseded_by"] == []  # not scored yet
    Submission.objects.filter(code=answer["code"]).update(status="scored", published_at=timezone.now())
    assert client.get(f"{API}/submissions/{old.code}").json()["superseded_by"] == [answer["code"]]
    path = f"/submissions/{answer['code']}"
    assert caller.send("PATCH", path, {"supersedes": ""}).json()["supersedes"] is None


def test_nothing_else_can_be_replaced(caller, empty_queue):
    phase = make_benchmark()
    foreign, mine = make_scored(phase, 5_000.0), make_scored(phase, 6_000.0, team=caller.team)
    body = {"benchmark": phase.benchmark.slug, "method": "m", "files": {"a": sent(caller.user, phase).code}}
    assert_problem(caller.send("POST", "/submissions", {**body, "supersedes": foreign.code}), 404, "not_found")
    waiting = make_submission(phase, team=caller.team)
    assert_problem(caller.send("POST", "/submissions", {**body, "supersedes": waiting.code}), 409, "not_accepted")
    assert_problem(caller.send("PATCH", f"/submissions/{mine.code}", {"supersedes": mine.code}), 409, "not_accepted")
    newer = make_scored(phase, 7_000.0, team=caller.team)
    freeze_phase(phase=phase)
    assert_problem(caller.send("PATCH", f"/submissions/{newer.code}", {"supersedes": mine.code}), 409, "not_accepted")


def test_only_an_organiser_makes_a_reference_entry(caller):
    submission = make_scored(make_benchmark(), 5_000.0, team=caller.team)
    path, body = f"/submissions/{submission.code}/reference", {"command": "baselines reproduce", "provenance": {"a": 1}}
    assert_problem(caller.send("POST", path, body), 403, "forbidden")
    type(caller.user).objects.filter(pk=caller.user.pk).update(is_staff=True)
    answer = caller.send("POST", path, body).json()
    assert (answer["is_reference"], answer["reproduce_command"]) == (True, "baselines reproduce")
    assert_problem(caller.send("POST", path, {**body, "provenance": {"a": "\0"}}), 422, "invalid")


def test_a_submission_can_be_renamed(caller):
    submission = make_scored(make_benchmark(), 5_000.0, team=caller.team, description="old")
    answer = caller.send("PATCH", f"/submissions/{submission.code}", {"method": "New name"}).json()
    assert (answer["method"], answer["description"]) == ("New name", "old")


@pytest.mark.parametrize(("method", "path"), [("PATCH", ""), ("POST", "/withdraw"), ("POST", "/cancel")])
def test_nobody_changes_another_teams_submission(caller, method, path):
    submission = make_scored(make_benchmark(), 5_000.0)
    body = {"method": "mine"} if method == "PATCH" else None
    assert_problem(caller.send(method, f"/submissions/{submission.code}{path}", body), 404, "not_found")
    assert Submission.objects.get().withdrawn_at is None


def test_a_token_does_only_what_its_scope_says():
    reader = Caller(scopes=["read"])
    submission = make_scored(make_benchmark(), 5_000.0, team=reader.team)
    assert reader.get("/submissions").status_code == 200
    answer = assert_problem(reader.send("POST", f"/submissions/{submission.code}/withdraw"), 403, "wrong_scope")
    assert answer["details"] == {"needed": "submit"}


@pytest.mark.parametrize("path", ["/submissions", "/me", "/me/uploads"])
def test_what_is_ones_own_needs_a_login(client, path):
    response = client.get(API + path)
    assert_problem(response, 401, "not_logged_in")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("key", ["nonsense", "axonem_" + "x" * 43, ""])
def test_a_bad_token_is_refused_also_where_none_is_needed(client, key):
    response = client.get(f"{API}/benchmarks", headers={"Authorization": f"Bearer {key}"})
    assert response.status_code == 401
    assert response.json()["code"] in ("bad_token", "not_logged_in")


def test_a_revoked_token_is_worth_nothing(caller):
    caller.user.api_tokens.update(revoked_at=timezone.now())
    assert_problem(caller.get("/me"), 401, "bad_token")


def test_a_session_reads_without_and_writes_with_the_csrf_token():
    user = make_user()
    submission = make_submission(make_benchmark(), team=user.teams.get())
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(user)
    assert browser.get(f"{API}/me").json()["token"] is None
    address = f"{API}/submissions/{submission.code}/cancel"
    assert_problem(browser.post(address, content_type="application/json"), 403, "csrf_failed")
    browser.cookies["csrftoken"] = "x" * 32
    answer = browser.post(address, content_type="application/json", headers={"X-CSRFToken": "x" * 32})
    assert answer.status_code == 200


def test_me_names_teams_and_the_token(caller):
    answer = caller.get("/me").json()
    assert answer["teams"] == [{"id": caller.team.pk, "name": caller.team.name}]
    assert answer["token"]["scopes"] == ["read", "submit"]


def test_uploads_are_found_by_their_declared_checksum(caller):
    create_upload(user=caller.user, file_name="a.h5", size_bytes=5, declared_sha256="a" * 64)
    create_upload(user=caller.user, file_name="b.h5", size_bytes=6, declared_sha256="b" * 64)
    answer = caller.get("/me/uploads", sha256="b" * 64).json()
    assert [row["file_name"] for row in answer["items"]] == ["b.h5"]
    assert answer["stored_bytes"] == 11
    outsider = Caller()
    assert outsider.get("/me/uploads").json()["count"] == 0
    assert_problem(outsider.get(f"/me/uploads/{answer['items'][0]['code']}"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here", 404, "not_found"),
        ("DELETE", "/benchmarks", 405, "method_not_allowed"),
        ("POST", "/submissions", 422, "invalid"),
        ("GET", "/benchmarks/none", 404, "not_found"),
    ],
)
def test_every_error_has_one_shape(caller, method, path, status, code):
    assert_problem(caller.send(method, path, {"x": 1} if method == "POST" else None), status, code)


@pytest.mark.parametrize("body", ["{", "[1", "\xff", '{"a": NaN', "null"])
def test_broken_json_is_the_callers_fault(caller, body):
    response = caller.client.generic("POST", f"{API}/submissions", body, "application/json")
    assert response.status_code in (400, 422)
    assert set(response.json()) == {"code", "message", "details"}


def test_a_form_with_files_is_no_call(caller):
    response = caller.client.post(f"{API}/submissions", {"a": "b"})
    assert_problem(response, 415, "wrong_content_type")


def test_too_many_requests_are_told_to_wait(caller, monkeypatch):
    cache.clear()
    monkeypatch.setattr(rate, "per_minute", 2)
    assert [caller.get("/me").status_code for _ in range(2)] == [200, 200]
    response = caller.get("/me")
    assert_problem(response, 429, "too_many_requests")
    assert int(response.headers["Retry-After"]) >= 1
    assert Caller().get("/me").status_code == 200


def test_the_description_is_valid_openapi(client):
    schema = client.get(f"{API}/openapi.json").json()
    assert schema["openapi"].startswith("3.1")
    for component in schema["components"]["schemas"].values():
        meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **component})
    for path in schema["paths"].values():
        for operation in path.values():
            assert operation["responses"]["404"]["content"]["application/json"]["schema"]
