"""A benchmark's data for everybody: downloads in parts, pictures, and what the pages say of them."""

import hashlib
import json
import re
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.urls import reverse
from django.utils import timezone

from evalserver.benchmarks import images
from evalserver.benchmarks.models import Benchmark, ImageView, News, Picture, TrainingFile
from evalserver.benchmarks.services import store_training_file
from tests.factories import SHAPE, h5_bytes, make_benchmark, make_user
from tests.server.real_scores import score_for_real, split_axons

pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = bytes(range(256)) * 40


@pytest.fixture
def benchmark():
    return make_benchmark().benchmark


@pytest.fixture
def data_file(benchmark):
    row = TrainingFile(benchmark=benchmark, title="Training EM", licence="CC0", content="image", part="training")
    row.file = ContentFile(CONTENT, name="em.h5")
    return store_training_file(row)


def get(client, row, **headers):
    answer = client.get(reverse("training_file", args=[row.benchmark.slug, row.pk]), headers=headers)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return answer, body


def test_a_download_is_whole_and_says_that_parts_are_possible(client, data_file):
    answer, body = get(client, data_file)
    assert (answer.status_code, body) == (200, CONTENT)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert 'filename="em.h5"' in answer.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=10000-", slice(10000, None)),
        ("bytes=-7", slice(-7, None)),
        ("bytes=5-999999", slice(5, None)),
        ("bytes=10239-10239", slice(10239, 10240)),
    ],
)
def test_a_part_is_what_was_asked_for(client, data_file, asked, part):
    answer, body = get(client, data_file, range=asked)
    assert (answer.status_code, body) == (206, CONTENT[part])
    first, last, size = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers["Content-Range"]).groups())
    assert (CONTENT[first : last + 1], size) == (body, len(CONTENT))
    assert int(answer.headers["Content-Length"]) == len(body)


def test_a_part_beyond_the_end_is_refused_with_the_size(client, data_file):
    answer, _ = get(client, data_file, range="bytes=10240-")
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */10240")


@pytest.mark.parametrize("asked", ["bytes=9-3", "bytes=0-1,5-6", "bytes=-", "chapters=1-2", "bytes=a-b"])
def test_a_range_that_means_nothing_gives_the_whole_file(client, data_file, asked):
    assert get(client, data_file, range=asked)[0].status_code == 200


def test_a_part_of_another_content_is_not_continued(client, data_file):
    held = {"range": "bytes=100-", "if-range": '"another"'}
    assert get(client, data_file, **held)[0].status_code == 200
    held["if-range"] = f'"{data_file.sha256}"'
    assert get(client, data_file, **held)[0].status_code == 206


def test_data_of_a_hidden_benchmark_is_hidden(client, benchmark, data_file):
    Benchmark.objects.update(is_visible=False)
    assert get(client, data_file)[0].status_code == 404


def test_the_page_lists_data_with_size_checksum_licence_and_how_to_open_it(client, benchmark, data_file):
    Benchmark.objects.update(terms="Use it **as you like**.", bibtex="@inproceedings{x}", doi="10.1/2", contact="Olga")
    page = client.get(reverse("benchmark", args=[benchmark.slug])).content.decode()
    for words in ("10.2 kB", data_file.sha256, "CC0", "h5py.File", "curl -C -", "<strong>as you like</strong>"):
        assert words in page.replace("\xa0", " ")
    for words in ("baseline, submit", "@inproceedings{x}", "https://doi.org/10.1/2", "Questions: Olga"):
        assert words in page


def test_the_page_says_whose_ground_truth_is_public(client):
    phase = make_benchmark(("a", "b"))
    phase.volumes.filter(slug="b").update(ground_truth_public=True)
    page = client.get(reverse("benchmark", args=[phase.benchmark.slug])).content.decode()
    found = re.findall(r'<th scope="row">(Volume .)</th>\s*<td>.*?</td>\s*<td>(\w+)</td>', page)
    assert found == [("Volume A", "hidden"), ("Volume B", "public")]


def test_the_home_page_shows_picture_best_entry_teams_and_news(client):
    phase = make_benchmark()
    phase.volumes.update(ground_truth_public=True)
    picture = Picture(benchmark=phase.benchmark, words="Axons in 3-D")
    picture.file.save("a.webp", ContentFile(b"RIFF"))
    News.objects.create(text="New data", published_at=timezone.now())
    News.objects.create(text="Not yet", published_at=timezone.now() + timedelta(days=1))
    score_for_real(phase, split_axons(), method_name="Second")
    score_for_real(phase, method_name="First")
    page = client.get("/").content.decode()
    assert 'alt="Axons in 3-D"' in page
    assert "2 scored entries of 2 teams" in page
    assert page.index("2.85 µm") < page.index(">First</a>")
    assert "Second" not in page
    assert "New data" in page
    assert "Not yet" not in page
    answer = client.get(reverse("picture", args=[phase.benchmark.slug, picture.pk]))
    assert (answer.headers["Content-Type"], b"".join(answer.streaming_content)) == ("image/webp", b"RIFF")


def test_the_best_entry_is_not_told_while_the_ranking_is_hidden(client):
    phase = make_benchmark()
    score_for_real(phase, method_name="First")
    phase.ranking_hidden_until = timezone.now() + timedelta(days=1)
    phase.save()
    assert "Best entry" not in client.get("/").content.decode()


def test_em_is_made_ready_for_the_viewer_and_served(client, benchmark):
    grey = np.arange(np.prod(SHAPE), dtype=np.int64).reshape(SHAPE) % 251
    volume = benchmark.volumes.get()
    row = TrainingFile(benchmark=benchmark, title="Test EM", content="image", part="test", volume=volume)
    row.file = ContentFile(h5_bytes(grey.astype(np.uint8)), name="em.h5")
    row = store_training_file(row)
    assert client.get(reverse("image_state", args=[benchmark.slug, row.pk])).status_code == 404
    images.make_image_view(row.image_view.pk)
    row.refresh_from_db()
    assert row.view_files == 2
    info = client.get(reverse("image_file", args=[benchmark.slug, row.pk, "info"]))
    described = json.loads(b"".join(info.streaming_content))
    assert (described["type"], described["data_type"]) == ("image", "uint8")
    assert described["scales"][0]["size"] == list(SHAPE[::-1])
    state = client.get(reverse("image_state", args=[benchmark.slug, row.pk])).json()
    assert [(layer["type"], layer["name"]) for layer in state["layers"]] == [("image", "EM")]
    assert client.get(reverse("image_file", args=[benchmark.slug, row.pk, "../em.h5"])).status_code == 404
    assert "Open in Neuroglancer" in client.get(reverse("benchmark", args=[benchmark.slug])).content.decode()


@pytest.fixture
def em(benchmark):
    """A stored EM volume that the viewer shows."""
    row = TrainingFile(benchmark=benchmark, title="Test EM", content="image", volume=benchmark.volumes.get())
    row.file = ContentFile(h5_bytes(np.zeros(SHAPE, np.uint8)), name="em.h5")
    store_training_file(row)
    images.make_image_view(row.image_view.pk)
    row.refresh_from_db()
    return row


def test_a_file_that_is_no_em_any_more_gets_no_viewer(em):
    job = em.image_view
    TrainingFile.objects.filter(pk=em.pk).update(content="labels", view_files=0)
    type(job).objects.filter(pk=job.pk).update(status="waiting")
    images.make_image_view(job.pk)
    em.refresh_from_db()
    assert em.view_files == 0


def info_of(client, row):
    answer = client.get(reverse("image_file", args=[row.benchmark.slug, row.pk, "info"]))
    if answer.streaming:
        b"".join(answer.streaming_content)
    return answer


def test_em_of_a_hidden_benchmark_is_hidden_in_the_viewer_too(client, em):
    assert info_of(client, em).status_code == 200
    Benchmark.objects.update(is_visible=False)
    assert info_of(client, em).status_code == 404
    assert client.get(reverse("image_state", args=[em.benchmark.slug, em.pk])).status_code == 404


def test_em_that_was_replaced_or_is_no_em_any_more_is_not_shown(client, em):
    # an organiser had uploaded the hidden labels by mistake, say
    em.file = ContentFile(h5_bytes(np.ones(SHAPE, np.uint8)), name="em.h5")
    em.sha256 = ""
    store_training_file(em)
    assert info_of(client, em).status_code == 404
    images.make_image_view(ImageView.objects.get(data_file=em).pk)
    assert info_of(client, em).status_code == 200
    TrainingFile.objects.update(content="labels")
    assert info_of(client, em).status_code == 404
    assert "Open in Neuroglancer" not in client.get(reverse("benchmark", args=[em.benchmark.slug])).content.decode()


@pytest.mark.parametrize("name", ["9" * 5000 + "_1_1/0-1_0-1_0-1", "1_1_1/0-1_0-1_0-" + "9" * 5000, "..%2finfo", "a"])
def test_a_name_that_no_file_can_have_is_not_found(client, em, name):
    address = reverse("image_file", args=[em.benchmark.slug, em.pk, ""])
    assert client.get(address + name).status_code == 404
    assert client.get(address.replace(f"/data/{em.pk}/", f"/data/{'9' * 5000}/") + "info").status_code == 404


def test_em_that_cannot_be_shown_says_why_to_the_organisers(benchmark):
    row = TrainingFile(benchmark=benchmark, title="Test EM", content="image", volume=benchmark.volumes.get())
    row.file = ContentFile(h5_bytes(np.zeros(SHAPE, np.uint16)), name="em.h5")
    job = store_training_file(row).image_view
    images.make_image_view(job.pk)
    job.refresh_from_db()
    assert job.status == "rejected"
    assert "uint16, expected uint8" in job.complaints[0]["message"]


def test_a_worker_that_is_given_the_job_twice_does_it_once(em):
    job = ImageView.objects.get()
    finished = job.finished_at
    images.make_image_view(job.pk)
    job.refresh_from_db()
    assert (job.attempts, job.finished_at) == (1, finished)


def test_a_benchmark_with_a_new_address_still_shows_its_em(client, em):
    Benchmark.objects.update(slug="renamed")
    em.refresh_from_db()
    assert info_of(client, TrainingFile.objects.get(pk=em.pk)).status_code == 200


def test_a_data_file_that_is_gone_is_said_to_readers_and_to_organisers(client, data_file):
    data_file.file.storage.delete(data_file.file.name)
    answer, body = get(client, data_file)
    assert answer.status_code == 410
    assert "is not there any more" in body.decode()
    client.force_login(make_user("Olga", is_staff=True, is_superuser=True))
    words = f"“{data_file.title}” is gone from the storage"
    assert words in client.get(reverse("organise")).content.decode()
    data_file.file = ContentFile(b"again", name="again.h5")
    data_file.sha256 = ""
    store_training_file(data_file)
    assert words not in client.get(reverse("organise")).content.decode()


def test_a_picture_that_is_gone_is_not_found(client, benchmark):
    picture = Picture(benchmark=benchmark, words="EM")
    picture.file.save("a.png", ContentFile(b"a"))
    picture.file.storage.delete(picture.file.name)
    assert client.get(reverse("picture", args=[benchmark.slug, picture.pk])).status_code == 404
