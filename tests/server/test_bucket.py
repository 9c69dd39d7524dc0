"""The whole way with files in an S3-compatible bucket: register, upload, evaluate, download. Workers are processes of
their own, as in production; the bucket is a server on this machine."""

import base64
import sys
from pathlib import Path

import boto3
import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from moto.server import ThreadedMotoServer

from evalserver.benchmarks.models import GroundTruth, TrainingFile
from evalserver.benchmarks.services import register_ground_truth, store_training_file
from evalserver.env import env_bucket
from evalserver.submissions.models import Submission
from evalserver.uploads import store
from evalserver.uploads.models import Upload
from tests.factories import h5_bytes, make_benchmark, tiny_graph, tiny_labels, upload
from tests.server.caller import Caller

BUCKET = "axonem-files"


@pytest.fixture
def bucket(settings, monkeypatch):
    """A bucket, which this process and the workers that it starts store in; none of it lies in local files."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1"
    )
    client.create_bucket(Bucket=BUCKET)
    named = {"BUCKET": BUCKET, "ENDPOINT_URL": address, "ACCESS_KEY": "key", "SECRET_KEY": "secret"}
    for name, value in named.items():
        monkeypatch.setenv(f"S3_{name}", value)
    settings.STORAGES = {**settings.STORAGES, "default": env_bucket()}
    yield lambda: {row["Key"]: row["Size"] for row in client.list_objects_v2(Bucket=BUCKET).get("Contents", [])}
    server.stop()


def send(caller, phase, content: bytes) -> str:
    """A file over the resumable protocol, in two pieces; the code of the upload."""
    words = {"filename": "seg.h5", "benchmark": phase.benchmark.slug, "volume": "a"}
    metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in words.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    address = caller.client.generic("POST", "/api/v1/uploads/", headers=headers)["Location"]
    for start, stop in ((0, 1000), (1000, len(content))):
        headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(start)}
        answer = caller.client.patch(
            address, content[start:stop], content_type="application/offset+octet-stream", headers=headers
        )
        assert answer.status_code == 204, answer.content
    return address.rpartition("/")[2]


@pytest.mark.slow
def test_everything_lies_in_the_bucket(bucket, workers, ended, tmp_path):
    workers.start(queue="jobs,control")
    phase, caller = make_benchmark(ready=False), Caller()
    tiny_graph().save(tmp_path / "gt.npz")
    source = upload((tmp_path / "gt.npz").read_bytes(), "gt.npz")
    volume = phase.volumes.get()
    version = ended(register_ground_truth(volume=volume, source_kind=GroundTruth.Source.BUNDLE, source_file=source))
    assert version.status == "ready", version.complaints
    content = h5_bytes(tiny_labels())
    code = send(caller, phase, content)
    ended(Upload.objects.get(code=code))
    body = {"benchmark": phase.benchmark.slug, "method": "m", "files": {"a": code}, "publish": True}
    assert caller.send("POST", "/submissions", body).status_code == 201
    submission = ended(Submission.objects.get())
    assert submission.status == "scored", (submission.complaints, submission.stage)
    assert submission.scores.get().mean_erl_nm == 95 * 30.0
    folder, held = f"groundtruth/{phase.benchmark.slug}/a", bucket()
    assert {f"{folder}/source.npz", f"{folder}/v1.npz", f"submissions/{submission.code}/a-nodes-v1.npz"} <= set(held)
    assert held[f"submissions/{submission.code}/a.h5"] == len(content)
    assert not (Path(settings.MEDIA_ROOT) / "submissions" / submission.code).exists()
    assert list(store.folder().glob(f"{code}*")) == []


def test_training_data_is_downloaded_from_the_bucket(bucket, client, db):
    benchmark = make_benchmark(ready=False).benchmark
    row = store_training_file(
        TrainingFile(benchmark=benchmark, title="t", file=SimpleUploadedFile("train.bin", b"abc" * 9))
    )
    answer = client.get(reverse("training_file", args=[benchmark.slug, row.pk]))
    assert b"".join(answer.streaming_content) == b"abc" * 9
    assert list(bucket().values()) == [27]


def test_a_bucket_without_its_package_is_said(monkeypatch):
    monkeypatch.setenv("S3_BUCKET", BUCKET)
    monkeypatch.setitem(sys.modules, "botocore.config", None)
    with pytest.raises(ImproperlyConfigured, match=r"install the extra \[s3\]"):
        env_bucket()
