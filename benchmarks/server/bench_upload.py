"""A file of gigabytes from a stock tus client through a server whose web processes are killed, and what that costs.

    python benchmarks/server/bench_upload.py [--gigabytes 2] [--kills 4] [--chunk-mb 16]

Starts a whole server in a folder of its own, uploads with tuspy, kills every web process (kill -9) a few times on the
way, and prints the rate, the peak memory of the web processes, and whether the checksum that the server's worker
computed is that of the file.
"""

import argparse
import contextlib
import hashlib
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parents[2]))

import httpx
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from tests.browser.running_server import free_port
from tests.live.live_server import LiveServer

BLOCK = 2**22


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--chunk-mb", type=int, default=16)
    parser.add_argument("--folder", help="where the file and the server's data go (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        source = Path(folder) / "source.bin"
        digest = write_random(source, int(arguments.gigabytes * 1e9))
        with LiveServer(Path(folder) / "server", free_port()) as server:
            return run(server, source, digest, arguments)


def run(server: LiveServer, source: Path, digest: str, arguments: argparse.Namespace) -> int:
    size = source.stat().st_size
    watch = Memory(server)
    client = TusClient(f"{server.url}/api/v1/uploads/", headers=server.headers)
    uploader = client.uploader(
        str(source), chunk_size=arguments.chunk_mb * 2**20, retries=50, retry_delay=0.5, metadata={"filename": "big"}
    )
    threading.Thread(target=kill, args=(server, uploader, size, arguments.kills, watch), daemon=True).start()
    began = time.monotonic()
    while uploader.offset < size:
        with contextlib.suppress(TusCommunicationError, TusUploadFailed):
            uploader.upload_chunk()
    sent_s = time.monotonic() - began
    row = wait_checked(server, urlsplit(str(uploader.url)).path)
    watch.stop.set()
    print(
        f"file                      {size / 1e9:.2f} GB, pieces of {arguments.chunk_mb * 2**20 / 1e6:.3g} MB, by tuspy"
    )
    print(f"kills of all web processes {len(watch.kills)} at {', '.join(f'{k / 1e6:,.0f} MB' for k in watch.kills)}")
    print(f"sent in                   {sent_s:.1f} s, {size / 1e6 / sent_s:.0f} MB/s with the restarts")
    print(f"checksum after            {time.monotonic() - began - sent_s:.1f} s more (by a worker)")
    print(f"web process RSS           {watch.first / 1e6:.0f} MB idle, {watch.peak / 1e6:.0f} MB at most")
    print(f"checksum                  {'equal' if row['sha256'] == digest else 'DIFFERENT'}: {row['sha256']}")
    return 0 if row["state"] == "ready" and row["sha256"] == digest else 1


class Memory(threading.Thread):
    """Largest resident memory of any web process, in bytes, sampled twenty times a second."""

    def __init__(self, server: LiveServer) -> None:
        super().__init__(daemon=True)
        self.server, self.stop = server, threading.Event()
        self.kills: list[int] = []
        self.first = self.peak = max(self._each(), default=0)
        self.start()

    def run(self) -> None:
        while not self.stop.wait(0.05):
            self.peak = max([self.peak, *self._each()])

    def _each(self) -> list[int]:
        found = []
        for pid in self.server.web_workers():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, IndexError):
                found.append(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096)
        return found


def kill(server: LiveServer, uploader, size: int, kills: int, watch: Memory) -> None:
    for number in range(1, kills + 1):
        while uploader.offset < number * size / (kills + 1):
            time.sleep(0.02)
        watch.kills.append(uploader.offset)
        for pid in server.web_workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def write_random(path: Path, size: int) -> str:
    """A file of random bytes, and its SHA-256."""
    digest, left = hashlib.sha256(), size
    with path.open("wb") as file:
        while left:
            block = os.urandom(min(BLOCK, left))
            digest.update(block)
            left -= file.write(block)
    return digest.hexdigest()


def wait_checked(server: LiveServer, path: str) -> dict:
    address = f"{server.url}/api/v1/me/uploads/{path.rpartition('/')[2]}"
    while True:
        row = httpx.get(address, headers=server.headers, timeout=30).json()
        if row["state"] not in ("receiving", "checking"):
            return row
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
