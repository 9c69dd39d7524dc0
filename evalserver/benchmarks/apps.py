from django.apps import AppConfig


class BenchmarksConfig(AppConfig):
    name = "evalserver.benchmarks"
    verbose_name = "Benchmarks"
