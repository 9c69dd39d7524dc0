"""Small real things for server tests: a volume of three straight axons, its ground truth, users, submissions."""

import os
import secrets
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from axonem_eval.scoring import METRIC_VERSION
from axonem_eval.skeletons import SkeletonGraph
from evalserver.accounts.models import Team, User
from evalserver.accounts.services import sign_up
from evalserver.benchmarks.models import Benchmark, GroundTruth, GroundTruthPreview, Phase, Volume
from evalserver.benchmarks.preview import figures_of
from evalserver.benchmarks.selectors import current_ground_truths, current_ruler
from evalserver.submissions.models import Evaluation, Score, Submission, VolumeFile

SHAPE = (24, 64, 96)
VOXEL_NM = (30.0, 30.0, 30.0)
# Lower corner (z, y) of each axon: a bar of 6 x 6 voxels along the whole of x.
CORNERS = ((3, 6), (3, 30), (14, 46))
TOLERANCE = 5


def tiny_labels() -> np.ndarray:
    """(24, 64, 96) uint64 labels of three axons, ids 1 to 3, 2.85 um each."""
    labels = np.zeros(SHAPE, np.uint64)
    for label, (z, y) in enumerate(CORNERS, start=1):
        labels[z : z + 6, y : y + 6] = label
    return labels


def tiny_graph() -> SkeletonGraph:
    """Skeletons of `tiny_labels`: a node at each x along the middle of each bar, 30 nm apart."""
    n = SHAPE[2]
    node = [(z + 3, y + 3, x) for z, y in CORNERS for x in range(n)]
    first = np.concatenate([np.arange(n - 1) + s * n for s in range(len(CORNERS))])
    return SkeletonGraph(
        skeleton_id=np.arange(1, len(CORNERS) + 1, dtype=np.uint64),
        node_skeleton=np.repeat(np.arange(len(CORNERS), dtype=np.int32), n),
        node_voxel_zyx=np.array(node, np.int32),
        edge_u=first.astype(np.int32),
        edge_v=(first + 1).astype(np.int32),
        edge_length_nm=np.full(len(first), VOXEL_NM[2]),
        shape_zyx=SHAPE,
        voxel_size_nm_zyx=VOXEL_NM,
    )


def write_h5(path: Path, labels: np.ndarray, *, voxel_size_nm: Any = VOXEL_NM, dataset: str = "main") -> Path:
    path.write_bytes(h5_bytes(labels, voxel_size_nm=voxel_size_nm, dataset=dataset))
    return path


def h5_bytes(labels: np.ndarray, *, voxel_size_nm: Any = VOXEL_NM, dataset: str = "main") -> bytes:
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        stored = file.create_dataset(dataset, data=labels, chunks=True, compression="gzip")
        if voxel_size_nm is not None:
            stored.attrs["voxel_size_nm"] = voxel_size_nm
    return buffer.getvalue()


def labels_file(path: Path, labels: np.ndarray, padding: int = 0) -> Path:
    """A label file; padding : bytes beside the labels, so that it takes a while to send."""
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", data=labels, chunks=True, compression="gzip")
        data.attrs["voxel_size_nm"] = VOXEL_NM
        if padding:
            file["note"] = np.frombuffer(os.urandom(padding), np.uint8)
    return path


def upload(content: bytes | np.ndarray | None = None, name: str = "seg.h5") -> SimpleUploadedFile:
    """An upload of raw bytes, or of labels; the true labels by default."""
    if not isinstance(content, bytes):
        content = h5_bytes(tiny_labels() if content is None else content)
    return SimpleUploadedFile(name, content)


def make_user(name: str = "Ada", **fields: Any) -> User:
    user = sign_up(email=f"{secrets.token_hex(4)}@example.org", password="a long enough password", name=name)
    if fields:
        User.objects.filter(pk=user.pk).update(**fields)
        user.refresh_from_db()
    return user


def make_team(name: str = "Ada") -> Team:
    return Team.objects.get(members=make_user(name))


def make_benchmark(volumes: tuple[str, ...] = ("a",), *, per_day: int = 5, ready: bool = True) -> Phase:
    """A benchmark's open phase over tiny volumes, with current ground truth unless told otherwise."""
    benchmark = Benchmark.objects.create(slug=f"tiny-{secrets.token_hex(3)}", name="Tiny", summary="Three axons.")
    phase = Phase.objects.create(benchmark=benchmark, submissions_per_day=per_day)
    for position, slug in enumerate(volumes):
        volume = Volume.objects.create(
            benchmark=benchmark,
            slug=slug,
            name=f"Volume {slug.upper()}",
            position=position,
            **dict(zip(("shape_z", "shape_y", "shape_x"), SHAPE, strict=True)),
            **dict(zip(("voxel_z_nm", "voxel_y_nm", "voxel_x_nm"), VOXEL_NM, strict=True)),
            tolerance_nodes=TOLERANCE,
            min_length_um=0.0,
        )
        phase.volumes.add(volume)
        if ready:
            add_ground_truth(volume)
    return phase


def add_ground_truth(volume: Volume, graph: SkeletonGraph | None = None, *, is_current: bool = True) -> GroundTruth:
    """A registered version with the bundle stored, as the worker leaves it."""
    graph = graph or tiny_graph()
    ground_truth = GroundTruth(
        volume=volume,
        version=volume.ground_truths.count() + 1,
        source_kind=GroundTruth.Source.BUNDLE,
        status=GroundTruth.DONE_STATUS,
        is_current=is_current,
        checksum=graph.checksum(),
        skeletons=graph.n_skeletons,
        nodes=graph.n_nodes,
        gt_erl_nm=graph.gt_erl_nm,
        mean_node_spacing_nm=graph.mean_node_spacing_nm,
    )
    ground_truth.source_file.save("source.npz", ContentFile(b"-"), save=False)
    ground_truth.bundle.save(f"groundtruth/{volume.benchmark.slug}-{volume.slug}.npz", ContentFile(b""), save=False)
    graph.save(ground_truth.bundle.path)
    ground_truth.save()
    figures = figures_of(graph)
    GroundTruthPreview.objects.create(ground_truth=ground_truth, figures=figures, lengths_svg="", projection_svg="")
    return ground_truth


def make_submission(phase: Phase, *, team: Team | None = None, files: dict[str, Any] | None = None, **fields: Any):
    """A submission's rows and files without a task; `files` maps a volume's slug to bytes or labels."""
    submission = Submission.objects.create(
        phase=phase, team=team or make_team(), **{"method_name": "method", "publish_when_scored": True, **fields}
    )
    for volume in phase.volumes.all():
        content = upload((files or {}).get(volume.slug))
        row = VolumeFile(
            submission=submission,
            volume=volume,
            original_name="seg.h5",
            size_bytes=content.size or 0,
            sha256=secrets.token_hex(32),
        )
        row.file.save("segmentation.h5", content, save=False)
        row.save()
    return submission


def make_scored(phase: Phase, erl_nm: float, *, team: Team | None = None, **fields: Any) -> Submission:
    """A published, scored submission with its records under the current ruler; no file is read."""
    submission = Submission.objects.create(
        phase=phase,
        team=team or make_team(),
        **{"method_name": f"erl {erl_nm}", "status": "scored", "published_at": timezone.now(), **fields},
    )
    for volume_id, ground_truth in current_ground_truths(phase).items():
        row = VolumeFile.objects.create(
            submission=submission,
            volume_id=volume_id,
            file="none",
            original_name="x",
            size_bytes=1,
            sha256=secrets.token_hex(32),
        )
        Evaluation.objects.create(
            volume_file=row,
            ground_truth=ground_truth,
            metric_version=METRIC_VERSION,
            tolerance_nodes=ground_truth.volume.tolerance_nodes,
            ground_truth_checksum=ground_truth.checksum,
            erl_nm=erl_nm,
            gt_erl_nm=10_000,
            normalized_erl=erl_nm / 10_000,
            report=report_json(erl_nm),
            code_version="test",
        )
    Score.objects.create(
        submission=submission,
        ruler=current_ruler(phase) or "",
        metric_version=METRIC_VERSION,
        mean_erl_nm=erl_nm,
        mean_normalized_erl=erl_nm / 10_000,
    )
    return submission


def report_json(erl_nm: float) -> dict[str, Any]:
    """As `ErlReport.to_json` shows it, of a volume of 10 um."""
    return {
        "erl_nm": erl_nm,
        "gt_erl_nm": 10_000.0,
        "tolerance_um": 0.15,
        "skeletons": 3,
        "nodes": 288,
        "mergers": 0,
        "voxel_size_nm": list(VOXEL_NM),
        "edges_nm": {"correct": erl_nm, "omitted": 10_000 - erl_nm, "split": 0.0, "merged": 0.0, "total": 10_000.0},
        "no_merge_mask": False,
    }
