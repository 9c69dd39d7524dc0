"""The app of the API."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    """What programs see, under /api/v1/."""

    name = "evalserver.api"
    verbose_name = "API"
