"""Cuts by points: what somebody asks for, and what a worker makes of it. The result is a candidate like any other."""

import re

from django.db import transaction
from django.db.models import Max

from axonem_eval.errors import InputError
from axonem_eval.spec import Triple
from axonem_eval.submission_rule import FileRule
from axonem_eval.workshop import MERGER, Correction, candidate_json, part_by_points
from axonem_eval.workshop import Candidate as Found
from evalserver.accounts.models import User
from evalserver.benchmarks.organiser_files import open_truth
from evalserver.jobs import RUNNING, WAITING, Lease, run_job, send
from evalserver.uploads import local_path
from evalserver.workshop.models import Candidate, PointCut, Workshop
from evalserver.workshop.pictures import sides_picture
from evalserver.workshop.services import NotPossible, rejection

FIELDS = ("segment", "this_side", "other_side")
# Of each side; and so many characters of a form that is refused come back.
MOST_POINTS, MOST_KEPT = 50, 1500
# Cuts of one person that wait or run: each may keep a worker for minutes, and scores wait behind them.
MOST_WAITING = 10
_VOXEL = re.compile(r"\s*(\d{1,9})[\s,]+(\d{1,9})[\s,]+(\d{1,9})\s*")


def read_points(text: str, side: str) -> list[list[int]]:
    """Voxels, one a line as `z, y, x`. Raises NotPossible with the faulty line."""
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        found = _VOXEL.fullmatch(line)
        if found:
            rows.append([int(v) for v in found.groups()])
        elif line.strip():
            raise NotPossible(
                f"{side}, line {number}: “{line.strip()[:40]}” is not a voxel z, y, x, such as 12, 340, 96."
            )
    if not 0 < len(rows) <= MOST_POINTS:
        raise NotPossible(f"{side}: {len(rows)} points; expected 1 to {MOST_POINTS}, one a line.")
    return rows


def points_in(text: str) -> list[list[int]]:
    """The lines of a field that are voxels; a window of Neuroglancer begins with them."""
    return [[int(v) for v in found.groups()] for found in map(_VOXEL.fullmatch, text.splitlines()) if found]


def form_of(correction: Correction) -> dict[str, str]:
    """What the form begins with: the points of a cut, or the voxels of both sides of a candidate."""
    sides = ["\n".join(", ".join(map(str, v)) for v in side) for side in (correction.this_side, correction.other_side)]
    return dict(zip(FIELDS, (str(correction.segments[0]), *sides), strict=True))


@transaction.atomic
def request_cut(*, workshop: Workshop, segment: str, this_side: str, other_side: str, by: User) -> PointCut:
    """Have a worker part a segment by points.

    Raises NotPossible for points that cannot be read, and where MOST_WAITING cuts of this person wait or run.
    """
    if workshop.status != Workshop.DONE_STATUS:
        raise NotPossible("The segmentation is not measured yet.")
    if not re.fullmatch(r"[0-9]{1,20}", segment) or not 0 < int(segment) < 2**64:
        raise NotPossible(f"“{segment[:30]}” is no segment: give its id, a whole number above 0.")
    sides = {"this_side": read_points(this_side, "Blue side"), "other_side": read_points(other_side, "Orange side")}
    if PointCut.objects.filter(created_by=by, status__in=(WAITING, RUNNING)).count() >= MOST_WAITING:
        raise NotPossible(f"{MOST_WAITING} cuts of yours are waiting. Ask again when one of them is done.")
    row = PointCut.objects.create(
        workshop=workshop, segment=str(int(segment)), **sides, created_by=by, stage="Waiting for a worker"
    )
    send(row)
    return row


def part(cut_id: int) -> None:
    """Part a segment, unless another worker does or did."""
    run_job(PointCut, cut_id, _part)


def correction_of(row: PointCut) -> Correction:
    """The cut as the library takes it."""
    return Correction(MERGER, (int(row.segment),), _side(row.this_side), _side(row.other_side))


def _side(rows: list[list[int]]) -> tuple[Triple, ...]:
    return tuple((z, y, x) for z, y, x in rows)


def _part(lease: Lease) -> None:
    row = PointCut.objects.select_related("workshop__volume__benchmark").get(pk=lease.pk)
    shop, correction = row.workshop, correction_of(row)
    size = shop.volume.voxel_size_nm_zyx
    lease.progress("Parting the segment", 10)
    with local_path(shop.source_file) as path:
        try:
            stored = FileRule(dataset=shop.dataset)
            with open_truth(path, shop.volume.spec, stored, poll=lease.check) as volume:
                sides = part_by_points(volume, int(row.segment), correction.this_side, correction.other_side, size)
        except InputError as error:
            raise rejection(error, shop) from error
    lease.progress("Drawing both sides", 80)
    picture = sides_picture(sides, size)
    um3 = [n * size[0] * size[1] * size[2] / 1e9 for n in sides.voxels]
    found = Found(correction, 1.0, 1.0, min(um3))
    with transaction.atomic():
        # First: where another worker has the job by now, nothing of this one stays.
        lease.finish(PointCut.DONE_STATUS, percent=100, complaints=[], side_um3=um3)
        # Two cuts at once would take the same place.
        Workshop.objects.select_for_update().get(pk=shop.pk)
        last = shop.candidates.filter(kind=MERGER).aggregate(last=Max("place"))["last"]
        candidate, _ = Candidate.objects.get_or_create(
            workshop=shop,
            name=correction.name,
            defaults={
                "kind": MERGER,
                "place": 0 if last is None else last + 1,
                "score": 1.0,
                "data": candidate_json(found),
                "picture": picture,
            },
        )
        PointCut.objects.filter(pk=row.pk).update(candidate=candidate)
