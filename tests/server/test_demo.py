"""The demo on a server that somebody has tried out before."""

from io import StringIO

import pytest
from django.core.management import call_command

from evalserver.accounts.models import User
from evalserver.accounts.services import sign_up
from evalserver.benchmarks.models import Benchmark, Phase, Picture, TrainingFile
from evalserver.embedded.demo import ENTRIES
from evalserver.submissions.models import Submission
from tests.factories import add_ground_truth

pytestmark = pytest.mark.django_db


@pytest.mark.slow
def test_the_demo_is_made_again_beside_a_phase_that_an_organiser_added():
    call_command("load_benchmark", "demo", verbosity=0)
    benchmark = Benchmark.objects.get(slug="demo")
    for volume in benchmark.volumes.all():
        add_ground_truth(volume)
    phase = benchmark.phases.get()
    for entry in ENTRIES:
        user = User.objects.filter(email=entry.email).first() or sign_up(
            email=entry.email, password="a long enough password", name=entry.team, team_name=entry.team
        )
        Submission.objects.create(phase=phase, team=user.teams.get(), method_name=entry.method, status="scored")
    titles = ["Training EM", "Training labels", *(f"Test EM, {volume.name}" for volume in benchmark.volumes.all())]
    for title in titles:
        TrainingFile.objects.create(benchmark=benchmark, title=title, url="https://example.org/em.h5")
    Picture.objects.create(benchmark=benchmark, file="picture.webp", words="EM")
    Phase.objects.create(benchmark=benchmark, slug="second", name="Second").volumes.set(benchmark.volumes.all())
    told = StringIO()
    call_command("make_demo", stdout=told)
    assert [line.partition("  ")[0] for line in told.getvalue().splitlines()] == [entry.method for entry in ENTRIES]
    assert Submission.objects.count() == len(ENTRIES)
