"""Axons on a benchmark's page: exact for public ground truth, rounded or not at all for hidden."""

import json

import numpy as np
import pytest
from django.core.management import call_command
from django.urls import reverse

from axonem_eval.skeletons import SkeletonGraph
from evalserver.benchmarks.models import Benchmark, Volume
from tests.factories import SHAPE, VOXEL_NM, add_ground_truth, make_benchmark

pytestmark = pytest.mark.django_db
N = 37


def straight_axons(count: int = N) -> SkeletonGraph:
    """Axons of two nodes along x; lengths rise from 1.2 µm by 30 nm, one voxel each."""
    x = 40 + np.arange(count)
    node = [(i % SHAPE[0], i // SHAPE[0], v) for i in range(count) for v in (0, x[i])]
    first = np.arange(count) * 2
    return SkeletonGraph(
        skeleton_id=np.arange(101, 101 + count, dtype=np.uint64),
        node_skeleton=np.repeat(np.arange(count, dtype=np.int32), 2),
        node_voxel_zyx=np.array(node, np.int32),
        edge_u=first.astype(np.int32),
        edge_v=(first + 1).astype(np.int32),
        edge_length_nm=x * VOXEL_NM[2],
        shape_zyx=SHAPE,
        voxel_size_nm_zyx=VOXEL_NM,
    )


@pytest.fixture
def benchmark():
    benchmark = make_benchmark(ready=False).benchmark
    add_ground_truth(benchmark.volumes.get(), straight_axons())
    call_command("draw_axons", benchmark.slug)
    return benchmark


def page_of(client, benchmark) -> str:
    return client.get(reverse("benchmark", args=[benchmark.slug])).content.decode()


def picture(client, benchmark, name="longest-1"):
    kind, number = name.split("-")
    return client.get(reverse("axon_picture", args=[benchmark.slug, "a", kind, int(number)]))


def test_public_axons_are_shown_each_with_its_length_and_a_picture(client, benchmark):
    Volume.objects.update(ground_truth_public=True)
    page = page_of(client, benchmark)
    assert f"axon {100 + N}" in page
    assert "2.28 µm" in page  # (40 + 36) x 30 nm
    assert "1–2 µm 27 axons" in page
    for name in ("longest-1", "shortest-5"):
        answer = picture(client, benchmark, name)
        assert b"".join(answer.streaming_content)[8:12] == b"WEBP"
    assert picture(client, benchmark, "longest-6").status_code == 404
    Benchmark.objects.update(is_visible=False)
    assert picture(client, benchmark).status_code == 404


def test_hidden_axons_are_not_shown_unless_the_organisers_choose_so(client, benchmark):
    page = page_of(client, benchmark)
    assert 'id="axons"' not in page
    assert picture(client, benchmark).status_code == 404


def test_hidden_lengths_are_told_in_tens_and_classes_of_few_axons_not_at_all(client, benchmark):
    graph = straight_axons(32)  # 27 of 1 to 2 µm, 5 of more
    Volume.objects.get().ground_truths.update(is_current=False)
    add_ground_truth(Volume.objects.get(), graph)
    call_command("draw_axons", benchmark.slug)
    Volume.objects.update(axons_shown="lengths")
    page = page_of(client, benchmark)
    assert "1–2 µm about 30 axons, 2–5 µm too few axons to be told" in page
    assert "<figcaption>" not in page
    assert picture(client, benchmark).status_code == 404


def test_pictures_of_hidden_axons_tell_neither_id_nor_exact_length(client, benchmark):
    Volume.objects.update(axons_shown="pictures")
    page = page_of(client, benchmark)
    assert "axon 1" not in page
    assert "2.28" not in page
    assert "2.30 µm" in page
    assert picture(client, benchmark).status_code == 200


def axons_page(client, benchmark, **query):
    return client.get(reverse("volume_axons", args=[benchmark.slug, "a"]), query)


def courses_of(client, benchmark):
    return client.get(reverse("axon_courses", args=[benchmark.slug, "a"]))


def test_the_page_of_public_axons_counts_them_and_gives_their_courses(client, benchmark):
    Volume.objects.update(ground_truth_public=True)
    page = axons_page(client, benchmark).content.decode()
    assert f"<dd>{N}</dd>" in page
    assert "<dd>2.28 µm, 1.20 µm</dd>" in page
    assert '<th scope="row">1–2</th><td class="num">27</td>' in page
    found = json.loads(courses_of(client, benchmark).getvalue())
    assert found["box_nm"] == [n * size for n, size in zip(SHAPE, VOXEL_NM, strict=True)]
    assert len(found["courses"]) == 10
    longest = np.array(found["courses"][0]["nodes"])
    assert np.ptp(longest[:, 2]) == 76 * VOXEL_NM[2]  # 2.28 µm along x


def test_lengths_stand_beside_those_of_a_volume_that_the_reader_chooses(client, benchmark):
    other = make_benchmark(ready=False).benchmark
    add_ground_truth(other.volumes.get(), straight_axons(10))
    call_command("draw_axons", other.slug)
    Volume.objects.update(ground_truth_public=True)
    page = axons_page(client, benchmark, against=other.volumes.get().pk).content.decode()
    assert '<th scope="row">1–2</th><td class="num">27</td><td class="num">10</td>' in page
    assert "Tiny, Volume A: 1–2 µm 10 axons" in page
    for is_told in (False, True):
        Volume.objects.filter(benchmark=other).update(ground_truth_public=is_told)
        Benchmark.objects.filter(pk=other.pk).update(is_visible=not is_told)
        assert axons_page(client, benchmark, against=other.volumes.get().pk).status_code == 404
        assert "<select" not in axons_page(client, benchmark).content.decode()


def test_hidden_axons_have_a_page_only_where_organisers_choose_so_and_never_their_courses(client, benchmark):
    assert axons_page(client, benchmark).status_code == 404
    for shown in ("lengths", "pictures"):
        Volume.objects.update(axons_shown=shown)
        page = axons_page(client, benchmark).content.decode()
        assert "<dd>40</dd>" in page
        assert "2.28" not in page
        assert "axons.js" not in page
        assert '<th scope="row">1–2</th><td class="num">30</td>' in page
        assert courses_of(client, benchmark).status_code == 404
    assert "Median length" not in page
    assert "is hidden: numbers are rounded" in page
