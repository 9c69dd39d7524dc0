"""Fixtures of tests that drive a real Chromium."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.running_server import RunningServer, free_port


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failed test go the text of its pages and the ends of its server's logs: a browser that waited in vain
    does not say for what."""
    report = yield
    if report.when == "call" and report.failed:
        for name, value in item.funcargs.items():
            page = getattr(value, "page", value)
            if isinstance(page, Page) and not page.is_closed():
                text = page.locator("body").inner_text(timeout=5000)
                report.sections.append((f"page of {name}: {page.url}", text[-6000:]))
            if isinstance(value, RunningServer):
                report.sections += [(f"log of {path.stem}", text[-3000:]) for path, text in value.logs()]
    return report


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("var"), free_port()) as running:
        yield running


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory) -> Path:
    """Where screenshots go; name a folder in SCREENSHOTS to look at them afterwards."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def pictures(screenshots) -> Path | None:
    """Where pictures of every page go; None unless SCREENSHOTS asks for them, because they take as long as axe."""
    return screenshots if os.environ.get("SCREENSHOTS") else None
