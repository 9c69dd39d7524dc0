"""Who reads a log of the server learns no key that opens somebody's account."""

import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest
from django.urls import get_resolver, reverse

from evalserver.log_mask import MaskKeys, masked
from tests.browser.running_server import free_port
from tests.server.commands import ROOT, manage

CONFIG = ["-c", "python:evalserver.front.gunicorn_config"]
SECRET = "MQ-3fj2k1-abcDEF_0123"
LINKS = [
    f"/accounts/confirm-email/{SECRET}/",
    f"/accounts/password/reset/key/{SECRET}/",
    f"/teams/invitations/{SECRET}/",
    f"/accounts/github/login/callback/?code={SECRET}&state={SECRET}",
    f"/accounts/orcid/login/callback/?state={SECRET}&code={SECRET}#x",
]


@pytest.mark.parametrize("link", LINKS)
def test_a_key_in_a_link_is_masked_and_the_rest_stays(link):
    line = f'127.0.0.1 - - "GET {link} HTTP/1.1" 200 "http://x{link}"'
    assert SECRET not in masked(line)
    assert masked(line).startswith('127.0.0.1 - - "GET /')
    assert masked(line).count("***") == 2 * link.count(SECRET)


def test_what_holds_no_key_is_logged_as_it_is():
    for line in ("GET /accounts/password/reset/", "GET /benchmarks/axonem/leaderboard/?q=a&page=2", "x"):
        assert masked(line) == line


def test_every_address_that_takes_a_key_is_masked():
    """A new link of this kind must be added to the mask."""
    addresses = [
        reverse("account_confirm_email", args=[SECRET]),
        reverse("account_reset_password_from_key", kwargs={"uidb36": "MQ", "key": SECRET}),
        reverse("invitation", args=[SECRET]),
    ]
    for address in addresses:
        assert SECRET not in masked(address)
    keyed = {name for name in get_resolver().reverse_dict if isinstance(name, str) and takes_key(name)}
    assert keyed == {"account_confirm_email", "account_reset_password_from_key", "invitation"}


def takes_key(name: str) -> bool:
    """Whether an address of this name has a parameter `key`."""
    forms = [form for row in get_resolver().reverse_dict.getlist(name) for form in row[0]]
    return any("key" in parameters for _, parameters in forms)


def test_djangos_own_warnings_are_masked():
    handler = next(h for h in logging.getLogger("django").handlers if any(isinstance(f, MaskKeys) for f in h.filters))
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Not Found: %s", (LINKS[1],), None)
    assert handler.filter(record)
    assert SECRET not in handler.format(record)


@pytest.mark.slow
def test_the_web_servers_log_of_requests_is_masked(tmp_path):
    environment = {"VAR_DIR": str(tmp_path), "DATABASE_URL": "", "REDIS_URL": ""}
    manage("migrate", env=environment)
    manage("collectstatic", "--noinput", env=environment)
    port = free_port()
    log = tmp_path / "web.log"
    with log.open("wb") as out:
        web = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *CONFIG, "evalserver.asgi", "--bind", f"127.0.0.1:{port}"],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
        )
    try:
        for link in LINKS[:3]:
            answer_of(f"http://127.0.0.1:{port}{link}")
    finally:
        web.send_signal(signal.SIGTERM)
        web.wait(30)
    text = log.read_text()
    assert text.count("***") >= 3
    assert SECRET not in text


def answer_of(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=20).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the web server does not answer")
