"""What is told of hidden ground truth: by no channel more than evalserver.benchmarks.disclosure_rule allows."""

import re

import numpy as np
import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from axonem_eval.report import full_report
from axonem_eval.sampling import NodeSample
from evalserver.benchmarks.disclosure_rule import Disclosure
from evalserver.benchmarks.models import GroundTruth, GroundTruthPreview
from evalserver.submissions.models import Comparison, Evaluation, Score
from evalserver.submissions.results.disclosure import shown_report
from tests.factories import make_benchmark
from tests.server.hidden_volume import (
    CODES,
    addresses,
    compared,
    entry,
    exact_figures,
    hidden_graph,
    hidden_phase,
    rough_labels,
    score,
    told_exactly,
    walk,
)
from tests.server.real_scores import score_for_real, split_axons

pytestmark = pytest.mark.django_db

GRAPH = hidden_graph()
ROUGH = rough_labels(GRAPH)


@pytest.fixture
def phase(settings):
    settings.API_REQUESTS_PER_MINUTE = 1_000_000
    return hidden_phase(GRAPH)


def rule(phase) -> Disclosure:
    volume = phase.volumes.get()
    return Disclosure.of(volume, volume.ground_truths.get())


def changed(node: int, label: int = 0, labels: np.ndarray = ROUGH) -> np.ndarray:
    """The labels, one node's changed."""
    other = labels.copy()
    other[node] = label
    return other


def two_voxels(one: int, other: int) -> np.ndarray:
    labels = np.zeros_like(ROUGH)
    labels[[one, other]] = 5
    return labels


# A node in the middle of a run: the third of an axon that is neither cut nor merged, and has no gap near its begin.
WITHIN = next(
    n for n in range(2, len(ROUGH) - 3) if len(set(ROUGH[n - 2 : n + 3].tolist())) == 1 and 0 < ROUGH[n] < 1000
)
GAP = next(n for n in range(2, len(ROUGH) - 3) if ROUGH[n] == 0 and ROUGH[n - 1] == ROUGH[n + 1] == ROUGH[n + 2] > 0)


def moved_gap() -> np.ndarray:
    """The gap of one node one node further on."""
    return changed(GAP + 1, 0, changed(GAP, int(ROUGH[GAP + 1])))


ATTACKS = {
    "two labelled voxels": (two_voxels(WITHIN, WITHIN + 1), two_voxels(WITHIN, WITHIN + 500)),
    "two labelled voxels, none on a node": (two_voxels(WITHIN, WITHIN + 1), np.zeros_like(ROUGH)),
    "two equal labels among labels that are all different": (
        changed(WITHIN + 1, 7, changed(WITHIN, 7, np.arange(10, len(ROUGH) + 10, dtype=np.uint64))),
        np.arange(10, len(ROUGH) + 10, dtype=np.uint64),
    ),
    "one gap more": (changed(WITHIN), ROUGH),
    "one gap moved by a voxel": (moved_gap(), ROUGH),
    "one gap filled": (changed(GAP, int(ROUGH[GAP + 1])), ROUGH),
    "one node of another label": (changed(WITHIN, 999_999), ROUGH),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_gives_the_same_answers_for_hit_and_miss_by_every_channel(phase, name):
    hit, miss = ATTACKS[name]
    a, b = entry(phase, hit), entry(phase, ROUGH, CODES[1])
    exact = stored_scores()
    compared(a, b)
    answers = walk(a, b)
    score(a, miss)
    assert stored_scores() != exact  # what is stored tells them apart
    compared(a, b)
    assert differing(answers, walk(a, b)) == []


def test_hardly_any_single_node_changes_any_figure_that_is_shown(phase):
    """A figure can lie at the edge between two steps, so one node in fifty may show; most show nothing at all."""
    entry(phase, ROUGH)
    row = Evaluation.objects.select_related("volume_file__volume", "ground_truth").get()
    shown = shown_report(row)
    nodes = np.random.default_rng(0).choice(np.flatnonzero(ROUGH), 100, replace=False)
    told = 0
    for node in nodes.tolist():
        sample = NodeSample.of_labels(changed(node))
        row.report = full_report(GRAPH, sample, tolerance_nodes=row.tolerance_nodes, resamples=10_000)
        row.erl_nm, row.normalized_erl = row.report["erl_nm"], row.report["normalized_erl"]
        told += shown_report(row) != shown
    assert told <= 2


@pytest.mark.slow
def test_comparing_two_private_entries_does_not_tell_whether_one_node_differs(phase):
    a = entry(phase, ROUGH, published_at=None)
    b = entry(phase, changed(WITHIN), CODES[1], team=a.team, published_at=None)
    stored = compared(a, b).result
    assert stored["volumes"][0]["axons_better"] == 1
    answers = walk(a, b)
    score(b, ROUGH)
    assert compared(a, b).result != stored
    assert differing(answers, walk(a, b)) == []


@pytest.mark.slow
def test_the_sign_of_a_difference_that_is_not_shown_is_not_told(phase):
    a = entry(phase, changed(WITHIN))
    b = entry(phase, ROUGH, CODES[1])
    assert compared(a, b).result["mean"]["difference_nm"] < 0
    page = Client().get(f"{reverse('compare')}?a={a.code}&b={b.code}").content.decode()
    assert "The difference may be chance" in page
    mean = Client().get(f"/api/v1/comparisons/{a.code}/{b.code}").json()["mean"]
    assert (mean["difference_nm"], mean["p_value"], mean["significant"]) == (0.0, 1.0, False)


@pytest.mark.slow
def test_every_channel_tells_the_same_figure(phase):
    a, b = entry(phase, ROUGH), entry(phase, ROUGH, CODES[1])
    exact = Score.objects.first().mean_erl_nm
    shown = rule(phase).erl_nm(exact)
    client = Client()
    client.force_login(a.team.members.get())
    api = f"/api/v1/submissions/{a.code}"
    board = f"/api/v1/benchmarks/{phase.benchmark.slug}/leaderboard"
    figures = [
        client.get(api).json()["headline"]["mean_erl_nm"],
        client.get(f"{api}/evaluations").json()["evaluations"][0]["erl_nm"],
        client.get(reverse("result_json", args=[a.code])).json()["mean_erl_nm"],
        client.get(reverse("result_json", args=[a.code])).json()["volumes"][0]["report"]["erl_nm"],
        client.get(board).json()["rows"][0]["mean_erl_nm"],
        client.get(f"/api/v1/comparisons/{a.code}/{b.code}").json()["volumes"][0]["figures"][0]["a"] * 1000,
    ]
    assert figures == pytest.approx([shown] * len(figures), abs=1e-6)
    words, number = f"{shown / 1000:.2f}", f"{shown / 1000:g}"
    said = walk(a, b)
    pages = (
        "submission {",
        "leaderboard {",
        "my_submissions",
        "team {",
        "compared",
        "leaderboard_download {",
        "result_csv",
        "method {",
        "badge {",
        "feed {",
        "benchmark_feed {",
    )
    for page in pages:
        bodies = [body for name, body in said.items() if name.startswith(f"team {page}")]
        assert bodies
        assert all(words in body or number in body or f"{shown}" in body for body in bodies), page
    assert words in said["mail"]


@pytest.mark.slow
def test_no_route_tells_a_stored_figure_of_a_hidden_volume_exactly(phase):
    a = entry(phase, ROUGH)
    b = entry(phase, changed(WITHIN, 0, np.where(ROUGH > 1000, 0, ROUGH)), CODES[1])
    compared(a, b)
    said = walk(a, b)
    answered = [name for name, body in said.items() if body.startswith("200")]
    # Where figures stand; a route that is new is walked without being named here.
    for name in (
        "submission {",
        "result_json",
        "result_csv",
        "leaderboard {",
        "leaderboard_download",
        "team {",
        "method {",
        "badge {",
        "feed {",
        "compared",
    ):
        assert any(name in known for known in answered), name
    for name in ("list_benchmarks", "get_leaderboard", "get_evaluations ", "get_evaluations_csv", "get_comparison"):
        assert any(f"api:{name}" in known for known in answered), name
    figures = stored_figures()
    assert len(figures) > 500
    shares = [
        share for share in Evaluation.objects.values_list("normalized_erl", flat=True) if is_not_shown(share, phase)
    ]
    assert shares
    assert told_exactly(said, figures, shares) == []
    # The same walk sees them where the ground truth is public, so that the search can fail.
    phase.volumes.update(ground_truth_public=True)
    seen = {line.partition(":")[0].partition(" {")[0] for line in told_exactly(walk(a, b), figures, shares)}
    assert {"team result_json", "team result_csv"} <= seen


def test_the_lists_of_the_organisers_site_which_are_exact_are_for_organisers(phase):
    submission = entry(phase, ROUGH)
    client = Client()
    client.force_login(submission.team.members.get())
    for model in admin.site._registry:
        options = model._meta
        assert client.get(reverse(f"admin:{options.app_label}_{options.model_name}_changelist")).status_code == 302


def test_a_mean_over_a_hidden_and_a_public_volume_is_that_of_the_figures_shown():
    phase = make_benchmark(("a", "b"))
    phase.volumes.filter(slug="b").update(ground_truth_public=True)
    submission = score_for_real(phase, split_axons())
    api = f"/api/v1/submissions/{submission.code}"
    hidden, public = Client().get(f"{api}/evaluations").json()["evaluations"]
    assert (hidden["erl_nm"] % 500, public["erl_nm"] % 500 != 0) == (0, True)
    mean = Client().get(api).json()["headline"]["mean_erl_nm"]
    board = Client().get(f"/api/v1/benchmarks/{phase.benchmark.slug}/leaderboard").json()["rows"][0]
    assert mean == board["mean_erl_nm"] == pytest.approx((hidden["erl_nm"] + public["erl_nm"]) / 2)


def test_figures_of_one_axon_are_shown_as_no_class_of_axons_and_counts_as_twenties(phase):
    a = entry(phase, ROUGH)
    report = Client().get(reverse("result_json", args=[a.code])).json()["volumes"][0]["report"]
    exact = Evaluation.objects.get().report
    assert exact["error_counts"]["gaps"] % 20
    assert {report["error_counts"][name] % 20 for name in ("gaps", "splits", "mergers")} == {0}
    assert all(b["run_cable_nm"] is None for b in report["length_bins"])
    assert "axons" not in report["run_survival"]
    assert min(p["tolerance_nodes"] or np.inf for p in report["tolerance_curve"]) == report["tolerance_nodes"]
    assert report["rounded_to"] == {"erl_nm": 200.0, "length_nm": 20_000.0, "count": 20}


def test_an_entry_that_labels_almost_nothing_has_no_figures_and_says_why(phase):
    a = entry(phase, two_voxels(WITHIN, WITHIN + 1))
    b = entry(phase, ROUGH, CODES[1])
    page = Client().get(reverse("submission", args=[a.code])).content.decode()
    assert "labels too little of the volume to be scored here" in page
    assert "Where the score is lost" not in page
    evaluation = Client().get(f"/api/v1/submissions/{a.code}/evaluations").json()["evaluations"][0]
    assert evaluation["erl_nm"] is evaluation["edges_nm"] is evaluation["mergers"] is None
    assert "labels too little" in evaluation["withheld"]
    board = Client().get(f"/api/v1/benchmarks/{phase.benchmark.slug}/leaderboard").json()
    assert [(row["submission"], row["rank"]) for row in board["rows"]] == [(b.code, 1), (a.code, 2)]
    assert (board["rows"][1]["mean_erl_nm"], board["rows"][1]["volumes"]) == (0.0, [])
    beside = Client().get(f"{reverse('compare')}?a={a.code}&b={b.code}").content.decode()
    assert "labels too little of a volume to be compared" in beside
    assert "Compute significance" not in beside


def test_one_whole_axon_is_too_little_and_is_withheld_on_the_board_too(phase):
    """A single long axon has an ERL that would be shown: the board asks for what is labelled, not for the ERL alone."""
    longest = int(np.argmax(GRAPH.skeleton_length_nm))
    a = entry(phase, np.where(GRAPH.node_skeleton == longest, 5, 0).astype(np.uint64))
    row = Client().get(f"/api/v1/benchmarks/{phase.benchmark.slug}/leaderboard").json()["rows"][0]
    assert row["volumes"] == []
    board = Client().get(reverse("leaderboard", args=[phase.benchmark.slug])).content.decode()
    assert board.count(">hidden</td>") == 3  # ERL, its share, the interval
    assert "–</td>" not in board
    assert Client().get(f"/api/v1/submissions/{a.code}").json()["headline"]["mean_erl_nm"] == 0.0


def test_an_entry_that_is_one_merger_still_learns_what_is_wrong(phase):
    a = entry(phase, np.ones_like(ROUGH))
    report = Client().get(reverse("result_json", args=[a.code])).json()["volumes"][0]["report"]
    assert report["erl_nm"] == 0
    assert report["edges_nm"]["merged"] == report["edges_nm"]["total"] > 0


def test_a_benchmark_tells_its_ground_truth_rounded(phase):
    exact = GroundTruth.objects.get()
    told = Client().get("/api/v1/benchmarks").json()["items"][0]["volumes"][0]["ground_truth"]
    assert (told["skeletons"], told["gt_erl_nm"]) == (260, rule(phase).erl_nm(exact.gt_erl_nm))
    assert told["mean_node_spacing_nm"] == 520.0
    phase.volumes.update(ground_truth_public=True)
    told = Client().get("/api/v1/benchmarks").json()["items"][0]["volumes"][0]["ground_truth"]
    assert (told["skeletons"], told["gt_erl_nm"]) == (263, exact.gt_erl_nm)


def test_every_route_of_the_site_is_walked(phase):
    a = entry(phase, ROUGH)
    names = {name.partition(" ")[0] for name in addresses(a, a)}
    assert {"submission", "compare", "team", "leaderboard_download", "view_state", "api:get_diagnoses"} <= names
    assert {"method", "badge", "feed", "benchmark_feed"} <= names


def test_the_address_of_a_file_answers_with_the_file_or_with_an_error_never_with_a_page(phase):
    a = entry(phase, ROUGH)
    files = {path for path in addresses(a, a).values() if "." in path.rpartition("/")[2].partition("?")[0]}
    # The icon is sent on to where all static files are, a visitor of the organisers' pages to the log-in.
    files = {path for path in files if path != "/favicon.ico" and not path.startswith("/organise/")}
    assert {path.rpartition(".")[2] for path in files} >= {"csv", "json", "npz", "webp", "svg", "atom"}
    answers = {path: Client().get(path) for path in files}
    assert {answer.status_code for answer in answers.values()} == {200, 403, 404}
    assert not [path for path, answer in answers.items() if "html" in answer.headers["Content-Type"]]


def is_not_shown(share: float, phase) -> bool:
    """Whether the share of a score is another one, in percent with a decimal, than what is told of it."""
    ground_truth = GroundTruth.objects.get()
    told = rule(phase).normalized(share * ground_truth.gt_erl_nm, ground_truth.gt_erl_nm)
    return f"{100 * told:.1f}" != f"{100 * share:.1f}"


def stored_scores() -> list[float]:
    return [row.erl_nm for row in Evaluation.objects.order_by("volume_file__submission__code")]


def stored_figures() -> list[tuple[str, float]]:
    """Everything that the database knows of the hidden volume."""
    stored = {
        "report": list(Evaluation.objects.values_list("report", flat=True)),
        "evaluation": list(Evaluation.objects.values("erl_nm", "gt_erl_nm", "normalized_erl")),
        "score": list(Score.objects.values("mean_erl_nm", "mean_normalized_erl", "erl_low_nm", "erl_high_nm")),
        "comparison": list(Comparison.objects.values_list("result", flat=True)),
        "ground_truth": list(GroundTruth.objects.values("nodes", "gt_erl_nm", "mean_node_spacing_nm")),
        "preview": list(GroundTruthPreview.objects.values_list("figures", flat=True)),
    }
    return [figure for figure in exact_figures(stored) if abs(figure[1]) not in (0.0, 1.0)]


def differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Channels whose answers differ, with the first place where they do."""
    found = []
    for name, body in one.items():
        if body != other[name]:
            place = next((i for i, (x, y) in enumerate(zip(body, other[name], strict=False)) if x != y), 0)
            around = slice(max(0, place - 120), place + 40)
            found.append(re.sub(r"\s+", " ", f"{name}: ...{body[around]} | {other[name][around]}"))
    return found
