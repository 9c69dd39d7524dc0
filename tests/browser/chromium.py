"""The browser that tests, walks and benchmarks of pages drive."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


def find_chromium() -> str | None:
    """Where it is installed; None where it is not."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def chromium(*more_arguments: str) -> "Iterator[Browser]":
    """A headless Chromium; the one of playwright where none is installed. `expect` waits as long as an action."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # as for actions: the machine may be busy
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=[*ARGUMENTS, *more_arguments])
        yield browser
        browser.close()
