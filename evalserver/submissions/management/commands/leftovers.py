"""`manage.py leftovers`."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from evalserver.submissions.evaluation.leftovers import leftovers, remove_leftovers


class Command(BaseCommand):
    """`manage.py leftovers`."""

    help = "List stored files and working folders that no row of the database names. The timer removes old ones."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--delete", action="store_true", help="remove the old ones now, without waiting for the timer"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["delete"]:
            removed = remove_leftovers()
            self.stdout.write(f"{len(removed)} removed, {sum(row.size_bytes for row in removed) / 1e6:.1f} MB")
        rows = leftovers()
        for row in rows:
            self.stdout.write(f"{row.size_bytes / 1e6:12.1f} MB  due {row.due_at:%Y-%m-%d %H:%M} UTC  {row.name}")
        total = sum(row.size_bytes for row in rows) / 1e6
        self.stdout.write(f"{len(rows)} left over, {total:.1f} MB; kept for {settings.LEFTOVER_DAYS} days")
