"""What changes accounts and teams."""

from django.db import transaction

from evalserver.accounts.models import Membership, Team, User
from evalserver.accounts.tokens import authenticate_token, create_token, revoke_token

__all__ = ["authenticate_token", "create_token", "revoke_token", "sign_up"]


@transaction.atomic
def sign_up(*, email: str, password: str, name: str, team_name: str = "") -> User:
    """New user with a personal team, in whose name they submit until they join another.

    team_name : the person's own name when empty; made unique by a number where it is taken.
    """
    user = User.objects.create_user(email, password, name=name)
    wanted = (team_name or name)[:70]
    free, number = wanted, 2
    while Team.objects.filter(name__iexact=free).exists():
        free, number = f"{wanted} ({number})", number + 1
    team = Team.objects.create(name=free, is_personal=True)
    Membership.objects.create(user=user, team=team, role=Membership.Role.OWNER)
    return user
