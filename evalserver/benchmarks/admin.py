"""Organisers' pages of benchmarks, volumes, phases and ground truth."""

from collections.abc import Callable
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string

from evalserver.accounts.forms import ASSUME_HTTPS
from evalserver.accounts.models import User
from evalserver.benchmarks import services
from evalserver.benchmarks.disclosure_rule import hidden_complaint
from evalserver.benchmarks.forms import BenchmarkForm, GroundTruthForm, PhaseForm, TrainingFileForm, VolumeForm
from evalserver.benchmarks.models import (
    Benchmark,
    GroundTruth,
    GroundTruthPreview,
    News,
    Participation,
    Phase,
    Picture,
    PublishedEntry,
    PublishedScore,
    TrainingFile,
    Volume,
)
from evalserver.jobs import FAILED


class VolumeInline(admin.StackedInline):
    """Volumes on the page of a benchmark."""

    model = Volume
    form = VolumeForm
    extra = 0
    prepopulated_fields = {"slug": ["name"]}
    fieldsets = [
        (None, {"fields": [("name", "slug", "position"), "tissue"]}),
        (
            "Geometry (z, y, x)",
            {"fields": [("shape_z", "shape_y", "shape_x"), ("voxel_z_nm", "voxel_y_nm", "voxel_x_nm")]},
        ),
        (
            "Scoring",
            {
                "fields": [
                    ("tolerance_nodes", "min_length_um", "target_voxel_nm"),
                    ("ground_truth_public", "axons_shown"),
                ]
            },
        ),
        (
            "Ground truth and submitted file",
            {"fields": [("ends_inside_voxels", "axon_ids"), "submission"]},
        ),
    ]


class PhaseInline(admin.StackedInline):
    """Phases on the page of a benchmark."""

    model = Phase
    form = PhaseForm
    extra = 0

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        match = request.resolver_match
        benchmark = match.kwargs.get("object_id") if match else None
        kwargs["queryset"] = Volume.objects.filter(benchmark=benchmark)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    fields = [
        ("name", "slug", "kind"),
        "volumes",
        ("opens_at", "closes_at"),
        ("submissions_per_day", "submissions_total"),
        ("ranking_hidden_until", "frozen_at"),
    ]


class TrainingFileInline(admin.StackedInline):
    """Files of the data section on the page of a benchmark."""

    model = TrainingFile
    form = TrainingFileForm
    formfield_overrides = ASSUME_HTTPS
    extra = 0
    fields = [
        ("title", "position", "licence"),
        ("part", "content", "volume"),
        "description",
        ("file", "url"),
        ("sha256", "size_bytes", "file_name"),
    ]


class PictureInline(admin.TabularInline):
    """Pictures on the page of a benchmark."""

    model = Picture
    extra = 0
    fields = ["position", "file", "words", "source"]


@admin.register(News)
class NewsAdmin(admin.ModelAdmin):
    """News of the home page at /admin/."""

    formfield_overrides = ASSUME_HTTPS
    list_display = ["published_at", "text"]


@admin.register(Benchmark)
class BenchmarkAdmin(admin.ModelAdmin):
    """Benchmarks at /admin/, with all that belongs to them."""

    form = BenchmarkForm
    formfield_overrides = ASSUME_HTTPS
    list_display = ["name", "slug", "is_visible", "requires_approval", "position"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [VolumeInline, PhaseInline, TrainingFileInline, PictureInline]
    actions = ["freeze", "unfreeze"]

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        if formset.model is not TrainingFile:
            super().save_formset(request, form, formset, change)
            return
        for row in formset.save(commit=False):
            services.store_training_file(row)
        for row in formset.deleted_objects:
            row.delete()
        formset.save_m2m()

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        benchmark: Benchmark = form.instance
        for phase in services.fill_phases(benchmark):
            messages.info(request, f"The phase “{phase.name}” has all volumes of the benchmark.")
        # One post may bring both the rule and the volumes, which no single form sees together.
        if complaint := hidden_complaint(benchmark.variant, benchmark.volumes.all()):
            messages.warning(request, f"{complaint}. Until then its phases take no submissions.")
        for volume in benchmark.volumes.filter(phases=None):
            messages.warning(request, f"The volume “{volume.name}” is in no phase: nobody submits it.")

    @admin.action(description="Freeze every phase: the ranking no longer changes", permissions=["change"])
    def freeze(self, request: HttpRequest, queryset: QuerySet[Benchmark]) -> None:
        self._each_phase(request, queryset, services.freeze_phase, "frozen")

    @admin.action(description="Unfreeze every phase", permissions=["change"])
    def unfreeze(self, request: HttpRequest, queryset: QuerySet[Benchmark]) -> None:
        self._each_phase(request, queryset, services.unfreeze_phase, "unfrozen")

    def _each_phase(
        self, request: HttpRequest, queryset: QuerySet[Benchmark], change: Callable[..., bool], word: str
    ) -> None:
        for benchmark in queryset.prefetch_related("phases"):
            changed = [phase.name for phase in benchmark.phases.all() if change(phase=phase)]
            if changed:
                self.log_change(request, benchmark, f"{word}: {', '.join(changed)}")
            messages.info(request, f"{benchmark}: {', '.join(changed) or 'no phase'} {word}.")


@admin.register(Participation)
class ParticipationAdmin(admin.ModelAdmin):
    """Teams that ask to take part in a benchmark that wants approval."""

    list_display = ["team", "benchmark", "status", "requested_at", "decided_at", "decided_by"]
    list_filter = ["status", "benchmark"]
    search_fields = ["team__name", "message"]
    list_select_related = ["team", "benchmark", "decided_by"]
    readonly_fields = ["benchmark", "team", "status", "message", "requested_at", "decided_at", "decided_by"]
    actions = ["approve", "decline"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    @admin.action(description="Approve", permissions=["change"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Participation]) -> None:
        self._decide(request, queryset, Participation.Status.APPROVED)

    @admin.action(description="Decline", permissions=["change"])
    def decline(self, request: HttpRequest, queryset: QuerySet[Participation]) -> None:
        self._decide(request, queryset, Participation.Status.DECLINED)

    def _decide(self, request: HttpRequest, queryset: QuerySet[Participation], status: str) -> None:
        by = cast(User, request.user)  # the admin lets only users in
        for participation in queryset:
            if services.decide_participation(participation=participation, status=status, by=by):
                self.log_change(request, participation, status)
                messages.success(request, f"{participation.team}: {status}.")


WHEN_CURRENT = (
    "A volume's first version is used for scoring as soon as it is ready. A later one waits until an organiser "
    "chooses it in the list of ground truth, with the action “Make current and re-score”: until then no ranking "
    "changes. Results of the earlier version are kept."
)


@admin.register(GroundTruth)
class GroundTruthAdmin(admin.ModelAdmin):
    """Adding a row uploads labels or a bundle; a worker makes the skeletons while this page shows its progress."""

    form = GroundTruthForm
    list_display = ["volume", "version", "state", "is_current", "skeletons", "nodes", "erl_um", "created_at"]
    list_filter = ["status", "is_current", "volume__benchmark"]
    search_fields = ["volume__name", "checksum", "source_name"]
    list_select_related = ["volume"]
    actions = ["retry"]
    add_fields = [
        *["volume", "source_kind", "source_file", "dataset", ("unit", "axes"), "no_merge_mask"],
        *["dense_labels", "dense_dataset"],
    ]
    shown_fields = [
        "volume",
        "version",
        "state",
        "problems",
        "is_current",
        "skeletons",
        "nodes",
        "erl_um",
        "mean_node_spacing_nm",
        "checksum",
        "source_kind",
        "source_name",
        "source_sha256",
        "dataset",
        "unit",
        "axes",
        "has_mask",
        "dense_checksum",
        "dense_figures",
        "attempts",
        "created_by",
        "created_at",
        "finished_at",
    ]

    class Media:
        css = {"all": ["ground-truth.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: GroundTruth | None = None) -> Any:
        if obj is None:
            return [(None, {"fields": self.add_fields, "description": WHEN_CURRENT})]
        return [
            (None, {"fields": self.shown_fields, "description": WHEN_CURRENT}),
            ("Preview, only for organisers", {"fields": ["preview_shown"]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: GroundTruth | None = None) -> list[str]:
        return [*self.shown_fields, "preview_shown"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: GroundTruth | None = None) -> bool:
        # Evaluations name the version that they were made with.
        return False

    def save_model(self, request: HttpRequest, obj: GroundTruth, form: forms.ModelForm, change: bool) -> None:
        if change:
            return
        data = form.cleaned_data
        stored = services.register_ground_truth(
            volume=data["volume"],
            source_kind=data["source_kind"],
            source_file=data["source_file"],
            dataset=data["dataset"],
            unit=data["unit"],
            axes=data["axes"],
            no_merge_mask=data["no_merge_mask"],
            dense_labels=data["dense_labels"],
            dense_dataset=data["dense_dataset"],
            created_by=request.user if request.user.is_authenticated else None,
        )
        obj.pk, obj.version = stored.pk, stored.version

    def response_add(self, request: HttpRequest, obj: GroundTruth, *args: Any, **kwargs: Any) -> HttpResponse:
        messages.success(request, "Stored. A worker registers it now; this page follows its progress.")
        return redirect("admin:benchmarks_groundtruth_change", obj.pk)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """A read-only record. While the worker runs, the page reloads by itself."""
        buttons = ("show_save", "show_save_and_continue", "show_save_and_add_another")
        extra_context = {**(extra_context or {}), **dict.fromkeys(buttons, False)}
        response = super().change_view(request, object_id, form_url, extra_context)
        job = GroundTruth.objects.filter(pk=object_id).first() if object_id.isdigit() else None
        if job and job.is_active and request.method == "GET":
            response.headers["Refresh"] = "3"
        return response

    @admin.display(description="status", ordering="status")
    def state(self, obj: GroundTruth) -> str:
        if obj.is_active:
            return f"{obj.status}, {obj.percent}%: {obj.stage}"
        return f"failed, incident {obj.incident_id}: see the worker's log" if obj.status == FAILED else obj.status

    @admin.display(description="reasons for rejection")
    def problems(self, obj: GroundTruth) -> str:
        return "; ".join(c["message"] for c in obj.complaints) or "none"

    @admin.display(description="figures and pictures")
    def preview_shown(self, obj: GroundTruth) -> str:
        preview = GroundTruthPreview.objects.filter(ground_truth=obj).first()
        if preview is None:
            return "Made when the version is ready." if obj.is_active else "None was made."
        return render_to_string("admin/_ground_truth_preview.html", {"preview": preview})

    @admin.display(description="GT ERL (um)", ordering="gt_erl_nm")
    def erl_um(self, obj: GroundTruth) -> str:
        return "–" if obj.gt_erl_nm is None else f"{obj.gt_erl_nm / 1000:.2f}"

    @admin.display(description="no-merge mask", boolean=True)
    def has_mask(self, obj: GroundTruth) -> bool:
        return bool(obj.no_merge_mask)

    @admin.action(description="Register again (failed or rejected)", permissions=["change"])
    def retry(self, request: HttpRequest, queryset: QuerySet[GroundTruth]) -> None:
        sent = sum(services.retry_registration(ground_truth=row) for row in queryset)
        messages.info(request, f"{sent} sent again.")


class PublishedScoreInline(admin.TabularInline):
    """Printed scores on the page of a published entry."""

    model = PublishedScore
    extra = 0


@admin.register(PublishedEntry)
class PublishedEntryAdmin(admin.ModelAdmin):
    """Results from papers at /admin/."""

    formfield_overrides = ASSUME_HTTPS
    list_display = ["method", "benchmark", "source", "is_ground_truth"]
    list_filter = ["benchmark"]
    search_fields = ["method", "source"]
    inlines = [PublishedScoreInline]
