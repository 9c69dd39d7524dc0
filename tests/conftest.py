"""The one browser of a test run.

Playwright allows no second one in a process, and Django no query while one is there: it ends with its module.
"""

import pytest

from tests.browser.chromium import chromium, find_chromium

pytest_plugins = ["tests.public_volumes"]


@pytest.fixture(scope="module")
def browser(request):
    """A headless Chromium; skips, saying so, where none is installed. MORE_CHROMIUM_ARGUMENTS of the module are its."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if find_chromium() is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    with chromium(*getattr(request.module, "MORE_CHROMIUM_ARGUMENTS", [])) as browser:
        yield browser
