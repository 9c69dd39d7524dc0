"""The second factor, with codes as an authenticator app computes them (RFC 6238)."""

import base64
import hashlib
import hmac
import re
import struct
import time

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.auth import get_user
from django.core.cache import cache

from tests.server.people import PASSWORD, FormClient, mail_to, person, plain_site

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _site(settings):
    plain_site(settings)


@pytest.fixture
def client():
    return FormClient()


def totp(secret, at=None):
    """Six digits for a key in base32: HMAC-SHA1 of the number of half minutes, dynamically truncated."""
    counter = struct.pack(">Q", int(time.time() if at is None else at) // 30)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


def test_codes_are_those_of_the_standard():
    secret = base64.b32encode(b"12345678901234567890").decode()
    assert totp(secret, at=59) == "287082"  # RFC 6238, appendix B, its last six digits
    assert totp(secret, at=1111111109) == "081804"


def log_in(client):
    return client.post("/accounts/login/", {"login": "ada@example.org", "password": PASSWORD})


def activation_page(client):
    """It asks for the password once more, even right after a log-in."""
    asked = client.get("/accounts/2fa/totp/activate/")
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/")
    client.post(asked.headers["Location"], {"password": PASSWORD})
    return client.get("/accounts/2fa/totp/activate/").content.decode()


def turn_on(client):
    """Key of the app, after switching the second factor on through the pages."""
    page = activation_page(client)
    secret = re.search(r"Key: <code[^>]*>([A-Z2-7]+)</code>", page).group(1)
    answer = client.post("/accounts/2fa/totp/activate/", {"code": totp(secret)})
    assert answer.status_code == 302, answer.content.decode()
    cache.clear()  # a code counts once in its half minute; the tests below are faster than that
    return secret


@pytest.fixture
def secret(client):
    person("ada")
    log_in(client)
    secret = turn_on(client)
    client.logout()
    return secret


def test_the_page_shows_the_key_as_a_picture_too(client):
    person("ada")
    log_in(client)
    page = activation_page(client)
    assert 'src="data:image/svg+xml' in page


def test_a_password_alone_is_not_enough(client, secret):
    assert log_in(client).headers["Location"].startswith("/accounts/2fa/authenticate/")
    assert client.get("/teams/").status_code == 302
    assert not get_user(client).is_authenticated


def test_password_and_code_are(client, secret):
    log_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": totp(secret)})
    assert get_user(client).is_authenticated


def test_a_wrong_code_is_not(client, secret):
    log_in(client)
    wrong = f"{(int(totp(secret)) + 1) % 10**6:06d}"
    answer = client.post("/accounts/2fa/authenticate/", {"code": wrong})
    assert "Incorrect code" in answer.content.decode()
    assert not get_user(client).is_authenticated


def test_a_code_counts_once(client, secret):
    code = totp(secret)
    log_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code})
    client.logout()
    log_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": code})
    assert not get_user(client).is_authenticated


def test_a_recovery_code_replaces_the_app_once(client, secret):
    codes = Authenticator.objects.get(type=Authenticator.Type.RECOVERY_CODES).wrap().get_unused_codes()
    assert len(codes) == 10
    log_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert get_user(client).is_authenticated
    client.logout()
    log_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": codes[0]})
    assert not get_user(client).is_authenticated


def test_the_key_is_not_in_the_database_in_the_clear(client, secret):
    row = Authenticator.objects.get(type=Authenticator.Type.TOTP)
    assert secret not in str(row.data)
    assert row.wrap().validate_code(totp(secret))


def test_a_key_outlives_a_change_of_the_servers_secret(client, secret, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new secret key of more than fifty characters, as it should be"
    assert Authenticator.objects.get(type=Authenticator.Type.TOTP).wrap().validate_code(totp(secret))


def test_turning_it_off_asks_who_it_is_and_tells_the_owner(client, secret):
    log_in(client)
    client.post("/accounts/2fa/authenticate/", {"code": totp(secret)})
    answer = client.post("/accounts/2fa/totp/deactivate/")
    assert "/reauthenticate/" in answer.headers["Location"]
    assert Authenticator.objects.filter(type=Authenticator.Type.TOTP).exists()
    client.post(answer.headers["Location"], {"password": PASSWORD})
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.exists()
    assert any("deactivated" in message.subject.lower() for message in mail_to("ada@example.org"))


def test_organisers_need_it_for_the_admin_as_well(client, secret):
    log_in(client)
    assert client.get("/admin/", follow=True).redirect_chain[-1][0].startswith("/accounts/2fa/")
