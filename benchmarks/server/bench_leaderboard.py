"""How fast the leaderboard answers with 10,000 entries and 2,000 users, under the server that `make up` starts.

    python benchmarks/server/bench_leaderboard.py [--rate 50] [--seconds 30] [--database-url postgres://...]
    python tests/with_postgres.py python benchmarks/server/bench_leaderboard.py

Seeds a data folder of its own (kept with --var, else removed), starts `manage.py up` on it, and sends requests at a
fixed rate whether or not earlier ones have been answered (an open loop: a slow server cannot slow its own load). Pages
differ: plain, sorted by each column, further pages, filtered by text and date, one row per team.
"""

import argparse
import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.server.readers import Readers, request  # noqa: E402

BOARD = "/benchmarks/load/leaderboard/"
COUNT_QUERIES = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "evalserver.settings"
django.setup()
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
client = Client(headers={"host": "127.0.0.1"})
client.get("/benchmarks/load/leaderboard/")
for state in ("", "?page=150", "?sort=-erl-h.um", "?rows=best", "?q=run+77"):
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/benchmarks/load/leaderboard/" + state).status_code == 200
    print(f"  {len(queries):3d} queries  {state or 'first page'}")
"""


def states(seed: int = 0) -> list[str]:
    """Addresses in the mix that readers ask for: half the first page, the rest all kinds of views."""
    rng = random.Random(seed)
    sorts = ["-mean", "-percent", "-low", "-date", "date", "-erl-h.um", "-erl-m.percent", "mean"]
    views = [f"?sort={name}" for name in sorts] + ["?rows=best", "?rows=best&sort=-erl-h.um", "?from=2026-06-01"]
    views += [f"?page={rng.randint(2, 200)}" for _ in range(10)] + [f"?q=run+{rng.randint(10, 99)}" for _ in range(4)]
    return [BOARD] * len(views) + [BOARD + view for view in views]


def load(port: int, rate: float, seconds: float) -> Readers:
    """Readers that have asked for pages for so long."""
    rng, paths, readers = random.Random(1), states(), Readers(port)
    asyncio.run(readers.read((rng.choice(paths) for _ in range(int(rate * seconds))), rate))
    return readers


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(environment: dict[str, str], port: int) -> subprocess.Popen[bytes]:
    server = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", str(port), "--workers", "1"],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for _ in range(240):
        time.sleep(0.5)
        if server.poll() is not None:
            sys.exit("the server has ended; see log/ in its folder")
        try:
            if asyncio.run(request(port, "/healthz"))[0] == 200:
                return server
        except (OSError, IndexError, ValueError):
            continue
    server.send_signal(signal.SIGTERM)
    sys.exit("the server did not start within two minutes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=50, help="requests a second (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--entries", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--var", type=Path, help="data folder to make or use again")
    options = parser.parse_args()
    folder = options.var or Path(tempfile.mkdtemp(prefix="axonem-load-"))
    environment = {**os.environ, "VAR_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    manage = [sys.executable, "manage.py"]
    try:
        if not (folder / "seeded").exists():
            subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
            seed = [sys.executable, "benchmarks/server/seed_load.py"]
            seed += [f"--entries={options.entries}", f"--users={options.users}"]
            subprocess.run(seed, cwd=ROOT, env=environment, check=True)
            (folder / "seeded").touch()
        port = free_port()
        server = start_server(environment, port)
        try:
            print(f"database: {environment.get('DATABASE_URL', 'SQLite').split(':')[0]}")
            uncached = {**environment, "LEADERBOARD_CACHE_SECONDS": "0"}
            subprocess.run([sys.executable, "-c", COUNT_QUERIES], cwd=ROOT, env=uncached, check=True)
            load(port, 10, 3)  # each process builds its ranking at its first request
            print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores before the run")
            readers = load(port, options.rate, options.seconds)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(30)
    finally:
        if not options.var:
            shutil.rmtree(folder, ignore_errors=True)
    times = sorted(taken for found in readers.times.values() for taken in found)
    at = {share: 1000 * times[min(len(times) - 1, int(share * len(times)))] for share in (0.5, 0.95, 0.99)}
    print(f"{options.rate:g} requests/s for {options.seconds:g} s: {dict(readers.ends)}")
    print("ms  " + "  ".join(f"p{100 * share:g} {value:.1f}" for share, value in at.items()))


if __name__ == "__main__":
    main()
