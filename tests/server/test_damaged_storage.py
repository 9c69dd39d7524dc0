"""What is damaged or lost in the storage after it had arrived: an incident, not a fault of who is scored."""

from pathlib import Path

import h5py
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from evalserver.benchmarks.models import GroundTruth, Volume
from evalserver.submissions.evaluation.job import evaluate_submission
from evalserver.submissions.models import Submission
from tests.factories import add_ground_truth, h5_bytes, make_submission, tiny_labels, upload
from tests.server.dense_ground_truth import board_of, dense_labels, register

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def break_chunks(path: str) -> None:
    """Every chunk of a file of ours is no gzip any more."""
    with h5py.File(path) as file:
        found = [d for d in file.values() if isinstance(d, h5py.Dataset) and d.chunks]
        chunks = [d.id.get_chunk_info(i) for d in found for i in range(d.id.get_num_chunks())]
    assert chunks
    with open(path, "r+b") as raw:
        for chunk in chunks:
            raw.seek(chunk.byte_offset)
            raw.write(b"\xff" * chunk.size)


def with_mask(volume: Volume) -> GroundTruth:
    ground_truth = add_ground_truth(volume)
    ground_truth.no_merge_mask.save("mask.h5", upload(h5_bytes(tiny_labels())))
    return ground_truth


def mask_with_broken_chunks(volume: Volume) -> None:
    break_chunks(with_mask(volume).no_merge_mask.path)


def mask_that_does_not_open(volume: Volume) -> None:
    with open(with_mask(volume).no_merge_mask.path, "wb") as file:
        file.write(b"no HDF5")


def dense_with_broken_chunks(volume: Volume) -> None:
    break_chunks(register(volume).dense.path)


def dense_that_does_not_open(volume: Volume) -> None:
    with open(register(volume).dense.path, "wb") as file:
        file.write(b"no HDF5")


def page_of_the_incident(submission: Submission, client: Client) -> str:
    """What its team reads once the evaluation of a submission has failed for good."""
    for _ in range(settings.MAX_ATTEMPTS):
        evaluate_submission(submission.pk)
    submission.refresh_from_db()
    assert (submission.status, submission.complaints) == ("failed", [])
    client.force_login(submission.team.members.get())
    page = client.get(reverse("submission", args=[submission.code])).content.decode()
    assert submission.incident_id in page
    return page


@pytest.mark.parametrize(
    ("variant", "damage"),
    [
        ("axonem", mask_with_broken_chunks),
        ("axonem", mask_that_does_not_open),
        ("cremi", dense_with_broken_chunks),
        ("cremi", dense_that_does_not_open),
    ],
)
def test_damaged_ground_truth_is_an_incident_that_tells_the_participant_nothing(variant, damage, client):
    phase = board_of(variant)
    damage(phase.volumes.get())
    submission = make_submission(phase, files={"a": dense_labels()})
    page = page_of_the_incident(submission, client)
    assert "damaged" not in page
    assert "mask" not in page


def test_a_file_that_the_storage_lost_is_an_incident(client):
    submission = make_submission(board_of("axonem"))
    add_ground_truth(submission.phase.volumes.get())
    path = Path(submission.files.get().file.path)
    path.unlink()
    assert str(path.parent) not in page_of_the_incident(submission, client)
