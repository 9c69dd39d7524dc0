"""What a deleted row or a killed worker left behind is listed, and removed when it is old; what a row names stays."""

import os
import tempfile
import time
from pathlib import Path

import pytest
from celery.signals import worker_init
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse

from evalserver.accounts.services import delete_account
from evalserver.submissions.evaluation.leftovers import leftovers, remove_leftovers
from evalserver.submissions.models import Export, VolumeFile
from evalserver.uploads import store
from evalserver.uploads.models import Upload
from evalserver.uploads.services import create_upload, remove_expired
from evalserver.workshop.models import SKELETONS
from tests.factories import make_benchmark, make_scored, make_user
from tests.server.permission_files import make_workshop

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]

DAY_S = 86_400


def age(path: Path, days: float) -> None:
    for part in (path, *path.rglob("*")):
        os.utime(part, (time.time() - days * DAY_S,) * 2)


@pytest.fixture(autouse=True)
def _own_folders(settings, tmp_path):
    """Other tests leave files behind, and no row of them."""
    settings.MEDIA_ROOT, settings.SCRATCH_DIR = tmp_path / "private", tmp_path / "scratch"
    settings.SCRATCH_DIR.mkdir()


@pytest.fixture
def kept():
    """Files of rows, with what a diagnosis made beside one."""
    submission = make_scored(make_benchmark(), 5000)
    for row in VolumeFile.objects.all():
        row.file.save("a.h5", ContentFile(b"labels"))
        default_storage.save(f"submissions/{submission.code}/{row.volume.slug}-view/info", ContentFile(b"{}"))
    volume = submission.phase.volumes.get()
    default_storage.save(make_workshop(volume).beside(SKELETONS), ContentFile(b"skeletons"))
    export = Export(benchmark=volume.benchmark)
    export.file.save("export.zip", ContentFile(b"archive"))
    return default_storage.path(f"submissions/{submission.code}")


def test_what_rows_name_is_never_left_over(kept):
    age(Path(default_storage.location), 400)
    assert leftovers() == []
    assert remove_leftovers() == []
    assert len(list(Path(kept).rglob("*.h5"))) == VolumeFile.objects.count() > 0


LEFT = [
    "submissions/zzzz",
    "groundtruth/old/a",
    "training/old/1-ab-view",
    "pictures/old",
    "workshop/old",
    "exports/9.zip",
]


@pytest.mark.parametrize("name", LEFT)
def test_a_folder_that_no_row_names_goes_a_week_after_its_last_change(kept, name):
    default_storage.save(f"{name}/0/deep", ContentFile(b"12345"))
    (row,) = leftovers()
    assert name.startswith(row.name) or row.name.startswith(name)
    assert row.size_bytes == 5
    assert remove_leftovers() == []
    age(Path(default_storage.path(name)), 8)
    assert [gone.name for gone in remove_leftovers()] == [row.name]
    assert not default_storage.exists(f"{name}/0/deep")
    assert Path(kept).exists()
    assert leftovers() == []


def test_a_working_folder_of_a_killed_worker_goes_when_no_job_can_use_it(settings):
    folder = Path(settings.SCRATCH_DIR) / "tmpabc"
    folder.mkdir()
    (folder / "copy.h5").write_bytes(b"x" * 100)
    assert leftovers() == []
    age(folder, 8)
    assert [row.name for row in leftovers()] == ["scratch/tmpabc"]
    remove_leftovers()
    assert not folder.exists()


def test_a_working_file_of_a_killed_worker_goes_too(settings):
    file = Path(settings.SCRATCH_DIR) / "tmpdef.npz"
    file.write_bytes(b"x" * 100)
    age(file, 8)
    assert [row.name for row in remove_leftovers()] == ["scratch/tmpdef.npz"]
    assert not file.exists()


def test_all_working_folders_of_a_worker_lie_where_they_are_swept(settings, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    worker_init.send(sender=None)
    assert Path(tempfile.mkdtemp()).parent == settings.SCRATCH_DIR


def test_uploads_of_a_deleted_account_go_at_the_next_round():
    ada, bob = make_user("Ada"), make_user("Bob")
    codes = [create_upload(user=user, file_name="a.h5", size_bytes=10).code for user in (ada, bob)]
    delete_account(ada)
    remove_expired()
    assert list(Upload.objects.values_list("code", flat=True)) == [codes[1]]
    assert not store.path_of(codes[0]).exists()
    assert store.path_of(codes[1]).exists()


def test_the_organisers_page_says_what_is_left_over_and_when_it_goes(client):
    default_storage.save("submissions/zzzz/a.h5", ContentFile(b"x" * 2048))
    remove_leftovers()
    client.force_login(make_user("Olga", is_staff=True))
    page = client.get(reverse("organise_queue") + "?part=state").content.decode()
    assert "1 (2.0" in page
    assert "removed 7 days after their last change" in page
