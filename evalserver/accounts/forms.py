from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm

from evalserver.accounts.models import Team, User


class SignUpForm(BaseUserCreationForm):
    team_name = forms.CharField(
        max_length=70,
        required=False,
        label="Team or lab",
        help_text="Shown on the leaderboard. Left empty, your own name is used.",
    )
    field_order = ["name", "email", "team_name", "password1", "password2"]

    class Meta:
        model = User
        fields = ["name", "email"]
        help_texts = {"name": "Shown to your team and to the organisers."}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs["autocomplete"] = "name"
        self.fields["email"].widget.attrs.update({"autocomplete": "email", "autofocus": False})

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError("An account with this e-mail address exists already. Log in instead.")
        return email

    def clean_team_name(self) -> str:
        name: str = self.cleaned_data["team_name"].strip()
        if name and Team.objects.filter(name__iexact=name).exists():
            raise forms.ValidationError(
                "There is a team of this name already. Choose another, or ask its members to take you in."
            )
        return name


class LogInForm(AuthenticationForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail address"
