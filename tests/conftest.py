"""What all tests share: the public volumes, and a browser.

Playwright allows no second browser in a process, and Django no query while one is there: it ends with its module.
"""

import gc
import os
from collections.abc import Iterator
from unittest.mock import patch

import pytest

from tests.browser.chromium import chromium, find_chromium

pytest_plugins = ["tests.public_volumes"]


def pytest_collection_finish() -> None:
    """Millions of objects of libraries and collected tests stay to the end: the collector need not look at them."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def disks_keep_up() -> Iterator[None]:
    """No test cuts the power, so none waits until what it writes is on the disk."""
    with patch.object(os, "fsync", lambda _: None):
        yield


@pytest.fixture(scope="module")
def browser(request):
    """A headless Chromium; skips, saying so, where none is installed. MORE_CHROMIUM_ARGUMENTS of the module are its."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if find_chromium() is None:
        pytest.skip("no Chromium here (apt-get install chromium)")
    with chromium(*getattr(request.module, "MORE_CHROMIUM_ARGUMENTS", [])) as browser:
        yield browser
