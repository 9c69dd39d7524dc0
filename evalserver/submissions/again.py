"""Submit again what a team has sent before: the texts, and the files that nothing was wrong with."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.files import File

from evalserver.accounts.models import User
from evalserver.benchmarks.models import Phase, Volume
from evalserver.submissions.metadata import ABOUT
from evalserver.submissions.models import Submission, VolumeFile
from evalserver.uploads import store


def earlier_submission(user: User, phase: Phase, code: str | None) -> Submission | None:
    """The submission of that code, where it is of a team of the user and of this phase."""
    if not code:
        return None
    return Submission.objects.filter(code=code, phase=phase, team__members=user).select_related("team").first()


def initial_values(submission: Submission) -> dict[str, Any]:
    """What a form for the same method begins with, by the names of its fields."""
    names = ("team", "method_name", "description", "publish_when_scored", *ABOUT)
    return {name: getattr(submission, name) for name in names}


def kept_files(submission: Submission) -> dict[Volume, VolumeFile]:
    """The files that are still stored and that the server has not complained of, by volume."""
    wrong = {complaint.get("volume") for complaint in submission.complaints}
    rows = submission.files.select_related("volume")
    return {
        row.volume: row
        for row in rows
        if row.volume.name not in wrong and row.size_bytes and row.file.storage.exists(str(row.file.name))
    }


class SubmittedBefore(File):  # type: ignore[type-arg] # not generic at run time
    """The file of an earlier submission, in the shape that storage and `create_submission` take files in.

    Local storage moves `temporary_file_path()` into place: a second name of the same bytes, where the file system can
    give one. Elsewhere the file is read.
    """

    def __init__(self, row: VolumeFile) -> None:
        super().__init__(row.file.storage.open(str(row.file.name), "rb"), name=row.original_name)
        self.sha256 = row.sha256
        self.size = row.size_bytes
        try:
            self._path: Path | None = Path(row.file.path)
        except NotImplementedError:  # the storage has no local files
            self._path = None

    @property
    def temporary_file_path(self) -> Callable[[], str]:
        """Only where there can be a second name: storage asks whether there is such an attribute."""
        path = self._path
        if path is None or os.stat(path).st_dev != os.stat(store.folder()).st_dev:
            raise AttributeError("temporary_file_path")
        return lambda: store.second_name(path)
