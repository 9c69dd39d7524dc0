"""`manage.py up`: the whole server by one command."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO, Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from axonem_eval.processes import die_with_parent
from evalserver.embedded import Child, Family, restarts_file, start_private_redis
from evalserver.jobs import release_all_leases
from evalserver.start import close_folders

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stop(Exception):
    """We were asked to end."""


def _stop(signal_number: int, frame: FrameType | None) -> None:
    raise Stop


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next free one within a hundred."""
    for port in range(wanted, wanted + 100):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise CommandError(f"No free port from {wanted} to {wanted + 99}. Name one with --port.")


class Command(BaseCommand):
    """`manage.py up`."""

    help = (
        "Run everything with one command: Redis, migrations, web server, workers and timer. A program that ends by "
        "itself is started again. Ctrl-C stops all of it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port, or the next free one (%(default)s)")
        parser.add_argument("--workers", type=int, default=2, help="submissions evaluated at once (%(default)s)")
        parser.add_argument("--demo", action="store_true", help="make the demo benchmark and its entries")
        parser.add_argument(
            "--until-ready", action="store_true", help="stop as soon as everything runs and the demo exists"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        for number in STOPS:
            signal.signal(number, _stop)
        close_folders()
        lock = self._lock()
        restarts_file(settings.VAR_DIR).unlink(missing_ok=True)
        family = Family(settings.VAR_DIR / "log", restarts_file(settings.VAR_DIR))
        try:
            url = self._start(family, options)
            if options["demo"]:
                self._make_demo(family)
            self._say_ready(url, demo=options["demo"])
            while not options["until_ready"]:
                family.keep_running()
                time.sleep(0.5)
        except Stop:
            self.stderr.write("Stopping ...")
        finally:
            # A second Ctrl-C must not leave half of the processes behind.
            for number in STOPS:
                signal.signal(number, signal.SIG_IGN)
            family.stop()
            lock.close()
            self.stderr.write("All processes have stopped.")

    def _lock(self) -> IO[str]:
        """Only one `up` works on a data folder; the kernel frees the lock however we end."""
        lock = (settings.VAR_DIR / "up.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            address = settings.VAR_DIR / "address"
            where = address.read_text() if address.exists() else "another terminal"
            raise CommandError(f"The server of {settings.VAR_DIR} runs already: {where}") from None
        return lock

    def _start(self, family: Family, options: dict[str, Any]) -> str:
        if settings.EMBEDDED_REDIS:
            try:
                start_private_redis(family, settings.VAR_DIR)
            except RuntimeError as error:
                raise CommandError(str(error)) from None
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        if settings.EMBEDDED_REDIS and settings.EMBEDDED_DATABASE:
            # We hold the lock on the only worker machine there is: whatever runs by its row does not run.
            release_all_leases()
            call_command("requeue_stale", stdout=self.stderr)
        host, port = options["host"], free_port(options["host"], options["port"])
        if port != options["port"]:
            self.stderr.write(f"Port {options['port']} is taken; using {port}.")
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        url = f"http://{address}"
        os.environ.setdefault("SITE_URL", url)  # for links in mails that the programs below send
        web = self._start_programs(family, address, options["workers"])
        self._wait_until_up(web, url, family)
        (settings.VAR_DIR / "address").write_text(url)
        return url

    def _start_programs(self, family: Family, address: str, workers: int) -> Child:
        python = [sys.executable, "-m"]
        celery = [*python, "celery", "-A", "evalserver"]
        quick = signal.SIGQUIT  # cold shutdown: an evaluation that is cut off goes on after the next start
        family.start(
            "worker",
            [*celery, "worker", "-Q", settings.CELERY_TASK_DEFAULT_QUEUE, "-c", str(workers), "-n", "jobs@%h"],
            stop_signal=quick,
        )
        family.start(
            "diagnosis",
            [*celery, "worker", "-Q", "diagnosis", "-c", "1", "-n", "diagnosis@%h"],
            stop_signal=quick,
        )
        family.start(
            "control",
            [*celery, "worker", "-Q", "control", "-P", "threads", "-c", "4", "-n", "control@%h"],
            stop_signal=quick,
        )
        family.start("timer", [*celery, "beat", "--schedule", str(settings.VAR_DIR / "beat")])
        return family.start(
            "web",
            [
                *(*python, "gunicorn", "-c", "python:evalserver.front.gunicorn_config", "evalserver.asgi"),
                *("--bind", address),
            ],
        )

    def _wait_until_up(self, web: Child, url: str, family: Family, timeout_s: float = 300) -> None:
        """Raises CommandError where it does not, or ended twice. Others, such as Redis, may die meanwhile."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and len(web.ends) < 2:
            family.keep_running()
            try:
                with urllib.request.urlopen(f"{url}/healthz", timeout=2):  # noqa: S310  (our own address)
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise CommandError(f"The web server does not answer; see {family.log_dir / 'web.log'}")

    def _make_demo(self, family: Family) -> None:
        """In a process of its own, so that the generator's memory goes back when it is done."""
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "make_demo"]
        process = subprocess.Popen(
            command, start_new_session=True, preexec_fn=partial(die_with_parent, signal.SIGKILL, parent=os.getpid())
        )
        child = Child("make_demo", process)
        family.children.append(child)
        while process.poll() is None:
            family.keep_running()
            time.sleep(0.2)
        family.children.remove(child)
        if process.returncode:
            raise CommandError("The demo is not complete. The reason is printed above.")

    def _say_ready(self, url: str, *, demo: bool) -> None:
        self.stdout.write(f"\nThe server runs: {url}")
        if demo:
            # Not at the top: the generator's compiler is slow to import, and the server needs none of it.
            from evalserver.embedded.demo import ENTRIES, demo_password

            self.stdout.write(f"Leaderboard:     {url}/benchmarks/demo/leaderboard/")
            emails = sorted({entry.email for entry in ENTRIES})
            self.stdout.write(f"Demo accounts:   {', '.join(emails)}; password {demo_password()}")
            self.stdout.write(f"Organisers:      {url}/organise/ (organiser@example.org)")
        self.stdout.write(f"Logs:            {os.path.relpath(settings.VAR_DIR / 'log')}/")
        self.stdout.write("Ctrl-C stops every process. The data is kept.")
        self.stdout.flush()
