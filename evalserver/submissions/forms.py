"""The form that makes a submission."""

from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.core.files import File

from axonem_eval.submission_rule import NODE_TABLE
from evalserver.accounts.models import Team, User
from evalserver.benchmarks.models import Phase, Volume
from evalserver.submissions.again import SubmittedBefore, kept_files
from evalserver.submissions.edit_form import HELP_TEXTS, LABELS, LINK_CLASSES, LINK_WIDGETS
from evalserver.submissions.metadata import ABOUT, EDITABLE
from evalserver.submissions.models import Submission, VolumeFile
from evalserver.uploads import ACCEPTED_LABELS, display_name
from evalserver.uploads.models import Upload
from evalserver.uploads.store import UploadedBefore

EMPTY = "This file is empty. Choose the file of your segmentation."


@dataclass(frozen=True)
class VolumeField:
    """What the page needs to ask for one volume's file. unfinished : uploads that can be continued."""

    volume: Volume
    file: forms.BoundField
    upload: forms.BoundField
    ready: list[Upload]
    unfinished: list[Upload]
    kept: VolumeFile | None

    @property
    def has_choice(self) -> bool:
        return bool(self.ready or self.kept)


class EarlierFile(forms.ModelChoiceField):
    """A finished upload by its code, or the file of an earlier submission."""

    kept: VolumeFile | None = None

    def to_python(self, value: Any) -> Any:
        if self.kept and value == kept_name(self.kept):
            return self.kept
        return super().to_python(value)


def kept_name(row: VolumeFile) -> str:
    """How the form names the file of an earlier submission; a code has no dot."""
    return f"{row.submission.code}.{row.volume.slug}"


class SubmissionForm(forms.ModelForm):
    """What a team says of its method, and for each volume of the phase a file, or an upload that has finished."""

    class Meta:
        model = Submission
        fields = ["team", *EDITABLE, "run_of", "publish_when_scored"]
        labels = {**LABELS, "publish_when_scored": "Publish on the leaderboard as soon as it is scored"}
        help_texts = {
            **HELP_TEXTS,
            "publish_when_scored": "You can publish it, or take it off again, at any time.",
        }
        widgets = {"description": forms.Textarea(attrs={"rows": 4}), **LINK_WIDGETS}
        field_classes = LINK_CLASSES

    def __init__(self, *args: Any, user: User, phase: Phase, earlier: Submission | None = None, **kwargs: Any) -> None:
        """earlier : submission whose files can be taken again."""
        super().__init__(*args, **kwargs)
        teams = Team.objects.filter(members=user)
        team_field = cast(forms.ModelChoiceField, self.fields["team"])
        team_field.queryset = teams
        team_field.empty_label = None
        supersedes = cast(forms.ModelChoiceField, self.fields["supersedes"])
        # Of all the user's teams: which one submits is chosen in the same form, and looked at in clean().
        supersedes.queryset = Submission.objects.filter(
            team__in=teams, phase=phase, status=Submission.DONE_STATUS
        ).select_related("team")
        supersedes.empty_label = "none"
        run_of = cast(forms.ModelChoiceField, self.fields["run_of"])
        run_of.queryset = Submission.objects.filter(team__in=teams, phase=phase, run_of=None).select_related("team")
        run_of.empty_label = "none"
        self.volumes: list[Volume] = list(phase.volumes.order_by("position", "pk"))
        self.uploads = list(
            Upload.objects.filter(
                user=user,
                benchmark_slug=phase.benchmark.slug,
                status__in=(Upload.RECEIVING, Upload.DONE_STATUS),
            )
        )
        self.kept = kept_files(earlier) if earlier else {}
        for volume in self.volumes:
            self._add_fields(volume, user)

    def _add_fields(self, volume: Volume, user: User) -> None:
        ready = self._uploads(volume, Upload.DONE_STATUS)
        kept = self.kept.get(volume)
        # The browser insists on a file where there is nothing else to choose.
        accepted = f"{ACCEPTED_LABELS},{NODE_TABLE}" if volume.rule.node_tables else ACCEPTED_LABELS
        attributes = {"accept": accepted} | ({} if ready or kept else {"required": True})
        self.fields[self.field_name(volume)] = forms.FileField(
            label=volume.name,
            max_length=None,
            required=False,
            widget=forms.FileInput(attrs=attributes),
            error_messages={"empty": EMPTY},
        )
        upload = EarlierFile(
            Upload.objects.filter(user=user, status=Upload.DONE_STATUS),
            to_field_name="code",
            required=False,
            label=f"Uploaded before for {volume.name}",
            error_messages={"invalid_choice": "This upload is not ready or already submitted. Choose the file again."},
        )
        # Only those for this volume are offered; the script adds one that it has just sent.
        choices = [("", "none: choose the file below")] + [(u.code, u.file_name) for u in ready]
        if kept:
            upload.kept, upload.initial = kept, kept_name(kept)
            choices.append((upload.initial, f"{kept.original_name}, as submitted before"))
        upload.widget.choices = choices
        self.fields[self.upload_name(volume)] = upload

    def _uploads(self, volume: Volume, status: str) -> list[Upload]:
        """Those that may become its file: an empty one never does."""
        return [u for u in self.uploads if u.volume_slug == volume.slug and u.status == status and u.size_bytes]

    @staticmethod
    def field_name(volume: Volume) -> str:
        return f"file-{volume.slug}"

    @staticmethod
    def upload_name(volume: Volume) -> str:
        return f"upload-{volume.slug}"

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        for volume in self.volumes:
            name = self.field_name(volume)
            if name not in self.errors and not data.get(name) and not data.get(self.upload_name(volume)):
                self.add_error(name, "Choose the file of your segmentation.")
            elif name not in self.errors and not data.get(name) and not data[self.upload_name(volume)].size_bytes:
                self.add_error(name, EMPTY)
            elif name not in self.errors and (wrong := volume.rule.name_complaint(self._chosen_name(data, volume))):
                self.add_error(name, f"{wrong[0].upper()}{wrong[1:]}.")
        for name in ("supersedes", "run_of"):
            entry = data.get(name)
            if entry and data.get("team") and entry.team_id != data["team"].pk:
                self.add_error(name, f"This entry belongs to {entry.team}: choose one of the team that submits.")
        return data

    def _chosen_name(self, data: dict[str, Any], volume: Volume) -> str:
        file = data.get(self.field_name(volume))
        if file:
            return display_name(file.name)
        chosen: Upload | VolumeFile = data[self.upload_name(volume)]
        return chosen.file_name if isinstance(chosen, Upload) else chosen.original_name

    def text_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in ("method_name", "description")]

    def about_fields(self) -> list[forms.BoundField]:
        """What the page keeps folded: all of it can be left out, and be added later."""
        return [self[name] for name in ABOUT]

    def about_is_used(self) -> bool:
        """Whether something stands in the folded part, right or wrong: then it must not be hidden."""
        return any(field.errors or field.value() for field in self.about_fields())

    def not_submitted(self) -> list[str]:
        """Names of the files that the user has begun to send for this form, and not submitted."""
        slugs = {volume.slug for volume in self.volumes}
        return sorted(u.file_name for u in self.uploads if u.volume_slug in slugs and u.size_bytes)

    def volume_fields(self) -> list[VolumeField]:
        return [
            VolumeField(
                volume,
                self[self.field_name(volume)],
                self[self.upload_name(volume)],
                self._uploads(volume, Upload.DONE_STATUS),
                self._uploads(volume, Upload.RECEIVING),
                self.kept.get(volume),
            )
            for volume in self.volumes
        ]

    def files_by_volume(self) -> dict[Volume, File]:
        """The files of a valid form: the one that came with it, or else the one that was there before."""
        return {
            volume: self.cleaned_data[self.field_name(volume)] or _opened(self.cleaned_data[self.upload_name(volume)])
            for volume in self.volumes
        }


def _opened(chosen: Upload | VolumeFile) -> "File[bytes]":
    return UploadedBefore(chosen) if isinstance(chosen, Upload) else SubmittedBefore(chosen)
