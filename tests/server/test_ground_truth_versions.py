"""Versions of a volume's ground truth: what organisers see of them, and when they begin to rank."""

import re
from dataclasses import replace

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from evalserver.benchmarks.models import GroundTruth, PublishedEntry, PublishedScore
from evalserver.benchmarks.registration import register_ground_truth as run_registration
from evalserver.benchmarks.services import NotPossible, freeze_phase, make_current, register_ground_truth
from evalserver.submissions.models import Score
from tests.factories import make_benchmark, make_scored, make_user, tiny_graph, upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


@pytest.fixture
def organiser():
    client = Client()
    client.force_login(make_user("Olga", is_staff=True, is_superuser=True))
    return client


def registered(volume, tmp_path, graph=None) -> GroundTruth:
    """A version made from a bundle, as a worker does it."""
    path = tmp_path / "gt.npz"
    (graph or tiny_graph()).save(path)
    row = register_ground_truth(
        volume=volume, source_kind=GroundTruth.Source.BUNDLE, source_file=upload(path.read_bytes(), "gt.npz")
    )
    run_registration(row.pk)
    row.refresh_from_db()
    assert row.status == "ready", row.complaints
    return row


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: {"skeleton_id": np.full_like(g.skeleton_id, 3)}, "ids stand for several skeletons"),
        (
            lambda g: {
                "edge_u": np.append(g.edge_u, g.edge_v[0]),
                "edge_v": np.append(g.edge_v, g.edge_u[0]),
                "edge_length_nm": np.append(g.edge_length_nm, g.edge_length_nm[0]),
            },
            "edges stand twice",
        ),
    ],
)
def test_a_bundle_with_ids_or_edges_twice_is_rejected(tmp_path, change, words):
    volume = make_benchmark(ready=False).volumes.get()
    graph = tiny_graph()
    replace(graph, **change(graph)).save(tmp_path / "gt.npz")
    source = upload((tmp_path / "gt.npz").read_bytes(), "gt.npz")
    row = register_ground_truth(volume=volume, source_kind=GroundTruth.Source.BUNDLE, source_file=source)
    run_registration(row.pk)
    row.refresh_from_db()
    assert row.status == "rejected"
    assert words in str(row.complaints)


def ranked(phase) -> list[float]:
    answer = Client().get(f"/api/v1/benchmarks/{phase.benchmark.slug}/leaderboard")
    return [row["mean_erl_nm"] for row in answer.json()["rows"]]


def test_the_first_version_scores_at_once_and_a_later_one_only_when_chosen(organiser, tmp_path):
    phase = make_benchmark(ready=False)
    first = registered(phase.volumes.get(), tmp_path)
    assert first.is_current
    make_scored(phase, 5_000.0)
    second = registered(phase.volumes.get(), tmp_path)
    assert not second.is_current
    assert ranked(phase) == [5_000.0]
    action = {"action": "make_current", "_selected_action": [second.pk]}
    page = organiser.post(reverse("admin:benchmarks_groundtruth_changelist"), action, follow=True).content.decode()
    assert "workers score 1 submissions with it" in page
    second.refresh_from_db()
    assert second.is_current
    assert GroundTruth.objects.filter(is_current=True).count() == 1
    assert ranked(phase) == []  # until a worker has scored it again
    assert Score.objects.count() == 1  # and what it scored before is kept


def test_the_ground_truth_of_a_frozen_ranking_stays(organiser, tmp_path):
    phase = make_benchmark()
    second = registered(phase.volumes.get(), tmp_path)
    freeze_phase(phase=phase)
    with pytest.raises(NotPossible, match="frozen"):
        make_current(ground_truth=second)
    action = {"action": "make_current", "_selected_action": [second.pk]}
    page = organiser.post(reverse("admin:benchmarks_groundtruth_changelist"), action, follow=True).content.decode()
    assert "unfreeze it before the ground truth changes" in page
    second.refresh_from_db()
    assert not second.is_current


def test_an_organiser_sees_figures_and_pictures_of_a_version(organiser, tmp_path):
    row = registered(make_benchmark(ready=False).volumes.get(), tmp_path)
    entry = PublishedEntry.objects.create(
        benchmark=row.volume.benchmark, method="Ground truth", source="A paper", is_ground_truth=True
    )
    PublishedScore.objects.create(entry=entry, volume=row.volume, erl_um=2.84)
    page = organiser.get(reverse("admin:benchmarks_groundtruth_change", args=[row.pk])).content.decode()
    assert "<td>2.85 µm; published: 2.84 µm (A paper)</td>" in page
    assert "A later one waits until an organiser" in page
    assert "<td>8.55 µm</td>" in page  # three axons of 95 edges of 30 nm
    assert 'aria-label="Axons by length: 2–5 µm: 3."' in page
    assert page.count('class="skeleton run') == 3
    # A bar along x at y = 9: 600 pixels less two margins of 24 for 96 voxels of 30 nm.
    assert re.search(r'd="M24 76L30 76M', page)
    assert 'href="/static/ground-truth.css"' in page


def test_nobody_else_sees_the_preview(tmp_path):
    phase = make_benchmark(ready=False)
    row = registered(phase.volumes.get(), tmp_path)
    client = Client()
    client.force_login(make_user())
    assert client.get(reverse("admin:benchmarks_groundtruth_change", args=[row.pk])).status_code == 302
    for path in (f"/benchmarks/{phase.benchmark.slug}/", f"/api/v1/benchmarks/{phase.benchmark.slug}"):
        assert "skeleton run" not in client.get(path).content.decode()
