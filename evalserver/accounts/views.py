"""The account page: profile, API tokens, mail, and the account's end. Log-in and 2FA are django-allauth's."""

from datetime import timedelta
from typing import Any

from allauth.account.decorators import reauthentication_required
from allauth.mfa.utils import is_mfa_enabled
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from evalserver.accounts import services
from evalserver.accounts.forms import DeleteAccountForm, MailForm, ProfileForm, TokenForm
from evalserver.accounts.models import ApiToken
from evalserver.accounts.requests import AuthenticatedRequest
from evalserver.site import documentation


@login_required
def profile(request: AuthenticatedRequest) -> HttpResponse:
    """Name, affiliation and what else belongs to the visitor's account."""
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, "Saved.")
        return redirect("account")
    context = {
        "form": form,
        "mail_form": MailForm(instance=request.user),
        "has_two_factor": is_mfa_enabled(request.user),
        "usable_tokens": sum(token.is_usable for token in request.user.api_tokens.all()),
    }
    return render(request, "accounts/profile.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def mail_preferences(request: AuthenticatedRequest) -> HttpResponse:
    """Store which mails the visitor wants."""
    form = MailForm(request.POST, instance=request.user)
    if form.is_valid():
        form.save()
        messages.success(request, "Saved.")
    return redirect("account")


@never_cache
@login_required
def tokens(request: AuthenticatedRequest) -> HttpResponse:
    """List and make tokens. The answer to the post is the only page that ever shows a new key."""
    form = TokenForm(request.POST or None)
    context: dict[str, Any] = {
        "form": form,
        "client_docs": documentation.url_of("submitting"),
        "api_docs": documentation.url_of("api"),
    }
    if request.method == "POST" and form.is_valid():
        days = form.cleaned_data["days"]
        context["new_token"], context["new_key"] = services.create_token(
            user=request.user,
            name=form.cleaned_data["name"],
            scopes=form.scopes,
            expires_at=timezone.now() + timedelta(days=int(days)) if days else None,
        )
        context["form"] = TokenForm()
    context["tokens"] = request.user.api_tokens.all()
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def revoke_token(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """End a token of the visitor."""
    token = get_object_or_404(ApiToken, pk=pk, user=request.user)
    if services.revoke_token(token):
        messages.success(request, f"The token “{token.name}” is revoked. Programs that use it no longer have access.")
    return redirect("tokens")


@login_required
@reauthentication_required(allow_get=True)
def delete(request: AuthenticatedRequest) -> HttpResponse:
    """Delete the visitor's account, after the password was asked again."""
    form = DeleteAccountForm(request.POST or None, user=request.user)
    if request.method == "POST" and form.is_valid():
        user = request.user
        try:
            services.delete_account(user)
        except services.AccountError as refusal:
            form.add_error(None, str(refusal))
        else:
            logout(request)
            messages.success(request, "Your account and your personal data are deleted.")
            return redirect("home")
    return render(request, "accounts/delete.html", {"form": form}, status=422 if form.errors else 200)
