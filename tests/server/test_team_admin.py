"""Members and accounts as organisers change them in the admin: a team keeps an owner there, rights stay rights."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from evalserver.accounts.models import Membership, Team, User
from evalserver.accounts.teams import create_team
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def organiser():
    client = Client()
    client.force_login(make_user("Olga", is_staff=True, is_superuser=True))
    return client


@pytest.fixture
def lab():
    """Ada owns it, Bob is a member."""
    team = create_team(user=make_user("Ada"), name="Lab")
    Membership.objects.create(team=team, user=make_user("Bob"))
    return team


def save_team(client, team, **changes):
    """Post the team's page; `changes` by name of the member: a role, or None to remove."""
    rows = list(team.memberships.order_by("pk"))
    form = {"name": team.name, "memberships-TOTAL_FORMS": len(rows), "memberships-INITIAL_FORMS": len(rows)}
    for i, row in enumerate(rows):
        role = changes.get(row.user.name, row.role)
        values = {"id": row.pk, "team": team.pk, "user": row.user_id, "role": role or row.role}
        form |= {f"memberships-{i}-{key}": value for key, value in values.items()}
        if role is None:
            form[f"memberships-{i}-DELETE"] = "on"
    return client.post(reverse("admin:accounts_team_change", args=[team.pk]), form)


def roles(team) -> dict[str, str]:
    return dict(team.memberships.values_list("user__name", "role"))


@pytest.mark.parametrize("role", [None, "member"])
def test_the_last_owner_stays_an_owner(organiser, lab, role):
    answer = save_team(organiser, lab, Ada=role)
    assert answer.status_code == 200
    assert "Lab needs an owner. Make another member an owner first." in answer.content.decode()
    assert roles(lab) == {"Ada": "owner", "Bob": "member"}


def test_an_owner_can_go_when_another_is_made_one(organiser, lab):
    assert save_team(organiser, lab, Ada=None, Bob="owner").status_code == 302
    assert roles(lab) == {"Bob": "owner"}


def test_a_member_can_be_removed(organiser, lab):
    assert save_team(organiser, lab, Bob=None).status_code == 302
    assert roles(lab) == {"Ada": "owner"}


def test_the_page_of_a_user_keeps_the_owner_as_well(organiser, lab):
    ada = User.objects.get(name="Ada")
    rows = list(ada.memberships.order_by("pk"))
    form = {"email": ada.email, "name": ada.name, "is_active": "on", "date_joined_0": "2026-01-01"}
    form |= {"date_joined_1": "00:00:00", "memberships-TOTAL_FORMS": 2, "memberships-INITIAL_FORMS": 2}
    for i, row in enumerate(rows):
        values = {"id": row.pk, "user": ada.pk, "team": row.team_id, "role": "owner"}
        form |= {f"memberships-{i}-{key}": value for key, value in values.items()}
    number = [row.team_id for row in rows].index(lab.pk)
    answer = organiser.post(
        reverse("admin:accounts_user_change", args=[ada.pk]), {**form, f"memberships-{number}-DELETE": "on"}
    )
    assert "Lab needs an owner" in answer.content.decode()
    assert roles(lab)["Ada"] == "owner"


def test_the_last_owner_of_a_team_with_members_is_not_deleted(organiser, lab):
    ada = User.objects.get(name="Ada")
    url = reverse("admin:accounts_user_delete", args=[ada.pk])
    assert "Lab" in organiser.get(url).content.decode()
    organiser.post(url, {"post": "yes"})
    assert User.objects.filter(pk=ada.pk).exists()
    lab.memberships.exclude(user=ada).delete()
    organiser.post(url, {"post": "yes"})
    assert not User.objects.filter(pk=ada.pk).exists()
    assert Team.objects.filter(pk=lab.pk).exists()


def test_rights_are_given_by_superusers_alone_and_accounts_of_staff_are_theirs_to_change():
    helper = make_user("Hal", is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(content_type__app_label__in=("accounts", "auth")))
    olga, ada = make_user("Olga", is_staff=True, is_superuser=True), make_user("Ada")
    client = Client()
    client.force_login(helper)
    rights = {"is_active": "on", "is_staff": "on", "is_superuser": "on", "name": "Hal"}
    rights |= {"date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    rows = {f"memberships-{name}_FORMS": 1 for name in ("TOTAL", "INITIAL")}
    answers = []
    for user in (helper, olga, ada):
        own = user.memberships.get()
        values = {"id": own.pk, "user": user.pk, "team": own.team_id, "role": "owner"}
        form = {**rights, **rows, **{f"memberships-0-{key}": value for key, value in values.items()}}
        form["email"] = f"new-{user.pk}@example.org"
        answers.append(client.post(reverse("admin:accounts_user_change", args=[user.pk]), form).status_code)
        password = {"password1": "seven brown axons", "password2": "seven brown axons"}
        answers.append(client.post(f"/admin/accounts/user/{user.pk}/password/", password).status_code)
        answers.append(client.post(reverse("admin:accounts_user_delete", args=[user.pk])).status_code)
    assert answers == [403] * 6 + [302, 302, 200]  # the last asks whether one is sure
    assert client.get(reverse("admin:auth_group_add")).status_code == 403
    assert list(User.objects.filter(is_superuser=True)) == [olga]
    ada.refresh_from_db()
    assert (ada.email, ada.is_staff) == (f"new-{ada.pk}@example.org", False)
