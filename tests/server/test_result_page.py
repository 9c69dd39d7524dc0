"""The page and the files of a result: what public ground truth allows, and what hidden ground truth keeps back."""

import csv
import gzip
import io
import json
import re
from datetime import timedelta

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone

from axonem_eval.client.output import result_table
from axonem_eval.scoring import erl_interval, score_nodes
from evalserver.benchmarks.models import GroundTruth, GroundTruthPreview
from evalserver.site import render_markdown
from evalserver.submissions.models import Evaluation, Submission
from evalserver.submissions.results.result_page import VolumeResult
from tests.factories import TOLERANCE, make_benchmark, make_scored, make_user, tiny_graph, tiny_labels
from tests.server.real_scores import merged_axons, score_for_real, split_axons

pytestmark = pytest.mark.django_db


@pytest.fixture
def phase():
    return make_benchmark()


@pytest.fixture
def public(phase):
    phase.volumes.update(ground_truth_public=True)
    return phase


def page_of(client, submission) -> str:
    return client.get(reverse("submission", args=[submission.code])).content.decode()


def table_at_home(labels: np.ndarray):
    graph = tiny_graph()
    return score_nodes(graph, labels[tuple(graph.node_voxel_zyx.T)], tolerance_nodes=TOLERANCE).table


def test_the_interval_of_one_volume_is_the_librarys(phase):
    labels = split_axons()
    score = score_for_real(phase, labels).scores.get()
    interval = erl_interval(table_at_home(labels), TOLERANCE).erl_nm
    assert (score.erl_low_nm, score.erl_high_nm) == (interval.low, interval.high)
    assert score.erl_low_nm <= score.mean_erl_nm <= score.erl_high_nm


def test_the_interval_of_two_volumes_is_narrower_than_of_one(phase):
    labels = split_axons()
    one = score_for_real(phase, labels).scores.get()
    two = score_for_real(make_benchmark(("a", "b")), labels).scores.get()
    assert two.erl_high_nm - two.erl_low_nm < one.erl_high_nm - one.erl_low_nm


def test_no_hidden_number_of_errors_is_told_as_none(client, phase):
    """One merger is there and costs ERL; rounded to twenties it would read as none at all, everywhere on the page."""
    submission = score_for_real(phase, merged_axons())
    page = page_of(client, submission)
    assert Evaluation.objects.get().report["mergers"] == 1
    assert "fewer than 20 mergers" in page
    assert not re.search(r"\b0 mergers", page)
    evaluation = client.get(f"/api/v1/submissions/{submission.code}/evaluations").json()["evaluations"][0]
    assert re.search(r"\s<20$", result_table([evaluation], None), re.M)
    (row,) = csv.DictReader(client.get(f"/submissions/{submission.code}/result.csv").content.decode().splitlines())
    assert {row[name] for name in ("mergers", "splits", "gaps")} == {"<20"}
    losses = re.search(r"<caption>How much ERL each kind of error costs.*?</table>", page, re.S)[0]
    assert losses.count("fewer than 20") == 3
    assert not re.search(r"<td[^>]*>0</td>", losses)
    assert losses.count(">hidden</td>") == 3  # per mm: there is a rate, so a dash would be wrong
    assert "–</td>" not in losses
    pieces = tiny_labels() * 100 + np.arange(tiny_labels().shape[2], dtype=np.uint64) // 8
    other = score_for_real(phase, np.where(tiny_labels() > 0, pieces, 0).astype(np.uint64))
    compared = client.get(f"{reverse('compare')}?a={submission.code}&b={other.code}").content.decode()
    assert re.search(r"Splits per mm</th>\s*<td[^>]*>hidden</td>\s*<td[^>]*>[\d,]+</td>\s*<td[^>]*>hidden", compared)


def test_a_public_number_of_errors_is_exact(client, public):
    page = page_of(client, score_for_real(public, merged_axons()))
    assert "fewer than" not in page
    assert ">hidden</td>" not in page
    assert "(1 merger)" in page


def test_the_page_shows_curves_classes_and_losses(client, public):
    page = page_of(client, score_for_real(public, split_axons()))
    for heading in ("Where the score is lost", "By length of the axon", "By tolerance", "Length of the runs"):
        assert heading in page
    assert "style=" not in page  # the content security policy forbids it


def test_public_ground_truth_tells_where_the_errors_are(client, public):
    submission = score_for_real(public, split_axons(at=40, count=1))
    assert "All errors with positions" in page_of(client, submission)
    answer = client.get(reverse("volume_table", args=[submission.code, "a", "errors"]))
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert [(row["kind"], row["skeleton_id"]) for row in rows] == [("split", "1")]
    assert int(rows[0]["x_voxel"]) in (39, 40)
    axons = client.get(reverse("volume_table", args=[submission.code, "a", "axons"])).content.decode()
    assert [row["splits"] for row in csv.DictReader(io.StringIO(axons))] == ["1", "0", "0"]


def test_the_page_says_in_words_what_costs_and_what_fixing_the_worst_gives(client, public):
    page = page_of(client, score_for_real(public, split_axons(at=40, count=2)))
    # Axons of 2.85 um; two of them cut into 1.17 and 1.65: (2 (1.17² + 1.65²) + 2.85²) / 8.55 = 1.91.
    assert "Splits (2) cost 0.94 µm of 2.85." in page
    assert "Fixing the two worst errors would raise the ERL from 1.91 to 2.85." in page
    assert "#against-splits" in page


def test_a_hopeless_score_asks_first_where_the_labels_lie(client, public):
    noise = score_for_real(public, np.arange(tiny_labels().size, dtype=np.uint32).reshape(tiny_labels().shape) // 2)
    better = score_for_real(public, split_axons(at=40, count=2))
    words = "Labels in the wrong place"
    assert Evaluation.objects.get(volume_file__submission=noise).normalized_erl < 0.1
    assert words in page_of(client, noise)
    assert words not in page_of(client, better)


def test_the_page_travels_compressed(client, public):
    """Most of it is plots, each drawn for a desk and for a phone."""
    address = reverse("submission", args=[score_for_real(public, split_axons()).code])
    whole = client.get(address).content
    answer = client.get(address, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.content) < len(whole) / 3
    assert b"Where the score is lost" in gzip.decompress(answer.content)


def test_what_fixing_would_give_is_not_told_of_hidden_ground_truth(client, phase):
    submission = score_for_real(phase, split_axons())
    Evaluation.objects.update(report={**Evaluation.objects.get().report, "worst_fixed": {"errors": 2, "erl_nm": 1.0}})
    assert "would raise the ERL" not in page_of(client, submission)
    assert "worst_fixed" not in client.get(reverse("result_json", args=[submission.code])).content.decode()


def test_the_page_tells_the_place_among_all(client, public):
    best = score_for_real(public)
    middle = score_for_real(public, split_axons(count=1))
    private = score_for_real(public, split_axons(count=2), published_at=None)
    assert re.search(r"Place</dt><dd>1 <small>of 2", page_of(client, best))
    assert re.search(r"Place</dt><dd>2 <small>of 2", page_of(client, middle))
    client.force_login(private.team.members.get())
    assert re.search(r"if it were published</dt><dd>3 <small>of 3", page_of(client, private))


def test_the_place_is_not_told_while_the_ranking_is_hidden(client, public):
    submission = score_for_real(public)
    public.ranking_hidden_until = timezone.now() + timedelta(days=1)
    public.save()
    client.force_login(submission.team.members.get())
    assert "Place" not in page_of(client, submission)


def test_hidden_ground_truth_gives_no_figure_of_a_single_axon(client, phase):
    submission = score_for_real(phase, split_axons())
    page = page_of(client, submission)
    assert "Axon by axon" not in page
    content = client.get(reverse("result_json", args=[submission.code])).json()
    report = content["volumes"][0]["report"]
    assert "worst_axons" not in report
    assert "top_errors" not in report
    # Three axons are fewer than a class may have to be shown.
    assert all(bin_["erl_nm"] is None for bin_ in report["length_bins"])
    for table in ("axons", "errors"):
        answer = client.get(reverse("volume_table", args=[submission.code, "a", table]))
        assert (answer.status_code, answer.headers["Content-Type"]) == (403, "text/plain; charset=utf-8")
        assert (
            answer.content == b"The ground truth of this volume is hidden, so figures of single axons are not shown.\n"
        )


def test_a_volume_that_becomes_hidden_keeps_back_what_was_stored(client, public):
    submission = score_for_real(public, split_axons())
    assert "worst_axons" in Evaluation.objects.get().report
    public.volumes.update(ground_truth_public=False)
    assert "worst_axons" not in client.get(reverse("result_json", args=[submission.code])).content.decode()


def test_hidden_figures_are_rounded_and_public_ones_exact(client, phase):
    submission = score_for_real(phase, split_axons())
    exact = submission.scores.get().mean_erl_nm
    url = reverse("result_json", args=[submission.code])
    shown = client.get(url).json()["mean_erl_nm"]
    assert shown == round(exact / 500) * 500 != exact
    phase.volumes.update(ground_truth_public=True)
    assert client.get(url).json()["mean_erl_nm"] == exact


def test_the_csv_has_a_line_for_each_volume(client):
    submission = score_for_real(make_benchmark(("a", "b")), merged_axons())
    text = client.get(reverse("result_csv", args=[submission.code])).content.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["volume"] for row in rows] == ["a", "b"]
    # Of hidden ground truth numbers are rounded to twenties.
    assert [row["mergers"] for row in rows] == ["<20", "<20"]
    assert float(rows[0]["lost_to_mergers_nm"]) > 0


def test_a_result_from_before_details_were_stored_still_has_its_page(client, phase):
    submission = make_scored(phase, 5000)
    page = page_of(client, submission)
    assert "5.00" in page
    assert "Re-scoring adds them" in page
    assert client.get(reverse("result_json", args=[submission.code])).status_code == 200


@pytest.mark.parametrize("name", ["result_json", "result_csv", "submission"])
def test_a_private_result_is_for_its_team(client, phase, name):
    submission = score_for_real(phase, published_at=None)
    url = reverse(name, args=[submission.code])
    assert client.get(url).status_code == 404
    client.force_login(submission.team.members.get())
    assert client.get(url).status_code == 200


def test_what_a_team_says_of_its_entry_is_shown_and_scores_stay(client, phase):
    submission = score_for_real(phase, split_axons())
    client.force_login(submission.team.members.get())
    before = submission.scores.get().mean_erl_nm
    values = {
        "method_name": "U-Net, second run", "description": "**bold** words", "paper_url": "https://example.org/paper",
        "training_data": "nine subvolumes", "compute": "one GPU, two days", "mean_erl_nm": "1", "is_reference": "on",
    }  # fmt: skip
    answer = client.post(reverse("submission_edit", args=[submission.code]), values, follow=True)
    page = answer.content.decode()
    assert "<strong>bold</strong>" in page
    assert 'href="https://example.org/paper"' in page
    assert "one GPU, two days" in page
    submission.refresh_from_db()
    assert submission.method_name == "U-Net, second run"
    assert not submission.is_reference
    assert submission.scores.get().mean_erl_nm == before


@pytest.mark.parametrize("address", ["javascript:alert(1)", "ftp://example.org/x", "no address"])
def test_a_link_leads_to_the_web(client, phase, address):
    submission = score_for_real(phase)
    client.force_login(submission.team.members.get())
    url = reverse("submission_edit", args=[submission.code])
    answer = client.post(url, {"method_name": "m", "code_url": address})
    assert answer.status_code == 422
    submission.refresh_from_db()
    assert submission.code_url == ""


def test_only_its_team_edits_an_entry(client, phase):
    submission = score_for_real(phase)
    client.force_login(make_user("Eve", is_staff=True))
    assert client.get(reverse("submission_edit", args=[submission.code])).status_code == 404


def test_an_entry_replaces_an_earlier_one_of_its_team(client, phase):
    old = score_for_real(phase, method_name="first try")
    new = score_for_real(phase, method_name="second try", team=old.team)
    foreign = score_for_real(phase)
    client.force_login(old.team.members.get())
    url = reverse("submission_edit", args=[new.code])
    refused = client.post(url, {"method_name": "second try", "supersedes": foreign.pk})
    assert refused.status_code == 422
    client.post(url, {"method_name": "second try", "supersedes": old.pk})
    assert Submission.objects.get(pk=new.pk).supersedes == old
    client.logout()
    assert "second try" in page_of(client, old)
    assert "first try" in page_of(client, new)


def test_a_reference_entry_shows_its_provenance(client, phase):
    submission = score_for_real(
        phase, is_reference=True, reproduce_command="baselines reproduce unet", provenance={"seed": 20_261_123}
    )
    page = page_of(client, submission)
    assert "baselines reproduce unet" in page
    assert "20261123" in page


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "<img src=x onerror=alert(1)>",
        '[x](https://example.org "onmouseover=alert(1)")',
        "![x](https://example.org/pixel.png)",
        "<style>body{display:none}</style>",
    ],
)
def test_markdown_carries_nothing_that_runs_or_loads(text):
    html = str(render_markdown(text)).lower()
    assert not any(f"<{tag}" in html for tag in ("script", "img", "style", "iframe"))
    assert 'href="javascript' not in html
    assert " on" not in html.partition("<a")[2].partition(">")[0]


def test_markdown_keeps_lists_links_and_tables():
    html = str(render_markdown("# Title\n\n- [paper](https://example.org)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"))
    assert "<h2>Title</h2>" in html
    assert '<a href="https://example.org" rel="nofollow noopener ugc">paper</a>' in html
    assert "<td>1</td>" in html


def test_the_stored_report_is_plain_json(phase):
    score_for_real(phase, split_axons())
    report = Evaluation.objects.get().report
    assert report["schema"].startswith("axonem-report/")
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_a_hidden_volume_so_small_that_its_ceiling_is_rounded_to_nothing_has_a_page(client, phase):
    phase.volumes.update(ground_truth_public=False)
    figures = {"cable_nm": 8550.0, "longest_nm": 2850.0, "node_reach_nm": 1000.0}
    for ground_truth in GroundTruth.objects.all():
        GroundTruthPreview.objects.update_or_create(ground_truth=ground_truth, defaults={"figures": figures})
    submission = score_for_real(phase)
    assert VolumeResult.of(Evaluation.objects.get()).score.gt_erl_nm == 0
    assert "too small for more figures" in page_of(client, submission)
    assert client.get(reverse("result_csv", args=[submission.code])).status_code == 200
    pieces = tiny_labels() * 100 + np.arange(tiny_labels().shape[2], dtype=np.uint64) // 8
    other = score_for_real(phase, np.where(tiny_labels() > 0, pieces, 0).astype(np.uint64))
    assert client.get(reverse("compare"), {"a": submission.code, "b": other.code}).status_code == 200
    assert client.get(reverse("leaderboard", args=[phase.benchmark.slug])).status_code == 200
