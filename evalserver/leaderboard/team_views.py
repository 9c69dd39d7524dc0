"""A team's page."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone

from evalserver.accounts import teams
from evalserver.accounts.forms import InvitationForm, TeamForm
from evalserver.accounts.models import Membership, Team
from evalserver.leaderboard.methods import entries_of
from evalserver.submissions import selectors
from evalserver.submissions.results.selectors import with_headlines


def team(request: HttpRequest, pk: int) -> HttpResponse:
    """A team's public entries; for its members all submissions and the members, for its owners the controls.

    Others see a team once it has published something.
    """
    team = get_object_or_404(Team, pk=pk)
    membership = team.memberships.filter(user=request.user.pk).first()
    is_member = membership is not None
    submissions = selectors.visible_submissions(request.user).filter(team=team)
    shown = submissions.select_related("team", "phase__benchmark")[:200]
    reads_all = selectors.may_read_all(request.user)
    if not is_member and not reads_all and not submissions.exists():
        raise Http404
    owns = membership is not None and membership.role == Membership.Role.OWNER
    public = entries_of(team, request.user)
    now = timezone.now()
    plots = [(board, board.plot(now)) for board in public.boards]
    context = {
        "team": team,
        "public": public,
        "plots": [(board, plot) for board, plot in plots if plot],
        "submissions": with_headlines(shown),
        "is_member": is_member,
        "is_owner": owns,
        "reads_all": reads_all,
        "memberships": team.memberships.select_related("user").order_by("-role", "user__name"),
        "invitations": teams.open_invitations(team) if owns else [],
        "team_form": TeamForm(instance=team),
        "invitation_form": InvitationForm(),
    }
    return render(request, "leaderboard/team.html", context)
