"""`manage.py backup`: everything that cannot be made again, into a new folder."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evalserver.backup import BackupError, back_up


class Command(BaseCommand):
    """`manage.py backup`."""

    help = "Write database, files and secret key into a new folder. The server may keep running."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="new folder, if possible on the disk of another machine")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            back_up(options["folder"], self.stdout.write)
        except BackupError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"The backup is complete: {options['folder']}")
