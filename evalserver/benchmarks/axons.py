"""The axons of a ground truth, shortest and longest first: drawn by a worker, shown as far as their readers may see."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Q
from django.utils.safestring import SafeString

from axonem_eval.report import PALETTE, render_skeleton, skeleton_courses, webp
from axonem_eval.report.svg import Frame, figure, legend, tag, ticks, tip
from axonem_eval.skeletons import SkeletonGraph
from evalserver.benchmarks.disclosure_rule import Disclosure, about
from evalserver.benchmarks.models import AxonsShown, GroundTruth, GroundTruthPreview, Volume
from evalserver.benchmarks.preview import class_name
from evalserver.site import own_markup

DRAWN = 5
KINDS = ("longest", "shortest")
# Volumes in one plot; each has a colour and a dash pattern of its own.
MOST_VOLUMES = 6
COURSES = "courses.json"


def folder_of(bundle: str) -> str:
    """Where the pictures of a version lie, beside its bundle."""
    return f"{bundle.removesuffix('.npz')}-axons"


def draw_axons(graph: SkeletonGraph, bundle: str) -> list[dict[str, Any]]:
    """Store a picture of each of the longest and shortest axons, and the courses of all of these through the volume.

    Returns what GroundTruthPreview.axons says of them.
    """
    order = np.argsort(-graph.skeleton_length_nm, kind="stable")
    longest = order[:DRAWN].tolist()
    shortest = order[DRAWN:][::-1][:DRAWN].tolist()
    rows = []
    for place, skeleton in enumerate([*longest, *shortest]):
        kind, number = (KINDS[0], place + 1) if place < len(longest) else (KINDS[1], place - len(longest) + 1)
        picture, width_nm = render_skeleton(graph, skeleton, PALETTE[place % len(PALETTE)])
        _store(f"{folder_of(bundle)}/{kind}-{number}.webp", webp(picture))
        rows.append(
            {
                "kind": kind,
                "number": number,
                "skeleton_id": str(graph.skeleton_id[skeleton]),
                "length_nm": float(graph.skeleton_length_nm[skeleton]),
                "width_nm": width_nm,
                "size_px": [picture.shape[1], picture.shape[0]],
                "has_course": True,
            }
        )
    courses = json.dumps(skeleton_courses(graph, [*longest, *shortest]), separators=(",", ":"))
    _store(f"{folder_of(bundle)}/{COURSES}", courses.encode())
    return rows


def _store(name: str, content: bytes) -> None:
    default_storage.delete(name)
    default_storage.save(name, ContentFile(content))


@dataclass(frozen=True)
class ShownAxon:
    """An axon with a picture. skeleton_id : empty where the ground truth is hidden; lengths are then rounded."""

    kind: str
    number: int
    skeleton_id: str
    length_nm: float
    width_nm: float
    size_px: tuple[int, int]
    has_course: bool


@dataclass(frozen=True)
class ShownAxons:
    """What readers see of the axons of a volume. name : of the volume.

    counts : by class of length; None: too few to be told.   figures : GroundTruthPreview.figures, empty where hidden.
    """

    volume: Volume
    name: str
    counts: list[int | None]
    pictures: list[ShownAxon]
    figures: dict[str, Any]

    @property
    def kinds(self) -> list[tuple[str, list[ShownAxon]]]:
        """The pictures by kind, those that there are."""
        sorted_out = [(kind, [axon for axon in self.pictures if axon.kind == kind]) for kind in KINDS]
        return [(kind, axons) for kind, axons in sorted_out if axons]

    @property
    def has_courses(self) -> bool:
        """Whether readers see where the axons run through the volume."""
        return any(axon.has_course for axon in self.pictures)


def shows_pictures(volume: Volume) -> bool:
    """Whether all readers see pictures of axons of the volume's ground truth."""
    return volume.ground_truth_public or volume.axons_shown == AxonsShown.PICTURES


def shown_axons(volumes: Sequence[Volume]) -> list[ShownAxons]:
    """Of each volume whose axons are shown; exact where the ground truth is public, else by the rule of disclosure."""
    rows = GroundTruthPreview.objects.filter(ground_truth__is_current=True, ground_truth__volume__in=volumes)
    rows = rows.select_related("ground_truth").defer("lengths_svg", "projection_svg")
    previews = {row.ground_truth.volume_id: row for row in rows}
    shown = []
    for volume in volumes:
        preview = previews.get(volume.pk)
        told = volume.ground_truth_public or volume.axons_shown != AxonsShown.NOTHING
        if preview is None or not told or not preview.class_counts:
            continue
        rule = Disclosure.of(volume, preview.ground_truth)
        counts = [rule.class_count(count) for count in preview.class_counts]
        pictures = [_shown(row, rule) for row in preview.axons] if shows_pictures(volume) else []
        shown.append(ShownAxons(volume, volume.name, counts, pictures, preview.figures if rule.is_exact else {}))
    return shown


def comparable_volumes(volume: Volume) -> list[Volume]:
    """Other volumes of which all readers see how long the axons are."""
    told = Q(ground_truth_public=True) | ~Q(axons_shown=AxonsShown.NOTHING)
    rows = Volume.objects.filter(told, benchmark__is_visible=True).exclude(pk=volume.pk)
    rows = rows.filter(ground_truths__is_current=True, ground_truths__preview__isnull=False)
    return list(rows.select_related("benchmark").distinct().order_by("benchmark__name", "position", "pk"))


def compared_axons(volumes: Iterable[Volume]) -> list[ShownAxons]:
    """As ``shown_axons``; volumes of several benchmarks have the benchmark in their names."""
    shown = shown_axons(list(volumes))
    if len({row.volume.benchmark_id for row in shown}) < 2:
        return shown
    return [replace(row, name=f"{row.volume.benchmark.name}, {row.name}") for row in shown]


def class_rows(shown: Sequence[ShownAxons]) -> list[tuple[str, list[int | None]]]:
    """Each class of length between the shortest and the longest axon, in µm, with the axons of each volume."""
    return [(class_name(i), [row.counts[i] for row in shown]) for i in _used_classes(shown)]


def _used_classes(shown: Sequence[ShownAxons]) -> range:
    used = [i for row in shown for i, count in enumerate(row.counts) if count != 0]
    return range(min(used), max(used) + 1) if used else range(0)


def _shown(row: dict[str, Any], rule: Disclosure) -> ShownAxon:
    identity = row["skeleton_id"] if rule.is_exact else ""
    has_course = rule.is_exact and row.get("has_course", False)
    lengths = [row[name] if rule.is_exact else float(about(row[name]) or 0) for name in ("length_nm", "width_nm")]
    size_px = (row["size_px"][0], row["size_px"][1])
    return ShownAxon(row["kind"], row["number"], identity, lengths[0], lengths[1], size_px, has_course)


def picture_file(ground_truth: GroundTruth, kind: str, number: int) -> str:
    """Storage name of a picture."""
    return f"{folder_of(ground_truth.bundle.name or '')}/{kind}-{number}.webp"


def courses_file(ground_truth: GroundTruth) -> str:
    """Storage name of the courses of the axons that have a picture."""
    return f"{folder_of(ground_truth.bundle.name or '')}/{COURSES}"


def lengths_of_volumes(shown: Sequence[ShownAxons]) -> SafeString | str:
    """Share of the axons in each class of length, a line for each volume; empty where there is nothing to show."""
    rows = [row for row in shown if sum(count or 0 for count in row.counts)][:MOST_VOLUMES]
    classes = _used_classes(rows)
    if not classes:
        return ""
    shares = [[None if row.counts[i] is None else _share(row, i) for i in classes] for row in rows]
    levels = ticks(max(share or 0 for line in shares for share in line), 5)

    def draw(width: int) -> tuple[int, str]:
        height = 280 if width > 500 else 250
        frame = Frame.of(width, height, len(classes), levels[-1], left=52)
        content = frame.y_axis(levels, "share of the axons", "%")
        for number, (row, line) in enumerate(zip(rows, shares, strict=True)):
            known = [(place + 0.5, share) for place, share in enumerate(line) if share is not None]
            content += frame.line([x for x, _ in known], [y for _, y in known], f"line volume{number}")
            for x, share in known:
                words = tip(f"{row.name}, {class_name(classes[int(x)])} µm: {_axons(row, classes[int(x)])}")
                content += tag("circle", words, cx=frame.x(x), cy=frame.y(share), r=4, class_=f"dot volume{number}")
        places = [(place + 0.5, class_name(i)) for place, i in enumerate(classes)]
        if width < 500:
            places = places[::2] if len(places) > 5 else places
        return height, content + frame.x_axis(places, "length of the axon (µm)")

    words = ". ".join(
        f"{row.name}: " + ", ".join(f"{class_name(i)} µm {_axons(row, i)}" for i in classes) for row in rows
    )
    key = legend([(f"volume{number}", row.name) for number, row in enumerate(rows)])
    return own_markup(figure(draw, f"Axons by length. {words}.") + key)


def _share(row: ShownAxons, number: int) -> float:
    return 100 * (row.counts[number] or 0) / sum(count or 0 for count in row.counts)


def _axons(row: ShownAxons, number: int) -> str:
    count = row.counts[number]
    if count is None:
        return "too few axons to be told"
    about_words = "" if row.volume.ground_truth_public or not count else "about "
    return f"{about_words}{count:,} axons"
