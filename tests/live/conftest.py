"""Fixtures of tests against a whole running server: web, workers, timer and Redis, as `manage.py up` starts them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.running_server import free_port
from tests.live.live_server import LiveServer
from tests.live.slow_line import SlowLine


@pytest.fixture(scope="session")
def live(tmp_path_factory) -> Iterator[LiveServer]:
    with LiveServer(tmp_path_factory.mktemp("live"), free_port()) as server:
        yield server


@pytest.fixture
def line(live) -> Iterator[SlowLine]:
    """The participant's line to the server, 8 MB/s."""
    relay = SlowLine(live.port, 8e6)
    yield relay
    relay.close()


@pytest.fixture
def random_file(tmp_path) -> Path:
    """20 MB that do not compress."""
    path = tmp_path / "random.bin"
    path.write_bytes(os.urandom(20_000_000))
    return path
