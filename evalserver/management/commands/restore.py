"""`manage.py restore`: a backup, into an empty installation."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from evalserver.backup import BackupError, restore


class Command(BaseCommand):
    """`manage.py restore`."""

    help = "Put a backup back into an empty database and an empty VAR_DIR. The server must not run."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="folder that `manage.py backup` wrote")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = restore(options["folder"], self.stdout.write)
        except BackupError as error:
            raise CommandError(str(error)) from None
        if found.uploads_without_file:
            self.stdout.write(f"{found.uploads_without_file} uploads had no file any more; they must be sent again.")
        if found.missing:
            raise CommandError(
                f"{len(found.missing)} files that the database names are not in the backup: {found.missing[:5]}"
            )
        self.stdout.write("Everything is restored. Start the server: waiting jobs then continue.")
