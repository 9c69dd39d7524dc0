"""Changes of accounts."""

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from evalserver.accounts.models import DELETED_DOMAIN, ApiToken, Membership, Team, User
from evalserver.accounts.tokens import authenticate_token, create_token, revoke_token

__all__ = ["authenticate_token", "create_token", "revoke_token", "sign_up"]


@transaction.atomic
def sign_up(*, email: str, password: str, name: str, team_name: str = "") -> User:
    """New user with a confirmed address and a personal team; for accounts that an organiser vouches for.

    Visitors sign up through django-allauth, which sends the mail that confirms the address.
    team_name : the person's own name when empty; made unique by a number where it is taken.
    """
    user = User.objects.create_user(email, password, name=name)
    confirm_address(user)
    give_personal_team(user, team_name)
    return user


def confirm_address(user: User) -> None:
    """Take the user's own address as confirmed and primary, without a mail."""
    EmailAddress.objects.filter(user=user).exclude(email=user.email.lower()).update(primary=False)
    EmailAddress.objects.update_or_create(
        user=user, email=user.email.lower(), defaults={"verified": True, "primary": True}
    )


def give_personal_team(user: User, wanted: str = "") -> Team:
    """Team in whose name the user submits until they join another; named after them unless told otherwise."""
    wanted = (wanted or user.name or "Team")[:70]
    number = 1
    while True:
        name = wanted if number == 1 else f"{wanted} ({number})"
        number += 1
        if Team.objects.filter(name__iexact=name).exists():
            continue
        try:
            with transaction.atomic():
                team = Team.objects.create(name=name, is_personal=True)
        except IntegrityError:  # somebody else took the name just now
            continue
        Membership.objects.create(user=user, team=team, role=Membership.Role.OWNER)
        return team


class AccountError(Exception):
    """A change of an account that is not possible. The message is for its owner."""


@transaction.atomic
def delete_account(user: User) -> None:
    """Delete what is personal: name, addresses, log-ins, tokens and memberships. Irreversible.

    The row stays without a name, because records of what the organisers did may point to it. Submissions stay
    with their team; a team that loses its last member stays only if it has submissions. Raises AccountError
    where the user is the last owner of a team that has other members.
    """
    for membership in user.memberships.select_related("team"):
        team = Team.objects.select_for_update().get(pk=membership.team_id)
        others = team.memberships.exclude(user=user)
        if others.exists() and not others.filter(role=Membership.Role.OWNER).exists():
            raise AccountError(f"You are the only owner of {team.name}. Make another member its owner first.")
        alone = not others.exists()
        membership.delete()
        if alone:
            _delete_unless_used(team)
    for personal in (ApiToken, EmailAddress, Authenticator, SocialAccount):
        personal.objects.filter(user=user).delete()
    user.name, user.affiliation = "Deleted user", ""
    user.email = f"deleted-{user.pk}@{DELETED_DOMAIN}"
    user.is_active = user.is_staff = user.is_superuser = user.mail_when_done = False
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()


def _delete_unless_used(team: Team) -> None:
    try:
        with transaction.atomic():
            team.delete()
    except ProtectedError:
        team.invitations.update(revoked_at=timezone.now())
