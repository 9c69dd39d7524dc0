"""The server under test, in one of two shapes: everything by one command, or in parts."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import redis

from evalserver.embedded import Child, Family, private_redis_url, redis_binary
from tests.browser.running_server import STARTS_WITHIN_S
from tests.chaos.namespaces import Machine, mount_small_disk
from tests.live.live_server import children, command_line
from tests.live.slow_line import SlowLine

ROOT = Path(__file__).parents[2]
PORT = 8000
# Room for the reserve that the server keeps free (268 MB) and for what a run stores.
DISK_MB = 500
LINE_BYTES_PER_S = 3e6
BUCKET = "chaos"


class Installation:
    """Programs that are started again when they end. Use as a context manager.

    url : where participants reach it, over a line that is slow and can be cut.
    """

    lines: tuple[str, ...] = ()
    extra: dict[str, str] = {}

    def __init__(self, var: Path, *, lease_s: int | None, isolated: bool) -> None:
        self.var, self.isolated = var, isolated
        self.fast = {}
        if lease_s:
            self.fast = {"LEASE_SECONDS": lease_s, "RECONCILE_SECONDS": max(1, lease_s // 2), "RETRY_DELAY_SECONDS": 1}
        self.lease_s = lease_s or 60
        self.logs = var.with_name(f"{var.name}-logs")
        self.family = Family(self.logs)
        self.environment = {
            "VAR_DIR": str(var),
            "CONFIRM_EMAIL": "0",
            "API_REQUESTS_PER_MINUTE": "100000",
            "DJANGO_SUPERUSER_PASSWORD": "correct-horse-battery",
            "SECRET_KEY": "k" * 50,
            **{name: str(value) for name, value in self.fast.items()},
            **self.extra,
        }
        self._over = threading.Event()
        self._lock = threading.Lock()
        self.restarts = 0

    # What a shape says -------------------------------------------------------------------------------------------

    def start_services(self) -> None: ...

    def start_programs(self) -> None: ...

    def web_address(self) -> tuple[str, int]:
        return "127.0.0.1", PORT

    def there(self, *command: str) -> tuple[str, ...]:
        """The command, where the programs run."""
        return command

    def redis_client(self) -> redis.Redis: ...

    def redis_child(self) -> int | None:
        """Process id of Redis."""

    # What is the same for both -------------------------------------------------------------------------------------

    def __enter__(self) -> "Installation":
        if self.isolated:
            mount_small_disk(self.var, DISK_MB)
        self.var.mkdir(parents=True, exist_ok=True)
        self.start_services()
        self.start_programs()
        host, port = self.web_address()
        self.line = SlowLine(port, LINE_BYTES_PER_S, host=host)
        self.url = self.line.url
        self.wait_until_healthy(STARTS_WITHIN_S)
        self._watcher = threading.Thread(target=self._start_again, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()
        self.family.stop()
        self.line.close()
        # The disk goes with this process.
        if (self.var / "log").exists():
            shutil.copytree(self.var / "log", self.logs, dirs_exist_ok=True)

    def delete_everything(self) -> None:
        """Stop all programs, and leave nothing of what they had stored."""
        with self._lock:
            self.family.stop()
        for path in self.var.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.delete_elsewhere()

    def delete_elsewhere(self) -> None: ...

    def start_again(self) -> None:
        with self._lock:
            self.start_programs()
        self.wait_until_healthy(STARTS_WITHIN_S)

    def manage(self, *arguments: str) -> str:
        command = self.there(sys.executable, "manage.py", *arguments)
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError(f"{arguments[0]}: {done.stderr[-3000:]}")
        return done.stdout

    def start(self, name: str, *command: str, stop_signal: signal.Signals = signal.SIGTERM, **more: bool) -> Child:
        return self.family.start(name, command, env=self.environment, stop_signal=stop_signal, **more)

    def _start_again(self) -> None:
        """As systemd does with Restart=always, RestartSec=1."""
        while not self._over.wait(1.0):
            with self._lock:
                for child in self.family.children:
                    if child.process.poll() is not None and child.spec:
                        child.signal_group(signal.SIGKILL)
                        child.process = child.spec.start()
                        self.restarts += 1

    def wait_until_healthy(self, timeout_s: float) -> float:
        """Seconds until /healthz answered 200."""
        begun = time.monotonic()
        while time.monotonic() - begun < timeout_s:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/healthz", timeout=3).status_code == 200:
                    return time.monotonic() - begun
            time.sleep(0.3)
        raise AssertionError(f"/healthz does not answer after {timeout_s:.0f} s")

    def programs(self) -> list[tuple[str, int]]:
        """Name and process id of each program."""
        return [(child.name, child.process.pid) for child in self.family.children]

    def processes(self) -> list[tuple[str, int]]:
        """Every process of the server: its part of the command line, and its id."""
        return [
            (f"{name}: {_short(command_line(pid))}", pid)
            for name, top in self.programs()
            for pid in [top, *_below(top)]
        ]


def _below(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from _below(child)


def _short(line: str) -> str:
    words = [Path(word).name if word.startswith("/") else word for word in line.split()]
    return " ".join(words)[:90]


class Embedded(Installation):
    """`manage.py up`: SQLite, local files, a private Redis."""

    extra = {"DATABASE_URL": "", "REDIS_URL": "", "S3_BUCKET": ""}

    def start_programs(self) -> None:
        self.start("up", sys.executable, "manage.py", "up", "--port", str(PORT), "--workers", "2")

    def redis_client(self) -> redis.Redis:
        return redis.Redis.from_url(
            private_redis_url(self.var).replace("redis+socket://", "unix://", 1), socket_timeout=5
        )

    def redis_child(self) -> int | None:
        return next((pid for name, pid in self.processes() if "redis-server" in name), None)


class Production(Installation):
    """In parts, on a machine of their own: PostgreSQL, Redis and the bucket are reached over a network."""

    lines = ("services", "front")
    web_bind = f"0.0.0.0:{PORT}"

    def start_services(self) -> None:
        self.machine = Machine(self.lines)
        here, _ = self.machine.lines["services"]
        self.database = SlowLine(_socket_of_postgres(), 1e9, listen=here)
        self.bucket_server = _start_bucket()
        self.bucket = SlowLine(self.bucket_server.get_host_and_port()[1], 1e9, listen=here)
        name = os.environ["DATABASE_URL"].rpartition("/")[2]
        self.environment |= {
            "DATABASE_URL": f"postgres://axonem@{here}:{self.database.port}/{name}",
            "REDIS_URL": f"redis://{here}:6379/0",
            "ALLOWED_HOSTS": "*",
            "S3_BUCKET": BUCKET,
            "S3_ENDPOINT_URL": f"http://{here}:{self.bucket.port}",
            "S3_ACCESS_KEY": "key",
            "S3_SECRET_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def there(self, *command: str) -> tuple[str, ...]:
        return self.machine.command(*command)

    def delete_elsewhere(self) -> None:
        import psycopg

        shutil.rmtree(self.var.with_name(f"{self.var.name}-redis"))
        folder = Path(_socket_of_postgres()).parent
        with psycopg.connect(host=str(folder), user="axonem", dbname="postgres", autocommit=True) as database:
            database.execute("DROP SCHEMA public CASCADE")
            database.execute("CREATE SCHEMA public")
        client = _client_of(self.bucket_server)
        for row in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=row["Key"])

    def web_address(self) -> tuple[str, int]:
        return self.machine.lines["front"][1], PORT

    def start_programs(self) -> None:
        here = self.machine.lines["services"][0]
        data = self.var.with_name(f"{self.var.name}-redis")
        data.mkdir(parents=True, exist_ok=True)
        self.start(
            "redis", str(redis_binary()), "--bind", here, "--port", "6379", "--dir", str(data), "--appendonly", "yes",
            "--save", "", "--maxmemory-policy", "noeviction", "--protected-mode", "no", is_foundation=True,
        )  # fmt: skip
        self.manage("migrate", "--noinput")
        self.manage("collectstatic", "--noinput", "--verbosity", "0")
        python = self.there(sys.executable, "-m")
        worker = (*python, "celery", "-A", "evalserver", "worker")
        self.start("worker", *worker, "-Q", "jobs", "-c", "2", "-n", "jobs@%h", stop_signal=signal.SIGQUIT)
        self.start("diagnosis", *worker, "-Q", "diagnosis", "-c", "1", "-n", "diagnosis@%h", stop_signal=signal.SIGQUIT)
        self.start("control", *worker, "-Q", "control", "-P", "threads", "-c", "4", "-n", "control@%h")
        self.start("timer", *python, "celery", "-A", "evalserver", "beat", "--schedule", str(self.logs / "beat"))
        self.start(
            "web", *python, "gunicorn", "-c", "python:evalserver.front.gunicorn_config", "evalserver.asgi",
            "--bind", self.web_bind,
        )  # fmt: skip

    def redis_client(self) -> redis.Redis:
        return redis.Redis(self.machine.lines["services"][0], 6379, socket_timeout=5)

    def redis_child(self) -> int | None:
        return dict(self.programs()).get("redis")

    def __exit__(self, *arguments: object) -> None:
        super().__exit__(*arguments)
        self.bucket_server.stop()
        self.machine.close()


class Proxied(Production):
    """The same with nginx in front, as compose.yaml has it."""

    extra = {"TRUST_PROXY": "1"}
    web_bind = "127.0.0.1:8001"

    def start_programs(self) -> None:
        super().start_programs()
        text = (ROOT / "deploy" / "nginx.conf").read_text()
        for here, there in {
            "server web:8000": f"server {self.web_bind}",
            "listen 8080": f"listen {PORT}",
            "/tmp/nginx": f"{self.logs}/nginx",
        }.items():
            assert here in text
            text = text.replace(here, there)
        path = self.logs / "nginx.conf"
        path.write_text(text)
        self.start("nginx", *self.there(nginx_binary(), "-c", str(path), "-g", "daemon off;"))


def nginx_binary() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        raise FileNotFoundError("nginx is not installed (apt-get install nginx-light)")
    return found


def _socket_of_postgres() -> str:
    """The socket of the server that tests/with_postgres.py runs."""
    from urllib.parse import unquote, urlsplit

    return f"{unquote(urlsplit(os.environ['DATABASE_URL']).netloc.rpartition('@')[2])}/.s.PGSQL.5432"


def _start_bucket():
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _client_of(server).create_bucket(Bucket=BUCKET)
    return server


def _client_of(server):
    import boto3

    return boto3.client(
        "s3", endpoint_url="http://{}:{}".format(*server.get_host_and_port()), region_name="us-east-1",
        aws_access_key_id="key", aws_secret_access_key="secret",
    )  # fmt: skip


SHAPES: dict[str, type[Installation]] = {"embedded": Embedded, "production": Production, "proxied": Proxied}
