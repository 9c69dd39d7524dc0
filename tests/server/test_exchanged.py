"""Files that were handed in for one another's volumes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axonem_eval.client.output import result_table
from axonem_eval.client.submit import check_files
from axonem_eval.skeletons import SkeletonGraph
from evalserver.jobs import WAITING
from evalserver.submissions.evaluation.job import evaluate_submission
from evalserver.submissions.evaluation.rescore import rescore_submission
from evalserver.submissions.models import Submission
from tests.factories import add_ground_truth, h5_bytes, labels_file, make_benchmark, tiny_graph, tiny_labels, upload
from tests.server.caller import Caller
from tests.server.real_scores import submit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def graph_along_y() -> SkeletonGraph:
    """Three skeletons along y, where those of `tiny_graph` run along x."""
    n = tiny_labels().shape[1]
    first = np.concatenate([np.arange(n - 1) + s * n for s in range(3)]).astype(np.int32)
    return replace(
        tiny_graph(),
        node_skeleton=np.repeat(np.arange(3, dtype=np.int32), n),
        node_voxel_zyx=np.array([(6, y, x) for x in (9, 33, 81) for y in range(n)], np.int32),
        edge_u=first,
        edge_v=first + np.int32(1),
        edge_length_nm=np.full(len(first), 30.0),
    )


def bars(axis: int) -> np.ndarray:
    """Labels of bars of 6 x 6 voxels along y (1) or x (2), without background."""
    z, y, x = np.indices(tiny_labels().shape) // 6
    return (1 + 100 * z + (x if axis == 1 else y)).astype(np.uint64)


@pytest.fixture
def phase():
    phase = make_benchmark(("a", "b"), ready=False)
    for volume, graph in zip(phase.volumes.all(), (tiny_graph(), graph_along_y()), strict=True):
        add_ground_truth(volume, graph)
    return phase


def evaluated(phase, **files):
    submission = submit(phase, {slug: upload(content, f"{slug}.h5") for slug, content in files.items()})
    evaluate_submission(submission.pk)
    submission.refresh_from_db()
    return submission


def test_a_score_of_exchanged_files_comes_with_the_reason(phase, client):
    submission = evaluated(phase, a=bars(1), b=bars(2))
    page = client.get(f"/submissions/{submission.code}/").content.decode()
    assert page.count("The files of the two volumes are probably exchanged") == 2, submission.complaints
    assert "follows the axons of Volume B better" in page
    rows = client.get(f"/api/v1/submissions/{submission.code}/evaluations").json()["evaluations"]
    assert [(row["volume"], row["follows_volume"]) for row in rows] == [("a", "b"), ("b", "a")]
    assert "b: this file follows the axons of a better" in result_table(rows, None)


def test_a_score_by_another_rule_keeps_the_reason(phase, client):
    submission = evaluated(phase, a=bars(1), b=bars(2))
    phase.volumes.update(tolerance_nodes=7)
    assert rescore_submission(submission.pk) == "rescored"
    rows = client.get(f"/api/v1/submissions/{submission.code}/evaluations").json()["evaluations"]
    assert {row["follows_volume"] for row in rows if row["tolerance_nodes"] == 7} == {"a", "b"}


def test_files_that_are_bad_everywhere_are_not_called_exchanged(phase, client):
    noise = np.arange(1, tiny_labels().size + 1, dtype=np.uint32).reshape(tiny_labels().shape)
    submission = evaluated(phase, a=noise, b=noise)
    page = client.get(f"/submissions/{submission.code}/").content.decode()
    assert "exchanged" not in page
    assert "Labels in the wrong place" in page


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"x"), lambda path: path.unlink()])
def test_a_file_that_was_read_once_and_cannot_be_read_again_is_scored(phase, harm):
    submission = evaluated(phase, a=bars(1), b=bars(2))
    for file in submission.files.all():
        harm(Path(file.file.path))
    # As where a worker died before it stored the scores: the labels are there.
    Submission.objects.filter(pk=submission.pk).update(status=WAITING)
    evaluate_submission(submission.pk)
    submission.refresh_from_db()
    assert (submission.status, submission.complaints) == ("scored", [])


def test_a_rejection_of_exchanged_files_names_the_volume_that_each_fits(phase):
    b = phase.volumes.get(slug="b")
    b.ground_truths.update(is_current=False)
    b.voxel_x_nm = 15.0
    b.save()
    add_ground_truth(b, replace(graph_along_y(), voxel_size_nm_zyx=(30.0, 30.0, 15.0)))
    refused = evaluated(phase, a=h5_bytes(bars(1), voxel_size_nm=(30.0, 30.0, 15.0)), b=h5_bytes(bars(2)))
    assert [(c["code"], c["message"].partition(", whose")[0]) for c in refused.complaints] == [
        ("exchanged_files", "a.h5: it does not fit Volume A, but Volume B"),
        ("exchanged_files", "b.h5: it does not fit Volume B, but Volume A"),
    ]


def test_the_client_says_which_volume_an_exchanged_file_fits(phase, tmp_path):
    phase.volumes.filter(slug="b").update(shape_z=12)
    benchmark = Caller().get(f"/benchmarks/{phase.benchmark.slug}").json()
    thin, whole = labels_file(tmp_path / "b.h5", tiny_labels()[:12]), labels_file(tmp_path / "a.h5", tiny_labels())
    told = check_files({"a": thin, "b": whole}, benchmark, lambda *_: None)
    assert [c.message.partition(", whose")[0] for c in told] == [
        "Volume A: b.h5: it does not fit Volume A, but Volume B",
        "Volume B: a.h5: it does not fit Volume B, but Volume A",
    ]
    alone = check_files({"a": thin, "b": thin}, benchmark, lambda *_: None)
    assert {c.code for c in alone} == {"wrong_shape"}
