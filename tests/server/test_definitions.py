"""The definitions that are shipped: each loads, says whose rule it uses, and shows what was published."""

import tomllib

import pytest
from django.core.management import call_command
from django.urls import reverse

from axonem_eval.scoring import VARIANTS
from evalserver.benchmarks.management.commands.load_benchmark import DEFINITIONS
from evalserver.benchmarks.models import Benchmark

pytestmark = pytest.mark.django_db
SHIPPED = sorted(path.stem for path in DEFINITIONS.glob("*.toml"))
OF_THE_FIELD = [name for name in SHIPPED if name != "demo"]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_definition_loads_twice_to_the_same_benchmark(name):
    for _ in range(2):
        call_command("load_benchmark", name)
    definition = tomllib.loads((DEFINITIONS / f"{name}.toml").read_text())
    benchmark = Benchmark.objects.get(slug=definition["slug"])
    assert benchmark.volumes.count() == len(definition["volumes"])
    assert benchmark.published_entries.count() == len(definition.get("published", []))
    assert benchmark.training_files.count() == len(definition.get("links", []))


@pytest.mark.parametrize("name", OF_THE_FIELD)
def test_a_benchmark_of_the_field_names_its_rule_its_source_and_its_data(name):
    definition = tomllib.loads((DEFINITIONS / f"{name}.toml").read_text())
    assert definition["scoring_variant"] in VARIANTS
    assert definition["citation"]
    assert all(link["licence"] for link in definition["links"])
    assert definition["published"]


def test_a_strict_rule_is_used_with_public_ground_truth_alone():
    for name in SHIPPED:
        definition = tomllib.loads((DEFINITIONS / f"{name}.toml").read_text())
        if VARIANTS[definition.get("scoring_variant", "axonem")].tolerance_nodes == 0:
            assert all(volume["ground_truth_public"] for volume in definition["volumes"])


def test_nisb_has_nine_settings_with_the_published_share_of_each(client):
    call_command("load_benchmark", "nisb")
    phases = Benchmark.objects.get(slug="nisb").phases.all()
    assert phases.count() == 9
    page = client.get(reverse("leaderboard", args=["nisb"]), {"phase": "pos-guidance"})
    rows = page.context["board"].published
    assert [(row.method, row.scores[0].normalized_erl, row.scores[0].erl_nm) for row in rows] == [
        ("BANIS-L", 0.654, None),
        ("BANIS-S", 0.337, None),
    ]
    listed = client.get("/api/v1/benchmarks/nisb/leaderboard?phase=pos-guidance").json()["published"]
    assert listed[0]["volumes"] == [{"volume": "pos-guidance", "erl_nm": None, "normalized_erl": 0.654, "figures": {}}]


def test_the_axonem_board_says_that_its_ffn_row_was_withdrawn(client):
    call_command("load_benchmark", "axonem")
    assert "has withdrawn this baseline" in client.get(reverse("leaderboard", args=["axonem"])).content.decode()


def test_the_xpress_baseline_has_the_score_of_its_readme(client):
    call_command("load_benchmark", "xpress")
    (row,) = client.get(reverse("leaderboard", args=["xpress"])).context["board"].published
    assert row.headline == pytest.approx(0.74995625, abs=1e-8)
