"""`axonem-eval diagnose`, `export` and `view` as a user runs them."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from axonem_eval.cli import main
from axonem_eval.synthetic import make_tissue, write_labels

pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
VOXEL_NM = (40.0, 16.0, 16.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tissue")
    write_labels(folder / "seg.h5", make_tissue((40, 120, 120), VOXEL_NM, seed=1, grey=False).labels, VOXEL_NM)
    options = ["--voxel-size", "40,16,16", "--processes", "1"]
    assert main(["skeletonize", f"{folder}/seg.h5", *options, "-o", f"{folder}/gt.npz"]) == 0
    return folder


@pytest.mark.slow
def test_diagnose_tells_the_same_of_labels_and_of_their_skeletons(folder, capsys):
    told = []
    for source in ("seg.h5", "gt.npz"):
        assert main(["diagnose", f"{folder}/{source}", "--json"]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1]
    assert told[0]["segments"]["count"] > 10
    assert told[0]["longest_segments"][0]["volume_um3"] > 0


@pytest.mark.slow
def test_diagnose_writes_a_page_and_a_table(folder, capsys):
    arguments = ["diagnose", f"{folder}/gt.npz", "-o", f"{folder}/page.html", "--segments", f"{folder}/segments.csv"]
    assert main(arguments) == 0
    page = (folder / "page.html").read_text()
    assert "<svg" in page
    assert "http" not in re.sub(r'xmlns="[^"]*"', "", page)
    with open(folder / "segments.csv") as file:
        rows = list(csv.DictReader(file))
    assert f"{len(rows):,} segments" in capsys.readouterr().out


def test_diagnose_asks_for_the_voxel_size_where_the_file_has_none(tmp_path, capsys):
    import h5py
    import numpy as np

    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["main"] = np.ones((4, 4, 4), np.uint8)
    assert main(["diagnose", f"{tmp_path}/bare.h5"]) == 1
    assert "--voxel-size Z,Y,X" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["swc", "precomputed"])
def test_exported_skeletons_come_back_by_import(folder, tmp_path, capsys, form):
    assert main(["export", f"{folder}/gt.npz", f"{tmp_path}/out", "--format", form]) == 0
    arguments = ["import", f"{tmp_path}/out", "--voxel-size", "40,16,16", "--shape", "40,120,120", "--json"]
    capsys.readouterr()
    assert main([*arguments, "-o", f"{tmp_path}/back.npz"]) == 0
    back = json.loads(capsys.readouterr().out)
    assert main(["diagnose", f"{folder}/gt.npz", "--json"]) == 0
    assert back["skeletons"] == json.loads(capsys.readouterr().out)["segments"]["count"]


@pytest.mark.slow
def test_a_killed_skeletonize_goes_on_in_its_work_folder(folder, tmp_path):
    command = [sys.executable, "-m", "axonem_eval.cli", "skeletonize", f"{folder}/seg.h5", "--voxel-size", "40,16,16"]
    command += ["--processes", "1", "--work-dir", f"{tmp_path}/work"]
    killed = subprocess.Popen([*command, "-o", f"{tmp_path}/killed.npz"])
    while not (tmp_path / "work" / "blocks" / "000000.labels.npz").exists():
        assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed.npz").exists()
    written = (tmp_path / "work" / "blocks" / "000000.labels.npz").stat().st_mtime_ns
    subprocess.run([*command, "-o", f"{tmp_path}/again.npz"], check=True, capture_output=True)
    assert (tmp_path / "work" / "blocks" / "000000.labels.npz").stat().st_mtime_ns == written
    assert (tmp_path / "again.npz").read_bytes() == (folder / "gt.npz").read_bytes()


@pytest.mark.slow
def test_a_killed_skeletonize_leaves_no_worker_behind(folder, tmp_path):
    command = [sys.executable, "-m", "axonem_eval.cli", "skeletonize", f"{folder}/seg.h5", "--voxel-size", "40,16,16"]
    command += ["--processes", "2", "--work-dir", f"{tmp_path}/work", "-o", f"{tmp_path}/out.npz"]
    with subprocess.Popen(command, start_new_session=True) as killed:
        while not (tmp_path / "work" / "blocks" / "000000.labels.npz").exists():
            assert killed.poll() is None
        killed.kill()
    deadline = time.monotonic() + 20
    while alive := processes_of_session(killed.pid):
        assert time.monotonic() < deadline, alive
        time.sleep(0.1)


def processes_of_session(session):
    """Processes that have not ended, of the session that a process led."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, _, _, leader = rest.split()[:4]
        if int(leader) == session and state != "Z":
            found.append(name)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_view_serves_the_volume_its_skeletons_and_errors_until_it_is_told_to_end(folder, how):
    pytest.importorskip("neuroglancer", reason="the extra [view] is not installed")
    command = [sys.executable, "-m", "axonem_eval.cli", "view", f"{folder}/seg.h5", "--ground-truth"]
    with subprocess.Popen([*command, f"{folder}/gt.npz"], stdout=subprocess.PIPE, text=True) as viewer:
        try:
            address = viewer.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v/\w+/", address)
            with urllib.request.urlopen(address) as page:
                assert b"<script" in page.read()
        finally:
            viewer.send_signal(how)
            try:
                status = viewer.wait(20)
            finally:
                viewer.kill()
        assert status == 0


def test_view_refuses_ground_truth_of_another_shape(folder, tmp_path, capsys):
    pytest.importorskip("neuroglancer", reason="the extra [view] is not installed")
    write_labels(tmp_path / "small.h5", make_tissue((20, 60, 60), VOXEL_NM, seed=1, grey=False).labels, VOXEL_NM)
    assert main(["view", f"{tmp_path}/small.h5", "--ground-truth", f"{folder}/gt.npz"]) == 1
    assert "20 x 60 x 60" in capsys.readouterr().err
