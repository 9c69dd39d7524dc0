"""The rooms of each package: their order, what they show to others, and how long files and functions are.

A room is a folder of a package. Rooms stand in an order, and a module imports from its own room and from earlier ones;
an import inside a function counts as well. Where the code does not keep a rule yet, the exception is listed here: the
lists are to become empty, and an entry that is no longer needed fails its test.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.rooms import ORDER
from tests.source import ROOT, statements_of, text_of

MODULE_LINES, FUNCTION_LINES = 400, 60  # docs/style.md gives the same numbers

# Rooms whose __init__ names all that others may import. Django imports the __init__ of an app before there are models,
# so the apps of evalserver show modules instead: SHOWN.
FACES = {
    "axonem_eval.cli",
    "axonem_eval.client",
    "axonem_eval.diagnosis",
    "axonem_eval.report",
    "axonem_eval.sampling",
    "axonem_eval.sandbox",
    "axonem_eval.scoring",
    "axonem_eval.skeletonize",
    "axonem_eval.skeletons",
    "axonem_eval.synthetic",
    "axonem_eval.viewer",
    "axonem_eval.volumes",
    "axonem_eval.workshop",
    "evalserver.embedded",
    "evalserver.front",
    "evalserver.jobs",
    "evalserver.site",
}
# Modules that put the whole together: they import from any room, and no room imports them.
ABOVE = {
    "evalserver.apps",
    "evalserver.asgi",
    "evalserver.backup",
    "evalserver.backup_database",
    "evalserver.celery",
    "evalserver.checks",
    "evalserver.embedded.demo",
    "evalserver.embedded.demo_data",
    "evalserver.settings",
    "evalserver.site.views",
    "evalserver.start",
    "evalserver.submissions.admin",
    "evalserver.submissions.apps",
    "evalserver.submissions.tasks",
    "evalserver.urls",
}

# What breaks a rule today.
UPWARDS: set[str] = set()
CIRCLES: set[tuple[str, ...]] = set()
PAST_THE_ROOM = set()
SHOWN = {
    "evalserver.accounts": {
        "forms",
        "models",
        "requests",
        "services",
        "tasks",
        "teams",
    },
    "evalserver.benchmarks": {
        "axons",
        "dense_truth",
        "disclosure_rule",
        "forms",
        "images",
        "models",
        "organiser_files",
        "roles",
        "selectors",
        "services",
        "skeleton_workers",
    },
    "evalserver.leaderboard": {
        "query",
        "rows",
        "selectors",
        "tracks",
    },
    "evalserver.submissions": {
        "edit_form",
        "marks",
        "metadata",
        "models",
        "quota",
        "selectors",
        "services",
    },
    "evalserver.submissions.evaluation": {
        "comparison",
        "diagnosis",
        "error_pictures",
        "exchanged",
        "leftovers",
        "notifications",
        "rescore",
        "scoring",
        "view_files",
    },
    "evalserver.submissions.results": {
        "compare",
        "dense_comparison",
        "disclosure",
        "downloads",
        "export_job",
        "headline",
        "result_page",
        "runs",
        "selectors",
    },
    "evalserver.uploads": {
        "models",
        "receiving",
        "selectors",
        "services",
        "store",
    },
    "evalserver.workshop": {
        "models",
        "point_cuts",
        "selectors",
        "services",
        "view_files",
    },
}
LONG_MODULES: set[str] = set()
LONG_FUNCTIONS: set[str] = set()


@cache
def modules(package: str) -> dict[str, Path]:
    """Dotted name and file of each module below a folder; migrations and management commands apart."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if not {"migrations", "management"} & set(parts):
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def known() -> dict[str, Path]:
    return {name: path for package in ORDER for name, path in modules(package).items()}


@cache
def rooms(package: str) -> list[list[str]]:
    """Floors from the bottom upwards, each a list of rooms by dotted name."""
    return [[f"{package}.{room}" for room in floor.split()] for floor in ORDER[package].split("<")]


@cache
def room_of(module: str) -> str:
    """The innermost room that a module lies in; its package where it lies in none."""
    package = module.split(".")[0]
    floors = rooms(package) if package in ORDER else []
    inside = [room for floor in floors for room in floor if f"{module}.".startswith(f"{room}.")]
    return max(inside, key=len, default=package)


@cache
def imported(path: Path) -> tuple[tuple[str, str | None], ...]:
    """(module, name) for each import in a file, wherever it stands; name is None where a module is imported."""
    found: list[tuple[str, str | None]] = []
    for node in statements_of(path):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names if alias.name in known()]
        elif isinstance(node, ast.ImportFrom) and node.module in known():
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                is_module = full in known() and full not in shown(node.module)
                found.append((full, None) if is_module else (node.module, alias.name))
    return tuple(found)


@cache
def shown(module: str) -> dict[str, str]:
    """Names that an __init__ imports from modules, under ``module.name``, each with its module."""
    path = known()[module]
    if path.name != "__init__.py":
        return {}
    return {
        f"{module}.{alias.asname or alias.name}": node.module
        for node in statements_of(path)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if node.module != module
    }


@cache
def public(room: str) -> frozenset[str]:
    """`__all__` of a room."""
    for node in statements_of(known()[room]):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


@cache
def arrows(package: str) -> frozenset[tuple[str, str]]:
    """(module, module it imports) inside a package, through the __init__ of rooms to where a name is made."""
    found = set()
    for module, path in modules(package).items():
        for target, name in imported(path):
            if name is not None:
                target = shown(target).get(f"{target}.{name}", target)
            if target.split(".")[0] == package and target != module:
                found.add((module, target))
    return frozenset(found)


def upwards(package: str) -> set[str]:
    floor_of = {room: (floor, room) for floor, names in enumerate(rooms(package)) for room in names}
    found = set()
    for module, target in arrows(package):
        here, there = room_of(module), room_of(target)
        if package in (module, target) or module in ABOVE:
            continue
        if target in ABOVE:
            found.add(f"{module} -> {target}")
        elif here == there or package == here:
            continue
        elif there == package or floor_of[there] >= (floor_of[here][0], ""):
            found.add(f"{module} -> {target}")
    return found


def circles(package: str) -> set[tuple[str, ...]]:
    """Groups of modules that import each other, directly or through others."""
    to: dict[str, set[str]] = {module: set() for module in modules(package)}
    for module, target in arrows(package):
        if known()[module].name != "__init__.py":  # the __init__ of a room imports the room, which imports past it
            to[module].add(target)

    @cache
    def reached(module: str) -> frozenset[str]:
        seen, stack = set(), list(to[module])
        while stack:
            if (target := stack.pop()) not in seen:
                seen.add(target)
                stack += to[target]
        return frozenset(seen)

    return {
        tuple(sorted(other for other in reached(module) if module in reached(other)))
        for module in to
        if module in reached(module)
    }


def importers() -> Iterator[tuple[str, Path]]:
    """All code but the tests, which may look inside a room."""
    for package in (*ORDER, "baselines", "benchmarks"):
        yield from modules(package).items()


def past_the_room() -> set[str]:
    """Imports from outside of a room with a face of what its __init__ does not name."""
    found = set()
    for module, path in importers():
        for target, name in imported(path):
            room = room_of(target)
            if room not in FACES or target in ABOVE or f"{module}.".startswith(f"{room}."):
                continue
            if target == room and name in public(room):
                continue
            if target != room and target.removeprefix(f"{room}.") in public(room):  # a file that is public as a whole
                continue
            found.add(f"{module} -> {target}" + (f".{name}" if name and target == room else ""))
    return found


def shown_modules() -> dict[str, set[str]]:
    """For each room without a face, the modules of it that code outside imports."""
    found: dict[str, set[str]] = {}
    for module, path in importers():
        for target, _ in imported(path):
            room = room_of(target)
            if room in ORDER or room in FACES or target == room or module in ABOVE or room_of(module) == room:
                continue
            found.setdefault(room, set()).add(target.removeprefix(f"{room}."))
    return found


def long_modules() -> dict[str, int]:
    lines = {name: len(text_of(path).splitlines()) for name, path in importers() if not name.startswith("benchmarks")}
    return {name: n for name, n in lines.items() if n > MODULE_LINES}


def long_functions() -> dict[str, int]:
    """Lines of each function past the limit, its docstring apart."""
    found = {}
    for module, path in importers():
        for node in statements_of(path):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or module.startswith("benchmarks"):
                continue
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            if lines > FUNCTION_LINES:
                found[f"{module}.{node.name}"] = lines
    return found


@pytest.mark.parametrize("package", ORDER)
def test_every_module_lies_in_a_room(package):
    top = {name.split(".")[1] for name in modules(package) if "." in name}
    placed = {room.split(".")[1] for floor in rooms(package) for room in floor}
    above = {name.split(".")[1] for name in ABOVE if name.startswith(f"{package}.")}
    assert top - placed - above == set()


@pytest.mark.parametrize("package", ORDER)
def test_rooms_import_from_earlier_rooms_alone(package):
    assert upwards(package) == {arrow for arrow in UPWARDS if arrow.startswith(f"{package}.")}


@pytest.mark.parametrize("package", [*ORDER])
def test_no_modules_import_each_other_in_a_circle(package):
    assert circles(package) == {circle for circle in CIRCLES if circle[0].startswith(f"{package}.")}


def test_others_import_what_a_room_names_as_public():
    assert past_the_room() == PAST_THE_ROOM


def test_others_import_the_modules_that_an_app_shows():
    assert shown_modules() == SHOWN


@pytest.mark.parametrize("room", sorted(FACES))
def test_a_room_imports_all_that_it_names(room):
    imports = {name.removeprefix(f"{room}.") for name in shown(room)}
    own = {name.removeprefix(f"{room}.") for name in known() if name.startswith(f"{room}.")}
    assert public(room) - imports - own == set()
    assert ast.get_docstring(ast.parse(text_of(known()[room])))


def test_modules_are_short():
    assert set(long_modules()) == LONG_MODULES


def test_functions_are_short():
    assert long_functions().keys() == LONG_FUNCTIONS


def test_the_style_guide_gives_the_same_limits():
    guide = (ROOT / "docs" / "style.md").read_text()
    module = re.search(r"lines of a module \| (\d+) \|", guide)
    function = re.search(r"lines of a function[^|]* \| (\d+) \|", guide)
    assert module
    assert function
    assert (int(module[1]), int(function[1])) == (MODULE_LINES, FUNCTION_LINES)
