"""Pictures of the worst errors: drawn by a worker, of public ground truth alone, and shown beside their positions."""

from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.urls import reverse

from evalserver.benchmarks.models import TrainingFile, Volume
from evalserver.benchmarks.services import store_training_file
from evalserver.submissions.evaluation.error_pictures import draw_errors, request_pictures
from evalserver.submissions.models import ErrorPictures
from tests.factories import SHAPE, h5_bytes, make_benchmark
from tests.server.real_scores import score_for_real, split_axons

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]
BLUE = (0, 114, 178)


def store_em(phase, shape=SHAPE):
    row = TrainingFile(benchmark=phase.benchmark, title="EM", content="image", volume=phase.volumes.get())
    row.file = ContentFile(h5_bytes(np.full(shape, 200, np.uint8)), name="em.h5")
    return store_training_file(row)


@pytest.fixture
def phase():
    phase = make_benchmark()
    phase.volumes.update(ground_truth_public=True)
    return phase


@pytest.fixture
def submission(phase):
    store_em(phase)
    return score_for_real(phase, split_axons(), files={"a": split_axons()})


def picture(client, submission, number=1):
    return client.get(reverse("error_picture", args=[submission.code, "a", number]))


def page_of(client, submission) -> str:
    return client.get(reverse("submission", args=[submission.code])).content.decode()


def test_the_worst_errors_are_drawn_with_their_segments_and_a_mark_at_the_node(client, submission):
    assert request_pictures(submission) == 1
    assert "A worker is drawing pictures" in page_of(client, submission)
    draw_errors(ErrorPictures.objects.get().pk)
    job = ErrorPictures.objects.get()
    errors = job.evaluation.report["top_errors"]
    assert (job.status, job.pictures) == ("ready", len(errors))
    answer = picture(client, submission)
    pixels = imagecodecs.webp_decode(BytesIO(b"".join(answer.streaming_content)).read()).astype(int)
    # 30 nm a voxel: the window is wider than the volume, which is shown whole, a pixel a voxel
    assert pixels.shape == (*SHAPE[1:], 3)
    first = errors[0]
    y, x = first["y_voxel"], first["x_voxel"]
    blue = np.abs(pixels - (np.array(BLUE) + 200) / 2).max(axis=2) < 25
    labels = split_axons()[first["z_voxel"]]
    of_the_error = labels == int(first["segment"])
    down, across = np.abs(np.arange(SHAPE[1])[:, None] - y), np.abs(np.arange(SHAPE[2])[None] - x)
    ticks = np.minimum(down, across) < 3
    assert pixels[y, x + 18].min() > 190 > 60 > pixels[y + 2, x + 18].max()  # white with a dark edge
    assert blue[of_the_error & ~ticks].mean() > 0.7
    assert blue[(labels == 0) & ~ticks].mean() < 0.05
    # What the mark points at is not covered: the axon is seen whole where it is as wide as a thin one.
    around = (np.maximum(down, across) < 11) & (labels > 0)
    assert pixels[around].min(axis=1).max() < 190
    assert pixels[around].max(axis=1).min() > 60
    assert reverse("error_picture", args=[submission.code, "a", 1]) in page_of(client, submission)
    assert picture(client, submission, len(errors) + 1).status_code == 404


def test_of_hidden_ground_truth_nothing_is_drawn_and_nothing_shown(client, submission):
    request_pictures(submission)
    draw_errors(ErrorPictures.objects.get().pk)
    assert picture(client, submission).status_code == 200
    Volume.objects.update(ground_truth_public=False)
    assert picture(client, submission).status_code == 404
    assert "error_picture" not in page_of(client, submission)
    ErrorPictures.objects.all().delete()
    assert request_pictures(submission) == 0


def test_they_are_asked_for_once_and_again_where_none_could_be_drawn(client, submission):
    assert request_pictures(submission) == 1
    draw_errors(ErrorPictures.objects.get().pk)
    assert request_pictures(submission) == 0
    TrainingFile.objects.all().delete()
    ErrorPictures.objects.all().delete()
    assert request_pictures(submission) == 0  # without EM there is nothing to draw
    row = store_em(submission.phase, shape=(4, 8, 8))
    request_pictures(submission)
    draw_errors(ErrorPictures.objects.get().pk)
    job = ErrorPictures.objects.get()
    assert job.status == "rejected"
    assert f"the EM “{row.title}” has 4 x 8 x 8 voxels" in job.complaints[0]["message"]
    assert request_pictures(submission) == 1


def test_private_entries_show_their_pictures_to_their_team_alone(client, submission):
    request_pictures(submission)
    draw_errors(ErrorPictures.objects.get().pk)
    type(submission).objects.update(published_at=None)
    assert picture(client, submission).status_code == 404
    client.force_login(submission.team.members.get())
    assert picture(client, submission).status_code == 200
