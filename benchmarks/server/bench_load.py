"""Readers while large files arrive and workers score: no error but stated refusals, and how long pages take.

    python benchmarks/server/bench_load.py [--seconds 600] [--uploads 20] [--megabytes 200] [--slow 500]

Starts a whole server in a folder of its own (two web processes, two workers). All uploads begin with each part and
come over lines that are so slow that they last nearly to its end; then they are submitted. Beside them two participants
submit small files one after the other, so both workers score all the time. Readers ask for pages in an open loop, so a
slow server gets no fewer requests. The second part has slow connections besides. Prints the time of each kind of
request, every status, and the memory of the web processes over the time. Takes twice the time and some minutes.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import httpx
import numpy as np
from tusclient.client import TusClient

from benchmarks.server.readers import Readers
from tests.browser.running_server import free_port
from tests.live.live_server import LiveServer
from tests.live.slow_clients import SlowClients
from tests.live.slow_line import SlowLine

STATED = {"200", "429", "503"}
SCORERS = 2
UPLOADS_LAST = 0.8  # of a part
MAKE_PEOPLE_AND_FILES = """
import json
from pathlib import Path
from evalserver.accounts.services import create_token
from evalserver.benchmarks.models import Phase
from tests.factories import labels_file, make_user, tiny_labels
labels_file(FOLDER / "small.h5", tiny_labels(), padding=1000)
labels_file(FOLDER / "large.h5", tiny_labels(), padding=LARGE)
Phase.objects.update(submissions_per_day=30000)
print(json.dumps([create_token(user=make_user(f"P{i}"), name="t", scopes=["read", "submit"])[1] for i in range(COUNT)]))
"""


class Person:
    """Sends files over a line of its own, and submits them, as `axonem submit` does."""

    def __init__(self, server: LiveServer, token: str, bytes_per_s: float, address: str) -> None:
        self.line = SlowLine(server.port, bytes_per_s, source=address)
        self.benchmark, self.headers = server.benchmark, {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"}
        # What is asked meanwhile does not wait for the line.
        own = httpx.HTTPTransport(local_address=address)
        self.api = httpx.Client(base_url=f"{server.url}/api/v1", headers=self.headers, timeout=120, transport=own)

    def upload(self, path: Path) -> str:
        """The code of the upload, once the server has its checksum."""
        client = TusClient(f"{self.line.url}/api/v1/uploads/", headers=self.headers)
        metadata = {"filename": path.name}
        sender = client.uploader(str(path), chunk_size=16 * 2**20, retries=10, retry_delay=1, metadata=metadata)
        sender.upload()
        code = str(sender.url).rpartition("/")[2]
        _until(self.api, f"/me/uploads/{code}", "state", ("receiving", "checking"))
        return code

    def submit(self, method: str, codes: dict[str, str]) -> str:
        """How the submission ended."""
        body = {"benchmark": self.benchmark, "method": method, "files": codes, "publish": True}
        made = self.api.post("/submissions", json=body)
        made.raise_for_status()
        return _until(self.api, f"/submissions/{made.json()['code']}", "status", ("uploaded", "running"))


class Load:
    """What participants do during one part. ends : how submissions ended, or why one did not."""

    def __init__(self, server: LiveServer, tokens: list[str], options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        rate = options.megabytes * 1e6 / (UPLOADS_LAST * options.seconds)
        rates = [1e9] * SCORERS + [rate] * (len(tokens) - SCORERS)
        people = [
            Person(server, token, speed, f"127.0.4.{n}")
            for n, (token, speed) in enumerate(zip(tokens, rates, strict=True), start=1)
        ]
        self.scorers, self.senders = people[:SCORERS], people[SCORERS:]
        self.ends: Counter[str] = Counter()
        self.sent_bytes = 0
        self.over = threading.Event()

    def run(self) -> None:
        """Until all files are scored and the part is over."""
        with ThreadPoolExecutor(len(self.senders) + SCORERS) as pool:
            for number, person in enumerate(self.scorers):
                pool.submit(self._guarded, self._score, person, number)
            for person in self.senders:
                pool.submit(self._guarded, self._send, person)

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        except Exception as error:  # it would be lost with the thread
            self.ends[f"{type(error).__name__}: {error}"] += 1

    def _send(self, person: Person) -> None:
        """Two files at once, then the submission of both."""
        path = self.folder / "large.h5"
        with ThreadPoolExecutor(2) as both:
            codes = dict(zip(("a", "b"), both.map(person.upload, [path, path]), strict=True))
        self.sent_bytes += 2 * path.stat().st_size
        self.ends[f"large: {person.submit('large', codes)}"] += 1

    def _score(self, person: Person, number: int) -> None:
        made = 0
        while not self.over.is_set():
            made += 1
            codes = {volume: person.upload(self.folder / "small.h5") for volume in ("a", "b")}
            self.ends[f"small: {person.submit(f'small {number} {made}', codes)}"] += 1


def _until(api: httpx.Client, path: str, name: str, moving: tuple[str, ...]) -> str:
    """A state of the server, once it is none of those that change by themselves."""
    while True:
        answer = api.get(path)
        if answer.status_code == 200 and answer.json()[name] not in moving:
            return str(answer.json()[name])
        time.sleep(1)


def memory_mb(server: LiveServer) -> list[float]:
    """Resident memory of each web process."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in server.web_workers()]
    return [round(n * resource.getpagesize() / 1e6, 1) for n in pages]


async def _end_after(enough: asyncio.Event, seconds: float) -> None:
    await asyncio.sleep(seconds)
    enough.set()


def _pages_until(enough: asyncio.Event, paths: Sequence[str]) -> Iterator[str]:
    dice = random.Random(1)
    while not enough.is_set():
        yield dice.choice(paths)


async def _watch(server: LiveServer, enough: asyncio.Event, seen: list[list[float]], pause_s: float) -> None:
    while not enough.is_set():
        seen.append(memory_mb(server))
        await asyncio.sleep(pause_s)


async def _read_for(
    server: LiveServer, readers: Readers, pages: Sequence[str], rate: float, seconds: float
) -> list[list[float]]:
    enough = asyncio.Event()
    seen: list[list[float]] = []
    # Ten times, and once at the end.
    watching = _watch(server, enough, seen, seconds / 10)
    reading = readers.read(_pages_until(enough, pages), rate)
    await asyncio.gather(reading, _end_after(enough, seconds), watching)
    return [*seen, memory_mb(server)]


def measure(server: LiveServer, load: Load, options: argparse.Namespace, title: str) -> bool:
    """Read for the time, and print what came of it; whether nothing but stated refusals did, and all was scored."""
    readers = Readers(server.port, [f"127.0.3.{number}" for number in range(1, 201)])
    pages = ["/healthz", "/", f"/benchmarks/{server.benchmark}/leaderboard/"]
    people = threading.Thread(target=load.run, daemon=True)
    people.start()
    memory = asyncio.run(_read_for(server, readers, pages, options.rate, options.seconds))
    load.over.set()
    print(f"{title}: {dict(readers.ends)}")
    for path in pages:
        if times := readers.times[path]:
            p50, p95, p99 = (1000 * float(q) for q in np.quantile(times, (0.5, 0.95, 0.99)))
            print(f"  {path:45} {len(times):6} p50 {p50:7.1f} ms  p95 {p95:7.1f} ms  p99 {p99:7.1f} ms")
    print(f"  memory of the web processes in MB: {memory}", flush=True)
    people.join(timeout=600)
    print(f"  {load.sent_bytes / 1e6:.0f} MB in large files; submissions ended: {dict(load.ends)}", flush=True)
    return set(readers.ends) <= STATED and set(load.ends) == {"large: scored", "small: scored"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="of each part (%(default)s)")
    parser.add_argument("--rate", type=float, default=50.0, help="readers a second (%(default)s)")
    parser.add_argument("--uploads", type=int, default=20, help="at once in each part (%(default)s)")
    parser.add_argument("--megabytes", type=float, default=200.0, help="size of each (%(default)s)")
    parser.add_argument("--slow", type=int, default=500, help="slow connections of the second part (%(default)s)")
    options = parser.parse_args()
    os.environ["API_REQUESTS_PER_MINUTE"] = "100000"
    with tempfile.TemporaryDirectory() as name, LiveServer(Path(name) / "server", free_port()) as server:
        folder = Path(name)
        code = MAKE_PEOPLE_AND_FILES
        known = {"COUNT": SCORERS + max(1, options.uploads // 2), "FOLDER": f"Path({name!r})"}
        for word, value in {**known, "LARGE": int(options.megabytes * 1e6)}.items():
            code = code.replace(word, str(value))
        tokens = json.loads(server.manage("shell", "--no-imports", "-c", code).splitlines()[-1])
        good = measure(server, Load(server, tokens, options, folder), options, "while files arrive")
        addresses = [f"127.0.2.{n}" for n in range(1, 11)]
        with SlowClients(server.url, options.slow, addresses=addresses, pause_s=0.5):
            title = f"beside {options.slow} slow connections"
            good &= measure(server, Load(server, tokens, options, folder), options, title)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
