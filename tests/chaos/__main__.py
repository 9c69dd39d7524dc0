"""Break a running server at random, and look what is lost: `python -m tests.chaos --shape embedded --faults 100`.

Participants submit, compare and are diagnosed, an organiser registers ground truth. After each round of faults the
causes are taken away, and everything must end within two minutes. Exit status 1 where anything was lost, doubled,
stuck or came out other than in a quiet run.
"""

import argparse
import json
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos import namespaces
from tests.chaos.installation import ROOT, SHAPES, Installation

STUCK_AFTER_S = 120.0
MAKE_PEOPLE = """
import json
from evalserver.accounts.services import create_token
from tests.factories import make_benchmark, make_user
phase = make_benchmark(("a", "versions"), per_day=30000, ready=False)
phase.volumes.remove(phase.benchmark.volumes.get(slug="versions"))
tokens = [create_token(user=make_user(f"P{i}"), name="t", scopes=["read", "submit"])[1] for i in range(PEOPLE)]
print(json.dumps({"benchmark": phase.benchmark.slug, "tokens": tokens}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="embedded", help="(%(default)s)")
    parser.add_argument("--faults", type=int, default=100, help="(%(default)s)")
    parser.add_argument("--round", type=int, default=15, help="faults before the causes are gone (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--people", type=int, default=3, help="participants at once (%(default)s)")
    parser.add_argument("--lease", type=int, help="seconds of a lease; for a short run (the server's default)")
    parser.add_argument("--only", help="faults of these kinds, separated by commas")
    parser.add_argument("--keep", type=Path, help="folder for data and logs; kept")
    options = parser.parse_args()
    return inside(options, Run)


def inside(options: argparse.Namespace, run: type["Run"], program: str = "tests.chaos") -> int:
    """Start the installation in namespaces of its own, beside a PostgreSQL where it needs one; what the run returns."""
    if options.shape != "embedded" and "DATABASE_URL" not in os.environ:
        script = [str(ROOT / "tests" / "with_postgres.py"), sys.executable, "-m", program, *sys.argv[1:]]
        os.execv(sys.executable, [sys.executable, *script])
    namespaces.enter(program)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        isolated = namespaces.are_given()
        with SHAPES[options.shape](folder / "var", lease_s=options.lease, isolated=isolated) as installation:
            return run(installation, options, folder).run()
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


class Run:
    """One run: a quiet part, then rounds of faults, each with time to recover."""

    def __init__(self, server: Installation, options: argparse.Namespace, folder: Path) -> None:
        from tests.chaos.faults import Breaker

        self.server, self.options, self.folder = server, options, folder
        self.dice = random.Random(options.seed)
        self.breaker = Breaker(server, self.dice)
        if getattr(options, "only", None):
            wanted = options.only.split(",")
            self.breaker.kinds = {k: v for k, v in self.breaker.kinds.items() if k in wanted}
        self.done: Counter[str] = Counter()
        self.stuck: dict[str, str] = {}
        self.recoveries: list[float] = []

    def run(self) -> int:
        self.prepare()
        for person in self.everyone:
            person.start()
        while sum(self.done.values()) < self.options.faults:
            self.one_round(min(self.options.round, self.options.faults - sum(self.done.values())))
        for person in self.everyone:
            person.over.set()
        return self.report()

    def prepare(self) -> None:
        """The benchmark, its people, and the quiet run of each segmentation."""
        import django

        begun = time.monotonic()
        # This process looks at the database directly: what is cut for the server is not cut for it.
        for name, value in self.server.environment.items():
            os.environ.setdefault(name, value)
        os.environ["VAR_DIR"] = str(self.server.var)
        if not os.environ.get("DATABASE_URL"):
            os.environ["DATABASE_URL"] = f"sqlite:///{self.server.var / 'db.sqlite3'}"
        os.environ["DJANGO_SETTINGS_MODULE"] = "evalserver.settings"
        django.setup()
        logging.getLogger("httpx").setLevel(logging.WARNING)
        from tests.chaos.traffic import Intended, Organiser, Participant, segmentations

        made = json.loads(
            self.server.manage(
                "shell", "--no-imports", "-c", MAKE_PEOPLE.replace("PEOPLE", str(self.options.people + 1))
            ).splitlines()[-1]
        )
        self.benchmark = made["benchmark"]
        organiser = "organiser@example.org"
        self.server.manage("createsuperuser", "--noinput", "--email", organiser, "--name", "Olga")
        self.quiet, self.intended = Intended(), Intended()
        password = self.server.environment["DJANGO_SUPERUSER_PASSWORD"]
        boss = Organiser(self.server.url, organiser, password, made["benchmark"], self.intended, self.folder)
        boss.log_in()
        while not boss.register("first.npz", "bundle", volume="a"):
            if time.monotonic() - begun > 2 * STUCK_AFTER_S:
                raise AssertionError(f"the ground truth was not taken: {boss.intended.answers}")
        self.wait_until_idle(time.monotonic())
        calm = Participant(0, self.server.url, made["tokens"][0], made["benchmark"], self.quiet, self.folder)
        kinds = list(segmentations())
        codes = {kind: calm.make_one(kind) for kind in kinds}
        if self.quiet.gave_up:
            raise AssertionError(f"the quiet run was refused: {self.quiet.gave_up}")
        names = {kind: name for name, kind in self.quiet.submissions.items()}
        self.quiet.comparisons.clear()
        for a in kinds:
            for b in kinds:
                if a != b:
                    calm._compare((names[a], a, codes[a]), (names[b], b, codes[b]))
        self.wait_until_idle(time.monotonic())
        people = [
            Participant(i, self.server.url, token, made["benchmark"], self.intended, self.folder)
            for i, token in enumerate(made["tokens"][1:], start=1)
        ]
        self.everyone = [boss, *people]
        took = time.monotonic() - begun
        print(f"quiet run: {len(codes)} entries, {len(self.quiet.comparisons)} comparisons, {took:.0f} s", flush=True)

    def one_round(self, faults: int) -> None:
        from tests.chaos.faults import wait

        for person in self.everyone:
            person.pause.clear()
        open_faults: list[tuple[float, object]] = []
        for _ in range(faults):
            fault = self.breaker.break_something()
            self.done[fault.kind] += 1
            print(f"{sum(self.done.values()):4} {fault.kind}: {fault.what} {fault.lasts_s:.1f} s", flush=True)
            open_faults.append((time.monotonic() + fault.lasts_s, fault))
            wait(self.dice.uniform(0.5, 6 if not self.server.fast else 2), lambda: False)
            # Two causes at once, not more: a third would hide what each of them does.
            while len([1 for end, _ in open_faults if end > time.monotonic()]) > 1:
                time.sleep(0.1)
                open_faults = _undo_due(open_faults)
            open_faults = _undo_due(open_faults)
        while open_faults:
            time.sleep(0.1)
            open_faults = _undo_due(open_faults)
        gone = time.monotonic()
        for person in self.everyone:
            person.pause.set()
        print(f"     /healthz answers after {self.server.wait_until_healthy(STUCK_AFTER_S):.1f} s", flush=True)
        self.recoveries.append(self.wait_until_idle(gone))
        print(f"     all jobs ended {self.recoveries[-1]:.1f} s after the causes were gone", flush=True)

    def wait_until_idle(self, gone: float) -> float:
        """Seconds from the end of the causes until nobody waits and no job is open; notes what takes too long.

        A job that waits for its turn is not stuck: its time begins again when another one of its kind ends.
        """
        from django.db import DatabaseError, connection

        from tests.chaos.verdict import active

        since_when: dict[str, float] = {}
        rows: list[tuple[str, str]] = []
        while True:
            earlier = {name for name, _ in rows}
            try:
                rows = active()
            except DatabaseError:
                connection.close()
                rows = [("the database", "away")]
            now = time.monotonic()
            ended = {name.rpartition("-")[0] for name in earlier - {name for name, _ in rows}}
            for name, status in rows:
                if name.rpartition("-")[0] in ended:
                    since_when[name] = now
                since = now - max(gone, since_when.setdefault(name, now))
                if since > STUCK_AFTER_S and name not in self.stuck:
                    self.stuck[name] = status
                    print(f"     STUCK: {name} is {status}", flush=True)
            if not rows and all(person.is_idle for person in getattr(self, "everyone", [])):
                return now - gone
            if now - gone > 4 * STUCK_AFTER_S:
                busy = [p.name for p in getattr(self, "everyone", []) if not p.is_idle]
                self.stuck["people"] = f"{busy} wait, {rows} are open"
                print(f"     STUCK: {self.stuck['people']}", flush=True)
                return now - gone
            time.sleep(0.5)

    def report(self) -> int:
        from tests.chaos.verdict import left_over, verdict

        # A form whose answer was lost is sent again by hand, when the page does not show the version.
        self._settle_registrations()
        wrong = verdict(self.intended, self.quiet)
        summary = {
            "shape": self.options.shape, "seed": self.options.seed, "faults": dict(self.done),
            "submissions": len(self.intended.submissions), "comparisons": len(self.intended.comparisons),
            "registrations": len(self.intended.registrations),
            "recovery_s": [round(s, 1) for s in self.recoveries], "stuck": self.stuck, "wrong": wrong,
            "answers": dict(self.intended.answers), "answers_500": self.intended.incidents[:20],
            "gave_up": self.intended.gave_up[:20], "left_over": left_over(self.server.var),
        }  # fmt: skip
        print(json.dumps(summary, indent=1), flush=True)
        bad = bool(wrong or self.stuck or self.intended.incidents or self.intended.gave_up)
        print("FAILED" if bad else f"nothing lost, doubled or stuck over {sum(self.done.values())} faults", flush=True)
        return int(bad)

    def _settle_registrations(self) -> None:
        from evalserver.benchmarks.models import GroundTruth

        boss = self.everyone[0]
        for name in boss.unsure:
            if not GroundTruth.objects.filter(source_name=name).exists():
                boss.register(name, "labels" if name.endswith(".h5") else "bundle")
        self.wait_until_idle(time.monotonic())


def _undo_due(open_faults: list) -> list:
    for end, fault in open_faults:
        if end <= time.monotonic():
            fault.undo()
    return [(end, fault) for end, fault in open_faults if end > time.monotonic()]


if __name__ == "__main__":
    sys.exit(main())
