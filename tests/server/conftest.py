"""Fixtures of server tests: files in a folder of their own, a real Redis, and real workers where asked for."""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.commands import flush
from django.db import connection
from django.test import override_settings

from evalserver.accounts.tasks import send_mail_task
from evalserver.celery import app as celery_app
from evalserver.embedded import Child, Family, private_redis_url, start_private_redis
from evalserver.jobs import redis_client
from evalserver.jobs.broker import JOB_QUEUE, QUEUES
from evalserver.submissions.evaluation.scoring import code_version
from tests.migrated import copy_kept_database, keep_database

LEASE_SECONDS = 2


@pytest.fixture(scope="session")
def var_dir() -> Iterator[Path]:
    # Not pytest's own folder: its path is too long for a socket below it.
    folder = Path(tempfile.mkdtemp(prefix="evalserver-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_url(var_dir) -> Iterator[str]:
    """A redis-server as the embedded server runs it."""
    family = Family(var_dir / "log")
    start_private_redis(family, var_dir)
    yield private_redis_url(var_dir)
    family.stop()


@pytest.fixture(scope="session", autouse=True)
def own_installation(var_dir, redis_url) -> Iterator[None]:
    """Settings of an installation below `var_dir`; nothing of the checkout's own server is touched."""
    private = var_dir / "private"
    folders = {
        "VAR_DIR": var_dir,
        "MEDIA_ROOT": private,
        "FILE_UPLOAD_TEMP_DIR": private / "incoming",
        "SCRATCH_DIR": var_dir / "scratch",
        "UPLOAD_DIR": private / "resumable",
    }
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    celery_app.conf.broker_url = redis_url
    # Mail of accounts is sent at once. Jobs wait for a worker.
    with (
        patch.object(send_mail_task, "delay", lambda message: send_mail_task.apply([message])),
        override_settings(
            **folders,
            REDIS_URL=redis_url,
            STORAGES={
                **django_settings.STORAGES,
                "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
            },
            CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            LEASE_SECONDS=LEASE_SECONDS,
            RETRY_DELAY_SECONDS=0,
            LEADERBOARD_CACHE_SECONDS=0,
            EVEN_ANSWER_SECONDS=0,
        ),
    ):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix, var_dir) -> None:
    """SQLite in a file: a worker is another process and must see the same rows."""
    if connection.vendor == "sqlite":
        connection.settings_dict["OPTIONS"]["init_command"] += " PRAGMA synchronous=OFF;"
        connection.settings_dict["TEST"]["NAME"] = str(var_dir / "test.sqlite3")
        if copy_kept_database(var_dir / "test.sqlite3"):
            connection.settings_dict["TEST"]["MIGRATE"] = False


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_keepdb, django_db_modify_db_settings) -> bool:
    return django_db_keepdb or not connection.settings_dict["TEST"]["MIGRATE"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """The next run begins with a copy of what the migrations made."""
    if connection.vendor == "sqlite":
        with django_db_blocker.unblock():
            connection.ensure_connection()
            keep_database(connection.connection)


@pytest.fixture(scope="session", autouse=True)
def permissions_stay() -> Iterator[None]:
    """A test that commits empties the database. Content types and permissions are left: making them takes 25 ms."""
    kept = {ContentType._meta.db_table, Permission._meta.db_table}

    def sql_of_others(style, connection, **options):
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        return connection.ops.sql_flush(style, [table for table in tables if table not in kept], **options)

    with patch.object(flush, "sql_flush", sql_of_others), patch.object(flush, "emit_post_migrate_signal"):
        yield


@pytest.fixture
def _no_tasks(redis_url) -> Iterator[None]:
    """No task from an earlier test, and none left for a later one."""
    client = redis_client()
    client.delete(*QUEUES, "unacked", "unacked_index")
    yield
    client.delete(*QUEUES, "unacked", "unacked_index")


@pytest.fixture
def empty_queue(_no_tasks, _worker_pool) -> None:
    """A queue that nobody takes tasks from."""
    _worker_pool.family.stop(grace_s=3)
    # What it sent of an earlier test before it stopped.
    redis_client().delete(*QUEUES, "unacked", "unacked_index")


def database_url() -> str:
    """The test database, for another process."""
    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    given = os.environ["DATABASE_URL"]
    return f"{given.rpartition('/')[0]}/{found['NAME']}"


class Workers:
    """Celery workers on the test's database, Redis and files."""

    def __init__(self, var_dir: Path, redis_url: str) -> None:
        self.log_dir = var_dir / "log"
        self.family = Family(self.log_dir)
        self.environment = {
            "VAR_DIR": str(var_dir),
            "REDIS_URL": redis_url,
            "SECRET_KEY": "k" * 50,
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "RETRY_DELAY_SECONDS": "0",
            # As it is now: there may be a new commit by the time a worker starts.
            "CODE_VERSION": code_version(),
        }

    def start(self, processes: int = 1, queue: str = JOB_QUEUE) -> Child:
        """One more worker; it takes tasks when it is ready."""
        name = f"worker{len(self.family.children)}-{time.time_ns()}"
        command = [sys.executable, "-m", "celery", "-A", "evalserver", "worker", "-Q", queue, "-n", f"{name}@test"]
        return self.family.start(
            name, [*command, "-c", str(processes)], env={**self.environment, "DATABASE_URL": database_url()}
        )

    def kill(self, worker: Child) -> None:
        """kill -9 the worker and its pool processes, as the kernel does when memory runs out."""
        worker.signal_group(signal.SIGKILL)
        worker.process.wait()
        self.family.children.remove(worker)


@pytest.fixture(scope="session")
def _worker_pool(var_dir, redis_url) -> Iterator[Workers]:
    pool = Workers(var_dir, redis_url)
    yield pool
    pool.family.stop(grace_s=3)


@pytest.fixture
def worker(transactional_db, _no_tasks, _worker_pool) -> None:
    """A worker that evaluates whatever is queued; it lives on for the next test that asks for it."""
    if any(child.process.poll() is not None for child in _worker_pool.family.children):
        _worker_pool.family.stop()
    if not _worker_pool.family.children:
        _worker_pool.start(processes=2)


@pytest.fixture
def workers(transactional_db, empty_queue, _worker_pool) -> Iterator[Workers]:
    """Workers that a test starts and kills itself; none runs at first, and none is left."""
    yield _worker_pool
    _worker_pool.family.stop(grace_s=3)


@pytest.fixture
def ended() -> Callable[..., object]:
    """Wait until a job's row has reached an end state; answers with the row."""

    def wait(job, timeout_s: float = 90):
        return until(job, lambda row: not row.is_active, timeout_s)

    return wait


@pytest.fixture
def running() -> Callable[..., object]:
    """Wait until a worker has claimed the job."""
    return lambda job: until(job, lambda row: row.status == "running", 60)


def until(job, condition: Callable[[object], bool], timeout_s: float):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        job.refresh_from_db()
        if condition(job):
            return job
        time.sleep(0.02)
    raise AssertionError(f"{job} is still {job.status} ({job.stage}) after {timeout_s} s")
