"""How fast pages come while 500 clients send as slowly as they can: heads, bodies of log-ins, PATCHes of uploads.

    python benchmarks/server/bench_slow_clients.py [--slow 500] [--seconds 30] [--entries 1000]

Starts `manage.py up` on a folder of its own with a seeded leaderboard and measures `/healthz` and the leaderboard, ten
requests a second each in an open loop, first alone, then beside the slow connections. Each of these sends one byte a
second and comes back when it is sent away. They come from 50 addresses of this machine.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.server.bench_leaderboard import BOARD, ROOT, free_port, start_server
from benchmarks.server.readers import Readers
from tests.live.slow_clients import SlowClients

PAGES = ("/healthz", BOARD)
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 51)]
MAKE_UPLOADS = """
import json
from evalserver.accounts.services import create_token
from evalserver.uploads.services import create_upload
from tests.factories import make_user
made = []
for number in range(COUNT // 20 + 1):
    user = make_user(f"Slow {number}")
    key = create_token(user=user, name="slow", scopes=["submit"])[1]
    made += [(f"/api/v1/uploads/{create_upload(user=user, file_name='a', size_bytes=10**5).code}", f"Bearer {key}")
             for _ in range(20)]
print(json.dumps(made[:COUNT]))
"""


def load(port: int, seconds: float, rate: float = 10.0) -> Readers:
    """Readers that have asked for each page so often a second."""
    readers = Readers(port)
    asyncio.run(readers.read(PAGES * int(rate * seconds), rate * len(PAGES)))
    return readers


def measure(title: str, port: int, seconds: float) -> None:
    readers = load(port, seconds)
    load_average = os.getloadavg()[0]
    for page in PAGES:
        found = sorted(readers.times[page])
        p50, p95 = (1000 * found[int(share * len(found))] for share in (0.5, 0.95))
        print(f"{title}: {page:35s} p50 {p50:5.1f} ms, p95 {p95:6.1f} ms, longest {1000 * found[-1]:6.1f} ms")
    print(f"{title}: answers {dict(readers.ends)}; load {load_average:.1f} on {os.cpu_count()} cores", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slow", type=int, default=500, help="slow connections (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--entries", type=int, default=1_000)
    parser.add_argument("--front", type=int, help="port of a proxy that leads to --port; else the server itself")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="axonem-slow-"))
    environment = {**os.environ, "VAR_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    manage = [sys.executable, "manage.py"]
    try:
        subprocess.run([*manage, "migrate", "-v0"], cwd=ROOT, env=environment, check=True)
        seed = [sys.executable, "benchmarks/server/seed_load.py", f"--entries={options.entries}", "--users=200"]
        subprocess.run(seed, cwd=ROOT, env=environment, check=True)
        script = MAKE_UPLOADS.replace("COUNT", str(options.slow // 3 + 1))
        made = subprocess.run(
            [*manage, "shell", "--no-imports", "-c", script], cwd=ROOT, env=environment, check=True, capture_output=True
        ).stdout
        uploads = [tuple(row) for row in json.loads(made.splitlines()[-1])]
        port = options.port or free_port()
        server = start_server(environment, port)
        try:
            port = options.front or port
            load(port, 3)  # each process builds its ranking at its first request
            measure("alone", port, options.seconds)
            with SlowClients(f"http://127.0.0.1:{port}", options.slow, uploads=uploads, addresses=ADDRESSES) as slow:
                time.sleep(5)
                print(f"slow connections open: {dict(slow.open)}")
                measure("beside them", port, options.seconds)
                print(f"slow connections open: {dict(slow.open)}; sent away so far: {dict(slow.ended)}")
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
