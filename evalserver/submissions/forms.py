from typing import Any

from django import forms

from evalserver.accounts.models import Team, User
from evalserver.benchmarks.models import Phase, Volume
from evalserver.submissions.models import Submission


class SubmissionForm(forms.ModelForm):
    """A method's name and description, and one file for each volume of the phase."""

    class Meta:
        model = Submission
        fields = ["team", "method_name", "description", "publish_when_scored"]
        labels = {
            "method_name": "Method name",
            "publish_when_scored": "Publish on the leaderboard as soon as it is scored",
        }
        help_texts = {
            "method_name": "As it should stand on the leaderboard.",
            "description": "Optional: model, training data, post-processing, links to paper and code.",
            "publish_when_scored": "You can publish, or take it off again, at any later time.",
        }
        widgets = {"description": forms.Textarea(attrs={"rows": 4})}

    def __init__(self, *args: Any, user: User, phase: Phase, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = Team.objects.filter(members=user)
        team_field = self.fields["team"]
        assert isinstance(team_field, forms.ModelChoiceField)
        team_field.queryset = teams
        team_field.empty_label = None
        self.fields["publish_when_scored"].initial = True
        self.volumes: list[Volume] = list(phase.volumes.order_by("position", "pk"))
        for volume in self.volumes:
            self.fields[self.field_name(volume)] = forms.FileField(
                label=volume.name,
                max_length=None,
                widget=forms.FileInput(attrs={"accept": ".h5,.hdf5,.hdf"}),
                error_messages={"empty": "This file is empty. Choose the HDF5 file of your segmentation."},
            )

    @staticmethod
    def field_name(volume: Volume) -> str:
        return f"file-{volume.slug}"

    def text_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("method_name", "description")]

    def volume_fields(self) -> list[tuple[Volume, forms.BoundField]]:
        return [(volume, self[self.field_name(volume)]) for volume in self.volumes]

    def files_by_volume(self) -> dict[Volume, Any]:
        """Valid uploads by volume."""
        return {volume: self.cleaned_data[self.field_name(volume)] for volume in self.volumes}
