"""Forms of organisers: benchmarks, volumes, phases and ground truth, on their own pages and in the admin."""

from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError

from axonem_eval.errors import InputError
from evalserver.benchmarks import services
from evalserver.benchmarks.disclosure_rule import hidden_complaint
from evalserver.benchmarks.models import Benchmark, GroundTruth, Phase, Volume
from evalserver.uploads import file_sha256


class BenchmarkForm(forms.ModelForm):
    """What a benchmark's page says, and who sees it."""

    url = forms.URLField(label="Web page", required=False, assume_scheme="https")

    class Meta:
        model = Benchmark
        fields = [
            *[
                "name",
                "slug",
                "summary",
                "description",
                "rules",
                "citation",
                "bibtex",
                "doi",
                "terms",
                "contact",
                "url",
            ],
            *["is_visible", "requires_approval", "phases_are_tracks", "scoring_variant", "further_columns"],
            *["headline_expression", "headline_label", "headline_lower_is_better", "position"],
        ]
        labels = {"slug": "Short name, for the address"}
        help_texts = {"description": "Markdown", "rules": "Markdown", "terms": "Markdown: licence, conditions"}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if "scoring_variant" not in data:
            return data
        known = Benchmark.objects.filter(pk=self.instance.pk).first()
        asked = Benchmark(**{name: data.get(name, "") for name in (*services.OF_THE_RULE, "further_columns")})
        try:
            services.require_rule(asked, known)
        except InputError as error:
            raise ValidationError({"scoring_variant": error.complaints[0].message}) from None
        if known and (complaint := hidden_complaint(asked.variant, known.volumes.all())):
            raise ValidationError({"scoring_variant": complaint})
        return data


class AddedOnPurpose(forms.ModelForm):
    """A row that somebody has added counts, also where all of its values are the defaults."""

    def has_changed(self) -> bool:
        return self.instance.pk is None or super().has_changed()


class TrainingFileForm(AddedOnPurpose):
    """A data file. A stated checksum is that of the file that comes with it."""

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        upload = data.get("file")
        if "file" not in self.changed_data or not upload:
            return data
        if "sha256" not in self.changed_data:
            data["sha256"] = ""  # the form still holds that of the earlier file
        found = file_sha256(upload)
        if data.get("sha256") and data["sha256"].lower() != found:
            raise ValidationError({"sha256": f"The file's is {found}: it did not arrive whole. Choose it again."})
        return data


class VolumeForm(AddedOnPurpose):
    """Shape, voxel size and scoring of a volume."""

    class Meta:
        model = Volume
        fields = [
            *["name", "slug", "tissue", "position", "shape_z", "shape_y", "shape_x"],
            *["voxel_z_nm", "voxel_y_nm", "voxel_x_nm", "tolerance_nodes", "min_length_um", "target_voxel_nm"],
            *["ends_inside_voxels", "axon_ids", "ground_truth_public", "axons_shown", "submission"],
        ]

    def clean_tolerance_nodes(self) -> int:
        wanted: int = self.cleaned_data["tolerance_nodes"]
        if self.instance.pk and "tolerance_nodes" in self.changed_data:
            frozen = services.frozen_phases(self.instance)
            if frozen:
                raise ValidationError(f"The ranking of {frozen} is frozen: unfreeze it before the tolerance changes.")
        return wanted

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        row = self.instance
        if row.benchmark_id and data.get("tolerance_nodes") is not None:
            known = {"name": data.get("name", row.name), "tolerance_nodes": data["tolerance_nodes"]}
            asked = Volume(**known, ground_truth_public=data.get("ground_truth_public", row.ground_truth_public))
            if complaint := hidden_complaint(row.benchmark.variant, [asked]):
                raise ValidationError(complaint)
        return data


class PhaseForm(AddedOnPurpose):
    """Offers the volumes of the phase's benchmark. Without a choice the phase gets all of them."""

    class Meta:
        model = Phase
        fields = [
            *["name", "slug", "kind", "volumes", "opens_at", "closes_at", "submissions_per_day", "submissions_total"],
            *["ranking_hidden_until", "frozen_at"],
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = cast(forms.ModelMultipleChoiceField, self.fields["volumes"])
        if self.instance.benchmark_id:  # a new row of the admin has none yet: the admin says what it offers
            field.queryset = Volume.objects.filter(benchmark=self.instance.benchmark_id)
        field.required = False
        field.help_text = "None chosen: all volumes of the benchmark"

    def clean_volumes(self) -> Any:
        wanted = self.cleaned_data["volumes"]
        if self.instance.pk and self.instance.is_frozen and set(wanted) != set(self.instance.volumes.all()):
            raise ValidationError("The ranking is frozen: unfreeze it before its volumes change.")
        return wanted


class GroundTruthForm(forms.ModelForm):
    """A new version of a volume's ground truth."""

    class Meta:
        model = GroundTruth
        fields = [
            *["source_kind", "source_file", "dataset", "unit", "axes", "no_merge_mask"],
            *["dense_labels", "dense_dataset"],
        ]

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        file, kind = data.get("source_file"), data.get("source_kind")
        if file and kind:
            is_npz = file.name.endswith(".npz")
            if kind != GroundTruth.Source.SKELETONS and is_npz != (kind == GroundTruth.Source.BUNDLE):
                raise ValidationError(
                    {"source_file": "A bundle ends in .npz, a label volume does not. Choose the kind that fits."}
                )
        volume = data.get("volume") or (self.instance.volume if self.instance.volume_id else None)
        if kind and volume:
            try:
                services.require_kinds(volume, kind, bool(data.get("dense_labels")))
            except InputError as error:
                raise ValidationError({"source_kind": error.complaints[0].message}) from None
        return data
