"""Forms of the account and team pages."""

from typing import Any

from django import forms
from django.db import models

from evalserver.accounts.models import ApiToken, Membership, Team, User

# A link that is typed without a scheme is one to https.
ASSUME_HTTPS: "dict[type[models.Field[Any, Any]], dict[str, Any]]" = {models.URLField: {"assume_scheme": "https"}}


class ProfileForm(forms.ModelForm):
    """What an account shows to others."""

    class Meta:
        model = User
        fields = ["name", "affiliation"]
        help_texts = {"name": "Shown to your teams and to the organisers."}
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "name"}),
            "affiliation": forms.TextInput(attrs={"autocomplete": "organization"}),
        }


class MailForm(forms.ModelForm):
    """Which mails an account gets."""

    class Meta:
        model = User
        fields = ["mail_when_done"]


class TokenForm(forms.Form):
    """A new API token. Reading is part of every scope."""

    LIFETIMES = [("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "no end")]

    name = forms.CharField(max_length=80, label="Name", help_text="Where it will be used: “lab workstation”.")
    scope = forms.ChoiceField(
        label="It may",
        choices=[
            (ApiToken.Scope.SUBMIT, "read, upload and submit in the name of your teams"),
            (ApiToken.Scope.READ, "only read"),
        ],
    )
    days = forms.ChoiceField(label="Valid for", choices=LIFETIMES, initial="365", required=False)

    @property
    def scopes(self) -> list[str]:
        chosen = self.cleaned_data["scope"]
        return [ApiToken.Scope.READ] if chosen == ApiToken.Scope.READ else [ApiToken.Scope.READ, ApiToken.Scope.SUBMIT]


class NewTeamForm(forms.ModelForm):
    """The name of a team."""

    class Meta:
        model = Team
        fields = ["name"]
        labels = {"name": "Team name"}
        help_texts = {"name": "Shown on the leaderboard."}


class TeamForm(NewTeamForm):
    """What everybody reads of a team."""

    url = forms.URLField(
        label="Web page", required=False, assume_scheme="https", help_text="Shown to everybody, like the institution."
    )

    class Meta(NewTeamForm.Meta):
        fields = ["name", "institution", "url"]
        widgets = {"institution": forms.TextInput(attrs={"autocomplete": "organization"})}


class InvitationForm(forms.Form):
    """The address that an invitation to a team goes to."""

    email = forms.EmailField(
        label="E-mail address",
        help_text="Whoever follows the link in the mail joins the team. A new account is made if they have none.",
        widget=forms.EmailInput(attrs={"autocomplete": "off"}),
    )


class RoleForm(forms.Form):
    """The role of a member in a team."""

    role = forms.ChoiceField(choices=Membership.Role.choices)


class DeleteAccountForm(forms.Form):
    """Typing the address makes sure that nobody deletes an account by a slip of the finger."""

    email = forms.CharField(
        label="Your e-mail address, to confirm", widget=forms.EmailInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].strip()
        if email.lower() != self.user.email.lower():
            raise forms.ValidationError("This is not the address of your account.")
        return email
