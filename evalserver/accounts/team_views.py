"""Pages that change teams. What a team has submitted is shown by the submissions app."""

from collections.abc import Callable

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from evalserver.accounts import teams
from evalserver.accounts.forms import InvitationForm, NewTeamForm, RoleForm, TeamForm
from evalserver.accounts.models import Invitation, Membership, Team, User
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.site import mail_folder_to_show


@login_required
def team_list(request: AuthenticatedRequest) -> HttpResponse:
    """The teams of the visitor, and the form that makes one."""
    form = NewTeamForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            team = teams.create_team(user=request.user, name=form.cleaned_data["name"])
        except teams.TeamError as refusal:
            form.add_error("name", str(refusal))
        else:
            messages.success(request, f"{team.name} is made. Invite its members below.")
            return redirect("team", pk=team.pk)
    memberships = request.user.memberships.select_related("team").order_by("team__name")
    context = {"form": form, "memberships": memberships}
    return render(request, "accounts/teams.html", context, status=422 if form.errors else 200)


def _own_team_or_404(request: AuthenticatedRequest, pk: int) -> Team:
    """A team that the user owns; 404 for anybody else."""
    team = get_object_or_404(Team, pk=pk)
    if not teams.is_owner(request.user, team):
        raise Http404
    return team


def _do(request: HttpRequest, team: Team, action: Callable[[], object], done: str, *, then: str = "") -> HttpResponse:
    """Run one change, and show its result on the team's page, or on the page ``then`` if it was made."""
    pk = team.pk
    try:
        action()
    except teams.TeamError as refusal:
        messages.error(request, str(refusal))
        return redirect("team", pk=pk)
    messages.success(request, done)
    return redirect(then) if then else redirect("team", pk=pk)


@require_POST
@login_required
def describe(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Change what everybody reads of a team."""
    team = _own_team_or_404(request, pk)
    form = TeamForm(request.POST, instance=team)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for errors in form.errors.values() for error in errors))
        return redirect("team", pk=pk)
    about = form.cleaned_data
    return _do(
        request, team, lambda: teams.describe_team(team=team, **about), f"Saved what is said of {about['name']}."
    )


@require_POST
@login_required
def invite(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Invite somebody to a team by mail."""
    team = _own_team_or_404(request, pk)
    form = InvitationForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(map(str, form.errors["email"])))
        return redirect("team", pk=pk)
    email = form.cleaned_data["email"]
    done = f"{email} is invited."
    if folder := mail_folder_to_show():
        done += f" This server is not set up to send mail. The message is a file in {folder}."
    return _do(request, team, lambda: teams.invite(team=team, email=email, invited_by=request.user), done)


@require_POST
@login_required
def revoke_invitation(request: AuthenticatedRequest, pk: int, invitation_pk: int) -> HttpResponse:
    """Withdraw an invitation."""
    team = _own_team_or_404(request, pk)
    invitation = get_object_or_404(Invitation, pk=invitation_pk, team=team)
    return _do(request, team, lambda: teams.revoke_invitation(invitation), "The invitation is withdrawn.")


@require_POST
@login_required
def remove_member(request: AuthenticatedRequest, pk: int, user_pk: int) -> HttpResponse:
    """Put a member out of a team."""
    team = _own_team_or_404(request, pk)
    member = get_object_or_404(User, pk=user_pk, memberships__team=team)
    return _do(request, team, lambda: teams.remove_member(team=team, user=member), f"{member} is out of the team.")


@require_POST
@login_required
def change_role(request: AuthenticatedRequest, pk: int, user_pk: int) -> HttpResponse:
    """Make a member an owner, or an owner a member."""
    team = _own_team_or_404(request, pk)
    member = get_object_or_404(User, pk=user_pk, memberships__team=team)
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise Http404
    role = form.cleaned_data["role"]
    done = f"{member} is {'an owner' if role == Membership.Role.OWNER else 'a member'} now."
    return _do(request, team, lambda: teams.change_role(team=team, user=member, role=role), done)


@require_POST
@login_required
def leave(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Leave a team."""
    team = get_object_or_404(Team, pk=pk, members=request.user)
    done = f"You have left {team.name}."
    return _do(request, team, lambda: teams.remove_member(team=team, user=request.user), done, then="teams")


@require_POST
@login_required
def delete(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Delete a team, where nothing belongs to it."""
    team = _own_team_or_404(request, pk)
    return _do(request, team, lambda: teams.delete_team(team=team), f"{team.name} is deleted.", then="teams")


@never_cache
def invitation(request: HttpRequest, key: str) -> HttpResponse:
    """Page behind the link of an invitation: join, or first log in or sign up."""
    found = teams.find_invitation(key)
    if found is None:
        return render(request, "accounts/invitation_gone.html", status=404)
    if request.method == "POST" and request.user.is_authenticated:
        try:
            team = teams.accept_invitation(raw=key, user=request.user)
        except teams.TeamError as refusal:
            messages.error(request, str(refusal))
            return redirect("invitation", key=key)
        messages.success(request, f"You are a member of {team.name} now, and can submit in its name.")
        return redirect("team", pk=team.pk)
    if not request.user.is_authenticated and not EmailAddress.objects.filter(email=found.email).exists():
        # The link came by mail to this address: who signs up with it need not confirm it a second time.
        get_adapter().stash_verified_email(request, found.email)
    return render(request, "accounts/invitation.html", {"invitation": found, "next": request.path})
