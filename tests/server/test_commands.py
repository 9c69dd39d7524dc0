"""The organisers' commands."""

import tomllib
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from evalserver.benchmarks.management.commands.load_benchmark import DEFINITIONS
from evalserver.benchmarks.models import Benchmark, Phase, PublishedScore, Volume
from tests.factories import make_benchmark, make_scored

pytestmark = pytest.mark.django_db


def call(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_the_shipped_benchmarks_carry_the_papers_numbers():
    call("load_benchmark", "axonem", "snemi3d")
    found = PublishedScore.objects.filter(entry__method="Affinity U-Net").values_list(
        "volume__slug", "erl_um", "percent"
    )
    assert set(found) == {("h", 18.5, 65.0), ("m", 38.5, 88.0)}
    human = Volume.objects.get(slug="h")
    assert human.voxel_size_nm_zyx == (30.0, 8.0, 8.0)
    assert human.rule.spec.voxel_size_nm_zyx == (30.0, 16.0, 16.0)  # as the challenge takes submissions
    assert Volume.objects.get(slug="m").tolerance_nodes == 50


def test_loading_twice_changes_nothing():
    call("load_benchmark", "axonem")
    counts = [model.objects.count() for model in (Benchmark, Volume, Phase, PublishedScore)]
    call("load_benchmark", "axonem")
    assert [model.objects.count() for model in (Benchmark, Volume, Phase, PublishedScore)] == counts


def test_a_changed_definition_updates_the_benchmark(tmp_path):
    text = (DEFINITIONS / "axonem.toml").read_text()
    path = Path(tmp_path, "axonem.toml")
    path.write_text(text.replace("submissions_per_day = 5", "submissions_per_day = 2"))
    call("load_benchmark", "axonem")
    call("load_benchmark", str(path))
    assert Phase.objects.get().submissions_per_day == 2


@pytest.mark.parametrize(
    ("content", "complaint"), [("slug = ", "is not TOML"), ('slug = "x"\nname = "X"', "lacks 'volumes'")]
)
def test_a_broken_definition_is_refused_with_what_is_wrong(tmp_path, content, complaint):
    path = Path(tmp_path, "broken.toml")
    path.write_text(content)
    with pytest.raises(CommandError, match=complaint):
        call("load_benchmark", str(path))
    assert not Benchmark.objects.exists()


def test_every_shipped_definition_is_toml_with_unique_slugs():
    slugs = [tomllib.loads(path.read_text())["slug"] for path in DEFINITIONS.glob("*.toml")]
    assert len(slugs) == len(set(slugs)) >= 6


def test_rescoring_an_unknown_benchmark_names_the_known_ones():
    phase = make_benchmark()
    with pytest.raises(CommandError, match=phase.benchmark.slug):
        call("rescore_benchmark", "nothing")


def test_rescoring_says_what_it_did():
    phase = make_benchmark()
    make_scored(phase, 5000)
    assert call("rescore_benchmark", phase.benchmark.slug) == "1 current\n"


def test_requeue_stale_says_what_it_did(redis_url):
    assert "0 lost tasks sent again" in call("requeue_stale")
