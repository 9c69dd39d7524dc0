"""`manage.py make_token`."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from evalserver.accounts.models import ApiToken, User
from evalserver.accounts.services import create_token


class Command(BaseCommand):
    """`manage.py make_token`."""

    help = "Print a new API token of an account, for a program on this machine. It is shown only once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="e-mail address of the account")
        parser.add_argument("--name", default="make_token", help="name of the token on the account's page")
        parser.add_argument("--hours", type=float, default=24, help="how long it is valid (default: %(default)s)")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(email=options["email"], is_active=True).first()
        if user is None:
            raise CommandError(f"no active account has the address {options['email']}")
        if options["hours"] <= 0:
            raise CommandError(f"--hours {options['hours']}: expected a positive number")
        _, key = create_token(
            user=user,
            name=options["name"],
            scopes=ApiToken.Scope.values,
            expires_at=timezone.now() + timedelta(hours=options["hours"]),
        )
        self.stdout.write(key)
