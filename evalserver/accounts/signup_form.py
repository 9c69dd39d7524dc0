"""The fields of the sign-up form besides address and password. A module of its own: allauth's forms derive from it."""

from django import forms
from django.http import HttpRequest

from evalserver.accounts.models import Team, User
from evalserver.accounts.services import give_personal_team


class SignUpFields(forms.Form):
    """The same fields for sign-up by password, GitHub or ORCID."""

    name = forms.CharField(
        max_length=80,
        label="Your name",
        help_text="Shown to your team and to the organisers.",
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )
    affiliation = forms.CharField(
        max_length=120,
        required=False,
        label="Institution (optional)",
        widget=forms.TextInput(attrs={"autocomplete": "organization"}),
    )
    team_name = forms.CharField(
        max_length=70,
        required=False,
        label="Team or lab (optional)",
        help_text="Shown on the leaderboard. If it is empty, your own name is used. You can join other teams later.",
    )
    field_order = ["name", "email", "affiliation", "team_name", "password1", "password2"]

    def clean_team_name(self) -> str:
        name: str = self.cleaned_data["team_name"].strip()
        if name and Team.objects.filter(name__iexact=name).exists():
            raise forms.ValidationError(
                "There is a team of this name already. Choose another name, or ask its members to invite you."
            )
        return name

    def signup(self, request: HttpRequest, user: User) -> None:
        """Called by allauth once the user is stored."""
        user.name = self.cleaned_data["name"]
        user.affiliation = self.cleaned_data["affiliation"]
        user.save(update_fields=["name", "affiliation"])
        give_personal_team(user, self.cleaned_data["team_name"])
        # An invitation's link confirms the address that it was mailed to, and no other.
        if request.session.get("account_verified_email", "") != user.email.lower():
            request.session.pop("account_verified_email", None)
