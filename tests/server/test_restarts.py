"""A program of `up` that ends by itself is started again, and the organisers see it."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from django.urls import reverse

from evalserver.embedded import Family, processes, recent_restarts, redis_server, restarts_file, start_private_redis
from tests.factories import make_user

LIVES = [sys.executable, "-c", "import time; time.sleep(600)"]
DIES = [sys.executable, "-c", "raise SystemExit(3)"]


@pytest.fixture
def family(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "LONGEST_DELAY_S", 0.05)
    family = Family(tmp_path / "log", restarts_file(tmp_path))
    yield family
    family.stop()


def keep_running_until(family, condition, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        family.keep_running()
        time.sleep(0.01)


def test_a_killed_program_runs_again_and_the_others_go_on(family, tmp_path):
    killed, other = family.start("web", LIVES), family.start("worker", LIVES)
    before, untouched = killed.process.pid, other.process.pid
    os.kill(before, signal.SIGKILL)
    keep_running_until(family, lambda: killed.process.pid != before)
    assert killed.process.poll() is None
    assert other.process.pid == untouched
    (row,) = recent_restarts(tmp_path)
    assert str(row).startswith("The program “web” ended by itself once")
    assert "signal 9" in str(row)


def test_a_program_that_keeps_ending_is_an_alarm_and_no_end(family, tmp_path):
    broken, other = family.start("timer", DIES), family.start("worker", LIVES)
    keep_running_until(family, lambda: len(broken.ends) == 4)
    assert other.process.poll() is None
    (row,) = recent_restarts(tmp_path)
    assert "4 times" in str(row)
    assert "exit status 3" in str(row)
    assert "keeps ending" in str(row)


def test_a_redis_that_is_killed_before_it_answers_is_started_again(family, tmp_path, monkeypatch):
    start = family.start

    def start_and_kill(*arguments, **more):
        child = start(*arguments, **more)
        child.process.kill()
        child.process.wait()
        return child

    monkeypatch.setattr(family, "start", start_and_kill)
    assert start_private_redis(family, tmp_path).process.poll() is None
    (row,) = recent_restarts(tmp_path)
    assert str(row).startswith("The program “redis” ended by itself once")


def test_a_redis_that_cannot_start_says_where_the_reason_is(family, tmp_path, monkeypatch):
    monkeypatch.setattr(redis_server, "redis_binary", lambda: Path("/bin/false"))
    with pytest.raises(RuntimeError, match=r"redis\.log"):
        start_private_redis(family, tmp_path)


def test_each_start_waits_longer_than_the_one_before(family, monkeypatch):
    monkeypatch.setattr(processes, "LONGEST_DELAY_S", 0.4)
    broken = family.start("timer", DIES)
    keep_running_until(family, lambda: len(broken.ends) == 1)
    assert broken.start_at - time.monotonic() > 0.2  # not at once, although its process is gone
    pid = broken.process.pid
    family.keep_running()
    assert broken.process.pid == pid


def test_a_program_that_runs_steadily_keeps_ending_no_more(family, tmp_path, monkeypatch):
    flag = tmp_path / "repaired"
    program = "import pathlib, sys, time; time.sleep(600 if pathlib.Path(sys.argv[1]).exists() else 0)"
    repaired = family.start("worker", [sys.executable, "-c", program, str(flag)])
    keep_running_until(family, lambda: len(repaired.ends) == 3)
    assert recent_restarts(tmp_path)[0].keeps_ending
    flag.touch()
    monkeypatch.setattr(processes, "STEADY_S", 0.5)
    keep_running_until(family, lambda: not recent_restarts(tmp_path)[0].keeps_ending)


def test_a_program_that_waits_for_its_start_does_not_start_after_a_stop(family):
    broken = family.start("timer", DIES)
    keep_running_until(family, lambda: broken.start_at is not None)
    family.stop()
    family.keep_running()
    assert broken.process.poll() is not None


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("page", ["organise", "organise_queue"])
def test_the_organisers_read_it_for_an_hour(client, empty_queue, settings, tmp_path, page):
    settings.VAR_DIR = tmp_path
    client.force_login(make_user("Olga", is_staff=True, is_superuser=True))
    assert "ended by itself" not in client.get(reverse(page)).content.decode()
    write_ends(restarts_file(tmp_path), [time.time() - 7200, time.time() - 60])
    assert "“control” ended by itself once" in client.get(reverse(page)).content.decode()
    write_ends(restarts_file(tmp_path), [time.time() - 7200])
    assert "ended by itself" not in client.get(reverse(page)).content.decode()


def write_ends(path: Path, ends: list[float]) -> None:
    row = {"program": "control", "ends": ends, "last_end": "signal 9", "keeps_ending": False}
    path.write_text(json.dumps([row]))
