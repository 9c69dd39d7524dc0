"""The parts with nginx in front: uploads, slow clients, headers and addresses. `python -m tests.chaos.front`.

Exit status 1 where something is not as it should be.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx

from tests.chaos.__main__ import Run, inside
from tests.chaos.installation import PORT
from tests.live.slow_clients import SlowClients

# Other callers than the participants, on the line to nginx.
CALLERS = [f"10.77.1.{number}" for number in range(101, 111)]
PAGES = ("/healthz", "/")


class Front(Run):
    def run(self) -> int:
        for address in CALLERS:
            subprocess.run(["ip", "addr", "add", f"{address}/24", "dev", "front"], check=True)
        self.nginx = f"http://{self.server.web_address()[0]}:{PORT}"
        self.wrong: list[str] = []
        self.prepare()  # three entries uploaded, scored, diagnosed and compared, through nginx
        self.headers()
        self.sizes()
        self.read("alone")
        with SlowClients(self.nginx, self.options.slow, addresses=CALLERS) as slow:
            time.sleep(10)
            self.read(f"beside {slow.open.total()} slow connections")
        print(*self.wrong or ["all as it should be"], sep="\n", flush=True)
        return int(bool(self.wrong))

    def expect(self, what: str, found: object, wanted: object) -> None:
        print(f"{what}: {found}", flush=True)
        if found != wanted:
            self.wrong.append(f"{what}: {found}, not {wanted}")

    def headers(self) -> None:
        """What nginx and the server say, and what the server learns of the caller."""
        answer = httpx.get(self.nginx, headers={"X-Forwarded-For": "6.6.6.6", "X-Request-ID": "forged"})
        self.expect("server", answer.headers["server"], "nginx")
        self.expect("policy", "default-src 'none'" in answer.headers["content-security-policy"], True)
        self.expect("id is nginx's", len(answer.headers["x-request-id"]), 32)
        log = (self.server.logs / "web.log").read_text()
        self.expect("claimed address in the log", "6.6.6.6" in log, False)
        self.expect("caller's address in the log", f"{self.server.machine.lines['front'][0]} " in log, True)
        self.expect("/metrics", httpx.get(f"{self.nginx}/metrics").status_code, 404)

    def sizes(self) -> None:
        body = b"x" * 1_500_000
        self.expect("large log-in", httpx.post(f"{self.nginx}/accounts/login/", content=body).status_code, 413)
        self.expect("large JSON", httpx.post(f"{self.nginx}/api/v1/submissions", content=body).status_code, 413)
        address = f"{self.nginx}/benchmarks/{self.benchmark}/submit/"
        form = httpx.post(address, files={"file_a": ("a.h5", body)}, timeout=30)
        self.expect("form with a file, without an account", form.status_code, 302)

    def read(self, title: str) -> None:
        """A hundred requests of each page, one after the other; all must be answered, or refused in words."""
        with httpx.Client(timeout=20) as client:
            for page in PAGES:
                times, answers = [], Counter[int]()
                for _ in range(100):
                    began = time.monotonic()
                    answers[client.get(self.nginx + page).status_code] += 1
                    times.append(time.monotonic() - began)
                    time.sleep(0.05)
                times.sort()
                print(f"{title}: {page} p50 {1000 * times[50]:.1f} ms, p95 {1000 * times[95]:.1f} ms", flush=True)
                self.expect(f"{title}: {page} answers {dict(answers)}, others", set(answers) - {200, 429, 503}, set())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slow", type=int, default=500, help="slow connections (%(default)s)")
    parser.add_argument("--keep", type=Path, help="folder for data and logs; kept")
    options = parser.parse_args()
    options.shape, options.lease, options.people, options.seed = "proxied", None, 1, 1
    return inside(options, Front, "tests.chaos.front")


if __name__ == "__main__":
    sys.exit(main())
