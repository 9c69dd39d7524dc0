"""Settings from the environment, the start-up checks, and the one command that runs everything."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from axonem_eval.sandbox import protection
from evalserver import checks, env, start
from evalserver.embedded import recent_restarts
from evalserver.management.commands import up as up_command
from tests.browser.running_server import free_port
from tests.server.commands import ROOT, manage


@pytest.mark.parametrize(
    ("read", "value", "hint"),
    [
        (lambda: env.env_bool("X", False), "maybe", "X=1"),
        (lambda: env.env_int("X", 60), "soon", "X=60"),
        (lambda: env.env_int("X", 60, minimum=1), "0", "default is 60"),
        (lambda: env.env_url("X", schemes=("redis",)), "http://x", "redis://"),
        (lambda: env.env_secret("X", file=Path("unused")), "short", "32 or more"),
        (lambda: env.env_path("X", Path("/")), __file__, "is a file"),
    ],
)
def test_a_bad_value_stops_the_start_with_what_to_write(monkeypatch, read, value, hint):
    monkeypatch.setenv("X", value)
    with pytest.raises(ImproperlyConfigured, match="X") as error:
        read()
    assert hint in str(error.value)


def test_a_bad_url_is_refused_without_showing_its_password(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "mysql://user:hunter2@host/db")
    with pytest.raises(ImproperlyConfigured) as error:
        env.env_url("DATABASE_URL", schemes=("postgres",))
    assert "hunter2" not in str(error.value)


def test_the_secret_is_made_once_and_kept_from_others(tmp_path):
    file = tmp_path / "var" / "secret"
    first = env.env_secret("NOT_SET_ANYWHERE", file=file)
    assert len(first) > 40
    assert env.env_secret("NOT_SET_ANYWHERE", file=file) == first
    assert file.stat().st_mode & 0o077 == 0
    assert list(file.parent.iterdir()) == [file]


def test_debug_on_a_public_host_is_an_error(settings):
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["benchmark.example.org"]
    assert "evalserver.E002" in [message.id for message in checks.check_public_hosts()]


def test_a_server_for_this_machine_alone_has_nothing_to_complain_of(settings):
    settings.ALLOWED_HOSTS = settings.LOCAL_HOSTS
    assert checks.check_public_hosts() == []
    assert checks.check_data_folder() == []
    assert checks.check_private_redis() == []


GUNICORN = ["-c", "python:evalserver.front.gunicorn_config"]
PROGRAMS = {
    "web": ["gunicorn", *GUNICORN, "evalserver.asgi", "--bind", "127.0.0.1:0"],
    "worker": ["celery", "-A", "evalserver", "worker", "-c", "1"],
    # A file of its own: as root, beat replaces whatever file it is given.
    "timer": ["celery", "-A", "evalserver", "beat", "--schedule", "{folder}/beat"],
}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.slow
def test_no_program_starts_with_debug_on_a_public_host(tmp_path, program):
    done = subprocess.run(
        [sys.executable, "-m", *(part.format(folder=tmp_path) for part in PROGRAMS[program])],
        cwd=ROOT,
        env={**os.environ, "VAR_DIR": str(tmp_path / "var"), "DEBUG": "1", "ALLOWED_HOSTS": "bench.example.org"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0
    assert "does not start" in done.stderr
    assert "Unset DEBUG" in done.stderr


def open_to_others(folder: Path) -> list[Path]:
    """What other users may read, write or enter; links have no rights of their own."""
    return [path for path in (folder, *folder.rglob("*")) if not path.is_symlink() and path.stat().st_mode & 0o077]


def test_a_data_folder_that_was_open_to_others_is_tightened_at_the_start(tmp_path):
    var = tmp_path / "var"
    (var / "private" / "submissions").mkdir(parents=True)
    for path in (var / "db.sqlite3", var / "secret-key", var / "private" / "submissions" / "a.h5"):
        path.write_bytes(b"x")
        path.chmod(0o666)
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    outside.chmod(0o644)
    (var / "link").symlink_to(outside)
    for path in (var, var / "private", var / "private" / "submissions"):
        path.chmod(0o777)
    assert start.tighten(var) == 6
    assert open_to_others(var) == []
    assert (var / "private").stat().st_mode & 0o700 == 0o700
    assert outside.stat().st_mode & 0o777 == 0o644
    assert start.tighten(var) == 0


def test_uploads_outside_the_data_folder_are_private_too(tmp_path, settings):
    settings.UPLOAD_DIR = tmp_path / "elsewhere"
    settings.UPLOAD_DIR.mkdir(mode=0o755)
    settings.UPLOAD_DIR.chmod(0o755)
    start.close_folders()
    assert open_to_others(settings.UPLOAD_DIR) == []


def test_a_public_server_without_walls_around_its_reader_is_warned_about(settings, monkeypatch):
    settings.ALLOWED_HOSTS = ["bench.example.org"]
    monkeypatch.setattr(protection, "landlock_abi", lambda: 0)
    (warning,) = checks.check_reader_protection()
    assert (warning.id, "Landlock: files: NO" in warning.msg) == ("evalserver.W005", True)
    settings.ALLOWED_HOSTS = settings.LOCAL_HOSTS
    assert checks.check_reader_protection() == []


def test_manage_refuses_to_start_with_a_bad_value(tmp_path):
    done = manage("check", env={"VAR_DIR": str(tmp_path), "LEASE_SECONDS": "soon"})
    assert done.returncode != 0
    assert "LEASE_SECONDS=60" in done.stderr


@pytest.mark.django_db
def test_no_migration_is_missing(capsys):
    try:
        call_command("makemigrations", check_changes=True, dry_run=True)
    except SystemExit:
        pytest.fail(capsys.readouterr().out)


class Up:
    """`manage.py up` in a folder of its own, with an umask that closes nothing to others."""

    def __init__(self, var: Path) -> None:
        self.var = var
        # Without the session's settings: this server is complete in itself.
        outside = {"DATABASE_URL": "", "REDIS_URL": "", "VAR_DIR": str(var), "SITE_URL": ""}
        self.env = {**os.environ, **outside}
        self.port = free_port()

    def start(self, whole: bool = True) -> "subprocess.Popen[bytes]":
        """Return when everything runs, or as soon as the web server is started."""
        command = [sys.executable, "manage.py", "up", "--port", str(self.port)]
        web_log = self.var / "log" / "web.log"
        web_log.unlink(missing_ok=True)
        with (self.var / "up.out").open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=out, stderr=out, umask=0)
        deadline = time.monotonic() + 120
        while "The server runs" not in (self.var / "up.out").read_text():
            assert process.poll() is None, (self.var / "up.out").read_text()
            assert time.monotonic() < deadline
            if not whole and web_log.exists():
                break
            time.sleep(0.1)
        return process

    @property
    def url(self) -> str:
        return (self.var / "address").read_text()


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """The module's own server and its processes, of which the last one may run."""
    up, processes = Up(tmp_path_factory.mktemp("v")), []
    yield up, processes
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def running(started):
    """A server and its process: that of the last test, or where that ended it, a new one on the same data."""
    up, processes = started
    if not processes or processes[-1].poll() is not None:
        processes.append(up.start())
    return up, processes[-1]


def gone(processes, timeout_s: float = 30) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=timeout_s)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_until_restarted(server: Up, process: "subprocess.Popen[bytes]", name: str) -> None:
    deadline = time.monotonic() + 60
    health = f"http://127.0.0.1:{server.port}/healthz"
    while not (f"{name} is started again" in (server.var / "up.out").read_text() and answers(health)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.2)


def kill_one(process: "subprocess.Popen[bytes]", name: str) -> None:
    killed = next(p for p in psutil.Process(process.pid).children() if name in " ".join(p.cmdline()))
    killed.kill()
    assert gone([killed])


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_a_taken_port_leads_to_the_next_free_one(host, family):
    with socket.socket(family) as taken:
        try:
            taken.bind((host, 0))
        except OSError:
            pytest.skip(f"this machine has no {host}")
        port = taken.getsockname()[1]
        assert port < up_command.free_port(host, port) < port + 100


@pytest.mark.slow
def test_nothing_that_the_server_writes_is_open_to_others_whatever_the_umask(running):
    server, _ = running
    names = {path.name for path in server.var.rglob("*")}
    assert {"db.sqlite3", "db.sqlite3-wal", "secret-key", "redis.sock", "web.log", "appendonly.aof"} <= names
    assert [path for path in open_to_others(server.var) if path.name != "up.out"] == []


@pytest.mark.slow
@pytest.mark.parametrize(("program", "name"), [("gunicorn", "web"), ("redis-server", "redis")])
def test_a_killed_program_comes_back_and_the_server_stays(running, program, name):
    server, process = running
    kill_one(process, program)
    wait_until_restarted(server, process, name)
    (restarts,) = [row for row in recent_restarts(server.var) if row.program == name]
    assert "ended by itself once" in str(restarts)


@pytest.mark.slow
def test_a_second_start_is_refused_here_and_takes_another_port_elsewhere(running, tmp_path_factory):
    server, _ = running
    second = subprocess.run(
        [sys.executable, "manage.py", "up"], cwd=ROOT, env=server.env, capture_output=True, text=True, timeout=60
    )
    assert second.returncode != 0
    assert server.url in second.stderr
    other = Up(tmp_path_factory.mktemp("w"))
    other.port = server.port
    elsewhere = other.start()
    try:
        assert other.url != server.url
    finally:
        elsewhere.terminate()
        assert elsewhere.wait(60) == 0


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_every_process_ends_with_the_one_command_and_leaves_nothing_open(running, how):
    server, process = running
    with urllib.request.urlopen(f"{server.url}/healthz", timeout=10) as answer:
        assert answer.status == 200
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 6  # redis, web and its processes, workers, timer
    process.send_signal(how)
    process.wait(60)
    assert gone(family)
    assert [path for path in open_to_others(server.var) if path.name != "up.out"] == []


@pytest.mark.slow
def test_a_redis_that_dies_while_the_server_starts_comes_back(started):
    server, processes = started
    for earlier in processes:
        earlier.terminate()
        earlier.wait(60)
    processes.append(server.start(whole=False))
    kill_one(processes[-1], "redis-server")
    wait_until_restarted(server, processes[-1], "redis")
    family = psutil.Process(processes[-1].pid).children(recursive=True)
    # Of a terminal that closes both the kernel and the shell say so.
    for _ in range(2):
        processes[-1].send_signal(signal.SIGHUP)
        time.sleep(0.5)
    assert processes[-1].wait(60) == 0
    assert gone(family)
