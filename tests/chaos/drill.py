"""The drill: back up under load, delete everything, restore, compare. `python -m tests.chaos.drill --shape production`.

Exit status 1 where an entry that had ended before the backup, a line of the audit log or anything else of that time is
not as it was, or where the leaderboard differs.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import httpx

from tests.chaos.__main__ import Run, inside
from tests.chaos.installation import SHAPES


class Drill(Run):
    """People go on submitting from the first entry to the end of the backup."""

    def run(self) -> int:
        from django.db import connections

        self.prepare()
        for person in self.everyone:
            person.start()
        self.wait_for_entries(self.options.entries)
        before, board = settled_rows(), self.leaderboard()
        began = time.monotonic()
        print(
            self.server.manage("backup", str(self.folder / "backup")), f"{time.monotonic() - began:.0f} s", flush=True
        )
        for person in self.everyone:
            person.over.set()
        came = len(self.intended.submissions)
        connections.close_all()
        self.server.delete_everything()
        print("everything is deleted", flush=True)
        print(self.server.manage("restore", str(self.folder / "backup")), flush=True)
        self.server.start_again()
        self.wait_until_idle(time.monotonic())
        after = {(label, pk): row for (label, pk), row in all_rows().items() if (label, pk) in before}
        wrong = [f"{label} {pk}" for (label, pk), row in before.items() if after.get((label, pk)) != row]
        now = {row["submission"]: row for row in self.leaderboard()}
        then = {row["submission"]: row for row in board}
        wrong += [f"leaderboard: {code}" for code, row in then.items() if _kept(now.get(code)) != _kept(row)]
        print(f"{len(before)} rows and {len(board)} ranked entries from before the backup; {came} were begun in all")
        print(f"{len(wrong)} differ", *wrong[:20], sep="\n", flush=True)
        return int(bool(wrong or self.stuck))

    def wait_for_entries(self, count: int) -> None:
        from evalserver.submissions.models import Submission

        while Submission.objects.filter(status=Submission.DONE_STATUS).count() < count:
            time.sleep(1)

    def leaderboard(self) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.server.url}/api/v1/benchmarks/{self.benchmark}/leaderboard", timeout=60)
        return list(answer.raise_for_status().json()["rows"])


def _kept(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """Without the rank, which entries that were scored after the backup share in."""
    return row and {name: value for name, value in row.items() if name != "rank"}


def all_rows() -> dict[tuple[str, Any], dict[str, Any]]:
    """Every row of every table, by table and number."""
    from django.apps import apps

    return {
        (model._meta.label, row[model._meta.pk.attname]): row
        for model in apps.get_models(include_auto_created=True)
        for row in model._base_manager.values()
    }


def settled_rows() -> dict[tuple[str, Any], dict[str, Any]]:
    """Rows that nothing changes any more: no open job, upload or session."""
    moving = ("uploads.Upload", "sessions.Session", "accounts.User", "accounts.ApiToken")
    return {
        key: row
        for key, row in all_rows().items()
        if key[0] not in moving and row.get("status") not in ("uploaded", "running") and not _is_mailed(row)
    }


def _is_mailed(row: dict[str, Any]) -> bool:
    """Whether the mail of its end is still on its way."""
    return "mailed_status" in row and row["mailed_status"] != row["status"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="production", help="(%(default)s)")
    parser.add_argument("--people", type=int, default=2, help="participants at once (%(default)s)")
    parser.add_argument("--entries", type=int, default=8, help="scored entries before the backup (%(default)s)")
    parser.add_argument("--lease", type=int, help="seconds of a lease (the server's default)")
    parser.add_argument("--keep", type=Path, help="folder for data and logs; kept")
    parser.set_defaults(seed=1)
    return inside(parser.parse_args(), Drill, "tests.chaos.drill")


if __name__ == "__main__":
    sys.exit(main())
