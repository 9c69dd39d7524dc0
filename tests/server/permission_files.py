"""Files behind addresses of the permission table: what the viewer shows, a workshop, an archive, pictures of axons."""

from collections.abc import Iterable
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from axonem_eval import workshop as library
from evalserver.accounts.models import Team
from evalserver.benchmarks import axons, images
from evalserver.benchmarks.models import AxonsShown, Benchmark, GroundTruthPreview, Role, TrainingFile, Volume
from evalserver.submissions.evaluation import error_pictures
from evalserver.submissions.evaluation import view_files as result_files
from evalserver.submissions.models import Diagnosis, ErrorPictures, Evaluation, Export
from evalserver.workshop import view_files as workshop_files
from evalserver.workshop.models import Candidate, Segment, Workshop
from tests.factories import make_benchmark, make_scored

INFO = b'{"scales": [{"size": [1, 1, 1], "resolution": [8, 8, 30]}]}'
REPORT = {"longest_segments": [], "likely_splits": {"places": []}, "likely_mergers": {"places": []}}
PUBLIC = ("skeleton_file", "axon_picture", "volume_axons", "axon_courses", "ground_truth_bundle")
OF_RESULT = ("view_state", "view_file", "diagnosis", "diagnosis_json", "diagnosis_skeletons", "error_picture")


def _store(name: str, content: bytes = INFO) -> None:
    default_storage.save(name, ContentFile(content))


def viewer_of_em(data: TrainingFile) -> None:
    """A stored EM file is ready for the viewer."""
    TrainingFile.objects.filter(pk=data.pk).update(content=TrainingFile.Content.IMAGE, view_files=1)
    data.refresh_from_db()
    _store(f"{images.folder_of(data)}/info")


def make_export(benchmark: Benchmark) -> None:
    """An archive of a benchmark."""
    export = Export.objects.create(benchmark=benchmark, status=Export.DONE_STATUS)
    export.file.save("export.zip", ContentFile(b"x"))


def make_workshop(volume: Volume) -> Workshop:
    """A workshop of a volume, with a segment and a candidate."""
    shop = Workshop(volume=volume, source_name="labels.h5", status=Workshop.DONE_STATUS, view_files=1)
    shop.source_file.save("labels.h5", ContentFile(b"x"))
    _store(f"{workshop_files.folder_of(shop)}/info")
    Segment.objects.create(
        workshop=shop, name="7", batch=0, position=0, length_um=6.0, width_nm=90.0, volume_um3=0.2,
        anchor_zyx=[1, 2, 3], picture=b"x",
    )  # fmt: skip
    found = library.Candidate(library.Correction(library.SPLIT, (7, 8), ((1, 2, 3),), ((4, 5, 6),)), 0.9, 0.9, 1.0)
    data = library.candidate_json(found)
    Candidate.objects.create(workshop=shop, kind=library.SPLIT, name="c", place=0, score=0.9, data=data)
    return shop


def private_result_on_public_truth(team: Team, roles: Iterable[Role]) -> dict[str, Any]:
    """A team's private entry on a volume whose ground truth is public, with all that is made of it: its parameters.

    roles : people have the same in its benchmark.
    """
    phase = make_benchmark()
    Role.objects.bulk_create(Role(benchmark=phase.benchmark, user=role.user, name=role.name) for role in roles)
    volume = phase.volumes.get()
    rule = {"node_tables": True}
    phase.volumes.update(ground_truth_public=True, axons_shown=AxonsShown.PICTURES, submission=rule)
    truth = volume.ground_truths.get()
    _store(f"{result_files.ground_truth_folder(truth)}/info")
    _store(axons.picture_file(truth, "longest", 1))
    _store(axons.courses_file(truth))
    GroundTruthPreview.objects.filter(ground_truth=truth).update(class_counts=[3])
    entry = make_scored(phase, 3000, team=team, published_at=None)
    file = entry.files.get()
    file.file.save("segmentation.h5", ContentFile(b"x"))
    skeletons = f"{result_files.folder_of(file)}-skeletons.npz"
    _store(skeletons)
    _store(f"{result_files.folder_of(file)}-view/info")
    Diagnosis.objects.create(volume_file=file, view_files=1, skeletons=skeletons, report=REPORT)
    evaluation = Evaluation.objects.get(volume_file=file)
    ErrorPictures.objects.create(evaluation=evaluation, status=ErrorPictures.DONE_STATUS, pictures=1)
    _store(error_pictures.picture_name(evaluation, 1))
    return {"slug": phase.benchmark.slug, "volume": volume.slug, "code": entry.code}
