"""From upload to score, with a real worker, a real Redis and real files."""

from io import BytesIO

import h5py
import numpy as np
import pytest

from axonem_eval.scoring import score_nodes
from evalserver.benchmarks.models import GroundTruth
from evalserver.benchmarks.services import make_current, register_ground_truth
from evalserver.submissions import services
from evalserver.submissions.evaluation import scoring
from evalserver.submissions.evaluation.rescore import rescore_benchmark, rescore_submission
from evalserver.submissions.models import Evaluation, NodeLabels, QuotaSlot
from tests.factories import (
    TOLERANCE,
    add_ground_truth,
    h5_bytes,
    make_benchmark,
    make_submission,
    make_team,
    make_user,
    tiny_graph,
    tiny_labels,
    upload,
)
from tests.server.real_scores import submit

pytestmark = pytest.mark.slow  # a worker takes seconds to start


def test_a_copy_of_the_labels_scores_the_ground_truths_own_erl(worker, ended):
    phase = make_benchmark(("a", "b"))
    submission = ended(submit(phase))
    assert submission.status == "scored", submission.complaints
    evaluations = list(Evaluation.objects.filter(volume_file__submission=submission))
    assert [e.erl_nm for e in evaluations] == [95 * 30.0] * 2
    assert [e.normalized_erl for e in evaluations] == [1.0] * 2
    assert submission.scores.get().mean_erl_nm == 95 * 30.0
    assert submission.published_at is not None


def test_the_servers_score_is_the_librarys_to_the_last_digit(worker, ended):
    phase = make_benchmark()
    labels = tiny_labels()
    labels[:, :, 37:][labels[:, :, 37:] == 1] = 2**63 + 11
    labels[:, 30:36, 70:] = 0
    submission = ended(submit(phase, {"a": upload(labels)}))
    graph = tiny_graph()
    at_home = score_nodes(graph, labels[tuple(graph.node_voxel_zyx.T)], tolerance_nodes=TOLERANCE)
    evaluation = Evaluation.objects.get(volume_file__submission=submission)
    assert evaluation.erl_nm == at_home.erl_nm
    assert evaluation.report["edges_nm"] == at_home.to_json()["edges_nm"]


def without_last_chunks() -> bytes:
    """The true labels in an HDF5 file of which the last third along x was never written."""
    buffer, labels = BytesIO(), tiny_labels()
    with h5py.File(buffer, "w") as file:
        main = file.create_dataset("main", labels.shape, labels.dtype, chunks=(24, 64, 32), compression="gzip")
        main[:, :, :64] = labels[:, :, :64]
    return buffer.getvalue()


def test_chunks_that_are_not_there_are_named_to_the_team_alone(worker, ended, client):
    phase, ada = make_benchmark(), make_user()
    submission = ended(submit(phase, {"a": upload(without_last_chunks())}, user=ada))
    assert submission.status == "scored", submission.complaints
    (warning,) = submission.files.get().warnings
    assert warning == "seg.h5: 1 of 3 chunks were never written: they read as background"
    page = f"/submissions/{submission.code}/"
    assert warning not in client.get(page).content.decode()
    client.force_login(ada)
    assert warning in client.get(page).content.decode()
    (file,) = client.get(f"/api/v1/submissions/{submission.code}").json()["files"]
    assert file["warnings"] == [warning]


def test_an_evaluation_names_everything_it_depends_on(worker, ended):
    phase = make_benchmark()
    evaluation = Evaluation.objects.get(volume_file__submission=ended(submit(phase)))
    assert evaluation.ground_truth_checksum == tiny_graph().checksum()
    assert evaluation.tolerance_nodes == TOLERANCE
    assert evaluation.code_version == scoring.code_version()
    assert set(evaluation.timings) == {"sample_s", "score_s"}


def test_labels_of_an_organiser_become_ground_truth(worker, ended):
    phase = make_benchmark(ready=False)
    volume = phase.volumes.get()
    ground_truth = ended(
        register_ground_truth(volume=volume, source_kind=GroundTruth.Source.LABELS, source_file=upload())
    )
    assert ground_truth.status == "ready", ground_truth.complaints
    assert ground_truth.is_current
    assert ground_truth.skeletons == 3
    # TEASAR ends a little short of a bar's ends: 2.85 um less some voxels of 30 nm.
    assert 2600 < ground_truth.gt_erl_nm <= 2850
    submission = ended(submit(phase))
    assert submission.scores.get().mean_normalized_erl == 1.0


def test_labels_of_the_wrong_shape_are_no_ground_truth(worker, ended):
    phase = make_benchmark(ready=False)
    ground_truth = ended(
        register_ground_truth(
            volume=phase.volumes.get(), source_kind=GroundTruth.Source.LABELS, source_file=upload(tiny_labels()[:, :9])
        )
    )
    assert ground_truth.status == "rejected"
    assert [c["code"] for c in ground_truth.complaints] == ["wrong_shape"]
    assert not ground_truth.is_current


@pytest.mark.parametrize("part", ["source_file", "no_merge_mask"])
def test_labels_and_masks_that_state_another_voxel_size_are_no_ground_truth(worker, ended, part):
    phase = make_benchmark(ready=False)
    files = {"source_file": upload(), part: upload(h5_bytes(tiny_labels(), voxel_size_nm=(8.0, 8.0, 30.0)))}
    ground_truth = ended(
        register_ground_truth(volume=phase.volumes.get(), source_kind=GroundTruth.Source.LABELS, **files)
    )
    assert ground_truth.status == "rejected"
    assert [c["code"] for c in ground_truth.complaints] == ["wrong_voxel_size"]
    assert "8 x 8 x 30" in ground_truth.complaints[0]["message"]


BAD_FILES = {
    "not_hdf5": lambda: b"this is no HDF5 file" * 50,
    "truncated": lambda: h5_bytes(tiny_labels())[:3000],
    "wrong_shape": lambda: h5_bytes(tiny_labels()[:, :, :50]),
    "swapped_axes": lambda: h5_bytes(np.ascontiguousarray(tiny_labels().T)),
    "wrong_dtype": lambda: h5_bytes(tiny_labels().astype(np.float32)),
    "negative_label": lambda: h5_bytes(tiny_labels().astype(np.int64) - 1),
    "wrong_voxel_size": lambda: h5_bytes(tiny_labels(), voxel_size_nm=(30.0, 8.0, 8.0)),
    "all_background": lambda: h5_bytes(np.zeros_like(tiny_labels())),
    "one_label": lambda: h5_bytes(np.ones_like(tiny_labels())),
}


def test_every_bad_file_is_rejected_and_the_queue_goes_on(worker, ended):
    phase = make_benchmark(per_day=len(BAD_FILES) + 1)
    user = make_user()
    bad = {code: submit(phase, {"a": upload(make())}, user=user) for code, make in BAD_FILES.items()}
    good = submit(phase, user=user)
    found = {}
    for code, submission in bad.items():
        ended(submission)
        found[code] = (submission.status, [c["code"] for c in submission.complaints])
    assert {status for status, _ in found.values()} == {"rejected"}, found
    assert all(codes for _, codes in found.values())
    assert all(found[code][1] == [code] for code in ("wrong_shape", "swapped_axes", "wrong_dtype")), found
    assert ended(good).status == "scored"
    # A rejected submission gives its slot back.
    assert list(QuotaSlot.objects.values_list("submission", flat=True)) == [good.pk]


def test_a_rejection_shows_the_complaints_of_all_volumes_with_the_teams_file_names(worker, ended):
    phase = make_benchmark(("a", "b"))
    files = {"a": upload(b"nonsense" * 20, "my first.h5"), "b": upload(tiny_labels().astype(float), "../../second.h5")}
    submission = ended(submit(phase, files))
    assert [c["volume"] for c in submission.complaints] == ["Volume A", "Volume B"]
    assert "my first.h5" in submission.complaints[0]["message"]
    assert "second.h5" in submission.complaints[1]["message"]
    assert submission.code not in "".join(c["message"] for c in submission.complaints)


def test_what_breaks_on_our_side_shows_an_incident_and_nothing_else(worker, ended):
    phase = make_benchmark()
    GroundTruth.objects.update(checksum="0" * 64)  # a bundle that is not the registered one
    submission = ended(submit(phase))
    assert submission.status == "failed"
    assert submission.attempts == 3
    assert submission.incident_id
    assert submission.complaints == []
    assert not QuotaSlot.objects.exists()


def test_a_failed_submission_can_be_evaluated_again_for_free(worker, ended):
    phase = make_benchmark()
    GroundTruth.objects.update(checksum="0" * 64)
    submission = ended(submit(phase))
    GroundTruth.objects.update(checksum=tiny_graph().checksum())
    assert services.retry_submission(submission)
    assert ended(submission).status == "scored"
    assert submission.incident_id == ""


def test_a_new_tolerance_is_scored_from_stored_labels(worker, ended):
    phase = make_benchmark()
    labels = tiny_labels()
    labels[:, 30:36, :10] = 1  # ten nodes of the second axon carry the first one's label
    submission = ended(submit(phase, {"a": upload(labels)}))
    strict = Evaluation.objects.get()
    submission.files.get().file.delete(save=False)  # nothing can be read again
    phase.volumes.update(tolerance_nodes=20)
    assert rescore_benchmark(phase.benchmark) == {"rescored": 1}
    tolerant = Evaluation.objects.exclude(pk=strict.pk).get()
    assert strict.report["mergers"] == 1
    assert tolerant.report["mergers"] == 0
    assert tolerant.erl_nm > strict.erl_nm
    assert submission.scores.count() == 2


def test_a_new_ground_truth_is_sampled_again_and_old_records_stay(worker, ended):
    phase = make_benchmark()
    submission = ended(submit(phase))
    second = add_ground_truth(phase.volumes.get(), tiny_graph().longer_than(0), is_current=False)
    make_current(ground_truth=second)
    assert rescore_benchmark(phase.benchmark) == {"queued": 1}
    assert ended(submission).status == "scored"
    assert Evaluation.objects.filter(volume_file__submission=submission).count() == 2
    assert submission.scores.count() == 2


def test_rescoring_twice_changes_nothing(worker, ended):
    phase = make_benchmark()
    ended(submit(phase))
    assert rescore_benchmark(phase.benchmark) == {"current": 1}
    assert Evaluation.objects.count() == 1


def test_stored_labels_are_not_sampled_again(worker, ended):
    phase = make_benchmark()
    submission = ended(submit(phase))
    before = NodeLabels.objects.get()
    other = make_submission(phase, team=make_team())
    assert NodeLabels.objects.filter(volume_file__submission=other).count() == 0
    assert rescore_submission(submission.pk) == "current"
    assert NodeLabels.objects.get() == before
