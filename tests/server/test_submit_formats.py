"""Label files other than HDF5 go from the form and from the API to a score; names say nothing, content does."""

import io
import shutil

import numpy as np
import pytest
import tifffile
import zarr
from django.test import Client

from evalserver.submissions.models import Submission
from tests.factories import make_benchmark, make_user, tiny_labels, upload
from tests.server.caller import Caller
from tests.server.uploaded import sent

WHOLE_ERL_NM = 95 * 30.0  # of the three axons, each along the whole of x


def zarr_zip(folder) -> bytes:
    array = zarr.create_array(store=folder / "zarr", shape=tiny_labels().shape, dtype=np.uint64, chunks=(8, 32, 32))
    array[:] = tiny_labels()
    with open(shutil.make_archive(str(folder / "zarr"), "zip", folder / "zarr"), "rb") as file:
        return file.read()


def tiff() -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, tiny_labels().astype(np.uint16), photometric="minisblack")
    return buffer.getvalue()


@pytest.mark.slow
def test_the_form_takes_zarr_and_tiff(worker, ended, tmp_path):
    user, phase = make_user(), make_benchmark(("a", "b"))
    client = Client()
    client.force_login(user)
    address = f"/benchmarks/{phase.benchmark.slug}/submit/"
    assert 'accept=".h5,.hdf5,.hdf,.zip,.tif,.tiff"' in client.get(address).content.decode()
    files = {"file-a": upload(zarr_zip(tmp_path), "seg.zarr.zip"), "file-b": upload(tiff(), "seg.TIF")}
    client.post(address, {"team": user.teams.get().pk, "method_name": "m", **files})
    submission = ended(Submission.objects.get())
    assert submission.status == "scored", submission.complaints
    assert submission.scores.get().mean_erl_nm == WHOLE_ERL_NM
    assert [f.file.name.rpartition("/")[2] for f in submission.files.all()] == ["a.zip", "b.tif"]


@pytest.mark.slow
def test_the_api_takes_zarr_under_any_name(worker, ended, tmp_path):
    caller, phase = Caller(), make_benchmark()
    row = sent(caller.user, phase, content=zarr_zip(tmp_path))  # as “seg.h5”
    body = {"benchmark": phase.benchmark.slug, "method": "m", "files": {"a": row.code}}
    assert caller.send("POST", "/submissions", body).status_code == 201
    submission = ended(Submission.objects.get())
    assert submission.status == "scored", submission.complaints
    assert submission.scores.get().mean_erl_nm == WHOLE_ERL_NM


@pytest.mark.slow
def test_a_complaint_names_the_file_as_its_team_does(worker, ended, tmp_path):
    (tmp_path / "zarr").mkdir()
    (tmp_path / "zarr" / "notes.txt").write_text("no array")
    content = shutil.make_archive(str(tmp_path / "zarr"), "zip", tmp_path / "zarr")
    user, phase = make_user(), make_benchmark()
    client = Client()
    client.force_login(user)
    with open(content, "rb") as file:
        fields = {"team": user.teams.get().pk, "method_name": "m", "file-a": upload(file.read(), "mine.zip")}
    client.post(f"/benchmarks/{phase.benchmark.slug}/submit/", fields)
    submission = ended(Submission.objects.get())
    assert submission.status == "rejected"
    assert submission.complaints[0]["message"].startswith("mine.zip: it holds neither a Zarr array")
