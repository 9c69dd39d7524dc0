"""What every process of the server does when Django is ready."""

from django.apps import AppConfig


class EvalserverConfig(AppConfig):
    """The server as a whole: start-up checks and management commands."""

    name = "evalserver"
    verbose_name = "Evaluation server"

    def ready(self) -> None:
        from evalserver import checks  # noqa: F401  (registers the start-up checks)
        from evalserver.start import make_folders

        make_folders()
