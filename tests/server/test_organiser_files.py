"""Files that organisers upload are read by a confined process: neither a crash nor a link of one reaches further."""

import io
import struct

import h5py
import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile

from evalserver.benchmarks import images, registration, services
from evalserver.benchmarks.models import GroundTruth, TrainingFile
from evalserver.workshop import job as workshop_job
from evalserver.workshop.services import begin_workshop
from tests.factories import SHAPE, h5_bytes, make_benchmark, make_user, tiny_graph, tiny_labels
from tests.hostile.hdf5_contents import tree_of_itself

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def crashing(labels: np.ndarray) -> bytes:
    torn = bytearray(h5_bytes(labels))
    tree_of_itself(torn)
    return bytes(torn)


def crashing_skeletons() -> bytes:
    torn = bytearray(hdf5_skeletons())
    at = torn.find(b"TREE\0")
    torn[at + 5] = 1
    struct.pack_into("<Q", torn, at + 24 + 8, at)
    return bytes(torn)


def hdf5_skeletons(**links: h5py.ExternalLink) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["1/vertices"] = np.array([[5, 5, 2], [5, 5, 30]], np.float32)
        file["1/edges"] = np.array([[0, 1]], np.uint32)
        for name, link in links.items():
            file.require_group("2")[name] = link
    return content.getvalue()


def bundle(tmp_path) -> bytes:
    tiny_graph().save(tmp_path / "gt.npz")
    return (tmp_path / "gt.npz").read_bytes()


@pytest.fixture
def volume():
    return make_benchmark(ready=False).volumes.get()


def register(volume, content: bytes, kind: str, mask: bytes | None = None, name: str = "source.h5") -> GroundTruth:
    row = services.register_ground_truth(
        volume=volume,
        source_file=SimpleUploadedFile(name, content),
        source_kind=kind,
        no_merge_mask=None if mask is None else SimpleUploadedFile("mask.h5", mask),
    )
    registration.register_ground_truth(row.pk)
    row.refresh_from_db()
    return row


def test_labels_on_which_the_reader_crashes_are_rejected_and_the_worker_lives(volume):
    row = register(volume, crashing(tiny_labels()), "labels")
    assert (row.status, codes(row)) == ("rejected", ["reader_crashed"])
    assert "write it again" in row.complaints[0]["message"]


def test_a_mask_on_which_the_reader_crashes_is_rejected(volume, tmp_path):
    row = register(volume, bundle(tmp_path), "bundle", crashing(tiny_labels()), "source.npz")
    assert (row.status, codes(row)) == ("rejected", ["reader_crashed"])


def test_skeletons_on_which_the_reader_crashes_are_rejected(volume):
    row = register(volume, crashing_skeletons(), "skeletons")
    assert (row.status, codes(row)) == ("rejected", ["reader_crashed"])


def test_skeletons_that_lie_in_another_file_are_not_read(volume, tmp_path):
    (tmp_path / "other.h5").write_bytes(hdf5_skeletons())
    links = {name: h5py.ExternalLink(str(tmp_path / "other.h5"), f"/1/{name}") for name in ("vertices", "edges")}
    row = register(volume, hdf5_skeletons(**links), "skeletons")
    assert row.status == "rejected"
    assert str(tmp_path) not in str(row.complaints)


@pytest.mark.parametrize("content", ["crashes", "no voxel"])
def test_em_that_cannot_be_read_is_rejected(volume, content):
    row = TrainingFile(benchmark=volume.benchmark, title="EM", content="image", volume=volume)
    em = crashing(np.zeros(SHAPE, np.uint8)) if content == "crashes" else h5_bytes(np.zeros((0, 8, 8), np.uint8))
    row.file = ContentFile(em, name="em.h5")
    view = services.store_training_file(row).image_view
    images.make_image_view(view.pk)
    view.refresh_from_db()
    assert (view.status, codes(view)) == ("rejected", ["reader_crashed" if content == "crashes" else "no_voxels"])


def test_a_workshop_on_which_the_reader_crashes_is_rejected(volume):
    file = SimpleUploadedFile("labels.h5", crashing(tiny_labels()))
    shop = begin_workshop(volume=volume, source_file=file, by=make_user("ada"))
    workshop_job.prepare(shop.pk)
    shop.refresh_from_db()
    assert (shop.status, codes(shop)) == ("rejected", ["reader_crashed"])


def codes(row) -> list[str]:
    return [complaint["code"] for complaint in row.complaints]
