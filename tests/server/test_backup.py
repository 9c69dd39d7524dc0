"""A backup, everything deleted, the backup put back: every row and every file is as before."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.management import CommandError, call_command
from django.db import connection

from evalserver import backup
from evalserver.accounts.models import User
from evalserver.jobs.model import claim
from evalserver.submissions.models import Submission, VolumeFile
from evalserver.uploads.models import Upload
from tests.factories import make_benchmark, make_scored, make_submission
from tests.server.uploaded import sent

pytestmark = pytest.mark.django_db(transaction=True)


def rows() -> dict[str, list]:
    """All rows of all tables."""
    models = apps.get_models(include_auto_created=True)
    return {model._meta.label: list(model._base_manager.order_by("pk").values()) for model in models}


def files() -> dict[str, str]:
    folder = Path(settings.MEDIA_ROOT)
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def delete_everything() -> None:
    call_command("flush", interactive=False, verbosity=0)
    for folder in (settings.MEDIA_ROOT, settings.UPLOAD_DIR):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (settings.MEDIA_ROOT, settings.UPLOAD_DIR, settings.FILE_UPLOAD_TEMP_DIR):  # as the start makes them
        Path(folder).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def installation(empty_queue):
    """A ranking, an entry that waits, an upload that nobody has submitted, and a line in the audit log."""
    delete_everything()
    phase = make_benchmark()
    scored = make_scored(phase, 5000)
    submission = make_submission(phase)
    user = submission.team.members.get()
    sent(user, phase, content=b"not submitted yet")
    LogEntry.objects.log_actions(user.pk, Submission.objects.filter(pk=scored.pk), CHANGE, "x", single_object=True)
    # make_scored names a file that is not there.
    VolumeFile.objects.filter(submission=scored).update(file=submission.files.get().file.name)
    return submission


def test_what_was_deleted_comes_back_to_the_last_row_and_byte(installation, tmp_path):
    before, stored = rows(), files()
    umask = os.umask(0)
    try:
        call_command("backup", tmp_path / "b", verbosity=0)
    finally:
        os.umask(umask)
    assert not any(path.stat().st_mode & 0o077 for path in (tmp_path / "b", *(tmp_path / "b").rglob("*")))
    delete_everything()
    assert not User.objects.exists()
    call_command("restore", tmp_path / "b", verbosity=0)
    assert files() == stored
    after = rows()
    assert {name for name in before if after[name] != before[name]} == set()
    # The next row gets a number that no restored row has.
    make_benchmark()


def test_a_job_that_ran_goes_on_and_a_lost_upload_is_said(installation, tmp_path, capsys):
    claim(Submission, installation.pk)
    (Path(settings.UPLOAD_DIR) / Upload.objects.get().code).unlink()
    call_command("backup", tmp_path / "b", verbosity=0)
    delete_everything()
    call_command("restore", tmp_path / "b", verbosity=0)
    assert "1 uploads had no file any more" in capsys.readouterr().out
    assert not Upload.objects.exists()
    assert Submission.objects.get(pk=installation.pk).heartbeat_at.year < 2100
    call_command("requeue_stale")
    assert Submission.objects.get(pk=installation.pk).status == "uploaded"


def test_a_file_that_comes_and_one_that_goes_meanwhile_are_both_there(installation, tmp_path, monkeypatch):
    dump = backup.backup_database.dump
    leaves = Path(installation.files.get().file.path)

    def while_people_work(folder):
        counts = dump(folder)
        leaves.unlink()
        make_submission(installation.phase)
        return counts

    monkeypatch.setattr(backup.backup_database, "dump", while_people_work)
    manifest = backup.back_up(tmp_path / "b")
    names = {name.removeprefix("files/") for name in manifest["files"]}
    assert set(VolumeFile.objects.values_list("file", flat=True)) <= names
    assert backup.damaged_files(tmp_path / "b", manifest) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda b: (b / "manifest.json").unlink(), "no complete backup"),
        (lambda b: next((b / "files" / "submissions").rglob("*.h5")).write_bytes(b"x"), "damaged or gone"),
        (lambda b: None, "not empty"),
    ],
)
def test_what_cannot_be_restored_is_refused_and_nothing_changes(installation, tmp_path, spoil, said):
    call_command("backup", tmp_path / "b", verbosity=0)
    before = rows()
    spoil(tmp_path / "b")
    with pytest.raises(CommandError, match=said):
        call_command("restore", tmp_path / "b", verbosity=0)
    assert rows() == before


def test_a_backup_does_not_overwrite_another(installation, tmp_path):
    call_command("backup", tmp_path / "b", verbosity=0)
    with pytest.raises(CommandError, match="Name a new folder"):
        call_command("backup", tmp_path / "b", verbosity=0)
    assert connection.vendor in (tmp_path / "b" / "manifest.json").read_text()
