"""Submissions per team and day hold, also when many are posted at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from evalserver.submissions import quota, services
from evalserver.submissions.models import QuotaSlot, Submission
from tests.factories import make_benchmark, make_submission, make_user, tiny_labels, upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def submit(phase, user):
    return services.create_submission(
        team=user.teams.get(), user=user, phase=phase, method_name="m", files={phase.volumes.get(): upload()}
    )


@pytest.mark.slow
def test_of_fifty_parallel_posts_exactly_what_is_left_is_taken():
    phase, user = make_benchmark(per_day=7), make_user()
    submit(phase, user)
    content = upload(tiny_labels()).read()
    url = reverse("upload", args=[phase.benchmark.slug])

    def post(number: int) -> int:
        client = Client()
        client.force_login(user)
        form = {"team": user.teams.get().pk, "method_name": f"m{number}", "file-a": upload(content)}
        try:
            return client.post(url, form).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    assert sorted(answers) == [302] * 6 + [422] * 44
    assert Submission.objects.count() == 7
    assert QuotaSlot.objects.count() == 7


def test_a_refused_post_leaves_no_file_behind(settings):
    phase, user = make_benchmark(per_day=1), make_user()
    submit(phase, user)
    before = set(Path(settings.MEDIA_ROOT, "submissions").rglob("*.h5"))
    # The early check passes, and somebody else takes the slot while the files are stored.
    left = quota.slots_left
    quota.slots_left = lambda **_: 1
    try:
        with pytest.raises(services.NotAccepted, match="used all 1"):
            submit(phase, user)
    finally:
        quota.slots_left = left
    assert set(Path(settings.MEDIA_ROOT, "submissions").rglob("*.h5")) == before


def test_each_team_and_each_day_has_its_own():
    phase, ada, bob = make_benchmark(per_day=1), make_user("Ada"), make_user("Bob")
    submit(phase, ada)
    submit(phase, bob)
    with pytest.raises(services.NotAccepted):
        submit(phase, ada)
    QuotaSlot.objects.update(day=quota.today() - timedelta(days=1))
    submit(phase, ada)


def test_a_cancelled_submission_gives_its_slot_back():
    phase, user = make_benchmark(per_day=1), make_user()
    submission = submit(phase, user)
    assert services.cancel_submission(submission)
    submission.refresh_from_db()
    assert submission.status == "rejected"
    submit(phase, user)


def test_a_running_submission_cannot_be_cancelled():
    submission = make_submission(make_benchmark(), status="running")
    assert not services.cancel_submission(submission)


@pytest.mark.parametrize("reason", ["closed", "no ground truth"])
def test_what_cannot_be_scored_is_not_accepted(reason):
    phase, user = make_benchmark(ready=reason == "closed"), make_user()
    if reason == "closed":
        phase.opens_at = timezone.now() + timedelta(days=1)
        phase.save()
    with pytest.raises(services.NotAccepted):
        submit(phase, user)
    assert not Submission.objects.exists()
