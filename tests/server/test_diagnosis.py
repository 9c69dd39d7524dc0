"""What comes after the score: the segmentation's own skeletons, and the viewer of results on public ground truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from django.urls import reverse
from django.utils.html import escape

from evalserver.jobs import Lease, redis_client
from evalserver.jobs.broker import DIAGNOSIS_QUEUE
from evalserver.submissions.evaluation.diagnosis import diagnose, request_diagnoses
from evalserver.submissions.evaluation.reconciler import requeue_stale
from evalserver.submissions.models import Diagnosis
from tests.factories import make_benchmark, make_user, upload
from tests.server.real_scores import score_for_real, split_axons, submit

pytestmark = pytest.mark.slow


@pytest.fixture
def diagnosed(workers, ended):
    """Score labels and diagnose them on a worker of the diagnosis queue; the submission and its diagnosis."""
    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    workers.start(queue=DIAGNOSIS_QUEUE)

    def run(labels=None, *, public=True, **fields):
        labels = split_axons() if labels is None else labels
        phase = make_benchmark()
        phase.volumes.update(ground_truth_public=public)
        submission = score_for_real(phase, labels, **{"files": {"a": labels}, **fields})
        assert request_diagnoses(submission) == 1
        return submission, ended(Diagnosis.objects.get(volume_file__submission=submission))

    return run


def address(name, submission, *more):
    return reverse(name, args=[submission.code, "a", *more])


def test_a_scored_file_is_diagnosed_and_shown_in_the_viewer(diagnosed, client):
    labels = split_axons()
    labels[labels == 3] = 102  # a merger, which costs more than the splits
    submission, diagnosis = diagnosed(labels)
    assert diagnosis.status == "ready", diagnosis.complaints
    assert diagnosis.report["segments"]["count"] == len(np.unique(labels[labels > 0]))

    page = client.get(reverse("submission", args=[submission.code])).content.decode()
    assert "Segments by length" in page
    assert f"#!http://testserver{address('view_state', submission)}" in page

    state = client.get(address("view_state", submission)).json()
    for no_error in ("0", "²", "9" * 5000):
        assert client.get(address("view_state", submission), {"error": no_error}).status_code == 404
    worst = client.get(address("view_state", submission), {"error": 1}).json()
    assert (state["selectedLayer"]["layer"], worst["selectedLayer"]["layer"]) == ("splits", "mergers")
    layers = {layer["name"]: layer for layer in state["layers"]}
    assert {"segmentation", "ground truth", "splits"} <= set(layers)
    assert set(layers["segmentation"]["segments"]) <= {str(i) for i in np.unique(labels)}
    for name in ("segmentation", "ground truth"):
        folder = layers[name]["source"].removeprefix("precomputed://http://testserver")
        info = json.loads(b"".join(client.get(f"{folder}info").streaming_content))
        assert info["@type"] in ("neuroglancer_multiscale_volume", "neuroglancer_skeletons")
    key = info_key(client, layers["segmentation"])
    chunk = client.get(f"{layers['segmentation']['source'].removeprefix('precomputed://http://testserver')}{key}")
    assert len(b"".join(chunk.streaming_content)) > 0
    assert any("split" in mark["description"] for mark in layers["splits"]["annotations"])


def info_key(client, layer):
    folder = layer["source"].removeprefix("precomputed://http://testserver")
    info = json.loads(b"".join(client.get(f"{folder}info").streaming_content))
    x, y, z = info["scales"][0]["size"]
    return f"{info['scales'][0]['key']}/0-{x}_0-{y}_0-{z}"


def test_hidden_ground_truth_gets_a_diagnosis_and_no_viewer(diagnosed, client):
    submission, diagnosis = diagnosed(public=False)
    assert (diagnosis.status, diagnosis.view_files) == ("ready", 0)
    assert diagnosis.report["traced_coarsely"] == {}
    diagnosis.report["traced_coarsely"] = {"words": "1 segment is larger: 7", "segments": [{"segment": "7"}]}
    diagnosis.save(update_fields=["report"])
    assert client.get(address("view_state", submission)).status_code == 404
    assert client.get(address("view_file", submission, "info")).status_code == 404
    slug = submission.phase.benchmark.slug
    assert client.get(reverse("skeleton_file", args=[slug, "a", "info"])).status_code == 404
    assert "1 segment is larger" not in client.get(address("diagnosis", submission)).content.decode()
    report = client.get(address("diagnosis_json", submission)).json()
    assert (report["longest_segments"], report["traced_coarsely"]) == ([], {})
    (row,) = client.get(f"/api/v1/submissions/{submission.code}/diagnoses").json()
    assert (row["volume"], row["status"], row["report"]["longest_segments"]) == ("a", "ready", [])
    assert row["report"]["segments"] == diagnosis.report["segments"]
    assert diagnosis.report["longest_segments"]
    client.force_login(submission.team.members.first())
    report = client.get(address("diagnosis_json", submission)).json()
    assert report == diagnosis.report
    assert "Note: 1 segment is larger: 7." in client.get(address("diagnosis", submission)).content.decode()
    (row,) = client.get(f"/api/v1/submissions/{submission.code}/diagnoses").json()
    assert row["report"] == diagnosis.report


def test_what_a_team_keeps_private_is_not_served_to_others(diagnosed, client):
    submission, _ = diagnosed(published_at=None)
    private = ["view_state", "diagnosis", "diagnosis_json", "diagnosis_skeletons"]
    client.force_login(make_user())
    for name in private:
        assert client.get(address(name, submission)).status_code == 404, name
    assert client.get(address("view_file", submission, "info")).status_code == 404
    client.force_login(submission.team.members.first())
    for name in private:
        answer = client.get(address(name, submission))
        assert answer.status_code == 200, name
        answer.close()


@pytest.mark.parametrize("name", ["../../secret", "skeletons/../../x", "1_1_1/..%2F..%2Fx", "", "a-nodes-v1.npz"])
def test_only_names_of_the_viewers_files_are_served(diagnosed_name, client, name):
    assert client.get(address("view_file", diagnosed_name, "") + name).status_code == 404


@pytest.fixture
def diagnosed_name(transactional_db):
    """A submission that claims to have files for the viewer."""
    phase = make_benchmark()
    phase.volumes.update(ground_truth_public=True)
    submission = score_for_real(phase, split_axons())
    Diagnosis.objects.create(volume_file=submission.files.get(), status="ready", report={}, view_files=3)
    return submission


def test_a_diagnosis_that_cannot_be_made_leaves_the_score_and_says_so(diagnosed, client):
    submission, diagnosis = diagnosed(files={"a": b"no label file at all"})
    score = submission.scores.get().mean_erl_nm
    assert diagnosis.status == "rejected"
    submission.refresh_from_db()
    assert (submission.status, submission.scores.get().mean_erl_nm) == ("scored", score)
    page = client.get(reverse("submission", args=[submission.code])).content.decode()
    assert escape(diagnosis.complaints[0]["message"]) in page
    assert diagnosis.complaints[0]["message"].startswith("seg.h5: not an HDF5 file")
    assert "does not depend on it" in page


def test_a_worker_that_dies_is_replaced_and_the_diagnosis_is_made(workers, ended, running):

    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    submission = score_for_real(make_benchmark(), split_axons())
    first = workers.start(queue=DIAGNOSIS_QUEUE)
    request_diagnoses(submission)
    diagnosis = running(Diagnosis.objects.get(volume_file__submission=submission))
    workers.kill(first)
    Diagnosis.objects.update(heartbeat_at="2000-01-01T00:00Z")
    requeue_stale()
    workers.start(queue=DIAGNOSIS_QUEUE)
    assert ended(diagnosis).status == "ready"


@pytest.mark.django_db(transaction=True)
def test_workers_share_the_tracing_of_a_large_file_for_the_same_diagnosis(workers, settings, monkeypatch):
    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    phase = make_benchmark()
    phase.volumes.update(ground_truth_public=True)
    submission = score_for_real(phase, split_axons())
    reports, progress = [], []
    for queue in ("", "skeletons"):
        settings.SKELETONIZE_QUEUE = queue
        job = Diagnosis.objects.create(volume_file=submission.files.get())
        diagnose(job.pk)
        job.refresh_from_db()
        assert job.status == "ready", job.complaints
        reports.append(job.report)
        job.delete()
        monkeypatch.setattr("axonem_eval.sandbox.parent_diagnosis.SHARE_VOXELS", split_axons().size // 2)
        monkeypatch.setattr(Lease, "progress", lambda _, words, percent: progress.append(percent))
        workers.start(queue="skeletons")
    assert reports[0] == reports[1]
    assert 50 < progress[np.searchsorted(progress, 50)] < 80  # one of two shares was done
    assert progress == sorted(progress)
    assert not list(Path(settings.SCRATCH_DIR).glob("diagnosis-*"))


@pytest.mark.django_db
def test_evaluation_asks_for_the_diagnosis(worker, ended):
    submission = ended(submit(make_benchmark(), {"a": upload(split_axons())}))
    assert Diagnosis.objects.get(volume_file__submission=submission).status == "uploaded"


def test_organisers_ask_for_what_is_missing_and_for_nothing_else(client, transactional_db, empty_queue):
    submission = score_for_real(make_benchmark(), split_axons())
    client.force_login(make_user(is_staff=True, is_superuser=True))
    data = {"action": "diagnose", "_selected_action": [submission.pk]}
    told = []
    for _ in range(2):
        page = client.post(reverse("admin:submissions_submission_changelist"), data, follow=True)
        told.append("1 of 1 sent" in page.content.decode())
    assert told == [True, False]
    assert redis_client().llen(DIAGNOSIS_QUEUE) == 1
