"""Two entries side by side."""

import re
from typing import Any

from allauth.core import ratelimit
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from evalserver.submissions import selectors
from evalserver.submissions.evaluation import comparison as service
from evalserver.submissions.models import Submission
from evalserver.submissions.results.compare import PairedResult, VolumePair, volume_pairs
from evalserver.submissions.results.dense_comparison import dense_verdict
from evalserver.submissions.results.selectors import result_of

# Of settings.ACCOUNT_RATE_LIMITS, for those who are not logged in.
RATE = "compare"
CODE = re.compile(r"(?:^|/submissions/)([a-z0-9]{4,16})/?\s*$")


def compare(request: HttpRequest) -> HttpResponse:
    """GET shows what is known; POST has a worker compute the paired bootstrap, once for each pair."""
    data = request.POST if request.method == "POST" else request.GET
    a, b = (_entry(request, data.get(side, "")) for side in ("a", "b"))
    if request.method == "POST":
        return _start(request, a, b)
    context: dict[str, Any] = {"a": a, "b": b, "asked": {side: request.GET.get(side, "") for side in ("a", "b")}}
    if a and request.GET.get("part") != "verdict":
        known = result_of(a, reports=False)
        context["headline"] = known.headline.ranked if known else None
    if a and b:
        context |= _pair_context(a, b)
    if request.GET.get("part") == "verdict":
        return render(request, "submissions/_verdict.html", context)
    return render(request, "submissions/compare.html", context)


def _pair_context(a: Submission, b: Submission) -> dict[str, Any]:
    refusal = service.comparable(a, b)
    if refusal:
        return {"refusal": refusal}
    results = left, right = [result_of(entry) for entry in (a, b)]
    known = service.comparison_of(a, b)
    pairs: list[VolumePair] = volume_pairs(*results)
    return {
        "benchmark": a.phase.benchmark,
        "results": results,
        "volumes": pairs,
        "withheld": any(pair.withheld for pair in pairs),
        "comparison": known,
        "paired": PairedResult.of(known, pairs) if known else None,
        "dense": dense_verdict(known, left, right) if known and left and right else None,
        "rule": a.phase.benchmark.variant.headline,
        "here": f"{reverse('compare')}?{urlencode({'a': a.code, 'b': b.code})}",
    }


def _entry(request: HttpRequest, words: str) -> Submission | None:
    """The scored entry of a code, or of the address of its page; 404 for one that the reader may not see."""
    if not words.strip():
        return None
    found = CODE.search(words.strip())
    rows = selectors.visible_submissions(request.user).filter(status=Submission.DONE_STATUS)
    entry = rows.select_related("team", "phase__benchmark").filter(code=found[1]).first() if found else None
    if entry is None:
        raise Http404
    return entry


def _start(request: HttpRequest, a: Submission | None, b: Submission | None) -> HttpResponse:
    if a is None or b is None or service.comparable(a, b):
        raise Http404
    here = f"{reverse('compare')}?{urlencode({'a': a.code, 'b': b.code})}"
    is_visitor = not request.user.is_authenticated
    if is_visitor and not ratelimit.consume(request, action=RATE):
        messages.error(request, "Your network has asked for many comparisons in the last hour. Log in, or try later.")
        return redirect(here)
    try:
        most = service.MAX_WAITING_FOR_VISITORS if is_visitor else service.MAX_WAITING
        service.request_comparison(a, b, most_waiting=most)
    except service.TooManyWaiting:
        or_so = " or log in" if is_visitor else ""
        messages.error(request, f"Many comparisons are waiting for a worker. Try again in a few minutes{or_so}.")
    return redirect(here)
