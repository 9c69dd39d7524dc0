"""Invitations to a team: a link by mail, good once, for two weeks, for whoever has it."""

from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.utils import timezone

from evalserver.accounts import teams
from evalserver.accounts.models import Invitation, Membership, User
from tests.server.people import PASSWORD, FormClient, link_in, mail_to, person, plain_site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _site(settings):
    plain_site(settings)


@pytest.fixture
def lab():
    return teams.create_team(user=person("ada"), name="Lab")


def browser(user=None):
    client = FormClient()
    if user:
        client.force_login(user)
    return client


def invite(lab, email="new@example.org"):
    """Path of the link that was mailed."""
    owner = User.objects.get(email="ada@example.org")
    browser(owner).post(f"/teams/{lab.pk}/invite/", {"email": email})
    return link_in(mail_to(email)[-1])


def test_the_mail_says_who_invites_and_links_to_the_site(lab):
    invite(lab)
    (message,) = mail.outbox
    assert 'Ada invites you to join the team "Lab"' in message.body
    assert "https://bench.example.org/teams/invitations/" in message.body


def test_only_the_digest_of_the_link_is_stored(lab):
    key = invite(lab).rstrip("/").rpartition("/")[2]
    assert all(key not in str(value) for value in Invitation.objects.values().get().values())


def test_somebody_with_an_account_joins(lab):
    link, bob = invite(lab), person("bob")
    client = browser(bob)
    assert "Join Lab?" in client.get(link).content.decode()
    assert not lab.members.filter(pk=bob.pk).exists()  # looking joins nobody
    client.post(link)
    assert lab.memberships.get(user=bob).role == "member"


def test_somebody_without_one_signs_up_by_the_link_and_joins(lab):
    link, client = invite(lab), browser()
    page = client.get(link).content.decode()
    assert f"/accounts/signup/?next={link}" in page
    form = {"name": "New", "email": "new@example.org", "password1": PASSWORD, "password2": PASSWORD, "next": link}
    assert client.post("/accounts/signup/", form).headers["Location"] == link
    client.post(link)
    new = User.objects.get(email="new@example.org")
    assert lab.members.filter(pk=new.pk).exists()
    assert new.teams.filter(is_personal=True).exists()
    assert EmailAddress.objects.get(user=new).verified


def test_the_link_confirms_no_other_address(lab):
    link, client = invite(lab), browser()
    client.get(link)
    form = {"name": "New", "email": "other@example.org", "password1": PASSWORD, "password2": PASSWORD}
    client.post("/accounts/signup/", form)
    assert list(EmailAddress.objects.filter(user__name="New").values_list("email", "verified")) == [
        ("other@example.org", False)
    ]


def test_it_works_once(lab):
    link = invite(lab)
    browser(person("bob")).post(link)
    late = browser(person("eve")).post(link)
    assert late.status_code == 404
    assert set(lab.members.values_list("name", flat=True)) == {"Ada", "Bob"}


def test_it_ends(lab):
    link = invite(lab)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert browser(person("bob")).get(link).status_code == 404


def test_an_owner_withdraws_it(lab):
    link = invite(lab)
    owner = browser(User.objects.get(email="ada@example.org"))
    owner.post(f"/teams/{lab.pk}/invitations/{Invitation.objects.get().pk}/revoke/")
    assert browser(person("bob")).post(link).status_code == 404


def test_a_second_invitation_replaces_the_first(lab):
    first, second = invite(lab), invite(lab)
    bob = browser(person("bob"))
    assert bob.get(first).status_code == 404
    assert bob.get(second).status_code == 200


@pytest.mark.parametrize("key", ["x", "a" * 32, "-_-"])
def test_a_made_up_link_leads_nowhere(lab, key):
    assert browser().get(f"/teams/invitations/{key}/").status_code == 404


def test_an_account_without_a_confirmed_address_cannot_join(lab):
    link = invite(lab)
    bob = person("bob")
    EmailAddress.objects.filter(user=bob).update(verified=False)
    with pytest.raises(teams.TeamError, match="Confirm your e-mail address first"):
        teams.accept_invitation(raw=link.rstrip("/").rpartition("/")[2], user=bob)
    assert Invitation.objects.get().is_open  # it can still be used afterwards


def test_an_owner_who_follows_a_link_stays_an_owner(lab):
    link = invite(lab)
    ada = User.objects.get(email="ada@example.org")
    browser(ada).post(link)
    assert Membership.objects.get(team=lab, user=ada).role == "owner"


def test_members_are_not_invited_again(lab):
    with pytest.raises(teams.TeamError, match="is already a member"):
        teams.invite(team=lab, email="ADA@example.org", invited_by=User.objects.get(email="ada@example.org"))


def test_a_team_cannot_mail_the_whole_world(lab, monkeypatch):
    monkeypatch.setattr(teams, "MAX_OPEN_INVITATIONS", 2)
    ada = User.objects.get(email="ada@example.org")
    for name in ("a", "b"):
        teams.invite(team=lab, email=f"{name}@example.org", invited_by=ada)
    with pytest.raises(teams.TeamError, match="2 invitations are open"):
        teams.invite(team=lab, email="c@example.org", invited_by=ada)
    assert len(mail.outbox) == 2


def test_an_invitation_that_could_not_be_mailed_does_not_stand_in_the_list(lab, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    with pytest.raises(teams.TeamError, match="could not be mailed"):
        teams.invite(team=lab, email="x@example.org", invited_by=User.objects.get(email="ada@example.org"))
    assert not teams.open_invitations(lab).exists()
