"""The form that edits an entry's description."""

from typing import Any, cast

from django import forms

from evalserver.submissions.marks import MARKS
from evalserver.submissions.metadata import EDITABLE, may_be_superseded_by
from evalserver.submissions.models import Submission

# What the upload form and the edit form say alike.
LABELS = {
    "method_name": "Method name",
    "paper_url": "Paper (address)",
    "code_url": "Code (address)",
    "model_url": "Trained model (address)",
    "supersedes": "Replaces",
    "run_of": "Another run of",
    **{mark.field: mark.label.capitalize() for mark in MARKS},
}
HELP_TEXTS = {
    "method_name": "As it stands on the leaderboard.",
    "description": "Markdown: paragraphs, lists, links, tables, code.",
    "training_data": "Name all of it, also data from elsewhere.",
    "compute": "Hardware and time for training and for inference, number of parameters.",
    "run_of": "The first run of an entry of your team, if this is the same method with another training seed. The "
    "leaderboard ranks the mean of the runs. You cannot change this later.",
    "supersedes": "An earlier entry of your team. Both keep their results; once this one is published, the leaderboard "
    "no longer ranks that one.",
}
_LINKS = ("paper_url", "code_url", "model_url")
LINK_WIDGETS = {name: forms.URLInput(attrs={"placeholder": "https://"}) for name in _LINKS}
LINK_CLASSES = {name: forms.CharField for name in _LINKS}


class MetadataForm(forms.ModelForm):
    """The team's description of an entry."""

    class Meta:
        model = Submission
        fields = EDITABLE
        labels = LABELS
        help_texts = HELP_TEXTS
        widgets = {"description": forms.Textarea(attrs={"rows": 10}), **LINK_WIDGETS}
        field_classes = LINK_CLASSES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        supersedes = cast(forms.ModelChoiceField, self.fields["supersedes"])
        supersedes.queryset = may_be_superseded_by(self.instance)
        supersedes.empty_label = "none"
        if self.instance.phase.is_frozen:
            supersedes.disabled = True
            supersedes.help_text = "The ranking is frozen, so this cannot change."
