"""Somebody at a browser of their own, and the mail that reaches them."""

import re
import time
from pathlib import Path

from tests.browser.accessibility import look

PASSWORD = "seven brown axons"


def mails_to(var: Path, address: str) -> list[str]:
    """Messages to an address, oldest first, as the server wrote them below `var`; waits for the first, a worker's."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        files = sorted((var / "mail").iterdir(), key=lambda file: file.stat().st_mtime_ns)
        texts = [text for file in files if f"To: {address}\n" in (text := file.read_text())]
        if texts and texts[-1].rstrip().endswith("-" * 79):  # the last one is written to its end
            return texts
        time.sleep(0.1)
    return []


def link_in(text: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+/\S+", text)
    assert found, text
    return found[0]


class Person:
    """Every page they see is looked at; `found` collects what axe and the console say."""

    def __init__(self, browser, server, screenshots, timeout_s: float = 30):
        self.context = browser.new_context(base_url=server.url, reduced_motion="reduce")
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * timeout_s)
        self.server, self.screenshots = server, screenshots
        self.found: list[str] = []
        self.page.on("console", self._console)

    def _console(self, message):
        where = message.location["url"]
        if message.type == "error":
            self.found.append(f"{self.page.url}: {message.text} ({where})")

    def see(self, name: str) -> None:
        self.found += look(self.page, name, self.screenshots)

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.page.locator(f"main [name={name}]").fill(value)

    def press(self, name: str) -> None:
        self.page.get_by_role("main").get_by_role("button", name=name, exact=True).click()

    def sign_up(self, name: str, email: str, team: str = "") -> None:
        self.fill(name=name, email=email, team_name=team, password1=PASSWORD, password2=PASSWORD)
        self.press("Create account")

    def log_in(self, email: str, password: str = PASSWORD) -> None:
        self.page.goto("/accounts/login/")
        self.fill(login=email, password=password)
        self.press("Log in")
