"""The app of the API."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "evalserver.api"
    verbose_name = "API"
