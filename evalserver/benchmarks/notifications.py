"""Mail about requests to take part: to the organisers when a team asks, to the team when they answer."""

from django.db.models import Q
from django.urls import reverse

from evalserver.accounts.models import User
from evalserver.accounts.tasks import queue_mail
from evalserver.benchmarks.models import Benchmark, Participation
from evalserver.benchmarks.roles import may
from evalserver.site import site_url


def organisers(benchmark: Benchmark) -> list[User]:
    """Who may answer a request to take part in it."""
    users = User.objects.filter(Q(is_staff=True) | Q(benchmark_roles__benchmark=benchmark), is_active=True).distinct()
    return [user for user in users if may(user, benchmark.pk, "benchmarks.change_participation")]


def tell_organisers(participation: Participation) -> None:
    """A team has asked."""
    for user in organisers(participation.benchmark):
        queue_mail(
            "benchmarks/mail/request",
            to=user.email,
            subject=f"{participation.team.name} asks to take part in {participation.benchmark.name}",
            context={"participation": participation, "link": site_url(reverse("organise_requests"))},
        )


def tell_team(participation: Participation) -> None:
    """The organisers have answered; every member is told."""
    benchmark = participation.benchmark
    for user in participation.team.members.filter(is_active=True):
        queue_mail(
            "benchmarks/mail/answer",
            to=user.email,
            subject=f"{participation.team.name} in {benchmark.name}: {participation.status}",
            context={"participation": participation, "link": site_url(reverse("benchmark", args=[benchmark.slug]))},
        )
