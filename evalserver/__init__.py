"""Django project of the evaluation server."""

from evalserver.celery import app as celery_app

__all__ = ["celery_app"]
