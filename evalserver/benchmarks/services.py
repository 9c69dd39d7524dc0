"""Changes of benchmarks and their ground truth."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.files import File
from django.db import DatabaseError, transaction
from django.db.models import Max
from django.utils import timezone

from axonem_eval.errors import InputError
from axonem_eval.scoring import FIGURES, variant_named
from evalserver.accounts.models import Team, User
from evalserver.benchmarks import notifications
from evalserver.benchmarks.disclosure_rule import hidden_complaint
from evalserver.benchmarks.models import (
    Benchmark,
    GroundTruth,
    ImageView,
    Participation,
    Phase,
    PublishedEntry,
    PublishedScore,
    TrainingFile,
    Volume,
)
from evalserver.jobs import FAILED, REJECTED, WAITING, change_status, send
from evalserver.uploads import display_name, file_sha256, label_suffix

logger = logging.getLogger(__name__)


@transaction.atomic
def register_ground_truth(
    *,
    volume: Volume,
    source_file: "File[bytes]",
    source_kind: str,
    no_merge_mask: "File[bytes] | None" = None,
    dense_labels: "File[bytes] | None" = None,
    created_by: User | None = None,
    **stated: str,
) -> GroundTruth:
    """Store an organiser's labels, skeletons or bundle as the volume's next version; a worker registers it.

    dense_labels : also scored voxel by voxel; not with the kind DENSE, whose source file is that already.
    stated : dataset and dense_dataset; unit and axes of what the file holds, where it does not state them itself.
    Raises InputError where the benchmark ranks by a kind of ground truth that this version would not have.
    """
    require_kinds(volume, source_kind, bool(dense_labels))
    last = GroundTruth.objects.filter(volume=volume).aggregate(last=Max("version"))["last"] or 0
    ground_truth = GroundTruth(
        volume=volume,
        version=last + 1,
        source_kind=source_kind,
        source_name=display_name(source_file.name or ""),
        source_sha256=file_sha256(source_file),
        **stated,
        created_by=created_by,
        stage="Waiting for a worker",
    )
    ground_truth.source_file.save(f"source{Path(source_file.name or '').suffix}", source_file, save=False)
    if no_merge_mask:
        ground_truth.no_merge_mask.save(f"mask{label_suffix(no_merge_mask.name or '')}", no_merge_mask, save=False)
    if dense_labels:
        ground_truth.dense_labels.save(f"dense{label_suffix(dense_labels.name or '')}", dense_labels, save=False)
    ground_truth.save()
    send(ground_truth)
    return ground_truth


def require_kinds(volume: Volume, source_kind: str, has_dense_labels: bool) -> None:
    """Raise InputError where a version lacks a kind of ground truth by which its benchmark ranks, or has one twice."""
    is_dense, label = source_kind == GroundTruth.Source.DENSE, volume.benchmark.variant.headline.label
    if is_dense and has_dense_labels:
        raise InputError.of(
            "dense_twice",
            "the source is a dense label volume already: leave the field of dense labels empty, or choose a kind with "
            "skeletons for the source",
        )
    if volume.benchmark.variant.needs_skeletons and is_dense:
        raise InputError.of(
            "no_skeletons",
            f"{volume.benchmark.name} ranks by {label}, which is measured on skeletons: choose labels or a bundle as "
            "the kind of the source, and give the dense labels beside it",
        )
    if volume.benchmark.variant.needs_dense and not is_dense and not has_dense_labels:
        raise InputError.of(
            "no_dense_ground_truth",
            f"{volume.benchmark.name} ranks by {label}, which is measured voxel by voxel: choose dense labels as the "
            "kind of the source, or give dense labels beside it",
        )


class NotPossible(Exception):
    """A change that is not possible now. The message is for the organiser."""


@transaction.atomic
def make_current(*, ground_truth: GroundTruth) -> None:
    """Score with this version from now on. Scored submissions need `queue_rescores` afterwards. Raises NotPossible."""
    frozen = frozen_phases(ground_truth.volume)
    if frozen:
        raise NotPossible(f"The ranking of {frozen} is frozen: unfreeze it before the ground truth changes.")
    Volume.objects.select_for_update().get(pk=ground_truth.volume_id)
    GroundTruth.objects.filter(volume=ground_truth.volume, is_current=True).update(is_current=False)
    GroundTruth.objects.filter(pk=ground_truth.pk, status=GroundTruth.DONE_STATUS).update(is_current=True)


def frozen_phases(volume: Volume) -> str:
    """Names of the frozen phases that rank by this volume; empty where its ground truth and tolerance may change."""
    return ", ".join(phase.name for phase in volume.phases.all() if phase.is_frozen)


def retry_registration(*, ground_truth: GroundTruth) -> bool:
    """Send a failed or rejected registration again."""
    with transaction.atomic():
        moved = change_status(
            GroundTruth,
            ground_truth.pk,
            sources=[FAILED, REJECTED],
            target=WAITING,
            attempts=0,
            complaints=[],
            incident_id="",
        )
        if moved:
            send(ground_truth)
    return moved


NOT_OF_THE_BENCHMARK = ("slug", "volumes", "phases", "published", "links")


@transaction.atomic
def load_benchmark(definition: dict[str, Any]) -> Benchmark:
    """Create or update a benchmark from its definition (a parsed TOML file); what it does not name is kept."""
    head = {k: v for k, v in definition.items() if k not in NOT_OF_THE_BENCHMARK}
    headline = head.pop("headline", None)
    if headline is not None:
        head |= _headline_columns(headline)
    known = Benchmark.objects.filter(slug=definition["slug"]).first()
    told = (*OF_THE_RULE, "further_columns")
    if head.keys() & set(told):
        kept = {name: getattr(known, name) for name in told} if known else {}
        require_rule(Benchmark(**{**kept, **{name: head[name] for name in told if name in head}}), known)
    benchmark, _ = Benchmark.objects.update_or_create(slug=definition["slug"], defaults=head)
    volumes: dict[str, Volume] = {}
    for position, row in enumerate(definition["volumes"]):
        volumes[row["slug"]] = _load_volume(benchmark, position, dict(row))
    for row in definition.get("phases", [{"slug": "test", "name": "Test"}]):
        row = dict(row)
        members = [volumes[slug] for slug in row.pop("volumes", volumes)]
        for key in ("opens_at", "closes_at"):
            if isinstance(row.get(key), datetime) and row[key].tzinfo is None:
                raise InputError.of("no_time_zone", f"{key} = {row[key]} has no time zone; write it with a Z")
        phase, _ = Phase.objects.update_or_create(benchmark=benchmark, slug=row.pop("slug"), defaults=row)
        phase.volumes.set(members)
    if complaint := hidden_complaint(benchmark.variant, benchmark.volumes.all()):
        raise InputError.of("hidden_ground_truth", complaint)
    for position, row in enumerate(definition.get("published", [])):
        _load_published(benchmark, volumes, position, dict(row))
    for position, row in enumerate(definition.get("links", [])):
        TrainingFile.objects.update_or_create(
            benchmark=benchmark, title=row["title"], defaults={**row, "position": position}
        )
    return benchmark


def _load_volume(benchmark: Benchmark, position: int, row: dict[str, Any]) -> Volume:
    (z, y, x), (vz, vy, vx) = row.pop("shape_zyx"), row.pop("voxel_size_nm_zyx")
    row |= {"shape_z": z, "shape_y": y, "shape_x": x, "voxel_z_nm": vz, "voxel_y_nm": vy, "voxel_x_nm": vx}
    slug = row.pop("slug")
    if not benchmark.volumes.filter(slug=slug).exists():
        row.setdefault("tolerance_nodes", benchmark.variant.tolerance_nodes)
    _require_unfrozen(benchmark, slug, row)
    volume, _ = Volume.objects.update_or_create(benchmark=benchmark, slug=slug, defaults={**row, "position": position})
    try:
        volume.clean()
    except ValidationError as error:
        raise InputError.of("bad_volume", f"volume {slug}: {' '.join(error.messages)}") from None
    return volume


# Columns of a benchmark that decide what ranks.
OF_THE_RULE = ("scoring_variant", "headline_expression", "headline_label", "headline_lower_is_better")


def require_rule(asked: Benchmark, known: Benchmark | None) -> None:
    """Raise InputError where there is no such rule or headline, or a frozen ranking stands by another.

    asked : holds the columns OF_THE_RULE.   known : the benchmark as it is stored.
    """
    variant_named(asked.scoring_variant).with_columns(asked.further_column_names)
    own = asked.own_headline
    if known is None:
        return
    if own and (unknown := own.expression.volumes - {v.slug for v in known.volumes.all()}):
        raise InputError.of(
            "unknown_volume",
            f"the headline names {', '.join(sorted(unknown))}, which is no volume of {known.name}; write the short "
            "names of volumes in quotes and brackets",
        )
    if all(getattr(known, name) == getattr(asked, name) for name in OF_THE_RULE):
        return
    if frozen := ", ".join(phase.name for phase in known.phases.all() if phase.is_frozen):
        raise InputError.of(
            "frozen",
            f"scoring_variant is {known.scoring_variant}, {asked.scoring_variant} is asked for (or another headline), "
            f"and the ranking of {frozen} is frozen: unfreeze it first",
        )


def _headline_columns(headline: dict[str, Any]) -> dict[str, Any]:
    """Columns of a definition's [headline]. Raises InputError for other keys."""
    names = {
        "expression": "headline_expression",
        "label": "headline_label",
        "lower_is_better": "headline_lower_is_better",
    }
    if unknown := sorted(headline.keys() - names.keys()):
        raise InputError.of("bad_headline", f"[headline] has {', '.join(unknown)}; it takes {', '.join(names)}")
    return {names[key]: value for key, value in headline.items()}


def _require_unfrozen(benchmark: Benchmark, slug: str, row: dict[str, Any]) -> None:
    """Raise InputError where a definition would change the tolerance under a frozen ranking."""
    known = Volume.objects.filter(benchmark=benchmark, slug=slug).first()
    if known is None or row.get("tolerance_nodes", known.tolerance_nodes) == known.tolerance_nodes:
        return
    if frozen := frozen_phases(known):
        raise InputError.of(
            "frozen",
            f"tolerance_nodes of {slug} is {known.tolerance_nodes}, the definition says {row['tolerance_nodes']}, and "
            f"the ranking of {frozen} is frozen: unfreeze it first",
        )


def _load_published(benchmark: Benchmark, volumes: dict[str, Volume], position: int, row: dict[str, Any]) -> None:
    erl_um, percent = row.pop("erl_um", {}), row.pop("percent", {})
    others = {name: row.pop(name) for name in FIGURES.keys() & row.keys()}
    entry, _ = PublishedEntry.objects.update_or_create(
        benchmark=benchmark,
        method=row.pop("method"),
        source=row.pop("source"),
        defaults={**row, "position": position},
    )
    for slug in {slug for printed in (erl_um, percent, *others.values()) for slug in printed}:
        PublishedScore.objects.update_or_create(
            entry=entry,
            volume=volumes[slug],
            defaults={
                "erl_um": erl_um.get(slug),
                "percent": percent.get(slug),
                "figures": {name: printed[slug] for name, printed in sorted(others.items()) if slug in printed},
            },
        )


def may_take_part(*, benchmark: Benchmark, team: Team) -> bool:
    """Whether the team may submit: always, unless the benchmark wants approval and has not given it."""
    approved = Participation.Status.APPROVED
    return (
        not benchmark.requires_approval
        or Participation.objects.filter(benchmark=benchmark, team=team, status=approved).exists()
    )


def request_participation(*, benchmark: Benchmark, team: Team, message: str = "") -> Participation:
    """Ask to take part; the organisers are mailed. Asking again changes nothing: a declined team stays declined."""
    row, is_new = Participation.objects.get_or_create(
        benchmark=benchmark, team=team, defaults={"message": message.replace("\0", "").strip()[:2000]}
    )
    if is_new:
        notifications.tell_organisers(row)
    return row


def decide_participation(*, participation: Participation, status: str, by: User) -> bool:
    """Approve or decline, which the team is mailed; False when that was its status already."""
    rows = Participation.objects.filter(pk=participation.pk).exclude(status=status)
    if not rows.update(status=status, decided_at=timezone.now(), decided_by=by):
        return False
    participation.status = status
    notifications.tell_team(participation)
    return True


def store_training_file(training_file: TrainingFile) -> TrainingFile:
    """Save a data file with its size and checksum; of new EM a worker makes what the viewer shows.

    Raises ValidationError where a stated checksum differs.
    """
    upload = training_file.file
    if upload and not getattr(upload, "_committed", True):
        found = file_sha256(upload.file)
        if training_file.sha256 and training_file.sha256.lower() != found:
            raise ValidationError(f"The file's SHA-256 is {found}, not the one stated: it did not arrive whole.")
        training_file.sha256, training_file.size_bytes = found, upload.size
        training_file.file_name = display_name(training_file.file_name or upload.name or "")
        training_file.view_files = 0  # what the viewer shows is that of another file
        training_file.gone_at = None
        # A worker that reads the earlier file loses its lease with the row.
        ImageView.objects.filter(data_file=training_file.pk).delete()
    training_file.save()
    if training_file.file and training_file.content == TrainingFile.Content.IMAGE and not training_file.view_files:
        _request_image_view(training_file)
    return training_file


def _request_image_view(training_file: TrainingFile) -> None:
    job, made = ImageView.objects.get_or_create(data_file=training_file, defaults={"stage": "Waiting for a worker"})
    ended = [FAILED, REJECTED, ImageView.DONE_STATUS]
    if made or change_status(ImageView, job.pk, sources=ended, target=WAITING, attempts=0, complaints=[]):
        send(job)


def note_gone(training_file: TrainingFile) -> None:
    """Tell the organisers that a stored file is not there any more. The reader gets an answer in any case."""
    try:
        TrainingFile.objects.filter(pk=training_file.pk, gone_at=None).update(gone_at=timezone.now())
    except DatabaseError:
        logger.warning("could not note that data file %s is gone", training_file.pk, exc_info=True)


def fill_phases(benchmark: Benchmark) -> list[Phase]:
    """Give all of the benchmark's volumes to each of its phases that has none; those phases."""
    empty = list(benchmark.phases.filter(volumes=None)) if benchmark.volumes.exists() else []
    for phase in empty:
        phase.volumes.set(benchmark.volumes.all())
    return empty


def freeze_phase(*, phase: Phase) -> bool:
    """Freeze the ranking. False if it was frozen before."""
    return Phase.objects.filter(pk=phase.pk, frozen_at=None).update(frozen_at=timezone.now()) == 1


def unfreeze_phase(*, phase: Phase) -> bool:
    """False where it was not frozen."""
    return Phase.objects.filter(pk=phase.pk).exclude(frozen_at=None).update(frozen_at=None) == 1
