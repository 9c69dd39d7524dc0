"""Readers while large files arrive and workers score: no error but stated refusals, and how long pages take.

    python benchmarks/server/bench_load.py [--seconds 600] [--uploads 20] [--megabytes 200] [--slow 500]

Starts a whole server in a folder of its own (two web processes, two workers). Participants upload label files and
submit them, as `axonem submit` does; readers ask for pages in an open loop, so a slow server gets no fewer requests.
Prints the time of each kind of request, every status, and the memory of the web processes at the start and the end.
"""

import argparse
import asyncio
import os
import random
import resource
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import httpx
import numpy as np
from tusclient.client import TusClient

from tests.browser.running_server import free_port
from tests.factories import labels_file, tiny_labels
from tests.live.live_server import LiveServer
from tests.live.slow_clients import SlowClients

TIMEOUT_S = 30
STATED = {"200", "429", "503"}


class Participants(threading.Thread):
    """Upload and submit one file after the other, several at once; each is followed to its score."""

    def __init__(self, server: LiveServer, files: list[Path], at_once: int) -> None:
        super().__init__(daemon=True)
        self.server, self.files, self.at_once = server, files, at_once
        self.ends: Counter[str] = Counter()
        self.sent_bytes = 0

    def run(self) -> None:
        lanes = [threading.Thread(target=self._lane, daemon=True) for _ in range(self.at_once)]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()

    def _lane(self) -> None:
        api = httpx.Client(base_url=f"{self.server.url}/api/v1", headers=self.server.headers, timeout=120)
        while self.files:
            path = self.files.pop()
            codes = {volume: self._upload(path, api) for volume in ("a", "b")}
            body = {"benchmark": self.server.benchmark, "method": path.stem, "files": codes, "publish": True}
            made = api.post("/submissions", json=body)
            made.raise_for_status()
            self.ends[_until(api, f"/submissions/{made.json()['code']}", "status", ("uploaded", "running"))] += 1

    def _upload(self, path: Path, api: httpx.Client) -> str:
        """The code of the upload, once the server has its checksum."""
        client = TusClient(f"{self.server.url}/api/v1/uploads/", headers=self.server.headers)
        metadata = {"filename": path.name}
        sender = client.uploader(str(path), chunk_size=16 * 2**20, retries=10, retry_delay=1, metadata=metadata)
        sender.upload()
        self.sent_bytes += path.stat().st_size
        code = str(sender.url).rpartition("/")[2]
        _until(api, f"/me/uploads/{code}", "state", ("receiving", "checking"))
        return code


def _until(api: httpx.Client, path: str, name: str, moving: tuple[str, ...]) -> str:
    """A state of the server, once it is none of those that change by themselves."""
    while True:
        answer = api.get(path)
        if answer.status_code == 200 and answer.json()[name] not in moving:
            return str(answer.json()[name])
        time.sleep(1)


class Readers:
    """Requests of readers without an account. times : seconds of those answered with 200, by address."""

    def __init__(self, port: int, paths: list[str], rate: float) -> None:
        self.port, self.paths, self.rate = port, paths, rate
        self.times: dict[str, list[float]] = {path: [] for path in paths}
        self.ends: Counter[str] = Counter()

    async def read(self, enough: "asyncio.Event") -> None:
        tasks, number, began = [], 0, time.perf_counter()
        dice = random.Random(1)
        while not enough.is_set():
            await asyncio.sleep(max(0.0, began + number / self.rate - time.perf_counter()))
            tasks.append(asyncio.create_task(self._one(dice.choice(self.paths))))
            number += 1
        await asyncio.gather(*tasks)

    async def _one(self, path: str) -> None:
        began = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            answer = await asyncio.wait_for(reader.read(-1), TIMEOUT_S)
            writer.close()
            status = answer.split(b" ", 2)[1].decode()
        except (OSError, TimeoutError, IndexError) as error:
            self.ends[type(error).__name__] += 1
            return
        self.ends[status] += 1
        if status == "200":
            self.times[path].append(time.perf_counter() - began)


def memory_mb(server: LiveServer) -> list[float]:
    """Resident memory of each web process."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in server.web_workers()]
    return [round(n * resource.getpagesize() / 1e6, 1) for n in pages]


async def _end_after(enough: asyncio.Event, seconds: float) -> None:
    await asyncio.sleep(seconds)
    enough.set()


async def _read_for(readers: Readers, seconds: float) -> None:
    enough = asyncio.Event()
    await asyncio.gather(readers.read(enough), _end_after(enough, seconds))


def measure(server: LiveServer, options: argparse.Namespace, title: str) -> bool:
    """Read for the time, and print what came of it; whether nothing but stated refusals did."""
    readers = Readers(server.port, ["/healthz", "/", f"/benchmarks/{server.benchmark}/leaderboard/"], options.rate)
    before = memory_mb(server)
    asyncio.run(_read_for(readers, options.seconds))
    print(f"{title}: {dict(readers.ends)}; web processes {before} MB before, {memory_mb(server)} MB after")
    for path, times in readers.times.items():
        if times:
            p50, p95, p99 = (1000 * float(q) for q in np.quantile(times, (0.5, 0.95, 0.99)))
            print(f"  {path:45} {len(times):6} p50 {p50:7.1f} ms  p95 {p95:7.1f} ms  p99 {p99:7.1f} ms")
    return set(readers.ends) <= STATED


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600.0, help="of each part (%(default)s)")
    parser.add_argument("--rate", type=float, default=50.0, help="readers a second (%(default)s)")
    parser.add_argument("--uploads", type=int, default=20, help="(%(default)s)")
    parser.add_argument("--megabytes", type=float, default=200.0, help="size of each (%(default)s)")
    parser.add_argument("--at-once", type=int, default=4, help="uploads at once (%(default)s)")
    parser.add_argument("--slow", type=int, default=500, help="slow connections of the second part (%(default)s)")
    options = parser.parse_args()
    os.environ["API_REQUESTS_PER_MINUTE"] = "100000"
    with tempfile.TemporaryDirectory() as folder:
        # Each submission has two files; they differ, or the client would find the first one again.
        size = int(options.megabytes * 1e6)
        files = [
            labels_file(Path(folder) / f"seg{i}.h5", tiny_labels(), padding=size)
            for i in range(max(1, options.uploads // 2))
        ]
        with LiveServer(Path(folder) / "server", free_port()) as server:
            people = Participants(server, files, options.at_once)
            people.start()
            good = measure(server, options, "while files arrive")
            addresses = [f"127.0.2.{n}" for n in range(1, 11)]
            with SlowClients(server.url, options.slow, uploads=[], addresses=addresses, pause_s=0.5):
                good &= measure(server, options, f"beside {options.slow} slow connections")
            people.join(timeout=600)
            print(f"{people.sent_bytes / 1e6:.0f} MB sent, submissions ended: {dict(people.ends)}")
    return 0 if good and set(people.ends) == {"scored"} else 1


if __name__ == "__main__":
    sys.exit(main())
