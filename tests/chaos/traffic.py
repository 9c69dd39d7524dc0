"""Participants and an organiser who go on whatever happens: with our own client, which repeats what failed."""

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import h5py
import httpx
import numpy as np

from axonem_eval.client import submit
from axonem_eval.client.config import Login
from axonem_eval.client.errors import ClientError, ServerRefused
from axonem_eval.client.method import Method
from axonem_eval.client.server import Server
from tests.factories import VOXEL_NM, tiny_graph, tiny_labels

PADDING = (50_000, 1_500_000)


def segmentations() -> dict[str, np.ndarray]:
    """Label volumes that score differently, by name."""
    perfect = tiny_labels()
    split = perfect.copy()
    split[:, :, 48:][split[:, :, 48:] == 1] = 9
    merged = perfect.copy()
    merged[merged == 2] = 1
    return {"perfect": perfect, "split": split, "merged": merged}


@dataclass
class Intended:
    """What must be there in the end: by the name of a submission its segmentation; names of registered versions;
    pairs of names that were compared."""

    submissions: dict[str, str] = field(default_factory=dict)
    registrations: list[str] = field(default_factory=list)
    comparisons: list[tuple[str, str]] = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    incidents: list[str] = field(default_factory=list)
    gave_up: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Person(threading.Thread):
    """Works on until it is told that the time is over, and rests while it is told to pause."""

    def __init__(self, name: str, intended: Intended) -> None:
        super().__init__(daemon=True, name=name)
        self.intended = intended
        self.pause, self.over = threading.Event(), threading.Event()
        self.is_idle = False
        self.made = 0

    def run(self) -> None:
        while not self.over.is_set():
            self.is_idle = self.pause.is_set()
            if self.is_idle:
                time.sleep(0.1)
            else:
                self.work()
        self.is_idle = True

    def work(self) -> None:
        """One piece of work."""
        raise NotImplementedError

    def note(self, response: httpx.Response) -> None:
        """Count an answer; one of 500 is an incident."""
        with self.intended.lock:
            self.intended.answers[response.status_code] += 1
            if response.status_code == 500:
                asked = response.request
                self.intended.incidents.append(f"{asked.method} {asked.url.path}: {response.text[:200]}")


class Participant(Person):
    """Submits one file after the other, and compares its entries."""

    def __init__(self, number: int, url: str, token: str, benchmark: str, intended: Intended, folder: Path) -> None:
        super().__init__(f"participant-{number}", intended)
        self.number, self.benchmark, self.folder = number, benchmark, folder
        self.server = Server(Login(url, token), patience_s=20)
        self.server.http.event_hooks["response"].append(self._note)
        self.server.http.timeout = httpx.Timeout(15.0)
        self.dice = random.Random(number)
        self.last: tuple[str, str, str] | None = None

    def _note(self, response: httpx.Response) -> None:
        if response.status_code == 500:
            response.read()
        self.note(response)

    def work(self) -> None:
        self.make_one(self.dice.choice(list(segmentations())))

    def make_one(self, kind: str) -> str:
        """Submit a segmentation until it has ended; the submission's code."""
        self.made += 1
        name = f"p{self.number}-{self.made}-{kind}"
        path = self.folder / f"{name}.h5"
        _write(path, segmentations()[kind], self.dice)
        with self.intended.lock:
            self.intended.submissions[name] = kind
        method = Method(benchmark=self.benchmark, method=name, publish=True)
        found = self.until_it_works(lambda: self._submit(method, path))
        path.unlink()
        if found is None:
            return ""
        if self.last and self.last[1] != kind:
            earlier = self.last
            self.until_it_works(lambda: self._compare(earlier, (name, kind, found["code"])))
        self.last = (name, kind, found["code"])
        return str(found["code"])

    def until_it_works(self, step):
        """What a person does: the same command again."""
        while not self.over.is_set():
            try:
                return step()
            except (ClientError, httpx.HTTPError, OSError) as error:
                if isinstance(error, ServerRefused) and error.status < 500 and error.code != "unknown":
                    known = error.code in ("locked", "busy", "upload_not_ready", "not_found")
                    if not known:
                        with self.intended.lock:
                            self.intended.gave_up.append(f"{self.name}: {error.status} {error.code} {error}")
                        return None
                time.sleep(1)
        return None

    def _submit(self, method: Method, path: Path) -> dict:
        benchmark = self.server.get(f"/benchmarks/{self.benchmark}")
        phase = submit.phase_of(benchmark)
        codes, already = submit.upload_files(self.server, method, phase, {"a": path}, lambda *_: None)
        code = already or submit.create_submission(self.server, method, phase, codes)["code"]
        ended = submit.follow(self.server, code, lambda *_: None)
        while ended["status"] == "scored" and not self.over.is_set():
            # The next one comes when this one is diagnosed: one worker does that, and a queue would hide what is stuck.
            diagnoses = self.server.get(f"/submissions/{code}/diagnoses")
            if diagnoses and all(row["status"] not in ("uploaded", "running") for row in diagnoses):
                break
            time.sleep(1)
        return ended

    def _compare(self, a: tuple[str, str, str], b: tuple[str, str, str]) -> None:
        submit.compare(self.server, a[2], b[2], lambda *_: None)
        with self.intended.lock:
            self.intended.comparisons.append((a[0], b[0]))


def _write(path: Path, labels: np.ndarray, dice: random.Random) -> None:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("main", data=labels, chunks=True, compression="gzip")
        data.attrs["voxel_size_nm"] = VOXEL_NM
        file["note"] = np.frombuffer(dice.randbytes(dice.randint(*PADDING)), np.uint8)


class Choices(HTMLParser):
    """found : what each drop-down list of a page has chosen, as a browser sends it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._list = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "select":
            self._list = given.get("name") or ""
        elif tag == "option" and ("selected" in given or self._list not in self.found):
            self.found[self._list] = given.get("value") or ""


class Organiser(Person):
    """Registers ground truth over the form of the organisers' pages, as a browser does."""

    def __init__(self, url: str, email: str, password: str, benchmark: str, intended: Intended, folder: Path) -> None:
        super().__init__("organiser", intended)
        self.http = httpx.Client(base_url=url, timeout=20, follow_redirects=True)
        self.email, self.password, self.benchmark = email, password, benchmark
        self.unsure: list[str] = []
        self.bundle = folder / "gt.npz"
        tiny_graph().save(self.bundle)
        self.labels = folder / "gt.h5"
        with h5py.File(self.labels, "w") as file:
            file.create_dataset("main", data=tiny_labels(), chunks=True, compression="gzip")

    def log_in(self) -> None:
        self.http.get("/accounts/login/")
        answer = self.http.post(
            "/accounts/login/",
            data={
                "login": self.email,
                "password": self.password,
                "csrfmiddlewaretoken": self.http.cookies["csrftoken"],
            },
        )
        answer.raise_for_status()

    def work(self) -> None:
        self.made += 1
        kind = "labels" if self.made % 4 == 0 else "bundle"
        name = f"version-{self.made}.{'h5' if kind == 'labels' else 'npz'}"
        with self.intended.lock:
            self.intended.registrations.append(name)
        if not self.register(name, kind):
            self.unsure.append(name)
        for _ in range(80):
            if self.pause.is_set() or self.over.is_set():
                break
            time.sleep(0.1)

    def register(self, name: str, kind: str, volume: str = "versions") -> bool:
        """Send the form once; False where no answer says that it was stored."""
        path = self.labels if kind == "labels" else self.bundle
        address = f"/organise/benchmarks/{self.benchmark}/volumes/{volume}/ground-truth/"
        with suppress(httpx.HTTPError):
            chosen = Choices(self.http.get(address).text).found
            answer = self.http.post(
                address,
                data={**chosen, "source_kind": kind, "csrfmiddlewaretoken": self.http.cookies["csrftoken"]},
                files={"source_file": (name, path.read_bytes())},
                headers={"Referer": str(self.http.base_url)},
            )
            self.note(answer)
            return answer.status_code == 200 and "/organise/ground-truth/" in str(answer.url)
        return False
