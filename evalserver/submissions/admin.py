"""Organisers' pages of submissions and evaluations, and what organisers have changed."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from evalserver.accounts.forms import ASSUME_HTTPS
from evalserver.benchmarks.admin import BenchmarkAdmin, GroundTruthAdmin
from evalserver.benchmarks.models import Benchmark, GroundTruth
from evalserver.benchmarks.services import NotPossible, make_current
from evalserver.submissions import services
from evalserver.submissions.evaluation.diagnosis import request_diagnoses
from evalserver.submissions.evaluation.rescore import queue_rescore, queue_rescores
from evalserver.submissions.marks import MARK_FIELDS
from evalserver.submissions.metadata import EDITABLE
from evalserver.submissions.models import Evaluation, QuotaSlot, Submission, VolumeFile
from evalserver.submissions.results.headline import exact_in_words


class ReadOnly:
    """Read-only records."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


admin.site.unregister(Benchmark)


@admin.register(Benchmark)
class RescorableBenchmarkAdmin(BenchmarkAdmin):
    """Defined here, because submissions import benchmarks and not the other way round."""

    actions = [*BenchmarkAdmin.actions, "rescore"]

    @admin.action(
        description="Re-score all submissions (metric, tolerance or ground truth changed)", permissions=["change"]
    )
    def rescore(self, request: HttpRequest, queryset: QuerySet[Benchmark]) -> None:
        for benchmark in queryset:
            sent = queue_rescores(benchmark)
            self.log_change(request, benchmark, f"re-scoring {sent} submissions")
            messages.success(request, f"{benchmark}: {sent} submissions sent to the workers; earlier results stay.")


admin.site.unregister(GroundTruth)


@admin.register(GroundTruth)
class RescoringGroundTruthAdmin(GroundTruthAdmin):
    """Ground truth at /admin/; what is made current is scored with at once."""

    actions = ["make_current", *GroundTruthAdmin.actions]

    @admin.action(description="Make current and re-score: rank with this version", permissions=["change"])
    def make_current(self, request: HttpRequest, queryset: QuerySet[GroundTruth]) -> None:
        """Both in one step, so that the leaderboard is not empty in between."""
        for ground_truth in queryset.select_related("volume__benchmark"):
            if ground_truth.status != GroundTruth.DONE_STATUS:
                messages.error(request, f"{ground_truth} is not ready.")
                continue
            try:
                make_current(ground_truth=ground_truth)
            except NotPossible as refusal:
                messages.error(request, str(refusal))
                continue
            sent = queue_rescores(ground_truth.volume.benchmark)
            self.log_change(request, ground_truth, f"made current; re-scoring {sent} submissions")
            messages.success(request, f"{ground_truth} is current; workers score {sent} submissions with it.")


class VolumeFileInline(ReadOnly, admin.TabularInline):
    """Files on the page of a submission."""

    model = VolumeFile
    fields = ["volume", "original_name", "size_bytes", "sha256"]
    extra = 0


CHANGEABLE = {*EDITABLE, "is_reference", "reproduce_command", "provenance"} - {"supersedes"}


@admin.register(Submission)
class SubmissionAdmin(admin.ModelAdmin):
    """Submissions at /admin/."""

    formfield_overrides = ASSUME_HTTPS
    list_display = ["code", "method_name", "team", "phase", "state", "headline", "visibility", "created_at"]
    list_filter = ["status", "phase", *MARK_FIELDS, ("published_at", admin.EmptyFieldListFilter), "created_at"]
    search_fields = ["code", "method_name", "team__name", "created_by__email", "incident_id", "files__sha256"]
    list_select_related = ["team", "phase__benchmark"]
    date_hierarchy = "created_at"
    inlines = [VolumeFileInline]
    actions = ["hide", "show", "retry", "rescore", "diagnose"]
    fields = [
        *["code", "status", "state", "problems", "incident_id", "attempts"],
        *["phase", "team", "created_by", "method_name", "description"],
        *["paper_url", "code_url", "model_url", "training_data", "compute", *MARK_FIELDS, "supersedes", "run_of"],
        *["is_reference", "reproduce_command", "provenance"],
        *["published_at", "withdrawn_at", "hidden_at", "created_at", "claimed_at", "finished_at"],
    ]
    readonly_fields = [name for name in fields if isinstance(name, str) and name not in CHANGEABLE]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Submission]:
        return super().get_queryset(request).prefetch_related("scores")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Hide it instead: its evaluations are records.
        return False

    def get_view_on_site_url(self, obj: Submission | None = None) -> str | None:
        return reverse("submission", args=[obj.code]) if obj else None

    @admin.display(description="progress", ordering="status")
    def state(self, obj: Submission) -> str:
        return f"{obj.status}, {obj.percent}%: {obj.stage}" if obj.is_active else obj.status

    @admin.display(description="score, exact")
    def headline(self, obj: Submission) -> str:
        newest = max(obj.scores.all(), key=lambda score: score.created_at, default=None)
        return exact_in_words(newest, obj.phase.benchmark) if newest else "–"

    @admin.display
    def visibility(self, obj: Submission) -> str:
        if obj.hidden_at:
            return "hidden"
        if obj.withdrawn_at:
            return "withdrawn"
        return "published" if obj.published_at else "private"

    @admin.display(description="reasons for rejection")
    def problems(self, obj: Submission) -> SafeString | str:
        rows = ((c.get("volume", ""), c["code"], c["message"]) for c in obj.complaints)
        items = format_html_join("", "<li>{} [{}] {}</li>", rows)
        return format_html("<ul>{}</ul>", items) if items else "none"

    @admin.action(description="Hide from everybody but its team", permissions=["change"])
    def hide(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        rows = [row for row in queryset if services.hide_submission(row)]
        self._log(request, rows, "hidden")
        messages.success(request, f"{len(rows)} hidden.")

    @admin.action(description="Show again", permissions=["change"])
    def show(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        rows = [row for row in queryset if services.show_submission(row)]
        self._log(request, rows, "shown again")
        messages.success(request, f"{len(rows)} shown again.")

    def _log(self, request: HttpRequest, rows: list[Submission], what: str) -> None:
        """Actions change rows by query, which the admin does not note by itself."""
        for row in rows:
            self.log_change(request, row, what)

    @admin.action(
        description="Evaluate again (failed or rejected; does not count for the team)", permissions=["change"]
    )
    def retry(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        rows = [submission for submission in queryset if services.retry_submission(submission)]
        self._log(request, rows, "evaluated again")
        messages.info(request, f"{len(rows)} of {queryset.count()} sent to a worker; only failed or rejected ones can.")

    @admin.action(description="Re-score (metric, tolerance or ground truth changed)", permissions=["change"])
    def rescore(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        rows = [submission for submission in queryset if queue_rescore(submission)]
        self._log(request, rows, "re-scored")
        messages.info(
            request, f"{len(rows)} of {queryset.count()} sent to a worker; the others are current or not scored."
        )

    @admin.action(
        description="Diagnose (scored entries without a diagnosis, or whose diagnosis failed)", permissions=["change"]
    )
    def diagnose(self, request: HttpRequest, queryset: QuerySet[Submission]) -> None:
        rows = [row for row in queryset.filter(status=Submission.DONE_STATUS) if request_diagnoses(row)]
        self._log(request, rows, "diagnosis asked for")
        messages.info(request, f"{len(rows)} of {queryset.count()} sent to a worker; scores stay as they are.")


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnly, admin.ModelAdmin):
    """Results of single volumes at /admin/, to read."""

    list_display = [
        *["submission", "volume", "erl_um", "percent", "metric_version", "tolerance_nodes"],
        *["ground_truth", "created_at"],
    ]
    list_filter = ["metric_version", "tolerance_nodes", "volume_file__volume", "created_at"]
    search_fields = ["volume_file__submission__code", "volume_file__submission__method_name", "ground_truth_checksum"]
    list_select_related = ["volume_file__submission", "volume_file__volume", "ground_truth__volume"]
    date_hierarchy = "created_at"

    @admin.display(ordering="volume_file__submission")
    def submission(self, obj: Evaluation) -> str:
        return str(obj.volume_file.submission)

    @admin.display(ordering="volume_file__volume")
    def volume(self, obj: Evaluation) -> str:
        return obj.volume_file.volume.name

    @admin.display(description="ERL (um)", ordering="erl_nm")
    def erl_um(self, obj: Evaluation) -> str:
        return "–" if obj.erl_nm is None else f"{obj.erl_nm / 1000:.2f}"

    @admin.display(description="% of GT", ordering="normalized_erl")
    def percent(self, obj: Evaluation) -> str:
        return "–" if obj.normalized_erl is None else f"{obj.normalized_erl * 100:.1f}"


@admin.register(QuotaSlot)
class QuotaSlotAdmin(ReadOnly, admin.ModelAdmin):
    """Taken slots. Deleting one gives a team another submission today."""

    list_display = ["team", "phase", "day", "number", "submission"]
    list_filter = ["day", "phase"]
    search_fields = ["team__name", "submission__code"]
    list_select_related = ["team", "phase__benchmark", "submission"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser


@admin.register(LogEntry)
class AuditLogAdmin(ReadOnly, admin.ModelAdmin):
    """Who changed what, when: every change made by organisers, newest first."""

    list_display = ["action_time", "user", "content_type", "object_repr", "what"]
    list_filter = ["action_time", "user", "content_type"]
    search_fields = ["object_repr", "change_message", "user__email"]
    list_select_related = ["user", "content_type"]
    date_hierarchy = "action_time"

    @admin.display(description="change")
    def what(self, obj: LogEntry) -> str:
        return obj.get_change_message() or obj.get_action_flag_display()
