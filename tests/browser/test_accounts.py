"""A new participant in a real browser: sign up, confirm, second factor, team, invitation, token."""

import base64
import hashlib
import hmac
import re
import struct
import time
from collections.abc import Iterator

import pytest

from tests.browser.person import PASSWORD, Person, link_in, mails_to
from tests.browser.running_server import RunningServer, free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def strict_server(tmp_path_factory) -> Iterator[RunningServer]:
    """As installed: addresses must be confirmed, mail goes to files."""
    running = RunningServer(tmp_path_factory.mktemp("var"), free_port())
    running.environment["CONFIRM_EMAIL"] = "1"
    with running:
        yield running


def totp(secret: str) -> str:
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), hashlib.sha1).digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 10**6:06d}"


@pytest.fixture(scope="module")
def ada(browser, strict_server, pictures) -> Person:
    return Person(browser, strict_server, pictures)


def test_ada_signs_up_confirms_and_logs_in(ada):
    ada.page.goto("/")
    ada.page.get_by_role("link", name="Take part", exact=True).click()
    ada.see("1-signup")
    ada.sign_up("Ada Example", "ada@example.org", "Cable lab")
    ada.page.get_by_role("heading", name="Confirm your address").wait_for()
    assert "mail" in ada.page.locator(".note").inner_text()
    ada.see("2-sent")
    (mail,) = mails_to(ada.server.var, "ada@example.org")
    ada.page.goto(link_in(mail))
    ada.see("3-confirm")
    ada.press("Confirm")
    ada.log_in("ada@example.org") if ada.page.get_by_role("link", name="Log in").count() else None
    ada.page.get_by_role("link", name="Account").click()
    assert ada.page.locator("[name=name]").input_value() == "Ada Example"
    ada.see("4-profile")


def test_she_turns_on_the_second_factor_and_needs_it(ada):
    ada.page.goto("/accounts/2fa/")
    ada.see("5-two-factor")
    ada.page.get_by_role("link", name="Turn on").click()
    ada.see("6-reauthenticate")
    ada.fill(password=PASSWORD)
    ada.press("Continue")
    secret = ada.page.locator("code.key-text").inner_text()
    assert ada.page.evaluate("document.querySelector('.qr').naturalWidth") > 100
    ada.see("7-activate")
    ada.fill(code=totp(secret))
    ada.press("Turn on")
    ada.page.get_by_role("heading", name="Recovery codes").first.wait_for()
    ada.see("8-recovery-codes")
    recovery = ada.page.locator("pre.command code").inner_text().split()[0]
    ada.page.get_by_role("button", name="Log out").click()
    ada.log_in("ada@example.org")
    ada.page.get_by_role("heading", name="Second factor").wait_for()
    ada.see("9-second-factor")
    ada.page.goto("/accounts/tokens/")
    assert "/accounts/2fa/authenticate/" in ada.page.url  # the password alone opens nothing
    ada.fill(code=recovery)  # the code of these 30 s was used to turn it on, and counts once
    ada.press("Log in")
    ada.page.get_by_role("link", name="Account").wait_for()


def test_she_makes_a_token_that_is_shown_once(ada):
    ada.page.goto("/accounts/tokens/")
    ada.fill(name="lab workstation")
    ada.press("Make token")
    key = ada.page.locator("#new-key").input_value()
    assert re.fullmatch(r"axonem_[\w-]{43}", key)
    ada.see("10-token")
    answer = ada.context.request.get("/api/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert answer.ok
    ada.page.get_by_role("button", name="Copy").click()
    ada.page.get_by_role("button", name="Copied").wait_for()
    ada.page.goto("/accounts/tokens/")
    assert key not in ada.page.content()
    ada.page.get_by_role("button", name="Revoke lab workstation").click()
    assert ada.context.request.get("/api/v1/me", headers={"Authorization": f"Bearer {key}"}).status == 401


def test_she_invites_somebody_who_signs_up_by_the_link(ada, browser):
    ada.page.goto("/teams/")
    ada.fill(name="Cortex group")
    ada.see("11-teams")
    ada.press("Make team")
    ada.fill(email="bob@example.org")
    ada.press("Invite")
    ada.page.get_by_text("bob@example.org is invited").wait_for()
    ada.see("12-team")
    team = ada.page.url
    bob = Person(browser, ada.server, ada.screenshots)
    bob.page.goto(link_in(mails_to(ada.server.var, "bob@example.org")[-1]))
    bob.see("13-invitation")
    bob.page.get_by_role("main").get_by_role("link", name="Sign up").click()
    bob.sign_up("Bob Example", "bob@example.org")
    bob.page.get_by_role("button", name="Join as bob@example.org").click()
    bob.page.get_by_text("You are a member of Cortex group now").wait_for()
    bob.see("14-joined")
    ada.page.goto(team)
    assert "Bob Example" in ada.page.get_by_role("region", name="Members").inner_text()
    ada.found += bob.found


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/accounts/login/", "20-login"),
        ("/accounts/password/reset/", "21-reset"),
        ("/docs/participants/", "22-docs"),
        ("/docs/organisers/", "23-docs-organisers"),
    ],
)
def test_pages_for_everybody_are_looked_at(ada, browser, path, name):
    visitor = Person(browser, ada.server, ada.screenshots)
    visitor.page.goto(path)
    visitor.see(name)
    ada.found += visitor.found


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/accounts/email/", "24-addresses"),
        ("/accounts/password/change/", "25-password"),
        ("/accounts/delete/", "26-delete"),
        ("/accounts/2fa/", "27-two-factor-on"),
    ],
)
def test_pages_of_her_account_are_looked_at(ada, path, name):
    ada.page.goto(path)
    ada.see(name)


def test_axe_and_the_console_had_nothing_to_say(ada):
    assert not ada.found, "\n".join(ada.found)


def test_without_javascript_the_token_can_be_selected(browser, ada):
    context = browser.new_context(base_url=ada.server.url, java_script_enabled=False)
    context.add_cookies(ada.context.cookies())
    page = context.new_page()
    page.goto("/accounts/tokens/")
    page.locator("main [name=name]").fill("no scripts")
    page.get_by_role("button", name="Make token").click()
    assert page.locator("#new-key").is_visible()
    assert not page.locator("button[data-copy]").is_visible()
