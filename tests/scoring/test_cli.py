"""The command line's contract: names, JSON keys, exit status, where output goes."""

import json
import subprocess
import sys

import pytest

from axonem_eval.cli import main
from tests.scoring.volumes import SHAPE, straight_graph, two_axons, write_h5


@pytest.fixture
def files(tmp_path):
    labels = two_axons()
    labels[:, 12:, 10:] *= 5  # the second axon is split in two
    straight_graph().save(tmp_path / "gt.npz")
    return {"seg": str(write_h5(tmp_path / "seg.h5", labels)), "gt": str(tmp_path / "gt.npz"), "folder": tmp_path}


def test_score_json_has_the_promised_keys_and_numbers(files, capsys):
    assert main(["score", files["seg"], "--ground-truth", files["gt"], "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    promised = {
        "erl_nm", "gt_erl_nm", "normalized_erl", "tolerance_nodes", "skeletons", "nodes", "mergers", "edges_nm",
        "voxel_size_nm", "metric_version",
    }  # fmt: skip
    assert promised <= result.keys()
    # 19 edges whole; 9 edges, a broken one, 9 edges: (19^2 + 9^2 + 9^2) / 38 edges of 8 nm
    assert result["erl_nm"] == pytest.approx(8 * (19**2 + 9**2 + 9**2) / 38, rel=1e-15)
    assert result["edges_nm"] == {"correct": 296.0, "omitted": 0.0, "split": 8.0, "merged": 0.0, "total": 304.0}
    assert result["tolerance_nodes"] == 50


def test_score_for_people_has_units_and_tolerance(files, capsys):
    assert main(["score", files["seg"], "--ground-truth", files["gt"], "--tolerance", "10"]) == 0
    text = capsys.readouterr().out
    assert "um" in text
    assert "10 nodes (about 0.08 um)" in text
    assert "metric version" in text


def test_a_faulty_file_exits_1_with_one_line_a_complaint(files, capsys):
    assert main(["check", files["seg"], "--shape", "12,24,21", "--voxel-size", "30,8,8"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.strip().splitlines()) == 1
    assert "expected 12 x 24 x 21" in captured.err


def test_check_accepts_what_the_ground_truth_demands(files, capsys):
    assert main(["check", files["seg"], "--ground-truth", files["gt"]]) == 0
    assert "ok" in capsys.readouterr().out


def test_wrong_usage_exits_2(files):
    for arguments in (["score"], ["check", files["seg"]], ["check", files["seg"], "--shape", "1,2"], ["nonsense"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2


def test_info_says_what_is_in_the_file(files, capsys):
    assert main(["info", files["seg"], "--json"]) == 0
    info = json.loads(capsys.readouterr().out)
    assert (info["shape"], info["dtype"], info["format"]) == (list(SHAPE), "uint64", "HDF5")


def test_a_missing_file_is_a_complaint_not_a_traceback(files):
    command = [sys.executable, "-m", "axonem_eval.cli", "score", "nowhere.h5", "--ground-truth", files["gt"]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_skeletonize_then_score_of_the_same_labels_is_perfect(files, capsys):
    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    labels = two_axons((16, 40, 120))
    path = str(write_h5(files["folder"] / "gt.h5", labels))
    bundle = str(files["folder"] / "made.npz")
    assert main(["skeletonize", f"{path}:main", "--voxel-size", "30,8,8", "-o", bundle, "--processes", "1"]) == 0
    capsys.readouterr()
    assert main(["score", path, "--ground-truth", bundle, "--tolerance", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["normalized_erl"] == 1.0


def test_skeletonize_says_when_nothing_is_long_enough(files, capsys):
    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    path = str(write_h5(files["folder"] / "gt.h5", two_axons((16, 40, 120))))
    output = str(files["folder"] / "made.npz")
    arguments = ["skeletonize", path, "--voxel-size", "30,8,8", "-o", output, "--min-length-um", "5"]
    assert main([*arguments, "--processes", "1"]) == 1
    assert "Lower --min-length-um" in capsys.readouterr().err
