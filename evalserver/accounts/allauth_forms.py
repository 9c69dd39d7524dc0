"""django-allauth's forms where they would tell too much. Apart from `signup_form`, which allauth's own derive from."""

from typing import Any

from allauth.account.forms import SignupForm
from django.http import HttpRequest

from evalserver.accounts.models import User


class EvenSignupForm(SignupForm):
    """Signing up takes as long with a known address as with a new one: a password is hashed in both cases."""

    def try_save(self, request: HttpRequest) -> Any:
        if self.account_already_exists:
            User().set_password(self.cleaned_data["password1"])
        return super().try_save(request)
