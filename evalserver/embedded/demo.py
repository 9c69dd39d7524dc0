"""The demo: a benchmark of synthetic tissue, and entries of known quality that take the participants' path."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from numpy.typing import NDArray
from tqdm import tqdm

from axonem_eval.files import write_atomically
from axonem_eval.synthetic import Errors, Tissue, make_tissue, with_errors, write_labels
from evalserver.accounts.models import Team, User
from evalserver.accounts.services import sign_up
from evalserver.benchmarks.models import Benchmark, GroundTruth, Phase, Volume
from evalserver.benchmarks.services import register_ground_truth
from evalserver.embedded.demo_data import show_data
from evalserver.env import env_secret
from evalserver.jobs import FAILED, Job
from evalserver.submissions.models import Submission
from evalserver.submissions.services import create_submission

Labels = NDArray[np.unsignedinteger]

SEEDS = {"a": 1, "b": 2}
BAR = "{desc}: {percentage:3.0f}% {bar} {postfix}"
ORGANISER = "organiser@example.org"


@dataclass(frozen=True)
class DemoEntry:
    """One entry. make : writes the file of a volume, given its tissue."""

    method: str
    team: str
    email: str
    description: str
    make: Callable[[Path, Tissue], None]


def write_copy(path: Path, tissue: Tissue) -> None:
    """A perfect segmentation."""
    write_labels(path, tissue.labels, tissue.voxel_size_nm_zyx)


def write_few_errors(path: Path, tissue: Tissue) -> None:
    """A good segmentation."""
    labels, _ = with_errors(
        tissue.labels, tissue.voxel_size_nm_zyx,
        Errors(splits=25, merges=4, small_merges=6, holes=10, random_ids=True), seed=1, candidates=tissue.axon_ids,
    )  # fmt: skip
    write_labels(path, labels, tissue.voxel_size_nm_zyx)


def write_many_errors(path: Path, tissue: Tissue) -> None:
    """A poor segmentation."""
    labels, _ = with_errors(
        tissue.labels, tissue.voxel_size_nm_zyx,
        Errors(splits=150, merges=25, holes=60, erode_pixels=1, shift_sections=[31], drop_sections=[50]),
        seed=2, candidates=tissue.axon_ids,
    )  # fmt: skip
    write_labels(path, labels, tissue.voxel_size_nm_zyx)


def write_swapped(path: Path, tissue: Tissue) -> None:
    """A mistake of participants: x,y,z instead of z,y,x."""
    labels = np.ascontiguousarray(tissue.labels.transpose(2, 1, 0))
    with h5py.File(path, "w") as file:
        file.create_dataset("main", data=labels, chunks=(64, 64, 32), compression="gzip", compression_opts=1)


ENTRIES = [
    DemoEntry(
        "Copy of the labels", "Demo organisers", ORGANISER,
        "The labels that the ground truth was made from. They must reach 100%.", write_copy,
    ),
    DemoEntry(
        "Few errors", "Demo lab one", "one@example.org",
        "Per volume: 25 axons split, 4 pairs merged, 6 small mergers below the tolerance, 10 holes; random 64-bit ids.",
        write_few_errors,
    ),
    DemoEntry(
        "Many errors", "Demo lab two", "two@example.org",
        "Per volume: 150 splits, 25 mergers, 60 holes, borders eroded, a shifted and a missing section.",
        write_many_errors,
    ),
    DemoEntry("Axes swapped", "Demo lab two", "two@example.org", "Written in x, y, z order.", write_swapped),
]  # fmt: skip


def demo_password() -> str:
    """The password of all demo accounts, made once. The demo listens only on this machine."""
    return env_secret("DEMO_PASSWORD", file=settings.VAR_DIR / "demo" / "password")[:20]


def make_demo(benchmark: Benchmark, *, timeout_s: float = 900) -> list[Submission]:
    """Make what is missing of the demo. Returns the demo's submissions."""
    users = _accounts()
    phase = demo_phase(benchmark)
    volumes = list(phase.volumes.order_by("position"))
    tissues = _Tissues(settings.VAR_DIR / "demo")
    registrations = [_ground_truth(volume, tissues, users[ORGANISER]) for volume in volumes]
    wait_for(registrations, "Ground truth", timeout_s)
    show_data(benchmark, volumes, tissues.em, tissues.folder)
    submissions = [_submission(entry, benchmark, users[entry.email], tissues) for entry in ENTRIES]
    wait_for(submissions, "Entries", timeout_s)
    return [Submission.objects.select_related("team").get(pk=row.pk) for row in submissions]


def demo_phase(benchmark: Benchmark) -> Phase:
    """The phase of the demo's definition. An organiser who tries the server out may have added others."""
    return benchmark.phases.get(slug="test")


def _accounts() -> dict[str, User]:
    users: dict[str, User] = {}
    for entry in ENTRIES:
        user = User.objects.filter(email=entry.email).first()
        if user is None:
            user = sign_up(email=entry.email, password=demo_password(), name=entry.team, team_name=entry.team)
        users[entry.email] = user
    User.objects.filter(email=ORGANISER).update(is_staff=True, is_superuser=True)
    return users


class _Tissues:
    """Files of the demo, made when first asked for and kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[int, Tissue] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def of(self, volume: Volume) -> Tissue:
        if volume.pk not in self.made:
            _say(f"Generating tissue for {volume.name} ({' x '.join(map(str, volume.shape_zyx))} voxels)")
            self.made[volume.pk] = make_tissue(
                volume.shape_zyx,
                volume.voxel_size_nm_zyx,
                seed=SEEDS[volume.slug],
                grey=not self.path(volume, "em").exists(),
            )
        return self.made[volume.pk]

    def path(self, volume: Volume, name: str) -> Path:
        return self.folder / f"{volume.slug}-{name}.h5"

    def file(self, volume: Volume, name: str, make: Callable[[Path, Tissue], None]) -> Path:
        """A file that `make` writes; complete when it exists."""
        path = self.path(volume, name)
        if not path.exists():
            tissue = self.of(volume)
            _say(f"Writing {path.name}")
            write_atomically(path, lambda draft: make(Path(draft.name), tissue))
        return path

    def em(self, volume: Volume) -> Path:
        return self.file(volume, "em", write_em)


def write_em(path: Path, tissue: Tissue) -> None:
    """The grey values."""
    write_labels(path, tissue.raw, tissue.voxel_size_nm_zyx)


def write_ground_truth(path: Path, tissue: Tissue) -> None:
    """Only the axons: nothing else is scored."""
    axons = np.where(np.isin(tissue.labels, tissue.axon_ids), tissue.labels, 0)
    write_labels(path, axons, tissue.voxel_size_nm_zyx)


def _ground_truth(volume: Volume, tissues: _Tissues, organiser: User) -> GroundTruth:
    known = GroundTruth.objects.filter(volume=volume).exclude(status=FAILED).first()
    if known:
        return known
    path = tissues.file(volume, "ground-truth", write_ground_truth)
    with path.open("rb") as file:
        return register_ground_truth(
            volume=volume,
            source_file=UploadedFile(file, name=path.name, size=path.stat().st_size),
            source_kind=GroundTruth.Source.LABELS,
            created_by=organiser,
        )


def _submission(entry: DemoEntry, benchmark: Benchmark, user: User, tissues: _Tissues) -> Submission:
    phase = demo_phase(benchmark)
    team = Team.objects.get(members=user)
    known = Submission.objects.filter(phase=phase, team=team, method_name=entry.method).exclude(status=FAILED).first()
    if known:
        return known
    name = entry.method.lower().replace(" ", "-")
    paths = {volume: tissues.file(volume, name, entry.make) for volume in phase.volumes.order_by("position")}
    uploads = {
        volume: UploadedFile(path.open("rb"), name=path.name, size=path.stat().st_size)
        for volume, path in paths.items()
    }
    try:
        return create_submission(
            team=team,
            user=user,
            phase=phase,
            method_name=entry.method,
            description=entry.description,
            publish=True,
            files=uploads,
        )
    finally:
        for upload in uploads.values():
            upload.close()


def wait_for(jobs: Sequence[Job], title: str, timeout_s: float) -> None:
    """Show the jobs' progress until all have ended. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    with tqdm(total=100 * len(jobs), desc=title, unit="%", bar_format=BAR, disable=None) as bar:
        while True:
            for job in jobs:
                job.refresh_from_db(fields=["status", "stage", "percent"])
            active = [job for job in jobs if job.is_active]
            bar.n = sum(job.percent if job.is_active else 100 for job in jobs)
            bar.set_postfix_str(active[0].stage if active else "done")
            if not active:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{title}: {len(active)} jobs have not ended after {timeout_s:.0f} s")
            time.sleep(0.3)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
