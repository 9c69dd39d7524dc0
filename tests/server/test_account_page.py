"""The account's own pages: profile, tokens and mail preferences."""

import re

import pytest

from evalserver.accounts.models import ApiToken
from evalserver.accounts.services import authenticate_token, create_token
from tests.server.people import FormClient, person, plain_site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _site(settings):
    plain_site(settings)


@pytest.fixture
def ada():
    return person("ada")


@pytest.fixture
def client(ada):
    client = FormClient()
    client.force_login(ada)
    return client


def make_token(client, **data):
    form = {"name": "laptop", "scope": "submit", "days": "30", **data}
    return client.post("/accounts/tokens/", form).content.decode()


def test_a_new_key_is_shown_once_and_works(client, ada):
    page = make_token(client)
    (key,) = re.findall(r'value="(axonem_[\w-]{43})"', page)
    assert authenticate_token(key)[0] == ada
    assert key not in client.get("/accounts/tokens/").content.decode()


def test_the_page_with_the_key_is_kept_by_no_cache(client):
    answer = client.post("/accounts/tokens/", {"name": "laptop", "scope": "read", "days": "30"})
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(("scope", "scopes"), [("read", ["read"]), ("submit", ["read", "submit"])])
def test_a_token_may_what_was_chosen(client, scope, scopes):
    make_token(client, scope=scope)
    assert ApiToken.objects.get().scopes == scopes


def test_a_token_ends_when_chosen_or_never(client):
    make_token(client, days="30")
    make_token(client, days="")
    never, month = ApiToken.objects.order_by("-pk")
    assert never.expires_at is None
    assert (month.expires_at - month.created_at).days in (29, 30)


@pytest.mark.parametrize("bad", [{"name": ""}, {"scope": "admin"}, {"days": "100000"}])
def test_a_form_that_is_not_right_makes_no_token(client, bad):
    make_token(client, **bad)
    assert not ApiToken.objects.exists()


def test_a_token_is_revoked_by_its_owner_alone(client):
    token, key = create_token(user=person("bob"), name="his", scopes=["read"])
    assert client.post(f"/accounts/tokens/{token.pk}/revoke/").status_code == 404
    assert authenticate_token(key) is not None
    own, own_key = create_token(user=client_user(client), name="mine", scopes=["read"])
    client.post(f"/accounts/tokens/{own.pk}/revoke/")
    assert authenticate_token(own_key) is None


def client_user(client):
    from django.contrib.auth import get_user

    return get_user(client)


def test_others_tokens_are_not_listed(client):
    create_token(user=person("bob"), name="Bob's machine", scopes=["read"])
    assert "Bob" not in client.get("/accounts/tokens/").content.decode()


def test_the_profile_is_changed(client, ada):
    client.post("/accounts/", {"name": "Ada L.", "affiliation": "Institute"})
    ada.refresh_from_db()
    assert (ada.name, ada.affiliation, ada.email) == ("Ada L.", "Institute", "ada@example.org")


def test_a_profile_form_changes_nothing_else(client, ada):
    client.post("/accounts/", {"name": "Ada", "is_staff": "on", "is_superuser": "on", "email": "x@example.org"})
    ada.refresh_from_db()
    assert (ada.is_staff, ada.is_superuser, ada.email) == (False, False, "ada@example.org")


def test_mail_is_turned_off_and_on(client, ada):
    client.post("/accounts/mail/")  # an unticked box is not sent
    ada.refresh_from_db()
    assert ada.mail_when_done is False
    client.post("/accounts/mail/", {"mail_when_done": "on"})
    ada.refresh_from_db()
    assert ada.mail_when_done is True


@pytest.mark.parametrize(
    "path",
    ["", "tokens/", "email/", "password/change/", "2fa/", "delete/", "3rdparty/"],
)
def test_pages_of_an_account_need_a_login_and_have_the_sites_frame(client, path):
    assert FormClient().get(f"/accounts/{path}").headers["Location"].startswith("/accounts/login/")
    page = client.get(f"/accounts/{path}", follow=True)
    assert page.status_code == 200
    assert '<header class="site">' in page.content.decode()


def test_a_second_address_counts_once_it_is_confirmed(client, ada):
    from tests.server.people import PASSWORD, link_in, mail_to

    asked = client.post("/accounts/email/", {"email": "ada@home.example", "action_add": ""})
    if "reauthenticate" in asked.headers.get("Location", ""):
        client.post(asked.headers["Location"], {"password": PASSWORD})
    (message,) = mail_to("ada@home.example")
    assert not ada.emailaddress_set.get(email="ada@home.example").verified
    client.post(link_in(message))
    assert ada.emailaddress_set.get(email="ada@home.example").verified
