"""docs/api.md and the addresses of the API say the same."""

import re
from pathlib import Path

from evalserver.api.urls import api
from evalserver.urls import urlpatterns

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
ROW = re.compile(r"^\| `(/api/v1/\S*)` \| ([A-Z, ]+) \|", re.MULTILINE)
TUS = {"/api/v1/uploads/": {"POST", "OPTIONS"}, "/api/v1/uploads/{code}": {"HEAD", "PATCH", "DELETE", "OPTIONS"}}


def documented() -> set[tuple[str, str]]:
    return {(path, method) for path, methods in ROW.findall(TEXT) for method in methods.split(", ")}


def served() -> set[tuple[str, str]]:
    described = {
        (path, method.upper())
        for path, operations in api.get_openapi_schema()["paths"].items()
        for method in operations
    }
    tus = {(path, method) for path, methods in TUS.items() for method in methods}
    return described | tus | {("/api/v1/openapi.json", "GET")}


def test_every_address_is_documented():
    assert served() - documented() == set()


def test_every_documented_address_exists():
    assert documented() - served() == set()


def test_no_address_of_the_api_is_outside_these():
    plain = {str(p.pattern) for p in urlpatterns if str(p.pattern).startswith("api/")}
    assert plain == {"api/v1/uploads/", "api/v1/uploads/<slug:code>", "api/v1/"}


def test_every_documented_error_code_can_happen():
    source = "".join(path.read_text() for path in (Path(__file__).parents[2] / "evalserver").rglob("*.py"))
    codes = set(re.findall(r"`([a-z]+_[a-z_]+)`", TEXT)) - {"used_by"}
    assert {code for code in codes if f'"{code}"' not in source} == set()
