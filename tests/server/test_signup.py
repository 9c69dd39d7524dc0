"""From no account to a log-in, and back in after a forgotten password."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import get_user
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.cache import cache
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMultiAlternatives
from kombu.exceptions import OperationalError

from evalserver.accounts.models import Team, User
from evalserver.accounts.services import confirm_address
from evalserver.accounts.tasks import send_mail_task
from evalserver.celery import app as celery_app
from evalserver.checks import check_public_hosts
from evalserver.env import env_mail
from evalserver.site import mail_folder_to_show
from tests.server.people import PASSWORD, FormClient, link_in, mail_to, person, plain_site

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]

FORM = {
    "name": "Ada Example",
    "email": "ada@example.org",
    "affiliation": "Institute of Cables",
    "team_name": "Cable Lab",
    "password1": PASSWORD,
    "password2": PASSWORD,
}

ELSEWHERE = ["https://evil.example/", "//evil.example/x", "javascript:alert(1)", "/\\evil.example"]


@pytest.fixture(autouse=True)
def _site(settings):
    plain_site(settings)


@pytest.fixture
def client():
    return FormClient()


def log_in(client, email="ada@example.org", password=PASSWORD, **more):
    return client.post("/accounts/login/", {"login": email, "password": password, **more})


def errors_on(page):
    return re.findall(r'class="error"[^>]*>([^<]+)<', page)


def is_in(client):
    return get_user(client).is_authenticated


def test_a_new_account_can_log_in_once_its_address_is_confirmed(client):
    answer = client.post("/accounts/signup/", FORM)
    assert answer.headers["Location"] == "/accounts/confirm-email/"
    assert not is_in(client)
    link = link_in(mail_to("ada@example.org")[0])
    client.post(link)
    client.logout()
    answer = log_in(client)
    assert answer.headers["Location"] == "/submissions/"
    assert is_in(client)


def test_before_that_it_cannot_and_is_sent_the_link_again(client):
    client.post("/accounts/signup/", FORM)
    cache.clear()  # the link is sent at most every three minutes
    assert log_in(client).headers["Location"] == "/accounts/confirm-email/"
    assert not is_in(client)
    assert len(mail_to("ada@example.org")) == 2


def test_the_confirmation_logs_in_and_leads_on_to_the_page_that_was_wanted(client):
    """Through the pages: the page that needs an account, the log-in, its link to sign up, the mail's link."""
    page = client.get("/teams/", follow=True).content.decode()
    (signup,) = set(re.findall(r'href="(/accounts/signup/[^"]*)"', page))  # in the header and below the form
    form = client.get(signup).content.decode()
    wanted = re.search(r'name="next" value="([^"]*)"', form)[1]
    client.post("/accounts/signup/", {**FORM, "next": wanted})
    answer = client.post(link_in(mail_to("ada@example.org")[0]))
    assert answer.headers["Location"] == "/teams/"
    assert is_in(client)


def test_in_another_browser_the_confirmation_leads_there_by_the_log_in(client):
    client.post("/accounts/signup/", {**FORM, "next": "/teams/"})
    other = FormClient()
    link = link_in(mail_to("ada@example.org")[0])
    form = other.get(link).content.decode()
    answer = other.post(link, {"next": re.search(r'name="next" value="([^"]*)"', form)[1]})
    assert not is_in(other)  # the link alone logs nobody in
    assert answer.headers["Location"] == "/teams/"
    assert other.get("/teams/").headers["Location"] == "/accounts/login/?next=/teams/"


@pytest.mark.parametrize("target", ELSEWHERE)
def test_the_confirmation_leads_to_no_other_site(client, target):
    client.post("/accounts/signup/", {**FORM, "next": target})
    link = link_in(mail_to("ada@example.org")[0])
    assert "next" not in link
    assert client.post(f"{link}?next={quote(target)}").headers["Location"] == "/submissions/"


def test_looking_at_the_link_confirms_nothing(client):
    """Mail scanners open every link; only the button on the page counts."""
    client.post("/accounts/signup/", FORM)
    assert client.get(link_in(mail.outbox[0])).status_code == 200
    assert not EmailAddress.objects.get(email="ada@example.org").verified


def test_a_made_up_link_confirms_nothing(client):
    client.post("/accounts/signup/", FORM)
    assert client.post("/accounts/confirm-email/MQ:1abc:def/").status_code == 404
    assert not EmailAddress.objects.get(email="ada@example.org").verified


def test_sign_up_makes_a_team_that_the_new_user_owns(client):
    client.post("/accounts/signup/", FORM)
    user = User.objects.get()
    assert (user.name, user.affiliation) == ("Ada Example", "Institute of Cables")
    membership = user.memberships.get()
    assert (membership.team.name, membership.team.is_personal, membership.role) == ("Cable Lab", True, "owner")


def test_without_a_team_name_the_team_is_named_after_the_user(client):
    person("other", team="Ada Example")
    client.post("/accounts/signup/", {**FORM, "team_name": ""})
    assert User.objects.get(email="ada@example.org").teams.get().name == "Ada Example (2)"


def test_a_team_name_that_is_taken_is_refused(client):
    person("other", team="cable lab")
    answer = client.post("/accounts/signup/", FORM)
    assert "There is a team of this name already" in answer.content.decode()
    assert not User.objects.filter(email="ada@example.org").exists()


def test_signing_up_with_a_known_address_looks_the_same_and_tells_its_owner(client):
    fresh = client.post("/accounts/signup/", FORM)
    person("eve")
    client.logout()
    known = client.post("/accounts/signup/", {**FORM, "email": "EVE@example.org", "team_name": "Other"})
    assert (known.status_code, known.headers["Location"]) == (fresh.status_code, fresh.headers["Location"])
    assert Team.objects.filter(name="Other").count() == 0
    assert "already" in mail_to("eve@example.org")[0].subject.lower()
    assert User.objects.filter(email__iexact="eve@example.org").count() == 1


def test_log_in_does_not_tell_whether_an_address_is_known(client):
    person("eve")
    known = log_in(client, "eve@example.org", "wrong").content.decode()
    unknown = log_in(client, "nobody@example.org", "wrong").content.decode()
    assert (
        re.findall(r'class="error"[^>]*>([^<]+)<', known) == re.findall(r'class="error"[^>]*>([^<]+)<', unknown) != []
    )


def test_resetting_the_password_does_not_tell_whether_an_address_is_known(client):
    person("eve")
    known = client.post("/accounts/password/reset/", {"email": "eve@example.org"})
    unknown = client.post("/accounts/password/reset/", {"email": "nobody@example.org"})
    assert (known.status_code, known.headers["Location"]) == (unknown.status_code, unknown.headers["Location"])


def test_a_forgotten_password_is_replaced_by_mail(client):
    person("eve")
    client.post("/accounts/password/reset/", {"email": "eve@example.org"})
    link = link_in(mail_to("eve@example.org")[0])
    form_at = client.get(link).headers["Location"]
    new = "eight grey dendrites"
    client.post(form_at, {"password1": new, "password2": new})
    client.logout()
    assert log_in(client, "eve@example.org").status_code == 200  # the old one, refused
    log_in(client, "eve@example.org", new)
    assert is_in(client)
    # The link is of no use a second time.
    client.logout()
    assert "has expired" in client.get(link, follow=True).content.decode()


@pytest.mark.parametrize("password", ["short1", "password123", "918273645546372819", "ada@example.org"])
def test_weak_passwords_are_refused(client, password):
    answer = client.post("/accounts/signup/", {**FORM, "password1": password, "password2": password})
    assert answer.status_code == 200
    assert not User.objects.exists()


def test_guessing_is_slowed_down(client):
    person("eve")
    for _ in range(5):
        log_in(client, "eve@example.org", "wrong")
    answer = log_in(client, "eve@example.org")  # the right one, but too late
    assert not is_in(client)
    assert "Too many failed login attempts" in answer.content.decode()


@pytest.mark.parametrize("target", ELSEWHERE)
def test_log_in_leads_to_no_other_site(client, target):
    person("eve")
    answer = log_in(client, "eve@example.org", next=target)
    assert answer.headers["Location"] == "/submissions/"


def test_log_in_leads_back_to_where_one_was(client):
    person("eve")
    assert client.get("/teams/").headers["Location"] == "/accounts/login/?next=/teams/"
    assert log_in(client, "eve@example.org", next="/teams/").headers["Location"] == "/teams/"


def test_organisers_log_in_on_the_same_page(client):
    assert client.get("/admin/").headers["Location"].startswith("/admin/login/")
    assert client.get("/admin/login/").headers["Location"].startswith("/accounts/login/")


def test_a_superuser_from_the_command_line_can_log_in(client):
    User.objects.create_superuser("root@example.org", PASSWORD, name="Root")
    log_in(client, "root@example.org")
    assert is_in(client)


def test_a_user_whom_an_organiser_adds_can_log_in_and_submit(client):
    organiser = User.objects.create_superuser("root@example.org", PASSWORD, name="Root")
    client.force_login(organiser)
    form = {"email": "New@example.org", "name": "New", "password1": PASSWORD, "password2": PASSWORD}
    inlines = {"memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    client.post("/admin/accounts/user/add/", {**form, "usable_password": "true", **inlines})
    client.logout()
    log_in(client, "new@example.org")
    assert is_in(client)
    assert get_user(client).teams.exists()


def test_an_address_that_an_organiser_corrects_opens_the_account_at_once(client):
    eve = person("eve")
    User.objects.filter(pk=eve.pk).update(email="eve@new.example")
    eve.refresh_from_db()
    confirm_address(eve)
    log_in(client, "eve@new.example")
    assert is_in(client)
    assert list(eve.emailaddress_set.filter(primary=True).values_list("email", flat=True)) == ["eve@new.example"]


def test_a_public_server_without_mail_is_warned_about(settings):
    settings.ALLOWED_HOSTS = ["bench.example.org"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    assert "evalserver.W003" in {message.id for message in check_public_hosts()}
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert "evalserver.W003" not in {message.id for message in check_public_hosts()}


def test_where_mail_lies_is_told_on_a_local_server_alone(settings, tmp_path):
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    settings.ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
    assert mail_folder_to_show() == str(tmp_path)
    settings.ALLOWED_HOSTS = ["127.0.0.1", "bench.example.org"]
    assert mail_folder_to_show() == ""


def test_an_inactive_user_stays_out(client):
    person("eve")
    User.objects.update(is_active=False)
    log_in(client, "eve@example.org")
    assert not is_in(client)


def test_logging_out_needs_a_post(client):
    client.force_login(person("eve"))
    assert client.get("/accounts/logout/").status_code == 200
    assert is_in(client)
    client.post("/accounts/logout/")
    assert not is_in(client)


def without_mail_server(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9


@pytest.fixture
def no_queue(monkeypatch):
    def away(*args, **kwargs):
        raise OperationalError("Connection refused")

    monkeypatch.setattr(celery_app, "send_task", away)
    monkeypatch.setattr(send_mail_task, "delay", lambda message: send_mail_task.apply_async([message]))


def test_a_mail_server_that_is_away_breaks_no_page(client, settings):
    without_mail_server(settings)
    person("eve")
    answer = client.post("/accounts/password/reset/", {"email": "eve@example.org"}, follow=True)
    assert answer.status_code == 200


def test_without_a_queue_the_web_server_sends_the_mail(client, no_queue):
    person("eve")
    client.post("/accounts/password/reset/", {"email": "eve@example.org"})
    assert len(mail_to("eve@example.org")) == 1


def test_with_neither_the_page_says_so(client, settings, no_queue):
    without_mail_server(settings)
    person("eve")
    answer = client.post("/accounts/password/reset/", {"email": "eve@example.org"}, follow=True)
    assert "could not be sent" in answer.content.decode()


class CountingHasher(MD5PasswordHasher):
    """Notes each password that is hashed."""

    work: ClassVar[list[str]] = []

    def encode(self, password, salt):
        self.work.append("hash")
        return super().encode(password, salt)


@pytest.fixture
def work(settings, monkeypatch):
    """What a request costs: "hash" for each password that is hashed, "mail" for each mail that is left to a worker."""
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    monkeypatch.setattr(CountingHasher, "work", [])
    monkeypatch.setattr(send_mail_task, "delay", lambda message: CountingHasher.work.append("mail"))
    monkeypatch.setattr(EmailMultiAlternatives, "send", lambda *_: pytest.fail("a request waits for the mail server"))
    return CountingHasher.work


@pytest.mark.parametrize(
    ("path", "form", "expected"),
    [
        ("/accounts/signup/", {**FORM, "team_name": ""}, ["hash", "mail"]),
        ("/accounts/login/", {"password": "wrong"}, ["hash"]),
        ("/accounts/password/reset/", {}, ["mail"]),
    ],
)
def test_known_and_unknown_addresses_cost_the_same_work(client, work, path, form, expected):
    person("eve")
    costs = []
    for address in ("eve@example.org", "nobody@example.org"):
        work.clear()
        client.post(path, {**form, "email": address, "login": address})
        costs.append(list(work))
    assert costs == [expected, expected]


def test_session_cookies_are_out_of_reach_of_scripts_and_other_sites(client):
    person("eve")
    cookie = log_in(client, "eve@example.org").cookies["sessionid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


def test_no_other_login_is_offered_unless_it_is_set_up(client):
    page = client.get("/accounts/login/").content.decode()
    assert "GitHub" not in page
    assert "ORCID" not in page


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp+tls://bench:p%40ss@mail.example.org:2525", ("mail.example.org", 2525, "bench", "p@ss", True, False)),
        ("smtps://mail.example.org", ("mail.example.org", 465, "", "", False, True)),
        ("smtp://mail.example.org", ("mail.example.org", 25, "", "", False, False)),
    ],
)
def test_a_mail_server_is_one_url(monkeypatch, url, expected):
    monkeypatch.setenv("EMAIL_URL", url)
    found = env_mail("EMAIL_URL")
    keys = ("HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
    assert tuple(found[f"EMAIL_{key}"] for key in keys) == expected


@pytest.mark.parametrize("url", ["mail.example.org", "http://mail.example.org", "smtp://", "smtp://host:port"])
def test_a_wrong_mail_url_stops_the_start_and_keeps_its_password(monkeypatch, url):
    monkeypatch.setenv("EMAIL_URL", url.replace("mail.", "secret@mail."))
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL") as raised:
        env_mail("EMAIL_URL")
    assert "secret" not in str(raised.value)


def test_without_a_mail_server_messages_are_files(monkeypatch, tmp_path, settings):
    monkeypatch.delenv("EMAIL_URL", raising=False)
    settings.EMAIL_FILE_PATH = tmp_path / "mail"
    for name, value in env_mail("EMAIL_URL").items():
        setattr(settings, name, value)
    mail.send_mail("Subject", "Text", None, ["ada@example.org"])
    (file,) = (tmp_path / "mail").iterdir()
    assert "To: ada@example.org" in file.read_text()


OTHER_LOGINS = """
import django
django.setup()
from django.conf import settings
settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
settings.CACHES["default"] = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
settings.SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.test import Client
client = Client(headers={"host": "127.0.0.1"})
page = client.get("/accounts/login/")
assert "Log in with GitHub" in page.content.decode()
assert "ORCID" not in page.content.decode()
assert "form-action 'self' https://github.com;" in page.headers["Content-Security-Policy"]
form = "application/x-www-form-urlencoded"
print(client.post("/accounts/github/login/?process=login", "", content_type=form).headers["Location"])
"""


@pytest.mark.slow
def test_github_is_offered_where_its_client_id_is_set(tmp_path):
    """In a process of its own: settings are read once."""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        **{"VAR_DIR": str(tmp_path), "GITHUB_CLIENT_ID": "id-1", "GITHUB_CLIENT_SECRET": "secret-1"},
        "DJANGO_SETTINGS_MODULE": "evalserver.settings",
    }
    call = [sys.executable, "-c", OTHER_LOGINS]
    done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    target = urlsplit(done.stdout.strip().splitlines()[-1])
    query = parse_qs(target.query)
    assert (target.hostname, target.path) == ("github.com", "/login/oauth/authorize")
    assert query["client_id"] == ["id-1"]
    assert query["redirect_uri"] == ["http://127.0.0.1/accounts/github/login/callback/"]
    assert query["state"]
    assert "secret-1" not in done.stdout


@pytest.mark.parametrize("path", ["/accounts/signup/", "/accounts/password/reset/"])
def test_the_rest_of_the_difference_is_hidden_by_answers_at_whole_steps(client, settings, path):
    settings.EVEN_ANSWER_SECONDS = 0.4
    person("eve")
    for address in ("eve@example.org", "nobody@example.org"):
        started = time.monotonic()
        client.post(path, {**FORM, "email": address, "team_name": ""})
        beyond = (time.monotonic() - started) % 0.4
        assert beyond < 0.1  # the step itself, and what this test takes
    started = time.monotonic()
    client.get(path)
    assert time.monotonic() - started < 0.4
