"""Boards that rank by dense ground truth: registration, scores from one read, rank of the lowest first, rounding."""

import re

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from axonem_eval import InputError
from axonem_eval.scoring import FIGURES, VARIANTS, DenseTruth, sample_and_count
from evalserver.benchmarks import services
from evalserver.benchmarks.models import Benchmark
from evalserver.benchmarks.selectors import closed_reason, current_ruler
from evalserver.leaderboard.selectors import leaderboard, place_of
from evalserver.submissions.evaluation.comparison import compare, request_comparison
from evalserver.submissions.evaluation.job import evaluate_submission, most_pairs
from evalserver.submissions.evaluation.rescore import rescore_submission
from evalserver.submissions.models import Evaluation, NodeLabels
from evalserver.submissions.results.dense_comparison import dense_verdict
from evalserver.submissions.results.selectors import result_of
from tests.factories import h5_bytes, make_benchmark, make_submission, tiny_graph, tiny_labels, write_h5
from tests.server.dense_ground_truth import board_of, dense_labels, register

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def some_splits() -> np.ndarray:
    labels = dense_labels()
    labels[12:][labels[12:] == 11] = 21
    return labels


def many_mergers() -> np.ndarray:
    labels = dense_labels()
    labels[np.isin(labels, (11, 12, 13, 1, 2))] = 7
    return labels


def scored(phase, labels: np.ndarray, method: str):
    files = {volume.slug: labels for volume in phase.volumes.all()}
    submission = make_submission(phase, files=files, method_name=method)
    evaluate_submission(submission.pk)
    submission.refresh_from_db()
    assert submission.status == "scored", submission.complaints
    return submission


def test_a_cremi_board_ranks_the_lowest_mean_score_first_everywhere(client, tmp_path):
    phase = board_of("cremi", public=True, volumes=("a", "b"))
    for volume in phase.volumes.all():
        truth = register(volume)
        assert (truth.status, truth.kinds, truth.is_current) == ("ready", {"dense"}, True), truth.complaints
    worse, better = scored(phase, many_mergers(), "mergers"), scored(phase, some_splits(), "splits")

    _, at_home = sample_and_count(
        write_h5(tmp_path / "seg.h5", some_splits()),
        tiny_graph(),
        dense=DenseTruth(write_h5(tmp_path / "gt.h5", dense_labels()), VARIANTS["cremi"].dense),
    )
    assert better.scores.get().headline == pytest.approx(at_home.cremi_score, rel=1e-12)
    figures = Evaluation.objects.filter(volume_file__submission=better).first().figures
    assert figures == {
        "arand": at_home.arand,
        "voi_split": at_home.voi_split,
        "voi_merge": at_home.voi_merge,
        "cremi_score": at_home.cremi_score,
        "voxels_on_background": at_home.background_share,
    }

    board = leaderboard(phase.benchmark, phase)
    assert [(row.rank, row.method) for row in board.rows] == [(1, "splits"), (2, "mergers")]
    assert board.rows[0].headline < board.rows[1].headline
    assert [record.method for record in board.history] == ["mergers", "splits"]
    assert place_of(better, better.scores.get().headline).rank == 1
    page = client.get(reverse("leaderboard", args=[phase.benchmark.slug])).content.decode()
    assert "lower is better" in page
    assert "fell from" in page
    assert page.index("splits") < page.index("mergers")
    csv = client.get(reverse("leaderboard_download", args=[phase.benchmark.slug, "csv"])).content.decode()
    assert "a_cremi_score" in csv.splitlines()[0]
    assert csv.splitlines()[1].startswith("1,entry,splits")
    answer = client.get(f"/api/v1/benchmarks/{phase.benchmark.slug}/leaderboard").json()
    assert answer["lower_is_better"]
    assert answer["rows"][0]["volumes"][0]["figures"]["arand"] == pytest.approx(at_home.arand)
    assert "CREMI score" in client.get(reverse("submission", args=[worse.code])).content.decode()
    assert "CREMI score" in client.get(reverse("method", args=[better.code])).content.decode()


def test_the_comparison_of_two_entries_follows_the_direction(client):
    phase = board_of("cremi")
    register(phase.volumes.get())
    worse, better = scored(phase, many_mergers(), "mergers"), scored(phase, some_splits(), "splits")
    known = request_comparison(worse, better)
    compare(known.pk)
    known.refresh_from_db()
    assert known.status == "ready", known.complaints
    verdict = dense_verdict(known, result_of(worse), result_of(better))
    assert verdict.difference > 0
    assert not verdict.a_is_ahead
    assert verdict.p_words
    Benchmark.objects.filter(pk=phase.benchmark_id).update(
        headline_expression="1000 * arand", headline_lower_is_better=True
    )
    scaled = dense_verdict(known, result_of(worse), result_of(better))
    # A figure is told in steps of 0.001, so a thousand times it in steps of 1.
    assert scaled.low == round(scaled.low)
    assert scaled.high == round(scaled.high)
    Benchmark.objects.filter(pk=phase.benchmark_id).update(headline_expression="", headline_lower_is_better=False)
    page = client.get(reverse("compare"), {"a": worse.code, "b": better.code}).content.decode()
    assert "CREMI score (lower is better)" in page
    answer = client.get(f"/api/v1/comparisons/{worse.code}/{better.code}").json()
    assert answer["mean"] is None
    assert not answer["headline"]["a_is_ahead"]
    table = client.get(f"/submissions/{better.code}/result.csv").content.decode()
    assert "cremi_score" in table.splitlines()[0]


def test_one_read_scores_skeletons_and_dense_labels(client):
    phase = board_of("axonem")
    volume = phase.volumes.get()
    truth = register(
        volume, "labels", tiny_labels(), dense_labels=SimpleUploadedFile("dense.h5", h5_bytes(dense_labels()))
    )
    assert truth.kinds == {"skeletons", "dense"}, truth.complaints
    submission = scored(phase, some_splits(), "both")
    evaluation = Evaluation.objects.get(volume_file__submission=submission)
    assert evaluation.erl_nm > 0
    assert {"erl_nm", "node_voi_split", "arand", "cremi_score"} <= set(evaluation.figures) <= set(FIGURES)
    assert submission.scores.get().headline == evaluation.erl_nm
    assert NodeLabels.objects.get().overlap
    assert client.get(reverse("submission", args=[submission.code])).status_code == 200


def test_a_column_of_skeletons_stays_empty_where_there_are_dense_labels_alone():
    phase = board_of("cremi")
    Benchmark.objects.filter(pk=phase.benchmark_id).update(further_columns="erl_axonem2021_nm")
    register(phase.volumes.get())
    evaluation = Evaluation.objects.get(volume_file__submission=scored(phase, some_splits(), "dense alone"))
    assert evaluation.figures["cremi_score"] > 0
    assert "erl_axonem2021_nm" not in evaluation.figures


def test_figures_of_hidden_dense_labels_are_rounded_in_every_place(client):
    phase = board_of("cremi")
    register(phase.volumes.get())
    submission = scored(phase, some_splits(), "splits")
    exact = Evaluation.objects.get().figures
    [volume] = result_of(submission).volumes
    shown = volume.score.figures
    # 147,456 voxels of 7 labels: a voxel moves ARAND by less than 1e-4, and VOI by less than 3e-4 bits
    assert shown["arand"] == pytest.approx(exact["arand"], abs=5e-4)
    for name, step in (("arand", 1e-3), ("voi_split", 5e-3), ("voi_merge", 5e-3), ("voxels_on_background", 1e-3)):
        assert shown[name] / step == pytest.approx(round(shown[name] / step), abs=1e-6), name
    expected = np.sqrt((shown["voi_split"] + shown["voi_merge"]) * shown["arand"])
    assert shown["cremi_score"] == pytest.approx(expected, abs=5e-4 + 1e-9)
    [row] = leaderboard(phase.benchmark, phase).rows
    assert row.headline == pytest.approx(shown["cremi_score"], abs=1e-9)
    dense = volume.report["dense"]
    assert dense["arand"] == shown["arand"]
    assert dense["arand_precision"] is dense["segments"] is None
    other = scored(phase, some_splits(), "again")
    code, slug = submission.code, phase.benchmark.slug
    board = reverse("leaderboard", args=[slug])
    addresses = [
        f"/submissions/{code}/",
        f"/compare/?a={code}&b={other.code}",
        board,
        f"/methods/{code}/",
        "/feed.atom",
    ]
    texts = [client.get(address).content.decode() for address in addresses]
    # ARAND and the CREMI score have a step of 0.001, VOI of 0.005 bits, shares of 0.1%: no more digits stand anywhere.
    assert all(f"{shown['cremi_score']:.3f}" in text for text in texts)
    assert not [found for text in texts for found in re.findall(r">[-+−]?\d\.\d{4,}<|CREMI score \d\.\d{4,}", text)]
    assert f">{100 * shown['voxels_on_background']:.1f}<" in texts[0]
    files = [
        client.get(f"/submissions/{code}/result.json"),
        client.get(board.replace("/leaderboard/", "/leaderboard.csv")),
    ]
    numbers = [n for file in files for n in re.findall(r"[^\d](\d\.\d{4,})", file.content.decode())]
    assert not numbers


def test_a_rule_with_other_voxels_reads_the_file_again():
    phase = board_of("cremi", public=True)
    register(phase.volumes.get())
    submission = scored(phase, some_splits(), "splits")
    Benchmark.objects.filter(pk=phase.benchmark_id).update(headline_expression="arand", headline_lower_is_better=True)
    assert rescore_submission(submission.pk) == "rescored"  # other figures of the same counts
    Benchmark.objects.filter(pk=phase.benchmark_id).update(scoring_variant="axonem", headline_expression="1 - arand")
    assert rescore_submission(submission.pk) == "queued"  # without the border: other voxels


def test_a_version_without_what_ranks_is_refused():
    volume = board_of("cremi").volumes.get()
    with pytest.raises(InputError, match="measured voxel by voxel"):
        register(volume, "labels")
    with pytest.raises(InputError, match="measured on skeletons"):
        register(board_of("axonem").volumes.get(), "dense")


def test_a_phase_is_closed_while_its_ground_truth_lacks_what_ranks():
    phase = board_of("axonem")
    assert register(phase.volumes.get(), "labels", tiny_labels()).kinds == {"skeletons"}
    assert closed_reason(phase) is None
    Benchmark.objects.filter(pk=phase.benchmark_id).update(scoring_variant="cremi")
    phase.benchmark.refresh_from_db()
    assert "no dense labels" in closed_reason(phase)


def test_dense_labels_that_the_rule_cannot_score_are_rejected():
    # the region of SNEMI3D begins behind this volume
    truth = register(board_of("snemi3d-gc").volumes.get())
    assert truth.status == "rejected"
    assert "region" in truth.complaints[0]["message"]


def test_a_benchmark_ranks_by_an_expression_of_its_own():
    phase = make_benchmark(("a", "b"))
    before = current_ruler(phase)
    Benchmark.objects.filter(pk=phase.benchmark_id).update(
        headline_expression='0.75 * normalized_erl["a"] + 0.25 * normalized_erl["b"]', headline_label="weighted"
    )
    phase.refresh_from_db()
    assert current_ruler(phase) != before
    rule = phase.benchmark.variant.headline
    assert (rule.label, rule.lower_is_better, rule.needs) == ("weighted", False, {"skeletons"})
    value = rule.expression.of({"normalized_erl": np.array([[1.0, 0.0], [0.0, 1.0]])}, ["a", "b"])
    assert value.tolist() == [0.75, 0.25]


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "arand ** 9", "arand.real", "1", "lambda: 1", "nothing", "a" * 400, f"arand * 0x{'f' * 280}"],
)
def test_what_is_no_expression_over_figures_is_refused(text):
    with pytest.raises(InputError):
        services.require_rule(Benchmark(scoring_variant="cremi", headline_expression=text), None)


def test_too_many_segments_are_refused_at_a_limit_that_is_other_for_each_file():
    limits = {most_pairs(f"{i}") for i in range(50)}
    assert len(limits) == 50
    assert 18_000_000 <= min(limits) <= max(limits) <= 20_000_000


def test_published_figures_stand_in_columns(client):
    definition = {
        "slug": "d",
        "name": "D",
        "summary": "S.",
        "scoring_variant": "snemi3d-gc",
        "volumes": [{"slug": "v", "name": "V", "shape_zyx": [100, 1024, 1024], "voxel_size_nm_zyx": [30.0, 6.0, 6.0]}],
        "published": [
            {"method": "worse", "source": "S", "arand": {"v": 0.112}},
            {"method": "better", "source": "S", "arand": {"v": 0.029}},
        ],
    }
    benchmark = services.load_benchmark(definition)
    board = leaderboard(benchmark, benchmark.default_phase)
    assert [(row.method, row.headline, row.words) for row in board.published] == [
        ("better", 0.029, "0.0290"),
        ("worse", 0.112, "0.1120"),
    ]
    assert not board.has_erl
    assert "0.0290" in client.get(reverse("leaderboard", args=["d"])).content.decode()
