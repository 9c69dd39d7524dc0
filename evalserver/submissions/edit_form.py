from typing import Any

from django import forms

from evalserver.submissions.metadata import EDITABLE, may_be_superseded_by
from evalserver.submissions.models import Submission


class MetadataForm(forms.ModelForm):
    """What a team says of its entry."""

    class Meta:
        model = Submission
        fields = EDITABLE
        labels = {
            "method_name": "Method name",
            "paper_url": "Paper (address)",
            "code_url": "Code (address)",
            "model_url": "Trained model (address)",
        }
        help_texts = {
            "method_name": "As it stands on the leaderboard.",
            "description": "Markdown: paragraphs, lists, links, tables, code.",
            "compute": "Hardware and time for training and for inference, number of parameters.",
            "supersedes": "An earlier entry of your team that this one replaces. Both keep their results.",
        }
        widgets = {"description": forms.Textarea(attrs={"rows": 10})}
        field_classes = {name: forms.CharField for name in ("paper_url", "code_url", "model_url")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("paper_url", "code_url", "model_url"):
            self.fields[name].widget = forms.URLInput(attrs={"placeholder": "https://"})
        supersedes = self.fields["supersedes"]
        assert isinstance(supersedes, forms.ModelChoiceField)
        supersedes.queryset = may_be_superseded_by(self.instance)
        supersedes.empty_label = "none"
