"""The one browser of a test run.

Playwright allows no second one in a process, and Django no query while one is there: it ends with its module.
"""

import shutil

import pytest

pytest_plugins = ["tests.public_volumes"]

CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def browser(request):
    """A headless Chromium; skips, saying so, where none is installed. MORE_CHROMIUM_ARGUMENTS of the module are its."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    more = getattr(request.module, "MORE_CHROMIUM_ARGUMENTS", [])
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_ARGUMENTS, *more])
        yield browser
        browser.close()
