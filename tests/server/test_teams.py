"""Teams: who may change what, and that none is ever left without an owner."""

import threading

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection, connections

from evalserver.accounts import services, teams
from evalserver.accounts.models import Membership, Team, User
from tests.factories import make_benchmark, make_scored
from tests.server.people import PASSWORD, FormClient, person, plain_site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _site(settings):
    plain_site(settings)


@pytest.fixture
def lab():
    """Ada's team, with Bob as a member."""
    team = teams.create_team(user=person("ada"), name="Lab")
    Membership.objects.create(team=team, user=person("bob"))
    return team


def user(name):
    return User.objects.get(email=f"{name}@example.org")


def browser(name):
    client = FormClient()
    client.force_login(user(name))
    return client


def roles(team):
    return dict(team.memberships.values_list("user__name", "role"))


def test_who_makes_a_team_owns_it():
    person("ada")
    browser("ada").post("/teams/", {"name": "Cortex group"})
    assert roles(Team.objects.get(name="Cortex group")) == {"Ada": "owner"}


def test_names_differ_by_more_than_case(lab):
    answer = browser("bob").post("/teams/", {"name": "LAB"})
    assert answer.status_code == 422
    assert Team.objects.filter(name__iexact="lab").count() == 1


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("about/", {"name": "Mine"}),
        ("invite/", {"email": "x@example.org"}),
        ("delete/", {}),
        ("members/{ada}/remove/", {}),
        ("members/{bob}/role/", {"role": "owner"}),
    ],
)
def test_members_and_strangers_cannot_do_what_owners_do(lab, path, data):
    person("eve")
    before = (lab.name, roles(lab))
    where = f"/teams/{lab.pk}/" + path.format(ada=user("ada").pk, bob=user("bob").pk)
    assert browser("bob").post(where, data).status_code == 404
    assert browser("eve").post(where, data).status_code == 404
    assert FormClient().post(where, data).headers["Location"].startswith("/accounts/login/")
    lab.refresh_from_db()
    assert (lab.name, roles(lab)) == before
    assert not lab.invitations.exists()


@pytest.mark.parametrize("action", ["about", "invite", "leave", "delete"])
def test_nothing_is_changed_by_following_a_link(lab, action):
    assert browser("ada").get(f"/teams/{lab.pk}/{action}/").status_code == 405


def test_an_owner_says_what_everybody_reads_of_the_team(lab):
    browser("ada").post(
        f"/teams/{lab.pk}/about/",
        {"name": "Big lab", "institution": "Institute of Axons", "url": "https://lab.example.org/"},
    )
    make_scored(make_benchmark(), 1_000.0, team=lab)
    page = FormClient().get(f"/teams/{lab.pk}/").content.decode()
    assert "<h1>Big lab</h1>" in page
    assert "Institute of Axons" in page
    assert 'href="https://lab.example.org/" rel="nofollow' in page


def test_the_page_of_a_team_is_a_web_page_and_no_script(lab):
    browser("ada").post(f"/teams/{lab.pk}/about/", {"name": "Lab", "url": "javascript:alert(1)"})
    lab.refresh_from_db()
    assert lab.url == ""


def test_a_name_that_is_taken_is_refused_and_the_old_one_stays(lab):
    teams.create_team(user=user("bob"), name="Other")
    with pytest.raises(teams.TeamError, match="of this name already"):
        teams.describe_team(team=lab, name="other", institution="", url="")
    lab.refresh_from_db()
    assert lab.name == "Lab"


def test_a_member_leaves(lab):
    browser("bob").post(f"/teams/{lab.pk}/leave/")
    assert roles(lab) == {"Ada": "owner"}


def test_an_owner_removes_a_member(lab):
    browser("ada").post(f"/teams/{lab.pk}/members/{user('bob').pk}/remove/")
    assert roles(lab) == {"Ada": "owner"}


def test_the_last_owner_can_neither_leave_nor_step_down(lab):
    ada = browser("ada")
    page = ada.post(f"/teams/{lab.pk}/leave/", follow=True).content.decode()
    assert "A team needs an owner" in page
    ada.post(f"/teams/{lab.pk}/members/{user('ada').pk}/role/", {"role": "member"})
    assert roles(lab) == {"Ada": "owner", "Bob": "member"}


def test_with_a_second_owner_the_first_can(lab):
    ada = browser("ada")
    ada.post(f"/teams/{lab.pk}/members/{user('bob').pk}/role/", {"role": "owner"})
    ada.post(f"/teams/{lab.pk}/leave/")
    assert roles(lab) == {"Bob": "owner"}


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays():
    for _ in range(5):
        User.objects.all().delete()
        Team.objects.all().delete()
        lab = teams.create_team(user=person("ada"), name="Lab")
        Membership.objects.create(team=lab, user=person("bob"), role="owner")
        start, refused = threading.Barrier(2), []

        def leave(name, lab=lab, start=start, refused=refused):
            try:
                start.wait()
                teams.remove_member(team=lab, user=user(name))
            except teams.TeamError:
                refused.append(name)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=leave, args=(name,)) for name in ("ada", "bob")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(refused) == 1
        assert list(roles(lab).values()) == ["owner"]


def test_a_team_with_submissions_cannot_be_deleted(lab):
    make_scored(make_benchmark(), 1_000.0, team=lab)
    with pytest.raises(teams.TeamError, match="has submissions"):
        teams.delete_team(team=lab)
    assert Team.objects.filter(pk=lab.pk).exists()


def test_strangers_see_a_team_by_its_published_submissions_alone(lab):
    phase = make_benchmark()
    make_scored(phase, 1_000.0, team=lab, method_name="Hidden one", published_at=None)
    assert FormClient().get(f"/teams/{lab.pk}/").status_code == 404
    make_scored(phase, 2_000.0, team=lab, method_name="Public one")
    page = FormClient().get(f"/teams/{lab.pk}/").content.decode()
    assert "Public one" in page
    assert "Hidden one" not in page
    assert "ada@example.org" not in page
    assert "bob@example.org" not in page


def test_members_see_all_its_submissions_and_one_another(lab):
    make_scored(make_benchmark(), 1_000.0, team=lab, method_name="Hidden one", published_at=None)
    page = browser("bob").get(f"/teams/{lab.pk}/").content.decode()
    assert "Hidden one" in page
    assert "ada@example.org" in page
    assert f"/teams/{lab.pk}/about/" not in page  # for owners


def test_somebody_in_several_teams_chooses_one_when_submitting(lab):
    phase = make_benchmark()
    page = browser("bob").get(f"/benchmarks/{phase.benchmark.slug}/submit/").content.decode()
    assert f'<option value="{lab.pk}"' in page
    assert f'<option value="{user("bob").teams.get(is_personal=True).pk}"' in page


def test_nobody_submits_for_a_team_that_is_not_theirs(lab):
    person("eve")
    phase = make_benchmark()
    client = browser("eve")
    answer = client.post(f"/benchmarks/{phase.benchmark.slug}/submit/", {"team": lab.pk, "method_name": "x"})
    assert answer.status_code == 422
    assert not lab.submissions.exists()


# The end of an account ----------------------------------------------------------------------------------------


def test_a_deleted_account_leaves_no_personal_data(lab):
    bob = user("bob")
    _, key = services.create_token(user=bob, name="laptop", scopes=["read"])
    client = FormClient()
    client.post("/accounts/login/", {"login": "bob@example.org", "password": PASSWORD})
    asked = client.get("/accounts/delete/")
    assert asked.status_code == 200
    first = client.post("/accounts/delete/", {"email": "bob@example.org"})
    client.post(first.headers["Location"], {"password": PASSWORD})  # asks who it is, then goes on by itself
    bob.refresh_from_db()
    assert (bob.name, bob.email, bob.is_active) == ("Deleted user", f"deleted-{bob.pk}@invalid.invalid", False)
    assert not bob.emailaddress_set.exists()
    assert roles(lab) == {"Ada": "owner"}
    assert services.authenticate_token(key) is None
    client.post("/accounts/login/", {"login": "bob@example.org", "password": PASSWORD})
    assert client.get("/teams/").status_code == 302


def test_published_results_outlive_their_makers_account():
    bob = person("bob")
    submission = make_scored(make_benchmark(), 1_000.0, team=bob.teams.get(), created_by=bob)
    services.delete_account(bob)
    submission.refresh_from_db()
    assert submission.is_listed
    assert submission.team.name == "Bob"


def test_an_unused_personal_team_goes_with_its_user():
    bob = person("bob")
    services.delete_account(bob)
    with pytest.raises(ObjectDoesNotExist):
        Team.objects.get(name="Bob")


def test_the_only_owner_of_a_team_with_members_stays(lab):
    with pytest.raises(services.AccountError, match="only owner of Lab"):
        services.delete_account(user("ada"))
    assert user("ada").is_active
    assert roles(lab) == {"Ada": "owner", "Bob": "member"}


def test_deleting_asks_for_the_address(lab):
    client = browser("bob")
    asked = client.post("/accounts/delete/", {"email": "wrong@example.org"})
    client.post(asked.headers["Location"], {"password": PASSWORD})
    assert user("bob").is_active


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has row locks of its own")
def test_write_transactions_begin_with_the_lock(settings):
    """The promise in teams.py on which `_lock` relies where there are no row locks."""
    assert settings.DATABASES["default"]["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
