"""What an organiser registers may be damaged like any file: the version is rejected with a reason, never failed."""

import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile

from evalserver.benchmarks import registration, services
from evalserver.benchmarks.models import GroundTruth
from tests.factories import SHAPE, h5_bytes, make_benchmark, tiny_graph, tiny_labels

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def bundle(**changes: Any) -> bytes:
    """A bundle's file; None leaves an array out, anything else takes its place."""
    with TemporaryDirectory() as folder:
        tiny_graph().save(Path(folder) / "gt.npz")
        with np.load(Path(folder) / "gt.npz") as stored:
            arrays = {name: stored[name] for name in stored.files} | changes
    out = io.BytesIO()
    np.savez_compressed(out, **{name: value for name, value in arrays.items() if value is not None})
    return out.getvalue()


def bundle_names() -> list[str]:
    with np.load(io.BytesIO(bundle()), allow_pickle=False) as stored:
        return list(stored.files)


def chunk_broken() -> bytes:
    """Labels whose file opens, but one of whose chunks is no gzip."""
    content = bytearray(h5_bytes(np.random.default_rng(0).integers(1, 9, SHAPE, np.uint64)))
    with h5py.File(io.BytesIO(bytes(content))) as file:
        info = file["main"].id.get_chunk_info(0)
    content[info.byte_offset : info.byte_offset + info.size] = b"\xff" * info.size
    return bytes(content)


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


WHOLE = h5_bytes(tiny_labels())
LABELS: dict[str, bytes] = {
    "nothing": b"",
    "text": b"<!doctype html><p>Log in to download",
    "half": WHOLE[: len(WHOLE) // 2],
    "head alone": WHOLE[:64],
    "broken chunk": chunk_broken(),
    "floats": h5_bytes(tiny_labels().astype(np.float32)),
    "two dimensions": h5_bytes(tiny_labels()[0]),
    "no segment": h5_bytes(np.zeros(SHAPE, np.uint64)),
    "another shape": h5_bytes(tiny_labels()[:12]),
    "zip of text": zipped(a=b"x"),
    "tiff head": b"II*\x00\x08\x00\x00\x00" + b"\xff" * 64,
}
NAN = np.full(3, np.nan)
BUNDLES: dict[str, bytes] = {
    "nothing": b"",
    "text": b"version https://git-lfs.github.com/spec/v1",
    "half": bundle()[: len(bundle()) // 2],
    "empty zip": zipped(),
    "zip of text": zipped(a=b"x"),
    "array of text": zipped(**{"node_voxel_zyx.npy": b"x"}),
    **{f"without {name}": bundle(**{name: None}) for name in bundle_names()},
    **{f"{name} is text": bundle(**{name: np.array(["x", "y"])}) for name in bundle_names()},
    **{f"{name} is empty": bundle(**{name: np.zeros(0)}) for name in bundle_names()},
    **{f"{name} is NaN": bundle(**{name: NAN}) for name in bundle_names()},
    "edges beyond the nodes": bundle(edge_u=np.full(285, 10**6, np.int32)),
    "negative edges": bundle(edge_v=np.full(285, -1, np.int32)),
    "nodes outside": bundle(node_voxel_zyx=np.full((288, 3), 10**6, np.int32)),
    "lengths of minus one": bundle(edge_length_nm=np.full(285, -1.0)),
    "objects": bundle(node_voxel_zyx=np.array([{}, {}], dtype=object)),
}


def register(volume, content: bytes, kind: str, mask: bytes | None = None) -> GroundTruth:
    name = "source.npz" if kind == "bundle" else "source.h5"
    row = services.register_ground_truth(
        volume=volume,
        source_file=SimpleUploadedFile(name, content),
        source_kind=kind,
        no_merge_mask=None if mask is None else SimpleUploadedFile("mask.h5", mask),
    )
    registration.register_ground_truth(row.pk)
    row.refresh_from_db()
    return row


def assert_rejected(row: GroundTruth) -> None:
    assert (row.status, row.incident_id) == ("rejected", "")
    assert row.complaints
    for complaint in row.complaints:
        assert "Traceback" not in complaint["message"]
        assert str(settings.MEDIA_ROOT) not in complaint["message"]
        assert len(complaint["message"]) > 15


@pytest.fixture
def volume():
    return make_benchmark(ready=False).volumes.get()


@pytest.mark.parametrize("name", LABELS)
def test_damaged_labels_are_rejected_with_a_reason(volume, name):
    assert_rejected(register(volume, LABELS[name], "labels"))


@pytest.mark.parametrize("name", [name for name in LABELS if name not in ("no segment", "floats")])
def test_a_damaged_no_merge_mask_is_rejected_with_a_reason(volume, name):
    assert_rejected(register(volume, bundle(), "bundle", mask=LABELS[name]))


@pytest.mark.parametrize("name", BUNDLES)
def test_a_damaged_bundle_is_rejected_with_a_reason(volume, name):
    assert_rejected(register(volume, BUNDLES[name], "bundle"))


def test_whole_files_are_registered(volume):
    assert register(volume, bundle(), "bundle", mask=WHOLE).status == "ready"
    assert register(volume, WHOLE, "labels").status == "ready"
    assert Path(volume.ground_truths.first().bundle.path).exists()
