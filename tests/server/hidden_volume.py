"""A hidden volume with figures that are not round, entries scored on it for real, and a walk over all routes."""

import json
import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import numpy as np
from django.core import mail
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import get_resolver, reverse
from django.utils import timezone

from axonem_eval.sampling import NodeSample
from axonem_eval.skeletons import SkeletonGraph
from evalserver.benchmarks.models import Phase
from evalserver.benchmarks.selectors import current_ground_truths
from evalserver.submissions.evaluation import comparison, scoring
from evalserver.submissions.models import Comparison, Evaluation, NodeLabels, Submission
from evalserver.submissions.results.mail import mail_result
from tests.factories import TOLERANCE, add_ground_truth, make_benchmark, make_submission

AXONS = 263
SHAPE = (70, 80, 128)
VOXEL_NM = (37.3, 23.9, 23.9)
CODES = ("hidden22aa", "hidden33bb")
NOW = timezone.now().replace(microsecond=0)


def hidden_graph() -> SkeletonGraph:
    """263 unbranched axons of 40 to 100 nodes, 410 to 630 nm apart: long figures, axons enough for curves.

    The step of the ERL is 200 nm, so that two decimals of a um would tell more than may be told.
    """
    rng = np.random.default_rng(7)
    nodes = rng.integers(40, 101, AXONS)
    axon = np.repeat(np.arange(AXONS), nodes)
    x = np.concatenate([np.arange(n) for n in nodes])
    first = np.flatnonzero(axon[1:] == axon[:-1])
    return SkeletonGraph(
        skeleton_id=np.arange(1, AXONS + 1, dtype=np.uint64),
        node_skeleton=axon.astype(np.int32),
        node_voxel_zyx=np.stack([axon % 66, 5 * (axon // 66), x], axis=1).astype(np.int32),
        edge_u=first.astype(np.int32),
        edge_v=(first + 1).astype(np.int32),
        edge_length_nm=rng.uniform(410.0, 630.0, len(first)),
        shape_zyx=SHAPE,
        voxel_size_nm_zyx=VOXEL_NM,
    )


def rough_labels(graph: SkeletonGraph) -> np.ndarray:
    """(n_nodes,) uint64 labels with hundreds of gaps and splits and dozens of mergers."""
    rng = np.random.default_rng(11)
    labels = graph.node_skeleton.astype(np.uint64) + np.uint64(1)
    n = len(labels)
    # Halves of two axons in five.
    cut = np.flatnonzero(graph.node_skeleton % 5 < 2)
    place = np.arange(n) - np.searchsorted(graph.node_skeleton, graph.node_skeleton)
    labels[cut[place[cut] > 21]] += np.uint64(1000)
    merged = graph.node_skeleton % 9 == 4
    labels[merged] += np.uint64(1)
    gaps = rng.choice(n - 4, 1137, replace=False)
    labels[gaps] = 0
    labels[gaps[:300] + 1] = 0
    return labels


def hidden_phase(graph: SkeletonGraph) -> Phase:
    phase = make_benchmark(("a",), ready=False)
    sizes = dict(zip(("voxel_z_nm", "voxel_y_nm", "voxel_x_nm"), VOXEL_NM, strict=True))
    phase.volumes.update(**dict(zip(("shape_z", "shape_y", "shape_x"), SHAPE, strict=True)), **sizes)
    add_ground_truth(phase.volumes.get(), graph)
    return phase


def score(submission: Submission, node_labels: np.ndarray) -> Submission:
    """The submission with records of these labels alone, as if it had never been scored with others."""
    file = submission.files.select_related("volume").get()
    Comparison.objects.all().delete()
    submission.scores.all().delete()
    Evaluation.objects.filter(volume_file=file).delete()
    file.node_labels.all().delete()
    ground_truth = current_ground_truths(submission.phase)[file.volume_id]
    row = NodeLabels(volume_file=file, ground_truth=ground_truth, sample_seconds=0.0)
    row.file.save(f"{submission.code}-nodes.npz", ContentFile(b""), save=False)
    NodeSample.of_labels(node_labels).save(row.file.path)
    row.save()
    scoring.record(submission, [scoring.score_labels(row)])
    Evaluation.objects.update(created_at=NOW)
    return submission


def entry(phase: Phase, node_labels: np.ndarray, code: str = CODES[0], **fields: Any) -> Submission:
    """A scored entry; it is published unless told otherwise. All its times are fixed."""
    fields = {"status": "scored", "published_at": NOW, "finished_at": NOW, "queued_at": NOW, **fields}
    submission = make_submission(phase, code=code, **fields)
    Submission.objects.filter(pk=submission.pk).update(created_at=NOW)
    return score(submission, node_labels)


def compared(a: Submission, b: Submission) -> Comparison:
    row = comparison.request_comparison(a, b)
    comparison.compare(row.pk)
    row.refresh_from_db()
    assert row.status == "ready", row.complaints
    return row


def values(submission: Submission, other: Submission) -> dict[str, list[Any]]:
    """What an address is made of, by parameter; one that stands for several things has its route before it."""
    return {
        "slug": [submission.phase.benchmark.slug],
        "code": [submission.code],
        "a": [submission.code],
        "b": [other.code],
        "volume": ["a"],
        "phase": [submission.phase.slug],
        "form": ["csv", "json"],
        "table": ["axons", "errors"],
        "action": ["publish", "withdraw"],
        "pk": [submission.team_id],
        "name": ["info"],
        "docs_page.name": ["metric"],
        "docs_image.name": ["synthetic.png"],
        "viewer.name": [""],
        "axon_picture.kind": ["longest", "shortest"], "number": [1],
        # Of people and teams, which hold no figure.
        "key": ["none"], "uidb36": ["1"], "invitation_pk": [1], "user_pk": [1],
    }  # fmt: skip


# Pages of the log-in library hold secrets that are new each time, and nothing of a submission.
LIBRARY = ("account_", "mfa_", "socialaccount_")


def routes(patterns: Any = None, namespace: str = "") -> Iterator[tuple[str, list[str]]]:
    """Name and parameters of every named route but those of the organisers' site."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if hasattr(pattern, "url_patterns"):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            if inner != "admin:":
                yield from routes(pattern.url_patterns, inner)
        elif pattern.name and not pattern.name.startswith(LIBRARY):
            yield (
                f"{namespace}{pattern.name}",
                list(pattern.pattern.regex.groupindex) or list(pattern.pattern.converters),
            )


SORTS = [
    f"{turn}{name}" for turn in ("", "-") for name in ("rank", "mean", "percent", "low", "erl-a.um", "erl-a.percent")
]


def sorted_boards(submission: Submission) -> dict[str, str]:
    """The leaderboard by each of its columns, as page and by the API: the order of the rows is an answer too."""
    slug = submission.phase.benchmark.slug
    boards = (reverse("leaderboard", args=[slug]), reverse("api:get_leaderboard", args=[slug]))
    found = [f"{board}?sort={sort}&superseded=1" for board in boards for sort in SORTS]
    return {f"sorted {address}": address for address in found}


def addresses(submission: Submission, other: Submission) -> dict[str, str]:
    """Every address that can be asked with GET, by what it is."""
    table = values(submission, other)
    found: dict[str, str] = {}
    for name, parameters in routes():
        choices: list[dict[str, Any]] = [{}]
        for parameter in parameters:
            given = table.get(f"{name}.{parameter}") or table.get(parameter)
            assert given, f"the route {name} has a new parameter {parameter}: say in `values` what to put there"
            choices = [{**choice, parameter: value} for choice in choices for value in given]
        for choice in choices:
            found[f"{name} {choice}"] = reverse(name, kwargs=choice)
    pair = f"{reverse('compare')}?a={submission.code}&b={other.code}"
    return found | {"compared": pair, "verdict": f"{pair}&part=verdict"}


API_POSTS = (
    ("PATCH", "/api/v1/submissions/{a}", {}),
    ("POST", "/api/v1/submissions/{a}/unpublish", None),
    ("POST", "/api/v1/submissions/{a}/publish", None),
    ("POST", "/api/v1/comparisons/{a}/{b}", None),
)


def walk(submission: Submission, other: Submission) -> dict[str, str]:
    """All that the site says of an entry, by channel and reader: to its team, to outsiders, and by mail."""
    said: dict[str, str] = {}
    for reader in ("team", "outsider"):
        # From another machine: /metrics answers its own alone, and tells of the machine.
        client = Client(raise_request_exception=True, REMOTE_ADDR="203.0.113.9")
        if reader == "team":
            client.force_login(submission.team.members.get())
        asked = addresses(submission, other) | (sorted_boards(submission) if reader == "outsider" else {})
        for name, address in asked.items():
            answer = client.get(address)
            body = b"".join(answer.streaming_content) if answer.streaming else answer.content
            said[f"{reader} {name}"] = f"{answer.status_code} {clean(body.decode(errors='replace'))}"
        if reader == "team":
            for method, path, body in API_POSTS:
                text = "" if body is None else json.dumps(body)
                answer = client.generic(method, path.format(a=submission.code, b=other.code), text, "application/json")
                said[f"{method} {path}"] = f"{answer.status_code} {clean(answer.content.decode())}"
            Submission.objects.filter(pk=submission.pk).update(published_at=submission.published_at)
    mail.outbox.clear()
    Submission.objects.filter(pk=submission.pk).update(mailed_status="", created_by=submission.team.members.get())
    assert mail_result(submission.pk)
    message = mail.outbox[-1]
    said["mail"] = clean("\n".join([message.subject, message.body, *(str(part[0]) for part in message.alternatives)]))
    return said


def clean(text: str) -> str:
    """Without what differs from one answer to the next: form tokens and moments."""
    text = re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", text)
    return re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|\+00:00)?", "", text)


def words_of(body: str) -> str:
    """Body without places in a drawing: those are numbers, but nobody reads them as figures."""
    body = re.sub(r"<(?:svg|rect|circle|line|path|text|polyline|g)\b(?![^>]*aria-label)[^>]*>", " ", body)
    body = re.sub(r' (?:viewBox|points|d|x|y|width|height)="[^"]*"', " ", body)
    return unescape(body)


NUMBER = re.compile(r"(?<![\w.])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\w])|(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?(?![\w])")


def exact_figures(stored: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """All numbers of stored records that a submission or the ground truth decides, by name."""
    settings = (
        "level",
        "resamples",
        "seed",
        "tolerance_nodes",
        "lower_um",
        "upper_um",
        "voxel_size_nm",
        "schema_version",
    )
    if isinstance(stored, dict):
        for key, value in stored.items():
            if key not in settings:
                yield from exact_figures(value, f"{name}.{key}")
    elif isinstance(stored, list):
        for value in stored:
            yield from exact_figures(value, name)
    elif isinstance(stored, int | float) and not isinstance(stored, bool):
        yield name, float(stored)


def told_exactly(said: dict[str, str], figures: list[tuple[str, float]], shares: list[float]) -> list[str]:
    """What is said that is an exact figure: numbers of four digits or more, in nm, um, mm or as a share, and percents.

    shares : 0 to 1, which no percent with a decimal may be.
    """
    lengths = _Known([(name, value * scale) for name, value in figures for scale in _scales(value)])
    percents = _Known([("a share", value * 100) for value in shares])
    found = []
    for channel, body in said.items():
        words = words_of(body)
        for token in sorted(set(NUMBER.findall(words))):
            # Zeros at the end are those of a rounded figure.
            if len(token.replace(",", "").partition("e")[0].replace(".", "").strip("0")) >= 4:
                found += [f"{channel}: {token} is {name}" for name in lengths.named(token)]
        for token in sorted(set(re.findall(r"(?<![\w.])(\d+\.\d+)%", words))):
            found += [f"{channel}: {token}% is {name}" for name in percents.named(token)]
    return found


def _scales(value: float) -> tuple[float, ...]:
    if value.is_integer():
        return (1.0,)
    return (1.0, 1e-3, 1e-6) if value > 1 else (1.0, 100.0)


class _Known:
    """Exact figures, found by what they are when rounded."""

    def __init__(self, figures: list[tuple[str, float]]) -> None:
        self.names = [name for name, _ in figures]
        self.values = np.array([value for _, value in figures])

    def named(self, token: str) -> list[str]:
        """The first figure that is this number when it is rounded to as many decimals."""
        plain = token.replace(",", "")
        decimals = len(plain.partition("e")[0].partition(".")[2])
        near = np.flatnonzero(np.abs(self.values - float(plain)) <= 0.5000001 * 10.0**-decimals)
        return [self.names[i] for i in near[:1]]


assert TOLERANCE == 5  # rough_labels makes mergers of far more nodes than that
