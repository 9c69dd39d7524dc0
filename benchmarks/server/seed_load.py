"""Fill an empty database with invented users and entries, to measure the leaderboard at scale.

    VAR_DIR=/tmp/load python benchmarks/server/seed_load.py [--entries 10000] [--users 2000]

Apply the migrations first. Refuses the folder of a real server, and a database that holds users or submissions.
"""

import argparse
import math
import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "evalserver.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from axonem_eval.scoring import METRIC_VERSION  # noqa: E402
from evalserver.accounts.models import Membership, Team, User  # noqa: E402
from evalserver.benchmarks.models import (  # noqa: E402
    Benchmark,
    GroundTruth,
    Phase,
    PublishedEntry,
    PublishedScore,
    Volume,
)
from evalserver.benchmarks.selectors import ruler_of  # noqa: E402
from evalserver.submissions.models import Evaluation, Score, Submission, VolumeFile  # noqa: E402

SLUG = "load"
GT_ERL_NM = (28_500.0, 43_600.0)
BATCH = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if settings.BASE_DIR / "var" == settings.VAR_DIR:
        sys.exit("This is the folder of a real server. Set VAR_DIR to another folder.")
    if User.objects.exists() or Submission.objects.exists():
        sys.exit("This database holds users or submissions. seed_load needs an empty one.")
    with transaction.atomic():
        teams = _teams(options.users)
        phase, ground_truths = _benchmark()
        _entries(phase, ground_truths, teams, options.entries, np.random.default_rng(options.seed))
    print(f"{User.objects.count()} users, {Submission.objects.count()} entries: /benchmarks/{SLUG}/leaderboard/")


def _teams(count: int) -> list[Team]:
    users = User.objects.bulk_create(
        [User(email=f"user{i}@load.example.org", name=f"User {i}", password="!") for i in range(count)], BATCH
    )
    teams = Team.objects.bulk_create([Team(name=f"Laboratory {i}", is_personal=True) for i in range(count)], BATCH)
    Membership.objects.bulk_create(
        [Membership(user=u, team=t, role=Membership.Role.OWNER) for u, t in zip(users, teams, strict=True)], BATCH
    )
    return teams


def _benchmark() -> tuple[Phase, list[GroundTruth]]:
    benchmark = Benchmark.objects.create(slug=SLUG, name="Load test", summary="Made-up entries.")
    phase = Phase.objects.create(benchmark=benchmark, slug="test", name="Test")
    ground_truths = []
    for position, (slug, gt_erl_nm) in enumerate(zip(("h", "m"), GT_ERL_NM, strict=True)):
        volume = Volume.objects.create(
            benchmark=benchmark, slug=slug, name=f"Volume {slug.upper()}", position=position,
            shape_z=750, shape_y=4286, shape_x=4286, voxel_z_nm=40, voxel_y_nm=7, voxel_x_nm=7,
        )  # fmt: skip
        phase.volumes.add(volume)
        ground_truths.append(
            GroundTruth.objects.create(
                volume=volume,
                version=1,
                source_kind=GroundTruth.Source.BUNDLE,
                status=GroundTruth.DONE_STATUS,
                checksum=f"{position}" * 64,
                skeletons=9000,
                nodes=8_000_000,
                gt_erl_nm=gt_erl_nm,
                mean_node_spacing_nm=40.0,
                is_current=True,
            )
        )
    entry = PublishedEntry.objects.create(benchmark=benchmark, method="Published method", source="A paper, 2021")
    for g in ground_truths:
        PublishedScore.objects.create(entry=entry, volume=g.volume, erl_um=18.5, percent=65)
    return phase, ground_truths


def _entries(
    phase: Phase, ground_truths: list[GroundTruth], teams: list[Team], count: int, rng: np.random.Generator
) -> None:
    """Scores rise slowly over a year and scatter; a tenth of them are equal to another's."""
    now = timezone.now()
    share = np.clip(0.3 + 0.5 * np.arange(count) / max(1, count) + rng.normal(0, 0.1, (2, count)), 0.01, 0.99)
    share[:, 1::10] = share[:, ::10][:, : share[:, 1::10].shape[1]]
    submissions = Submission.objects.bulk_create(
        [
            Submission(
                phase=phase, team=teams[i % len(teams)], method_name=f"Method {i % 137} run {i}", status="scored",
                published_at=now, percent=100, is_reference=i % 1000 == 0,
                reproduce_command="baselines reproduce seg" if i % 1000 == 0 else "",
            )
            for i in range(count)
        ],
        BATCH,
    )  # fmt: skip
    for i, submission in enumerate(submissions):
        submission.created_at = now - timedelta(days=365 * (1 - i / max(1, count)))
    Submission.objects.bulk_update(submissions, ["created_at"], BATCH)
    ruler = ruler_of(ground_truths)
    erl = share * np.array([[g.gt_erl_nm] for g in ground_truths], np.float64)
    mean = erl.mean(axis=0)
    Score.objects.bulk_create(
        [
            Score(
                submission=s, ruler=ruler, metric_version=METRIC_VERSION, mean_erl_nm=float(mean[i]),
                mean_normalized_erl=float(share[:, i].mean()), erl_low_nm=float(mean[i] * 0.97),
                erl_high_nm=float(mean[i] * 1.03),
            )
            for i, s in enumerate(submissions)
        ],
        BATCH,
    )  # fmt: skip
    for v, ground_truth in enumerate(ground_truths):
        _evaluations(ground_truth, submissions, erl[v], share[v])


def _evaluations(ground_truth: GroundTruth, submissions: list[Submission], erl: Any, share: Any) -> None:
    volume = ground_truth.volume
    files = VolumeFile.objects.bulk_create(
        [
            VolumeFile(
                submission=s,
                volume=volume,
                file="none",
                original_name="x.h5",
                size_bytes=1,
                sha256=secrets.token_hex(32),
            )
            for s in submissions
        ],
        BATCH,
    )
    Evaluation.objects.bulk_create(
        [
            Evaluation(
                volume_file=file, ground_truth=ground_truth, metric_version=METRIC_VERSION,
                tolerance_nodes=volume.tolerance_nodes, ground_truth_checksum=ground_truth.checksum,
                erl_nm=float(erl[i]), gt_erl_nm=ground_truth.gt_erl_nm or math.nan, normalized_erl=float(share[i]),
                report={}, code_version="seed_load",
            )
            for i, file in enumerate(files)
        ],
        BATCH,
    )  # fmt: skip


if __name__ == "__main__":
    main()
