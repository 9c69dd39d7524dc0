"""Roles in one benchmark: lists show, and buttons change, that benchmark alone."""

import pytest
from allauth.account.models import EmailAddress
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from evalserver.benchmarks import services as benchmark_services
from evalserver.benchmarks.models import GroundTruth, Participation, Role
from evalserver.benchmarks.notifications import organisers
from evalserver.submissions.models import Submission
from tests.factories import make_benchmark, make_scored, make_team, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


@pytest.fixture
def mine():
    return make_benchmark()


@pytest.fixture
def theirs():
    phase = make_benchmark(("secret",))
    phase.benchmark.name = "Not mine"
    phase.benchmark.save()
    return phase


def enter(client, phase, name: str):
    user = make_user("Rita")
    Role.objects.create(benchmark=phase.benchmark, user=user, name=name)
    client.force_login(user)
    return user


def page(client, name: str) -> str:
    answer = client.get(reverse(name))
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize(
    "name", ["organise", "organise_benchmarks", "organise_ground_truths", "organise_requests", "organise_submissions"]
)
def test_lists_show_only_what_the_role_is_for(client, mine, theirs, name):
    own = make_scored(mine, 5000, published_at=None, method_name="of my benchmark")
    make_scored(theirs, 5000, published_at=None, method_name="of another benchmark")
    for phase in (mine, theirs):
        benchmark_services.request_participation(benchmark=phase.benchmark, team=make_team(f"T {phase.pk}"))
    enter(client, mine, "organiser")
    shown = page(client, name)
    assert "Not mine" not in shown
    assert "of another benchmark" not in shown
    assert "Tiny" in shown
    assert own.code in shown or name != "organise_submissions"


def test_a_reviewer_reads_private_entries_and_is_offered_no_change(client, mine):
    entry = make_scored(mine, 5000, published_at=None)
    enter(client, mine, "reviewer")
    assert client.get(reverse("submission", args=[entry.code])).status_code == 200
    shown = page(client, "organise_submissions")
    assert entry.code in shown
    assert 'type="checkbox"' not in shown
    assert "Edit texts" not in client.get(reverse("organise_benchmark", args=[mine.benchmark.slug])).content.decode()


def test_a_reader_of_one_benchmark_reads_no_private_entry_of_another(client, mine, theirs):
    entry = make_scored(theirs, 5000, published_at=None)
    enter(client, mine, "owner")
    assert client.get(reverse("submission", args=[entry.code])).status_code == 404
    assert client.get(f"/api/v1/submissions/{entry.code}").status_code == 404


def test_an_organiser_changes_entries_of_the_own_benchmark_alone(client, mine, theirs):
    own, other = (make_scored(phase, 5000) for phase in (mine, theirs))
    enter(client, mine, "organiser")
    client.post(reverse("organise_change_submissions"), {"action": "hide", "code": [own.code, other.code]})
    assert Submission.objects.get(pk=own.pk).hidden_at is not None
    assert Submission.objects.get(pk=other.pk).hidden_at is None


@pytest.mark.parametrize(("name", "status"), [("reviewer", 403), ("organiser", 404), ("owner", 404)])
def test_nobody_answers_a_request_to_another_benchmark(client, mine, theirs, name, status):
    row = benchmark_services.request_participation(benchmark=theirs.benchmark, team=make_team("Asking"))
    enter(client, mine, name)
    assert client.post(reverse("organise_answer", args=[row.pk]), {"answer": "approve"}).status_code == status
    assert Participation.objects.get(pk=row.pk).status == Participation.Status.REQUESTED


def test_nobody_sees_or_changes_ground_truth_of_another_benchmark(client, mine, theirs):
    truth = GroundTruth.objects.get(volume__benchmark=theirs.benchmark)
    enter(client, mine, "owner")
    assert client.get(reverse("organise_ground_truth", args=[truth.pk])).status_code == 404
    assert client.post(reverse("organise_change_ground_truth", args=[truth.pk])).status_code == 404


def test_an_owner_gives_and_takes_roles(client, mine):
    owner, pia = enter(client, mine, "owner"), make_user("Pia")
    address = reverse("organise_people", args=[mine.benchmark.slug])
    assert client.post(address, {"email": pia.email.upper(), "name": "organiser"}).status_code == 302
    role = Role.objects.get(user=pia)
    assert role.name == "organiser"
    assert pia.email in client.get(address).content.decode()
    client.post(reverse("organise_take_role", args=[mine.benchmark.slug, role.pk]))
    assert not Role.objects.filter(user=pia).exists()
    own = Role.objects.get(user=owner)
    said = client.post(reverse("organise_take_role", args=[mine.benchmark.slug, own.pk]), follow=True)
    assert "is the only owner" in said.content.decode()
    assert not LogEntry.objects.filter(user=owner, change_message__contains=f"{owner} is no longer").exists()
    assert Role.objects.filter(pk=own.pk).exists()


def test_a_role_goes_to_no_account_whose_address_is_not_confirmed(client, mine, settings):
    settings.CONFIRM_EMAIL = True
    enter(client, mine, "owner")
    pia = make_user("Pia")
    EmailAddress.objects.filter(user=pia).update(verified=False)
    address = reverse("organise_people", args=[mine.benchmark.slug])
    said = client.post(address, {"email": pia.email, "name": "owner"}, follow=True).content.decode()
    assert "has not confirmed" in said
    assert not Role.objects.filter(user=pia).exists()


def test_an_organiser_gives_no_roles(client, mine):
    user = enter(client, mine, "organiser")
    address = reverse("organise_people", args=[mine.benchmark.slug])
    assert client.post(address, {"email": user.email, "name": "owner"}).status_code == 403
    assert Role.objects.get(user=user).name == "organiser"


def test_requests_are_mailed_to_the_organisers_of_the_benchmark(client, mine, theirs):
    rita = enter(client, mine, "organiser")
    enter(client, theirs, "owner")
    assert [user.pk for user in organisers(mine.benchmark)] == [rita.pk]
