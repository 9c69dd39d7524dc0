"""Conventions that are worth keeping, as tests (docs/style.md, rule 11)."""

import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.source import ROOT, imports_of, text_of

PACKAGES = ("axonem_eval", "evalserver", "baselines")


@cache
def modules(package: str) -> tuple[Path, ...]:
    return tuple(path for path in sorted((ROOT / package).rglob("*.py")) if "migrations" not in path.parts)


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


def importers_of(name: str, package: str) -> set[str]:
    return {str(path.relative_to(ROOT)) for path in modules(package) if name in tops(path)}


@pytest.mark.parametrize(
    "name", ["django", "celery", "redis", "evalserver", "baselines", "torch", "requests", "httpx", "urllib3"]
)
def test_the_scoring_library_stands_alone(name):
    importers = importers_of(name, "axonem_eval")
    # The client alone speaks HTTP, by one library.
    assert {path for path in importers if name != "httpx" or not path.startswith("axonem_eval/client/")} == set()


def test_server_and_baselines_do_not_know_each_other():
    assert importers_of("baselines", "evalserver") == set()
    assert importers_of("evalserver", "baselines") == set()


def test_the_client_is_used_by_baselines_alone():
    for package in ("axonem_eval", "evalserver"):
        users = {
            str(path.relative_to(ROOT))
            for path in modules(package)
            if any(name.startswith("axonem_eval.client") for name in imports_of(path))
        }
        assert {user for user in users if not user.startswith("axonem_eval/client/")} == set()


def test_the_gpl_library_is_imported_in_one_module():
    assert importers_of("kimimaro", "axonem_eval") == {"axonem_eval/skeletonize/teasar.py"}
    for package in PACKAGES:
        assert importers_of("dijkstra3d", package) == set()
        assert package == "axonem_eval" or importers_of("kimimaro", package) == set()


def test_the_server_writes_csv_in_one_module():
    assert importers_of("csv", "evalserver") == {"evalserver/csv_text.py"}


def test_apps_import_in_one_direction():
    order = ["accounts", "uploads", "benchmarks", "submissions", "leaderboard", "api"]
    for place, app in enumerate(order):
        for later in order[place + 1 :]:
            backwards = {
                str(path.relative_to(ROOT))
                for path in modules(f"evalserver/{app}")
                if any(name.startswith(f"evalserver.{later}") for name in imports_of(path))
                and "management" not in path.parts
            }
            assert not backwards, f"{app} imports {later} in {backwards}"


def test_pickles_are_read_by_the_restricted_reader_alone():
    """It builds no object of a class that a pickle names, and only the confined child imports it."""
    pattern = re.compile(r"allow_pickle\s*=\s*True|pickle\.loads?\(|\bjoblib\b|import pickle")
    offenders = {p.name for package in PACKAGES for p in modules(package) if pattern.search(text_of(p))}
    assert offenders == {"restricted_pickle.py"}
    reader = "axonem_eval.sandbox.restricted_pickle"
    importers = {
        p.name for package in PACKAGES for p in modules(package) if any(n.startswith(reader) for n in imports_of(p))
    }
    assert importers == {"child_pickle.py"}


def test_no_test_module_imports_another():
    """Helpers that several tests share lie in modules of their own; fixtures alone lie in conftest."""
    importers = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in modules("tests")
        for name in imports_of(path)
        if any(part.startswith("test_") or part == "conftest" for part in name.split(".")[:-1])
        or (name.startswith("tests.") and name.split(".")[-1].startswith("test_"))
    }
    assert importers == set()


def test_numba_kernels_are_cached():
    lacking = [
        f"{path.name}: {line.strip()}"
        for package in PACKAGES
        for path in modules(package)
        for line in text_of(path).splitlines()
        if re.match(r"\s*@(numba\.)?n?jit\b", line) and "cache=True" not in line and "inline=" not in line
    ]
    assert lacking == []


def test_no_page_loads_anything_from_elsewhere():
    pattern = re.compile(r"""(src|href)=["'](https?:)?//[^"']+\.(js|css|woff2?)""")
    offenders = [str(p) for p in (ROOT / "templates").rglob("*.html") if pattern.search(text_of(p))]
    assert offenders == []


def test_every_setting_of_the_environment_is_documented():
    documented = (ROOT / ".env.example").read_text()
    used = set()
    for path in modules("evalserver"):
        used |= set(re.findall(r"""env_\w+\(\s*["']([A-Z][A-Z0-9_]+)["']""", text_of(path)))
    assert used
    assert {name for name in used if name not in documented} == set()


# What no server runs.
NOT_IN_THE_IMAGE = {"baselines"}


def test_every_package_is_formatted_and_is_in_the_image():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = [name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]]
    makefile, dockerfile = (ROOT / "Makefile").read_text(), (ROOT / "Dockerfile").read_text()
    (sources,) = re.findall(r"^SOURCES := (.*)$", makefile, re.MULTILINE)
    for package in packages:
        assert package in sources.split()
        assert (f"COPY {package} {package}\n" in dockerfile) is (package not in NOT_IN_THE_IMAGE)


def test_the_demo_installs_the_client_whose_command_it_brings():
    installs = re.findall(r"'\.\[([\w,]*server[\w,]*)\]'", (ROOT / "Makefile").read_text())
    assert len(installs) >= 2
    for extras in installs:
        # The baselines bring the client along.
        assert {"client", "baselines"} & set(extras.split(",")), extras


def test_no_large_file_is_kept_in_the_repository():
    """Data of benchmarks and runs are made, not kept: once in the history, each clone carries them for ever."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert {str(f.relative_to(ROOT)) for f in files if f.is_file() and f.stat().st_size > 2_000_000} == set()
