"""The app of accounts."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Accounts, teams and API tokens."""

    name = "evalserver.accounts"
    verbose_name = "Accounts"
