"""Personal API tokens: what opens an account, and what does not."""

import hashlib
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from evalserver.accounts.models import ApiToken, User
from evalserver.accounts.services import authenticate_token, create_token, revoke_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada():
    return User.objects.create_user("ada@example.org", "a long enough password", name="Ada")


def make(user, **fields):
    return create_token(user=user, **{"name": "laptop", "scopes": ["read", "submit"], **fields})


def test_a_key_opens_its_owners_account(ada):
    token, raw = make(ada)
    user, found = authenticate_token(raw)
    assert (user, found) == (ada, token)


def test_only_the_digest_of_a_key_is_stored(ada):
    token, raw = make(ada)
    assert raw.startswith("axonem_")
    row = ApiToken.objects.values().get(pk=token.pk)
    assert row["digest"] == hashlib.sha256(raw.encode()).hexdigest()
    assert all(raw not in str(value) for value in row.values())
    assert len(row["hint"]) < 16
    assert raw.startswith(row["hint"])


def test_keys_differ(ada):
    assert len({make(ada)[1] for _ in range(20)}) == 20


@pytest.mark.parametrize("wrong", ["", "axonem_", "axonem_" + "A" * 43, "Bearer x", "axonem_\udcff", "x" * 100_000])
def test_what_is_no_key_opens_nothing(ada, wrong):
    make(ada)
    assert authenticate_token(wrong) is None


def test_a_key_with_one_character_changed_opens_nothing(ada):
    _, raw = make(ada)
    changed = raw[:-1] + ("A" if raw[-1] != "A" else "B")
    assert authenticate_token(changed) is None


def test_the_stored_digest_is_no_key(ada):
    token, _ = make(ada)
    assert authenticate_token(token.digest) is None


def test_a_revoked_key_opens_nothing_and_is_revoked_once(ada):
    token, raw = make(ada)
    assert revoke_token(token) is True
    first = ApiToken.objects.get(pk=token.pk).revoked_at
    assert revoke_token(token) is False
    assert ApiToken.objects.get(pk=token.pk).revoked_at == first
    assert authenticate_token(raw) is None


def test_an_expired_key_opens_nothing(ada):
    _, old = make(ada, expires_at=timezone.now() - timedelta(seconds=1))
    _, fresh = make(ada, expires_at=timezone.now() + timedelta(hours=1))
    assert authenticate_token(old) is None
    assert authenticate_token(fresh) is not None


def test_the_key_of_an_inactive_user_opens_nothing(ada):
    _, raw = make(ada)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert authenticate_token(raw) is None


def test_a_scope_that_was_not_given_is_not_allowed(ada):
    token, _ = make(ada, scopes=["read"])
    assert token.allows("read")
    assert not token.allows("submit")


@pytest.mark.parametrize("scopes", [[], ["admin"], ["read", "admin"]])
def test_unknown_or_empty_scopes_are_refused(ada, scopes):
    with pytest.raises(ValueError, match="choose from read, submit"):
        make(ada, scopes=scopes)
    assert not ApiToken.objects.exists()


def test_use_is_noted_at_most_once_in_five_minutes(ada, django_assert_num_queries):
    token, raw = make(ada)
    authenticate_token(raw)
    assert timezone.now() - ApiToken.objects.get(pk=token.pk).last_used_at < timedelta(minutes=1)
    with django_assert_num_queries(1):  # the look-up alone
        authenticate_token(raw)
    long_ago = timezone.now() - timedelta(hours=3)
    ApiToken.objects.filter(pk=token.pk).update(last_used_at=long_ago)
    authenticate_token(raw)
    assert ApiToken.objects.get(pk=token.pk).last_used_at > long_ago


def test_an_administrator_makes_a_token_on_the_command_line(ada):
    out = StringIO()
    call_command("make_token", "ada@example.org", "--hours", "2", stdout=out)
    user, token = authenticate_token(out.getvalue().strip())
    assert user == ada
    assert token.allows("submit")
    assert timedelta(hours=1) < token.expires_at - timezone.now() < timedelta(hours=2)


def test_an_unknown_account_gets_no_token():
    with pytest.raises(CommandError, match="no active account"):
        call_command("make_token", "nobody@example.org")
