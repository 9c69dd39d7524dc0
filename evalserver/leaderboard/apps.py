"""The app of the leaderboard."""

from django.apps import AppConfig


class LeaderboardConfig(AppConfig):
    """The ranking of each phase."""

    name = "evalserver.leaderboard"
    verbose_name = "Leaderboard"
