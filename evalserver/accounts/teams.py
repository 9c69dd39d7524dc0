"""Changes of teams: their members, roles and invitations.

Every change of members first locks the team's row, so that of two owners who leave at once one stays.
"""

import hashlib
import logging
import secrets
import smtplib
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, ProtectedError, QuerySet
from django.urls import reverse
from django.utils import timezone

from evalserver.accounts.models import Invitation, Membership, Team, User
from evalserver.site import send_templated, site_url

logger = logging.getLogger("evalserver.accounts")

INVITATION_LIFETIME = timedelta(days=14)
MAX_OPEN_INVITATIONS = 30  # a team; keeps the form from becoming a way to send mail to anybody
OWNER, MEMBER = Membership.Role.OWNER, Membership.Role.MEMBER


class TeamError(Exception):
    """A change of a team that is not possible. The message is for the person who tried."""


def create_team(*, user: User, name: str) -> Team:
    """New team with the user as its owner. Raises TeamError when the name is taken."""
    try:
        with transaction.atomic():
            team = Team.objects.create(name=name.strip())
            Membership.objects.create(user=user, team=team, role=OWNER)
    except IntegrityError:
        raise TeamError("There is a team of this name already.") from None
    return team


def describe_team(*, team: Team, name: str, institution: str, url: str) -> None:
    """Change what everybody reads of a team. Raises TeamError when the name is taken."""
    try:
        with transaction.atomic():
            Team.objects.filter(pk=team.pk).update(name=name.strip(), institution=institution.strip(), url=url)
    except IntegrityError:
        raise TeamError("There is a team of this name already.") from None


def own_teams(user: Any) -> dict[int, str]:
    """The teams of a reader by id, in the words that pages mark them with; none of who is not logged in."""
    if not user.is_authenticated:
        return {}
    teams = Team.objects.filter(members=user).order_by().values_list("pk", "is_personal")
    return {pk: "you" if is_personal else "your team" for pk, is_personal in teams}


def is_owner(user: User, team: Team) -> bool:
    """Whether the user may manage the team."""
    return Membership.objects.filter(user=user, team=team, role=OWNER).exists()


@transaction.atomic
def remove_member(*, team: Team, user: User) -> None:
    """Remove a user from a team; also for a user who leaves. What they submitted stays with the team."""
    _lock(team)
    _require_an_owner_besides(team, user)
    Membership.objects.filter(team=team, user=user).delete()


@transaction.atomic
def change_role(*, team: Team, user: User, role: str) -> None:
    """Raises TeamError where the team would be left without an owner."""
    _lock(team)
    if role != OWNER:
        _require_an_owner_besides(team, user)
    Membership.objects.filter(team=team, user=user).update(role=Membership.Role(role))


def delete_team(*, team: Team) -> None:
    """Delete a team that never submitted; what has been submitted needs a team to belong to."""
    try:
        with transaction.atomic():
            _lock(team)
            team.delete()
    except ProtectedError:
        raise TeamError("This team has submissions, so it cannot be deleted.") from None


def _lock(team: Team) -> None:
    # Where the database has no row locks (SQLite), the transaction holds the only write lock there is.
    Team.objects.select_for_update().get(pk=team.pk)


def _require_an_owner_besides(team: Team, user: User) -> None:
    if not is_owner(user, team):
        return
    if not Membership.objects.filter(team=team, role=OWNER, user__is_active=True).exclude(user=user).exists():
        raise TeamError("A team needs an owner. Make another member an owner first.")


def teams_left_without_owner(user_ids: Collection[int]) -> QuerySet[Team]:
    """Teams with other members that would have no active owner once these users are gone."""
    others = Membership.objects.exclude(user__in=user_ids)
    return Team.objects.filter(
        Exists(Membership.objects.filter(team=OuterRef("pk"), role=OWNER, user__in=user_ids)),
        Exists(others.filter(team=OuterRef("pk"))),
        ~Exists(others.filter(team=OuterRef("pk"), role=OWNER, user__is_active=True)),
    )


def require_owners(*, before: Collection[int], after: Iterable[Membership]) -> None:
    """Raise TeamError where memberships (by pk) that turn into others would leave a team without an active owner.

    Call it inside the transaction that changes them. A team that has no owner now may stay so.
    """
    changed = list(after)
    for team in Team.objects.select_for_update().filter(memberships__pk__in=before):
        owners = Membership.objects.filter(team=team, role=OWNER, user__is_active=True)
        made = any(m.team_id == team.pk and m.role == OWNER and m.user.is_active for m in changed)
        if owners.exists() and not made and not owners.exclude(pk__in=before).exists():
            raise TeamError(f"{team} needs an owner. Make another member an owner first.")


# Invitations --------------------------------------------------------------------------------------------------


def open_invitations(team: Team) -> QuerySet[Invitation]:
    """Invitations that somebody can still accept."""
    return team.invitations.filter(accepted_at=None, revoked_at=None, expires_at__gt=timezone.now())


def invite(*, team: Team, email: str, invited_by: User) -> Invitation:
    """Invite an address and mail it the link; an earlier invitation of the same address becomes invalid.

    Raises TeamError when the address belongs to a member, or too many invitations are open.
    """
    email = email.strip().lower()
    if team.members.filter(emailaddress__email=email, emailaddress__verified=True).exists():
        raise TeamError(f"{email} is already a member.")
    raw = secrets.token_urlsafe(24)
    with transaction.atomic():
        _lock(team)
        open_invitations(team).filter(email=email).update(revoked_at=timezone.now())
        if open_invitations(team).count() >= MAX_OPEN_INVITATIONS:
            raise TeamError(f"{MAX_OPEN_INVITATIONS} invitations are open. Withdraw some, or wait for answers.")
        invitation = Invitation.objects.create(
            team=team,
            email=email,
            digest=_digest(raw),
            invited_by=invited_by,
            expires_at=timezone.now() + INVITATION_LIFETIME,
        )
    _mail(invitation, raw)
    return invitation


def _mail(invitation: Invitation, raw: str) -> None:
    link = site_url(reverse("invitation", args=[raw]))
    context = {"invitation": invitation, "link": link, "days": INVITATION_LIFETIME.days}
    subject = f"Invitation to the team {invitation.team.name}"
    try:
        send_templated("accounts/mail/invitation", to=invitation.email, subject=subject, context=context)
    except (OSError, smtplib.SMTPException):
        logger.exception("could not mail invitation %s", invitation.pk)
        # Nobody has its link, so it must not stand in the list as if somebody could answer.
        Invitation.objects.filter(pk=invitation.pk).update(revoked_at=timezone.now())
        raise TeamError("The invitation could not be mailed. Try again in a few minutes.") from None


def find_invitation(raw: str) -> Invitation | None:
    """The open invitation behind a link; None when it is unknown, used, withdrawn or out of date."""
    invitation = Invitation.objects.select_related("team", "invited_by").filter(digest=_digest(raw)).first()
    return invitation if invitation and invitation.is_open else None


def revoke_invitation(invitation: Invitation) -> bool:
    """False where it was accepted or revoked before."""
    rows = Invitation.objects.filter(pk=invitation.pk, accepted_at=None, revoked_at=None)
    return rows.update(revoked_at=timezone.now()) == 1


def is_confirmed(user: User) -> bool:
    """Whether an account has shown that its address is its own, where this server asks for it."""
    return not settings.CONFIRM_EMAIL or EmailAddress.objects.filter(user=user, verified=True).exists()


@transaction.atomic
def accept_invitation(*, raw: str, user: User) -> Team:
    """Take the user into the team. Any account with a confirmed address may accept, once. Raises TeamError."""
    if not is_confirmed(user):
        raise TeamError("Confirm your e-mail address first, then follow the invitation's link again.")
    now = timezone.now()
    used = Invitation.objects.filter(digest=_digest(raw), accepted_at=None, revoked_at=None, expires_at__gt=now).update(
        accepted_at=now, accepted_by=user
    )
    if not used:
        raise TeamError("This invitation was used or withdrawn, or it has expired. Ask for a new one.")
    team = Invitation.objects.select_related("team").get(digest=_digest(raw)).team
    Membership.objects.get_or_create(user=user, team=team, defaults={"role": MEMBER})
    Team.objects.filter(pk=team.pk).update(is_personal=False)
    return team


def _digest(raw: str) -> str:
    return hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()
