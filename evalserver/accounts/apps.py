"""The app of accounts."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "evalserver.accounts"
    verbose_name = "Accounts"
