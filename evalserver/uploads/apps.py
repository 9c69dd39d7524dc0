from django.apps import AppConfig


class UploadsConfig(AppConfig):
    name = "evalserver.uploads"
    verbose_name = "Uploads"
