"""Who organises a benchmark: roles are given by its owners, and by staff who may change roles."""

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.benchmarks import roles
from evalserver.benchmarks.models import Benchmark, Role
from evalserver.organisers.access import note, organiser


class RoleForm(forms.Form):
    """An account and what it may do here."""

    email = forms.EmailField(label="E-mail address of the account")
    name = forms.ChoiceField(label="Role", choices=Role.Name.choices, initial=Role.Name.REVIEWER)


@organiser("benchmarks.change_role")
def people(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """The list, and the form that gives a role."""
    benchmark = get_object_or_404(Benchmark, slug=slug)
    form = RoleForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            role = roles.give_role(benchmark=benchmark, **form.cleaned_data)
        except roles.NotPossible as refusal:
            form.add_error("email", str(refusal))
        else:
            note(request.user, role, f"{role.name} of {benchmark}")
            messages.success(request, f"{role.user} is {role.name} now.")
            return redirect("organise_people", slug=slug)
    context = {"benchmark": benchmark, "roles": benchmark.roles.select_related("user"), "form": form}
    return render(request, "organisers/people.html", context, status=422 if form.errors else 200)


@require_POST
@organiser("benchmarks.change_role")
def take_role(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    """Take somebody's role."""
    role = get_object_or_404(Role.objects.select_related("user", "benchmark"), benchmark__slug=slug, pk=pk)
    user, benchmark, words = role.user, role.benchmark, f"{role.user} is no longer {role.name}"
    try:
        roles.take_role(role)
    except roles.NotPossible as refusal:
        messages.error(request, str(refusal))
    else:
        note(request.user, benchmark, words)
        messages.success(request, f"{user} has no role in {benchmark} any more.")
    return redirect("organise_people", slug=slug)
