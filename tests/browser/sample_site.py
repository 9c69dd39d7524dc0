"""Rows that make every page of a server have something to show; run inside it by `manage.py shell`."""

import io
import json
from datetime import timedelta

from django.core.management import call_command
from django.utils import timezone

from evalserver.accounts.services import create_token
from evalserver.accounts.teams import create_team, invite
from evalserver.benchmarks.models import Benchmark, Phase, PublishedEntry, PublishedScore, TrainingFile
from evalserver.benchmarks.services import request_participation
from evalserver.submissions.evaluation import comparison
from evalserver.submissions.models import Comparison, Submission
from evalserver.uploads.services import create_upload
from tests.factories import make_benchmark, make_submission, make_team, make_user
from tests.server.real_scores import merged_axons, score_for_real, split_axons

ABOUT = {
    "description": "Affinities at **five** ranges, then *mean affinity* agglomeration.\n\n| part | voxels |\n|--|--:|\n"
    "| training | 9 |\n\n- watershed\n- agglomeration",
    "paper_url": "https://example.org/a-paper-about-long-axons",
    "code_url": "https://example.org/code",
    "training_data": "The benchmark's nine subvolumes",
    "compute": "4 GPUs, 3 days",
}


def fill() -> None:
    """Print what the tests need to know, as JSON."""
    ada = make_user("Ada Example")
    phase = _benchmark()
    team = create_team(user=ada, name="Cable laboratory of the longest names in all of connectomics")
    invite(team=team, email="bob@example.org", invited_by=ada)
    old = score_for_real(phase, split_axons(), method_name="U-Net, first try", team=team)
    new = score_for_real(phase, method_name="U-Net", team=team, supersedes=old, **ABOUT)
    other = score_for_real(phase, merged_axons(), method_name="Flood-filling network without any agglomeration at all")
    command = "baselines reproduce affinity-unet --benchmark axonem --seed 1"
    score_for_real(phase, split_axons(70), is_reference=True, reproduce_command=command, method_name="Reference U-Net")
    now = timezone.now()
    for days, entry in enumerate((new, other, old), start=1):
        Submission.objects.filter(pk=entry.pk).update(created_at=now - timedelta(days=9 * days))
    complaint = {
        "volume": "Volume A",
        "code": "wrong_shape",
        "message": "seg.h5: labels have shape 24, 64, 95, expected 24, 64, 96 (z, y, x). Predict the whole volume.",
    }
    rejected = make_submission(phase, team=team, method_name="Cropped", status="rejected", complaints=[complaint])
    failed = make_submission(phase, team=team, method_name="Unlucky", status="failed", incident_id="8f0c1d2e3a")
    comparison.request_comparison(new, other)
    comparison.compare(Comparison.objects.get().pk)
    create_upload(
        user=ada, file_name="seg_a.h5", size_bytes=2_000_000_000, benchmark_slug=phase.benchmark.slug, volume_slug="a"
    )
    create_token(user=ada, name="cluster", scopes=["read", "submit"])
    empty = make_benchmark(ready=False)
    request_participation(benchmark=empty.benchmark, team=team, message="We trace long axons in cortex.")
    Benchmark.objects.filter(pk=empty.benchmark_id).update(name="Not yet open")
    ground_truth = phase.volumes.first().ground_truths.get()
    told = phase.volumes.get(slug="b")
    call_command("draw_axons", phase.benchmark.slug, stdout=io.StringIO())
    names = {"new": new, "old": old, "other": other, "rejected": rejected, "failed": failed}
    print(
        json.dumps(
            {
                **{name: entry.code for name, entry in names.items()},
                "email": ada.email,
                "team": team.pk,
                "benchmark": phase.benchmark.slug,
                "empty": empty.benchmark.slug,
                "ground_truth": ground_truth.pk,
                "volume": told.pk,
            }
        )
    )


def _benchmark() -> Phase:
    """Two volumes, one with public ground truth, and all that a benchmark's page can show."""
    phase = make_benchmark(("a", "b"))
    benchmark = phase.benchmark
    phase.volumes.filter(slug="b").update(axons_shown="lengths")
    phase.volumes.filter(slug="a").update(ground_truth_public=True, tissue="Mouse visual cortex, layer 2/3")
    Benchmark.objects.filter(pk=benchmark.pk).update(
        name="AxonEM sample",
        description="Two cubes of cortex.\n\nEach has **nine** training volumes.",
        rules="1. One account a person.\n2. No manual corrections.",
        citation="Wei et al., AxonEM, MICCAI 2021",
        requires_approval=False,
    )
    practice = Phase.objects.create(benchmark=benchmark, slug="practice", name="Practice", kind="practice")
    practice.volumes.set(phase.volumes.all())
    Phase.objects.filter(pk=practice.pk).update(opens_at=timezone.now() - timedelta(days=30))
    TrainingFile.objects.create(
        benchmark=benchmark,
        title="Training volumes",
        description="Nine cubes of 512 x 512 x 50 voxels",
        url="https://example.org/training.zip",
        sha256="ab" * 32,
        size_bytes=1_234_567_890,
        licence="CC BY 4.0",
    )
    entry = PublishedEntry.objects.create(benchmark=benchmark, method="Affinity U-Net", source="Wei et al., 2021")
    for volume, erl in zip(phase.volumes.order_by("position"), (1.85, 2.1), strict=True):
        PublishedScore.objects.create(entry=entry, volume=volume, erl_um=erl, percent=erl / 2.85 * 100)
    make_team("Nobody yet")
    return phase
