"""What people change in a workshop."""

from collections.abc import Iterable

from django.core.files import File
from django.db import IntegrityError, transaction

from axonem_eval.errors import InputError
from axonem_eval.workshop import CLASSES
from evalserver.accounts.models import User
from evalserver.benchmarks.models import Volume
from evalserver.jobs import Rejection, send, under_own_name
from evalserver.uploads import display_name
from evalserver.workshop.models import Candidate, Decision, Finalisation, Label, Segment, Workshop

VERDICTS = {"accept": "accepted", "reject": "rejected", "postpone": "postponed", "undo": "undone"}


class NotPossible(Exception):
    """What somebody asked for is not possible now; the message is for them."""


@transaction.atomic
def begin_workshop(*, volume: Volume, source_file: "File[bytes]", by: User, dataset: str = "") -> Workshop:
    """Store a segmentation; a worker measures it."""
    workshop = Workshop(volume=volume, dataset=dataset, created_by=by, stage="Waiting for a worker")
    workshop.source_name = display_name(source_file.name or "")
    workshop.source_file.save(source_file.name or "labels.h5", source_file, save=False)
    workshop.save()
    send(workshop)
    return workshop


@transaction.atomic
def label_segments(*, workshop: Workshop, names: Iterable[str], label: str, by: User, settles: bool = False) -> int:
    """Store a label for each of the named segments; how many. Raises NotPossible for a label that there is not."""
    if label not in CLASSES:
        raise NotPossible(f"“{label[:20]}” is no label; expected {', '.join(CLASSES)}.")
    rows = list(Segment.objects.filter(workshop=workshop, name__in=list(names)))
    Label.objects.bulk_create(Label(segment=row, annotator=by, label=label, settles=settles) for row in rows)
    return len(rows)


def decide(*, candidate: Candidate, verdict: str, seen: int, by: User) -> Decision:
    """Store a verdict. seen : number of the last decision that the author saw, 0 for none.

    Raises NotPossible where somebody decided meanwhile, or where the verdict does not follow on the last.
    """
    if verdict not in VERDICTS:
        raise NotPossible(f"“{verdict[:20]}” is no verdict; expected {', '.join(VERDICTS)}.")
    last = candidate.decisions.order_by("-number").select_related("author").first()
    if (last.number if last else 0) != seen:
        raise NotPossible(f"{last.author.name if last else 'Somebody'} decided meanwhile. Look at it again.")
    holds = last is not None and last.verdict != "undone"
    if verdict == "undo" and not holds:
        raise NotPossible("Nothing is decided about it, so there is nothing to undo.")
    if verdict != "undo" and last is not None and last.verdict in ("accepted", "rejected"):
        raise NotPossible(f"It is {last.verdict} by {last.author.name}. Undo that first.")
    try:
        with transaction.atomic():
            return Decision.objects.create(candidate=candidate, number=seen + 1, verdict=VERDICTS[verdict], author=by)
    except IntegrityError:
        raise NotPossible("Somebody decided at the same moment. Look at it again.") from None


def request_finalisation(*, workshop: Workshop, by: User) -> Finalisation:
    """Have a worker make ground truth. Raises NotPossible while one does, or before the workshop is ready."""
    if workshop.status != Workshop.DONE_STATUS:
        raise NotPossible("The segmentation is not measured yet.")
    try:
        with transaction.atomic():
            row = Finalisation.objects.create(workshop=workshop, created_by=by, stage="Waiting for a worker")
            send(row)
            return row
    except IntegrityError:
        raise NotPossible("A worker makes it already.") from None


def rejection(error: InputError, workshop: Workshop) -> Rejection:
    """What the library says about a segmentation, under the name that its organiser gave the file."""
    stored = workshop.source_file.name or ""
    return Rejection(
        [{"code": c.code, "message": under_own_name(c.message, stored, workshop.source_name)} for c in error.complaints]
    )
