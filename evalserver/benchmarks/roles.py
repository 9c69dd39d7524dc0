"""What somebody may do in which benchmark: by Django's permissions in all of them, by a role in one.

A permission is named as Django names it: "benchmarks.change_phase".
"""

from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from evalserver.accounts.models import User
from evalserver.accounts.teams import is_confirmed
from evalserver.benchmarks.models import Benchmark, Role

READ = frozenset(
    {
        "benchmarks.view_benchmark",
        "benchmarks.view_participation",
        "benchmarks.view_groundtruth",
        "submissions.view_submission",
    }
)
CHANGE = READ | {
    "benchmarks.change_benchmark",
    "benchmarks.add_volume",
    "benchmarks.change_volume",
    "benchmarks.add_phase",
    "benchmarks.change_phase",
    "benchmarks.change_participation",
    "benchmarks.add_groundtruth",
    "benchmarks.change_groundtruth",
    "submissions.change_submission",
}
PERMISSIONS = {
    Role.Name.REVIEWER: READ,
    Role.Name.ORGANISER: CHANGE,
    Role.Name.OWNER: CHANGE | {"benchmarks.change_role"},
}


class NotPossible(Exception):
    """A role cannot be given or taken. The message is for the organiser."""


def everywhere(user: Any, *permissions: str) -> bool:
    """Whether a user has one of the permissions in every benchmark: superusers, and staff with it."""
    return bool(user.is_staff and any(user.has_perm(name) for name in permissions))


def benchmarks_with(user: Any, *permissions: str) -> QuerySet[Benchmark]:
    """The benchmarks in which a user has one of the permissions."""
    if everywhere(user, *permissions):
        return Benchmark.objects.all()
    if not user.is_authenticated:
        return Benchmark.objects.none()
    granting = [name for name, granted in PERMISSIONS.items() if granted & set(permissions)]
    # A subquery, so that no row comes twice and others may count over it.
    return Benchmark.objects.filter(pk__in=Role.objects.filter(user=user, name__in=granting).values("benchmark"))


def may(user: Any, benchmark_id: int, *permissions: str) -> bool:
    """Whether the user has all these permissions in one benchmark."""
    return everywhere(user, *permissions) or benchmarks_with(user, *permissions).filter(pk=benchmark_id).exists()


def granted(user: Any, benchmark_id: int) -> dict[str, bool]:
    """What a user may do in a benchmark, for templates: the permissions without the name of the app."""
    every = PERMISSIONS[Role.Name.OWNER]
    role = Role.objects.filter(user=user, benchmark=benchmark_id).first()
    held = PERMISSIONS[Role.Name(role.name)] if role else frozenset()
    return {name.partition(".")[2]: name in held or everywhere(user, name) for name in every}


def sees_hidden(user: Any, benchmark_id: int) -> bool:
    """Whether a user sees a benchmark that is not open to all yet."""
    return bool(user.is_staff) or may(user, benchmark_id, *READ)


def give_role(*, benchmark: Benchmark, email: str, name: str) -> Role:
    """Make somebody owner, organiser or reviewer, whatever they were before. Raises NotPossible."""
    user = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
    if user is None:
        raise NotPossible(f"{email} has no account here. Ask them to sign up first.")
    if not is_confirmed(user):
        raise NotPossible(
            f"{email} has not confirmed this address yet. Ask them to follow the link in their mail first."
        )
    if name not in Role.Name.values:
        raise NotPossible(f"{name} is no role: choose {', '.join(Role.Name.values)}.")
    with transaction.atomic():
        if name != Role.Name.OWNER:
            _keep_an_owner(benchmark, user)
        role, _ = Role.objects.update_or_create(benchmark=benchmark, user=user, defaults={"name": name})
    return role


def take_role(role: Role) -> None:
    """Raises NotPossible for the last owner."""
    with transaction.atomic():
        _keep_an_owner(role.benchmark, role.user)
        role.delete()


def _keep_an_owner(benchmark: Benchmark, user: User) -> None:
    """Raise NotPossible where this user is the only owner: nobody but staff could give roles then."""
    # Two changes at once could each leave the other's owner as the last one.
    Benchmark.objects.select_for_update().get(pk=benchmark.pk)
    owners = set(benchmark.roles.filter(name=Role.Name.OWNER).values_list("user_id", flat=True))
    if owners == {user.pk}:
        raise NotPossible(f"{user} is the only owner. Make somebody else owner first.")
