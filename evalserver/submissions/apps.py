from django.apps import AppConfig


class SubmissionsConfig(AppConfig):
    name = "evalserver.submissions"
    verbose_name = "Submissions"
