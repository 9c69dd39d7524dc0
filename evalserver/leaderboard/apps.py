"""The app of the leaderboard."""

from django.apps import AppConfig


class LeaderboardConfig(AppConfig):
    name = "evalserver.leaderboard"
    verbose_name = "Leaderboard"
