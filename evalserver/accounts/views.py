from django.contrib.auth import login
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme

from evalserver.accounts import services
from evalserver.accounts.forms import LogInForm, SignUpForm


class LogIn(LoginView):
    template_name = "accounts/login.html"
    authentication_form = LogInForm
    redirect_authenticated_user = True


def sign_up(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("my_submissions")
    form = SignUpForm(request.POST or None)
    wanted = request.GET.get("next", "")
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        user = services.sign_up(
            email=data["email"],
            password=data["password1"],
            name=data["name"],
            team_name=data["team_name"],
        )
        login(request, user)
        if url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure()):
            return redirect(wanted)
        return redirect("home")
    return render(request, "accounts/signup.html", {"form": form, "next": wanted})
