"""deploy/nginx.conf as nginx runs it, before a program that tells what reached it."""

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from django.conf import settings

from tests.browser.running_server import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONFIGURATION = settings.BASE_DIR / "deploy" / "nginx.conf"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[str]:
    """nginx, with the caller as its load balancer."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    text = CONFIGURATION.read_text()
    for here, there in (
        ("server web:8000", f"server 127.0.0.1:{behind.server_port}"),
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("#set_real_ip_from 10.0.0.5", "set_real_ip_from 127.0.0.1"),
        ("worker_processes auto", "worker_processes 1"),
    ):
        assert here in text
        text = text.replace(here, there)
    (folder / "nginx.conf").write_text(text.replace("/tmp/nginx", f"{folder}/nginx"))
    command = [NGINX, "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with open(folder / "log", "wb") as log:
        nginx = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 30
            while not answers(f"http://127.0.0.1:{port}/") and time.monotonic() < until:
                assert nginx.poll() is None, (folder / "log").read_text()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            nginx.terminate()
            nginx.wait(timeout=20)
            behind.shutdown()
            behind.server_close()


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def from_address(address: str) -> dict[str, str]:
    return {"X-Forwarded-For": address}


def test_the_server_learns_one_address_which_the_client_cannot_choose(url):
    seen = httpx.get(url, headers=from_address("6.6.6.6, 9.9.9.9")).json()
    assert seen["x-forwarded-for"] == "9.9.9.9"
    assert seen["x-forwarded-proto"] == "http"
    assert re.fullmatch("[0-9a-f]{32}", seen["x-request-id"])
    assert httpx.get(url, headers={"X-Forwarded-Proto": "https"}).json()["x-forwarded-proto"] == "https"


def statuses(url: str, addresses: list[str]) -> list[int]:
    """Of requests at the same time."""
    with ThreadPoolExecutor(len(addresses)) as pool, httpx.Client(timeout=30) as client:
        found = pool.map(lambda address: client.get(url, headers=from_address(address)), addresses)
        return [answer.status_code for answer in found]


@pytest.mark.parametrize("network", ["2001:db8:1:2:", "2001:db8::", "2001:db8:7:"])
def test_addresses_of_one_ipv6_network_share_their_limits(url, network):
    tail = "1:2:{:x}" if network.endswith("::") else "{:x}::1" if network.count(":") == 4 else ":1:2:{:x}"
    codes = statuses(f"{url}/accounts/login/", [network + tail.format(n) for n in range(1, 41)])
    assert codes.count(429) >= 10
    assert codes.count(200) >= 20


def test_addresses_of_different_networks_do_not_share_their_limits(url):
    others = [f"2001:db8:{n:x}:9::1" for n in range(16, 46)] + [f"10.9.8.{n}" for n in range(30)]
    assert set(statuses(f"{url}/accounts/login/", others)) == {200}


def test_only_forms_with_files_and_uploads_are_larger_than_a_megabyte(url):
    body = b"x" * 1_100_000
    for path, expected in (
        ("/accounts/login/", 413),
        ("/organise/benchmarks/a/edit/", 413),
        ("/organise/benchmarks/a/volumes/b/ground-truth/", 200),
        ("/benchmarks/a/submit/", 200),
        ("/api/v1/uploads/abc", 200),
        ("/api/v1/submissions", 413),
    ):
        assert httpx.post(url + path, content=body, headers=from_address("10.3.3.3")).status_code == expected, path


def test_nobody_reads_the_metrics_through_the_proxy(url):
    assert httpx.get(f"{url}/metrics").status_code == 404
