"""`manage.py load_benchmark`."""

import tomllib
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from axonem_eval.errors import InputError
from evalserver.benchmarks import services

DEFINITIONS = Path(__file__).parents[2] / "definitions"


class Command(BaseCommand):
    """`manage.py load_benchmark`."""

    help = "Create or update benchmarks from their TOML definitions (a path, or the name of a shipped one)."

    def add_arguments(self, parser: CommandParser) -> None:
        shipped = ", ".join(sorted(path.stem for path in DEFINITIONS.glob("*.toml")))
        parser.add_argument("definition", nargs="+", help=f"path of a .toml file, or one of: {shipped}")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in options["definition"]:
            path = Path(name) if name.endswith(".toml") else DEFINITIONS / f"{name}.toml"
            try:
                benchmark = services.load_benchmark(tomllib.loads(path.read_text()))
            except FileNotFoundError:
                raise CommandError(f"{path} does not exist") from None
            except tomllib.TOMLDecodeError as error:
                raise CommandError(f"{path} is not TOML: {error}") from None
            except KeyError as error:
                raise CommandError(f"{path} lacks {error}; see {DEFINITIONS}/axonem.toml for what is needed") from None
            except InputError as error:
                raise CommandError(f"{path}: {error}") from None
            self.stdout.write(f"{benchmark.name}: {benchmark.volumes.count()} volumes")
