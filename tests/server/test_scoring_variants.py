"""A benchmark's scoring rule: part of its definition, its ruler, its ranking, and beside each of its numbers."""

import json

import pytest
from django import forms
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from axonem_eval import InputError
from axonem_eval.scoring import variant_named
from evalserver.benchmarks.disclosure_rule import hidden_complaint
from evalserver.benchmarks.forms import VolumeForm
from evalserver.benchmarks.models import Benchmark, Volume, scoring_variants
from evalserver.benchmarks.selectors import closed_reason, current_ruler
from evalserver.benchmarks.services import load_benchmark
from evalserver.submissions.evaluation.rescore import rescore_benchmark
from evalserver.submissions.models import Evaluation
from tests.factories import make_benchmark
from tests.server.real_scores import merged_axons, score_for_real, split_axons

pytestmark = pytest.mark.django_db
VOLUME = {"slug": "a", "name": "A", "shape_zyx": [4, 60, 96], "voxel_size_nm_zyx": [30.0, 8.0, 8.0]}


@pytest.fixture
def phase():
    phase = make_benchmark(("a", "b"))
    phase.volumes.update(ground_truth_public=True)
    return phase


def use(phase, variant: str, tolerance: int | None = None) -> None:
    Benchmark.objects.filter(pk=phase.benchmark_id).update(scoring_variant=variant)
    if tolerance is not None:
        phase.volumes.update(tolerance_nodes=tolerance)
    phase.benchmark.refresh_from_db()


def definition(**head) -> dict:
    return {"slug": "d", "name": "D", "summary": "S.", "volumes": [VOLUME], **head}


def board(client, phase):
    return client.get(reverse("leaderboard", args=[phase.benchmark.slug]))


def test_a_definition_declares_the_rule_and_a_new_volume_takes_its_tolerance():
    public = {**VOLUME, "ground_truth_public": True}
    benchmark = load_benchmark(definition(scoring_variant="nisb", volumes=[public]))
    assert (benchmark.scoring_variant, benchmark.volumes.get().tolerance_nodes) == ("nisb", 0)
    assert load_benchmark(definition(slug="e")).volumes.get().tolerance_nodes == 50


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("axonem2022", "choose one of axonem, axonem2021"),
        ("xpress", "only shown of public ground truth"),
        ("nisb", "makes a merger of 1 shared node"),
        ("lsd-j0126", "cuts the skeletons"),
    ],
)
def test_a_definition_with_a_rule_that_the_server_cannot_rank_by_is_refused(tmp_path, variant, words):
    with pytest.raises(InputError, match=words):
        load_benchmark(definition(scoring_variant=variant))
    assert not Benchmark.objects.exists()
    path = tmp_path / "d.toml"
    volume = "\n".join(f"{key} = {json.dumps(value)}" for key, value in VOLUME.items())
    path.write_text(f'slug = "d"\nname = "D"\nsummary = "S."\nscoring_variant = "{variant}"\n[[volumes]]\n{volume}\n')
    with pytest.raises(CommandError, match=words):
        call_command("load_benchmark", str(path))


def test_the_rule_is_part_of_the_ruler(phase):
    before = current_ruler(phase)
    use(phase, "axonem2021")
    assert current_ruler(phase) != before
    use(phase, "axonem")
    assert current_ruler(phase) == before


def test_a_changed_rule_scores_entries_anew_and_keeps_the_earlier_score(phase, client):
    submission = score_for_real(phase, merged_axons())
    use(phase, "nisb", 0)
    assert board(client, phase).context["board"].rows == []
    assert rescore_benchmark(phase.benchmark) == {"rescored": 1}
    assert submission.scores.count() == 2
    variants = Evaluation.objects.filter(volume_file__submission=submission).values_list("scoring_variant", flat=True)
    assert sorted(variants) == ["axonem", "axonem", "nisb", "nisb"]
    [row] = board(client, phase).context["board"].rows
    # axons 1 and 2 of three equal ones are merged: a third of the cable is whole
    assert row.mean_normalized_erl == pytest.approx(row.headline)
    assert row.headline < 1


def test_the_rule_of_a_frozen_ranking_stays(phase):
    volume = phase.volumes.first()
    phase.frozen_at = timezone.now()
    phase.save()
    named = {**VOLUME, "slug": volume.slug, "tolerance_nodes": volume.tolerance_nodes}
    changed = definition(slug=phase.benchmark.slug, scoring_variant="axonem2021", volumes=[named], phases=[])
    with pytest.raises(InputError, match="frozen: unfreeze it first"):
        load_benchmark(changed)


def test_xpress_ranks_by_its_score_and_shows_it(phase, client):
    use(phase, "xpress", 0)
    worse = score_for_real(phase, merged_axons(), method_name="merged")
    better = score_for_real(phase, split_axons(), method_name="split")
    page = board(client, phase)
    rows = page.context["board"].rows
    assert [row.method for row in rows] == ["split", "merged"]
    assert [row.headline for row in rows] == [s.scores.get().headline for s in (better, worse)]
    text = page.content.decode()
    assert f"{rows[0].headline:.4f}" in text
    assert "Ranked by the mean XPRESS score" in text
    assert "XPRESS score" in client.get(reverse("submission", args=[better.code])).content.decode()


def test_a_perfect_xpress_score_may_exceed_1(phase):
    use(phase, "xpress", 0)
    submission = score_for_real(phase)
    assert submission.scores.get().headline >= 1


def test_pages_downloads_and_api_state_the_rule(phase, client):
    use(phase, "axonem2021")
    submission = score_for_real(phase)
    slug = phase.benchmark.slug
    for page in (
        reverse("leaderboard", args=[slug]),
        reverse("benchmark", args=[slug]),
        reverse("submission", args=[submission.code]),
    ):
        assert "axonem2021" in client.get(page).content.decode()
    exported = client.get(reverse("leaderboard_download", args=[slug, "json"])).json()
    assert exported["variant"]["name"] == "axonem2021"
    assert "axonem2021" in client.get(reverse("result_csv", args=[submission.code])).content.decode()
    assert client.get(f"/api/v1/benchmarks/{slug}").json()["scoring_variant"] == "axonem2021"
    assert client.get(f"/api/v1/benchmarks/{slug}/leaderboard").json()["scoring_variant"] == "axonem2021"
    evaluations = client.get(f"/api/v1/submissions/{submission.code}/evaluations").json()
    assert {e["scoring_variant"] for e in evaluations["evaluations"]} == {"axonem2021"}


def test_an_organiser_cannot_choose_a_rule_for_hidden_ground_truth_that_needs_public(admin_client, phase):
    phase.volumes.update(ground_truth_public=False)
    page = reverse("admin:benchmarks_benchmark_change", args=[phase.benchmark_id])
    form = admin_client.get(page).context["adminform"].form
    answer = admin_client.post(page, {**form.initial, "scoring_variant": "xpress"})
    assert "only shown of public ground truth" in answer.content.decode()


def test_one_node_makes_no_merger_by_any_rule_on_hidden_ground_truth():
    allowed = {
        (name, tolerance)
        for name, _ in scoring_variants()
        for tolerance in range(60)
        if not hidden_complaint(variant_named(name), [Volume(name="A", tolerance_nodes=tolerance)])
    }
    dense = {"cremi", "snemi3d-gc"}
    assert {name for name, _ in allowed} == {
        "axonem",
        "axonem2021",
        "axonem2024",
        "snemi3d",
        "nisb",
        "ffn-j0126",
    } | dense
    assert all(variant_named(name).at_tolerance(tolerance).merger_nodes >= 5 for name, tolerance in allowed)
    assert ("axonem", 50) in allowed
    for name, _ in scoring_variants():
        assert not hidden_complaint(
            variant_named(name), [Volume(name="A", tolerance_nodes=0, ground_truth_public=True)]
        )


def test_an_organiser_cannot_make_the_rule_of_a_hidden_volume_strict(phase):
    form = forms.modelform_factory(Volume, form=VolumeForm, fields=["tolerance_nodes", "ground_truth_public"])
    volume = phase.volumes.first()
    assert form({"tolerance_nodes": 1, "ground_truth_public": "on"}, instance=volume).is_valid()
    assert form({"tolerance_nodes": 50}, instance=volume).is_valid()
    assert "raise tolerance_nodes" in str(form({"tolerance_nodes": 1}, instance=volume).errors)


def test_a_phase_whose_rule_would_tell_single_nodes_takes_no_submissions(phase):
    use(phase, "nisb", 0)
    assert closed_reason(phase) is None
    phase.volumes.filter(slug="b").update(ground_truth_public=False)
    assert "change the scoring" in (closed_reason(phase) or "")


def test_nisb_has_columns_of_nerl_at_its_tolerances_from_the_same_labels(phase, client):
    use(phase, "nisb", 0)
    score_for_real(phase, merged_axons())
    (row,) = board(client, phase).context["board"].rows
    figures = dict(row.scores[0].figures)
    curve = [figures[name] for name in ("nerl_5", "nerl_20", "nerl_100", "nerl_inf")]
    assert curve == sorted(curve)
    assert row.scores[0].normalized_erl < figures["nerl_inf"]


def test_the_column_of_the_rule_of_2021_equals_a_score_by_that_rule(phase, client):
    Benchmark.objects.update(further_columns="erl_axonem2021_nm")
    phase.benchmark.refresh_from_db()
    score_for_real(phase, merged_axons())
    (row,) = board(client, phase).context["board"].rows
    beside = [dict(score.figures)["erl_axonem2021_nm"] for score in row.scores]
    assert "the published results of the paper follow" in board(client, phase).content.decode()
    Benchmark.objects.update(further_columns="", scoring_variant="axonem2021")
    rescore_benchmark(Benchmark.objects.get())
    (row,) = board(client, phase).context["board"].rows
    assert beside == [score.erl_nm for score in row.scores]


def test_a_column_that_is_added_later_is_filled_by_scoring_again(phase, client):
    entry = score_for_real(phase)
    file = entry.files.get(volume__slug="a")
    Benchmark.objects.update(further_columns="erl_axonem2021_nm, nerl_5")
    before = Evaluation.objects.get(volume_file=file)
    rescore_benchmark(Benchmark.objects.get())
    after = Evaluation.objects.get(volume_file=file)
    assert (after.pk, after.erl_nm) == (before.pk, before.erl_nm)
    assert {"erl_axonem2021_nm", "nerl_5"} <= after.figures.keys()


def test_a_column_that_is_no_figure_is_refused(tmp_path):
    with pytest.raises(InputError, match="no figure nerl_7"):
        load_benchmark({"slug": "x", "name": "X", "summary": "", "further_columns": "nerl_7", "volumes": []})
