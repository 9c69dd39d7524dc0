"""The package that a server offers to who has only its address."""

import zipfile
from pathlib import Path

from django.conf import settings
from django.core.management import call_command

from evalserver.site import software


def test_the_archive_holds_what_a_participant_installs_and_nothing_of_the_server(tmp_path):
    assert software.pack_software(settings.BASE_DIR, tmp_path / "a.zip")
    names = set(zipfile.ZipFile(tmp_path / "a.zip").namelist())
    needed = {"pyproject.toml", "README.md", "axonem_eval/client/cli.py", "baselines/configs/synthetic.pt"}
    assert {f"axonem/{name}" for name in needed} <= names
    assert not [name for name in names if name.split("/")[1] in ("evalserver", "tests", "var", ".env")]


def test_the_same_files_give_the_same_archive(tmp_path):
    for name in ("a.zip", "b.zip"):
        software.pack_software(settings.BASE_DIR, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_an_installation_without_the_client_offers_no_archive(tmp_path):
    assert not software.pack_software(tmp_path, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_collected_static_files_have_the_archive_and_pages_its_address(client, db, settings, tmp_path):
    settings.STATIC_ROOT, settings.VAR_DIR = tmp_path / "static", tmp_path / "var"
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"},
    }
    call_command("collectstatic", interactive=False, verbosity=0)
    software.archive_url.cache_clear()
    try:
        page = client.get("/").content.decode()
        address = software.archive_url()
    finally:
        software.archive_url.cache_clear()
    assert f'href="{address}"' in page
    assert (Path(settings.STATIC_ROOT) / address.removeprefix("/static/")).stat().st_size > 100_000
