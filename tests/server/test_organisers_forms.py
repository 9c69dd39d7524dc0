"""The organisers' forms of benchmarks: whatever is filled in is stored, or refused with a reason."""

import hashlib
import re

import pytest
from django import forms
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from evalserver.benchmarks.forms import TrainingFileForm
from evalserver.benchmarks.models import Benchmark, Phase, TrainingFile
from evalserver.benchmarks.selectors import closed_reason
from evalserver.benchmarks.services import store_training_file
from tests.factories import add_ground_truth, make_benchmark, make_user

pytestmark = pytest.mark.django_db

VOLUME = {
    "name": "Cube", "slug": "cube", "position": 0, "shape_z": 10, "shape_y": 20, "shape_x": 30,
    "voxel_z_nm": 30, "voxel_y_nm": 8, "voxel_x_nm": 8, "tolerance_nodes": 50, "min_length_um": 5,
    "target_voxel_nm": 30,
    "axons_shown": "nothing",
    "ends_inside_voxels": 0,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _organiser(client):
    client.force_login(make_user("Olga", is_staff=True, is_superuser=True))


def inline(prefix: str, *rows: dict, initial: int = 0) -> dict:
    """Fields of an inline formset as the browser posts them."""
    counts = {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": initial}
    return counts | {f"{prefix}-{i}-{name}": value for i, row in enumerate(rows) for name, value in row.items()}


def inlines(client) -> dict:
    """The inline formsets of the page, by prefix."""
    found = client.get(reverse("admin:benchmarks_benchmark_add")).context["inline_admin_formsets"]
    return {admin_formset.formset.prefix: admin_formset.formset for admin_formset in found}


def untouched_phase(client) -> dict:
    """The values that a new row of the page has before anybody types."""
    form = inlines(client)["phases"].empty_form
    values = {name: form[name].value() for name in form.fields if name not in ("id", "benchmark", "DELETE", "volumes")}
    opens = values.pop("opens_at")
    values |= {f"opens_at_{i}": part for i, part in enumerate(f"{opens:%Y-%m-%d %H:%M:%S}".split())}
    values |= {f"initial-opens_at_{i}": part for i, part in enumerate(f"{opens:%Y-%m-%d %H:%M:%S}".split())}
    return {name: value for name, value in values.items() if value is not None}


def save(client, *, volumes: tuple = (), phases: tuple = (), variant: str = "axonem"):
    form = {
        "name": "New",
        "slug": "new",
        "summary": "A summary.",
        "position": 1,
        "is_visible": "on",
        "scoring_variant": variant,
    }
    given = {"volumes": volumes, "phases": phases}
    for prefix in inlines(client):
        form |= inline(prefix, *given.get(prefix, ()))
    return client.post(reverse("admin:benchmarks_benchmark_add"), form, follow=True)


def test_a_phase_saved_with_its_benchmark_and_volume_is_kept_and_has_the_volume(client):
    save(client, volumes=(VOLUME,), phases=(untouched_phase(client),))
    phase = Phase.objects.get()
    assert [volume.slug for volume in phase.volumes.all()] == ["cube"]


def test_a_volume_that_nobody_filled_in_is_refused_and_not_dropped(client):
    answer = save(client, volumes=({"tolerance_nodes": 50, "min_length_um": 5, "target_voxel_nm": 30, "position": 0},))
    assert "This field is required" in answer.content.decode()
    assert not Benchmark.objects.exists()


def test_a_phase_offers_the_volumes_of_its_own_benchmark_alone(client):
    phase, other = make_benchmark(("a",)), make_benchmark(("b",))
    page = client.get(reverse("admin:benchmarks_benchmark_change", args=[phase.benchmark_id])).content.decode()
    for row in ("0", "__prefix__"):  # the phase that is there, and a new one
        choices = re.search(rf'<select name="phases-{row}-volumes".*?</select>', page, re.S)[0]
        assert f'<option value="{phase.volumes.get().pk}"' in choices
        assert f'<option value="{other.volumes.get().pk}"' not in choices


def test_a_volume_in_no_phase_is_named(client):
    page = save(client, volumes=(VOLUME,)).content.decode()
    assert "“Cube” is in no phase" in page


def test_a_strict_rule_that_comes_with_its_hidden_volume_is_named_and_keeps_the_phase_closed(client):
    strict = {**VOLUME, "tolerance_nodes": 0}
    page = save(client, volumes=(strict,), phases=(untouched_phase(client),), variant="nisb").content.decode()
    assert "makes a merger of 1 shared node" in page
    add_ground_truth(Benchmark.objects.get().volumes.get())
    assert "change the scoring" in closed_reason(Phase.objects.get())


def file_form(row: TrainingFile, content: bytes, **fields) -> TrainingFileForm:
    form = forms.modelform_factory(TrainingFile, form=TrainingFileForm, fields=["title", "file", "sha256"])
    given = {"title": row.title, "sha256": row.sha256, **fields}
    return form(given, {"file": SimpleUploadedFile("em.h5", content)}, instance=row)


def test_a_data_file_is_replaced_without_its_old_checksum_and_refused_with_a_wrong_one():
    row = TrainingFile(benchmark=make_benchmark().benchmark, title="EM", file=ContentFile(b"first", name="em.h5"))
    store_training_file(row)
    refused = file_form(row, b"second", sha256="0" * 64)
    assert "did not arrive whole" in str(refused.errors)
    row.refresh_from_db()
    form = file_form(row, b"second")
    assert form.is_valid()
    stored = store_training_file(form.save(commit=False))
    assert stored.sha256 == hashlib.sha256(b"second").hexdigest()
