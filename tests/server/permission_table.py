"""Every route asked by everybody: who is let in, as a table. docs/permissions.md is written from it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from evalserver.accounts.models import Membership, Team, User
from evalserver.accounts.services import create_token
from evalserver.accounts.teams import invite
from evalserver.benchmarks.models import Phase, Picture, Role, TrainingFile
from evalserver.benchmarks.services import request_participation
from evalserver.uploads import store
from evalserver.uploads.services import create_upload
from tests.factories import make_benchmark, make_scored, make_team, make_user
from tests.server.permission_files import (
    OF_RESULT,
    PUBLIC,
    make_export,
    make_workshop,
    private_result_on_public_truth,
    viewer_of_em,
)

PAGES, API = "Pages", "API and uploads"
SESSIONS = ["visitor", "other", "team", "reviewer", "organiser", "owner", "elsewhere", "staff", "superuser"]
TOKENS = ["team: read", "team: submit", "other: submit", "organiser: read"]
METHODS = {PAGES: ["GET", "POST"], API: ["GET", "HEAD", "OPTIONS", "POST", "PATCH", "DELETE"]}
LOGIN, REAUTHENTICATE = "/accounts/login/", "/accounts/reauthenticate/"
# What a button of the page sends; {code} is the entry's.
FORMS = {
    "organise_answer": "answer=approve",
    "participate": "team={team}",
    "team_change_role": "role=owner",
    "organise_freeze_phase": "action=freeze",
    "organise_change_submissions": "action=hide&code={code}",
    "organise_workshop_decide": "candidate=c&verdict=accept&seen=0",
    "organise_workshop_request_cut": "segment=7&this_side=1,2,3&other_side=4,5,6",
    "organise_workshop_label": "segment=7&label=axon&batch=0&next=0",
}
QUERIES = {"organise_workshop_picture": "?segment=7"}
# Valid, because the owner is looked for after the form of the body.
REFERENCE = b'{"command": "make it", "provenance": {}}'
TUS = {"Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Offset": "0"}


@dataclass
class World:
    """Objects that the addresses name: a private entry of a team, its upload, a benchmark with everything."""

    phase: Phase
    team: Team
    callers: dict[str, tuple[str, str]] = field(default_factory=dict)  # session and token of each
    values: dict[str, Any] = field(default_factory=dict)
    of_route: dict[str, dict[str, Any]] = field(default_factory=dict)


def make_world() -> World:
    phase = make_benchmark()
    ada, second = make_user("Ada"), make_user("Zoe")
    team = ada.teams.get()
    Membership.objects.create(user=second, team=team)
    entry = make_scored(phase, 5000, team=team, published_at=None)
    world = World(phase, team)
    people = {"other": make_user("Bob"), "team": ada}
    for name in ("reviewer", "organiser", "owner"):
        people[name] = make_user(name)
        Role.objects.create(benchmark=phase.benchmark, user=people[name], name=name)
    people["elsewhere"] = make_user("Eve")
    Role.objects.create(benchmark=make_benchmark().benchmark, user=people["elsewhere"], name="owner")
    people["staff"] = make_user("Hal", is_staff=True)
    people["superuser"] = make_user("Olga", is_staff=True, is_superuser=True)
    world.callers["visitor"] = ("", "")
    for name, user in people.items():
        client = Client()
        client.force_login(user)
        world.callers[name] = (client.cookies[settings.SESSION_COOKIE_NAME].value, "")
    for column in TOKENS:
        name, _, scope = column.partition(": ")
        world.callers[column] = ("", create_token(user=people[name], name=scope, scopes=[scope])[1])
    _name_objects(world, ada, second, entry)
    return world


def _name_objects(world: World, ada: User, second: User, entry: Any) -> None:
    benchmark, volume = world.phase.benchmark, world.phase.volumes.get()
    data = TrainingFile(benchmark=benchmark, title="EM", sha256="0" * 64)
    data.file.save("em.h5", ContentFile(b"x"))
    picture = Picture(benchmark=benchmark, words="axons")
    picture.file.save("a.webp", ContentFile(b"x"))
    upload = create_upload(user=ada, file_name="a.h5", size_bytes=10)
    truth = volume.ground_truths.get()
    asking = request_participation(benchmark=benchmark, team=make_team("Asking"))
    token = create_token(user=ada, name="old", scopes=["read"])[0]
    invitation = invite(team=world.team, email="new@example.org", invited_by=ada)
    role = Role.objects.get(benchmark=benchmark, name="reviewer")
    world.values = {
        "slug": benchmark.slug, "volume": volume.slug, "phase": world.phase.slug, "code": entry.code,
        "action": "withdraw", "table": "axons", "form": "csv", "name": "info", "kind": "longest", "number": 1,
        "pk": world.team.pk, "user_pk": second.pk, "invitation_pk": invitation.pk, "key": "none", "uidb36": "1",
        "team": world.team.pk, "a": entry.code, "b": make_scored(world.phase, 4000, published_at=timezone.now()).code,
    }  # fmt: skip
    viewer_of_em(data)
    make_export(benchmark)
    shop = make_workshop(volume)
    shown = private_result_on_public_truth(world.team, benchmark.roles.all())
    for names, values in (
        (PUBLIC, {name: shown[name] for name in ("slug", "volume")}),
        (OF_RESULT, {name: shown[name] for name in ("code", "volume")}),
        (tuple(route.name for route in routes() if route.name.startswith("organise_workshop_")), {"pk": shop.pk}),
        (("organise_workshop",), {"pk": shop.pk}),
        (("remove_upload", "tus_upload", "api:get_upload"), {"code": upload.code}),
        (("training_file", "image_state", "image_file"), {"pk": data.pk}),
        (("picture",), {"pk": picture.pk}),
        (("revoke_token",), {"pk": token.pk}),
        (("organise_answer",), {"pk": asking.pk}),
        (("organise_ground_truth", "organise_change_ground_truth"), {"pk": truth.pk}),
        (("organise_take_role",), {"pk": role.pk}),
        (("docs_page",), {"name": "participants"}),
        (("docs_image",), {"name": "metric.svg"}),
    ):
        world.of_route |= dict.fromkeys(names, values)


@dataclass(frozen=True)
class Route:
    """name : with its namespace, the pattern where it has none; pattern : as the table shows it."""

    name: str
    pattern: str
    parameters: tuple[str, ...]
    build: Callable[[dict[str, Any]], str]

    @property
    def table(self) -> str:
        return API if self.pattern.startswith("/api/") else PAGES


def routes() -> list[Route]:
    """All routes but Django's administration, which asks Django's own permissions; an address once."""
    found: dict[str, Route] = {}
    for patterns, namespaces in _walk(get_resolver(), (), ()):
        form = _form(patterns)
        shown = "/" + form[0]
        if shown.startswith("/admin/") or shown in found:
            continue
        name = ":".join([*namespaces, patterns[-1].name or shown])
        found[shown] = Route(name, shown, form[1], form[2])
    return sorted(found.values(), key=lambda route: route.pattern)


def _walk(resolver: URLResolver, above: tuple[Any, ...], names: tuple[str, ...]) -> Iterator[tuple[Any, Any]]:
    for part in resolver.url_patterns:
        if isinstance(part, URLPattern):
            yield (*above, part), names
        else:
            inner = (*names, part.namespace) if part.namespace else names
            yield from _walk(part, (*above, part), inner)


def _form(patterns: tuple[Any, ...]) -> tuple[str, tuple[str, ...], Callable[[dict[str, Any]], str]]:
    """The address with `{name}` where a value goes, the names, and what fills them in."""
    from django.utils.regex_helper import normalize

    text, names = "", []
    for part in patterns:
        converters = part.pattern.converters
        ((piece, inner), *_) = normalize(part.pattern.regex.pattern.removesuffix(r"\Z"))
        text += piece.replace("%(", "{").replace(")s", "}")
        names += [name for name in inner if name in converters or not converters]
    return text, tuple(names), lambda values: "/" + text.format(**values)


def answers(world: World, route: Route, method: str) -> dict[str, str]:
    """What everybody gets, in one word each."""
    values = world.values | world.of_route.get(route.name, {})
    address = route.build(values) + QUERIES.get(route.name, "")
    callers = SESSIONS + (TOKENS if route.table == API else [])
    body = FORMS.get(route.name, "").format(**values).encode()
    return {name: ask(world, name, method, address, body) for name in callers}


def ask(world: World, caller: str, method: str, address: str, body: bytes = b"") -> str:
    """One request, whose changes are undone."""
    session, token = world.callers[caller]
    client = Client()  # a new one: who has logged out has lost the cookie
    if session:
        client.cookies[settings.SESSION_COOKIE_NAME] = session
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if "/api/" in address:
        headers |= TUS if "/uploads/" in address else {}
    cache.clear()
    _keep_files(world)
    with transaction.atomic():
        if method in ("POST", "PATCH") and not body:
            body = REFERENCE if address.endswith("/reference") else b"{}"
        response = client.generic(method, address, body, _content_type(address), headers=headers)
        if response.streaming:
            response.getvalue()  # closes the file behind it
        transaction.set_rollback(True)
    return in_a_word(response)


def _content_type(address: str) -> str:
    if address.startswith("/api/v1/uploads/"):
        return "application/offset+octet-stream"
    return "application/json" if address.startswith("/api/") else "application/x-www-form-urlencoded"


def _keep_files(world: World) -> None:
    """The file of the upload, which no roll-back brings back."""
    store.path_of(world.of_route["tus_upload"]["code"]).touch(mode=0o600)


def in_a_word(response: Any) -> str:
    """yes: the view did, or would with other input; login; confirm the log-in; no (403); none (404); – (405)."""
    status, where = response.status_code, response.headers.get("Location", "")
    if status == 401 or (status in (301, 302) and where.startswith(LOGIN)):
        return "login"
    if status == 302 and where.startswith(REAUTHENTICATE):
        return "confirm"
    return {403: "no", 404: "none", 405: "–"}.get(status, f"ERROR {status}" if status >= 500 else "yes")


def tables(world: World) -> dict[str, list[str]]:
    """Rows of Markdown for each table; methods that nobody may use are left out."""
    found: dict[str, list[str]] = {PAGES: [], API: []}
    for route in routes():
        for method in METHODS[route.table]:
            words = list(answers(world, route, method).values())
            if set(words) != {"–"}:
                found[route.table].append(f"| `{route.pattern}` | {method} | {' | '.join(words)} |")
    return found
