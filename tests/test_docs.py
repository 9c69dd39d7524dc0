"""What README, CONTRIBUTING and docs/ name is there: files, modules, commands, targets, keys of a configuration."""

import dataclasses
import importlib
import re
import subprocess
import sys
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.core.management import get_commands

from baselines.common.config_file import KINDS
from tests.rooms import ORDER

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("axonem_eval", "baselines", "benchmarks", "docs", "evalserver", "templates", "tests")
# docs/style.md says from which file of other projects a rule comes.
SOURCES = re.compile(r"(?:Source|Avoid):.*?(?=\n```|\n\n)", re.DOTALL)
# NAME, APP or METHOD in a path stands for what the reader chooses.
PLACEHOLDER = re.compile(r"[A-Z]{3,}")


@cache
def text_of(page: Path) -> str:
    return SOURCES.sub("", page.read_text(encoding="utf-8"))


@cache
def quoted(page: Path) -> list[str]:
    """What stands in backticks, in one line each; blocks of code apart."""
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", text)]


def words(page: Path) -> Iterator[str]:
    for text in quoted(page):
        yield from text.split()


def commands(page: Path, program: str) -> set[str]:
    """First argument wherever a program is called: in backticks or in a block of code."""
    return set(
        re.findall(rf"(?:`|^ *|&& |bin/|python ){re.escape(program)} ([a-z][\w-]*)", text_of(page), re.MULTILINE)
    )


@cache
def commands_of(module: str) -> set[str]:
    """Commands in the help of a program of our own."""
    run = subprocess.run([sys.executable, "-m", module, "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"^ {4}([a-z]+)(?:\s|$)", run.stdout, re.MULTILINE))


def absent_path(name: str) -> bool:
    path = ROOT / name
    return not (path.parent.is_dir() if PLACEHOLDER.search(path.stem) else path.exists())


@cache
def file_names() -> set[str]:
    return {path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")} | {p.name for p in ROOT.iterdir()}


def absent_module(name: str) -> bool:
    """Whether neither the module nor, in it, the name at its end exists."""
    name = name.removesuffix("()")
    path = ROOT / name.replace(".", "/")
    if path.with_suffix(".py").is_file() or path.is_dir():
        return False
    module, _, attribute = name.rpartition(".")
    return not hasattr(importlib.import_module(module), attribute)


def keys(kind: type, prefix: str = "") -> Iterator[str]:
    """Dotted name of every table and key of a configuration."""
    for name, hint in typing.get_type_hints(kind).items():
        yield prefix + name
        for inner in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(inner) and isinstance(inner, type):
                yield from keys(inner, f"{prefix}{name}.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page):
    named = {word for word in words(page) if re.fullmatch(rf"(?:{'|'.join(FOLDERS)})/[\w./-]*", word)}
    assert {name for name in named if absent_path(name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_without_its_folder_is_the_name_of_a_file(page):
    named = {word for word in words(page) if re.fullmatch(r"[\w-]+\.(?:py|html|md)", word)}
    assert {name for name in named if not PLACEHOLDER.match(name)} - file_names() == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_dotted_name_of_a_page_can_be_imported(page):
    named = {
        word for word in words(page) if re.fullmatch(r"(?:axonem_eval|evalserver|baselines)(?:\.\w+)+(?:\(\))?", word)
    }
    for module, names in re.findall(r"^from ((?:axonem_eval|baselines)[\w.]*) import ([\w, ]+)$", text_of(page), re.M):
        named |= {f"{module}.{name.strip()}" for name in names.split(",")}
    assert {name for name in named if absent_module(name)} == set()


def test_pages_name_files_and_modules():
    assert sum("/" in word and word.startswith(FOLDERS) for page in PAGES for word in words(page)) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_exists(page):
    targets = re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert commands(page, "make") - set(targets) == set()


@pytest.mark.parametrize(
    ("program", "module"),
    [("axonem-eval", "axonem_eval.cli"), ("axonem", "axonem_eval.client"), ("baselines", "baselines.cli")],
)
def test_every_command_that_the_pages_name_exists(program, module):
    named = set().union(*(commands(page, program) for page in PAGES))
    assert len(named) > 3
    assert named - commands_of(module) == set()


def test_every_management_command_that_the_pages_name_exists():
    named = set().union(*(commands(page, "manage.py") for page in PAGES))
    assert len(named) > 5
    assert named - set(get_commands()) == set()


@pytest.mark.parametrize("name", ["baselines.md", "baselines-log.md"])
def test_every_key_that_a_page_on_baselines_names_is_one_of_a_configuration(name):
    known = {key for kind in KINDS.values() for key in keys(kind)}
    tables = "|".join({key.split(".")[0] for key in known if "." in key})
    named = set()
    for text in quoted(ROOT / "docs" / name):
        found = re.fullmatch(rf"\[*((?:{tables})(?:\.\w+)*)\]*(?: = .*)?", text)
        if found and ("." in found[1] or text.startswith("[")):
            named.add(found[1])
    assert len(named) > 1
    assert named - known == set()


def test_the_page_on_baselines_names_many_keys():
    assert (
        sum(
            "." in text and text.split(".")[0] in {"train", "segment"}
            for text in quoted(PAGES[0].parent / "docs/baselines.md")
        )
        > 10
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_prose_are_no_longer_than_lines_of_code(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    long = [line for line in prose.splitlines() if len(line) > 120 and not re.match(r"\s*\||!\[| {4}", line)]
    assert long == []


def rows_of_the_map() -> Iterator[tuple[Path, list[str]]]:
    """(folder of a room, files to open first) from the tables of CONTRIBUTING; a row without a room continues one."""
    for package, table in re.findall(r"^### `(\w+)/`.*?\n(.*?)(?=^##)", text_of(ROOT / "CONTRIBUTING.md"), re.M | re.S):
        rooms = [ROOT / package]
        for room, files in re.findall(r"^\| ([^|]*)\|[^|]*\| (.*`.*) \|$", table, re.MULTILINE):
            named = re.findall(r"`([\w/]+)/`", room)
            if room.strip():
                rooms = [ROOT / package / name for name in named] or [ROOT / package]
            for folder in rooms:
                yield folder, re.findall(r"`([\w/]+\.\w+)`", files)


@pytest.mark.parametrize("package", [*ORDER, "baselines"])
def test_the_map_has_a_row_for_each_folder(package):
    folders = {path.parent for path in (ROOT / package).glob("*/__init__.py")} - {ROOT / package / "management"}
    assert folders - {folder for folder, _ in rows_of_the_map()} == set()


def test_the_map_names_files_of_the_room_in_its_row():
    rows = list(rows_of_the_map())
    assert len(rows) > 25
    assert [f"{folder}/{name}" for folder, names in rows for name in names if not (folder / name).is_file()] == []


@pytest.mark.parametrize("package", ORDER)
def test_the_map_gives_the_folders_in_their_order(package):
    text = text_of(ROOT / "CONTRIBUTING.md")
    (block,) = re.findall(rf"^### `{package}/`.*?\n((?: {{4}}[^\n]*\n)+)", text, re.MULTILINE | re.DOTALL)
    floors = [
        {room for room in floor.split() if (ROOT / package / room.replace(".", "/")).is_dir()}
        for floor in ORDER[package].split("<")
    ]
    assert [set(re.findall(r"[\w.]+", floor)) for floor in block.split("<")] == [floor for floor in floors if floor]
