"""Submit, and change what was submitted."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from evalserver.accounts.models import Team
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.benchmarks.selectors import phase_or_404, visible_benchmark_or_404
from evalserver.submissions import quota, selectors, services
from evalserver.submissions.again import earlier_submission, initial_values
from evalserver.submissions.forms import SubmissionForm
from evalserver.submissions.metadata import ABOUT
from evalserver.submissions.models import Submission


@login_required
def upload(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """The submit form of a phase; `?again=CODE` fills it from an earlier submission of the team."""
    benchmark = visible_benchmark_or_404(request, slug)
    phase = phase_or_404(benchmark, request.GET.get("phase"))
    teams = list(Team.objects.filter(members=request.user))
    earlier = earlier_submission(request.user, phase, request.GET.get("again"))
    form = SubmissionForm(
        request.POST or None,
        request.FILES or None,
        user=request.user,
        phase=phase,
        earlier=earlier,
        initial=initial_values(earlier) if earlier else {"team": teams[0] if teams else None},
    )
    if request.method == "POST" and form.is_valid():
        data, files = form.cleaned_data, form.files_by_volume()
        try:
            submission = services.create_submission(
                team=data["team"],
                user=request.user,
                phase=phase,
                method_name=data["method_name"],
                description=data["description"],
                publish=data["publish_when_scored"],
                about={name: data[name] for name in ABOUT},
                files=files,
            )
        except services.NotAccepted as refusal:
            form.add_error(None, str(refusal))
        else:
            if twin := selectors.same_files(submission):
                messages.warning(
                    request,
                    f"The files are the same, byte for byte, as those of “{twin.method_name}” ({twin.code}), so the "
                    "score will be the same. If you chose the wrong files, cancel this submission.",
                )
            return redirect("submission", code=submission.code)
        finally:
            for file in files.values():
                file.close()
    refusals = {team: services.refuse_reason(team=team, phase=phase) for team in teams}
    context = {
        "benchmark": benchmark,
        "phase": phase,
        "form": form,
        "earlier": earlier,
        "teams": teams,
        "refusals": sorted({reason for reason in refusals.values() if reason}) if teams else [services.NO_TEAM],
        "slots_left": {team: quota.slots_left(team=team, phase=phase) for team in teams if not refusals[team]},
    }
    return render(request, "submissions/upload.html", context, status=422 if form.errors else 200)


ACTIONS = {
    "publish": (services.publish_submission, "Published on the leaderboard."),
    "unpublish": (services.unpublish_submission, "Taken off the leaderboard. Others no longer see it."),
    "withdraw": (services.withdraw_submission, "Withdrawn. The record of the entry stays with your team."),
    "cancel": (services.cancel_submission, "Cancelled. It does not count against your daily limit."),
}


# What cannot be undone is asked first, on a page of its own.
ASKED_FIRST = ("withdraw",)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def act(request: AuthenticatedRequest, code: str, action: str) -> HttpResponse:
    """One of a team's own actions on its submission; GET asks before what cannot be undone."""
    submission = get_object_or_404(Submission.objects.select_related("team", "phase__benchmark"), code=code)
    if not selectors.may_manage(request.user, submission) or action not in ACTIONS:
        raise Http404
    if request.method != "POST":
        if action not in ASKED_FIRST:
            return HttpResponseNotAllowed(["POST"])
        if submission.status == Submission.DONE_STATUS and not submission.withdrawn_at:
            context = {"submission": submission, "benchmark": submission.phase.benchmark}
            return render(request, f"submissions/{action}.html", context)
        messages.error(request, "That is no longer possible: the status of the submission has changed.")
        return redirect("submission", code=code)
    service, done = ACTIONS[action]
    if service(submission):
        messages.success(request, done)
    else:
        messages.error(request, "That is no longer possible: the status of the submission has changed.")
    return redirect("submission", code=code)
