"""The command line's contract: names, JSON keys, exit status, where output goes."""

import argparse
import json
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest

from axonem_eval.cli import main
from axonem_eval.cli.main import COMMANDS, build_parser
from axonem_eval.client import cli as client
from baselines import cli as baselines
from tests.label_files import SHAPE, straight_graph, two_axons, write_h5
from tests.volumes.written_labels import tiff, zarr_array


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
    zipped = ["check", files["seg"], "--ground-truth", files["gt"], "--zipped"]  # of which file?
    short = ["check", files["seg"], "--shape", "1,2"]
    for arguments in (["score"], ["check", files["seg"]], short, ["nonsense"], zipped):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2


def test_a_node_table_is_written_as_npz_and_named_where_labels_are_expected(files, capsys):
    nodes = ["nodes", files["seg"], "--ground-truth", files["gt"], "-o"]
    table = str(files["folder"] / "table.npz")
    assert (main([*nodes, str(files["folder"] / "x.h5")]), main([*nodes, table])) == (1, 0)
    assert "give a name that ends in it" in capsys.readouterr().err
    for command in ("check", "score"):
        assert main([command, table, "--ground-truth", files["gt"]]) == 1
        assert "submit it as it is where the benchmark takes node tables" in capsys.readouterr().err


def test_the_current_folder_is_told_by_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["info", "."]) == 1
    assert f"{tmp_path.name}: it holds neither" in capsys.readouterr().err


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


def other_size(files, name, labels):
    return str(write_h5(files["folder"] / name, labels, resolution=(8, 8, 30)))


COMPARED = {
    "score": lambda f, bad: ["score", bad, "--ground-truth", f["gt"]],
    "score, mask": lambda f, bad: ["score", f["seg"], "--ground-truth", f["gt"], "--no-merge-mask", bad],
    "score, dense": lambda f, bad: ["score", f["seg"], "--ground-truth", f["gt"], "--dense-ground-truth", bad],
    "report": lambda f, bad: ["report", bad, "--ground-truth", f["gt"], "--json"],
    "compare": lambda f, bad: ["compare", f["seg"], bad, "--ground-truth", f["gt"]],
}


@pytest.mark.parametrize("command", COMPARED)
def test_a_voxel_size_that_a_file_states_is_compared_unless_told_otherwise(files, command, capsys):
    arguments = COMPARED[command](files, other_size(files, "bad.h5", two_axons()))
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "bad.h5: the file states voxels of 8 x 8 x 30 nm, expected 30 x 8 x 8" in told
    assert main([*arguments, "--trust-voxel-size"]) == 0


@pytest.mark.parametrize("command", ["skeletonize", "diagnose"])
def test_skeletons_are_not_made_at_another_voxel_size_than_the_file_states(files, command, capsys):
    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    labels = two_axons((16, 40, 120))
    path = str(write_h5(files["folder"] / "lab.h5", labels, resolution=(30, 8, 8)))
    arguments = [command, path, "--voxel-size", "8,8,30", "--processes", "1"]
    arguments += ["-o", str(files["folder"] / "own.npz")] if command == "skeletonize" else []
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert "states voxels of 30 x 8 x 8 nm, expected 8 x 8 x 30" in told
    assert not (files["folder"] / "own.npz").exists()
    assert main([*arguments, "--trust-voxel-size"]) == 0
    assert "--voxel-size 30,8,8" in told
    arguments[3] = "30,8,8"
    assert main(arguments) == 0


def test_a_mask_may_be_of_booleans_in_every_format(files, capsys):
    mask = np.zeros(SHAPE, bool)
    mask[:, :, 18:] = True
    folder, told = files["folder"], set()
    paths = [write_h5(folder / "m.h5", mask), zarr_array(folder / "m.zarr", mask), tiff(folder / "m.tif", mask)]
    paths += [zarr_array(folder / "m2.zarr", mask, zarr_format=2), write_h5(folder / "i.h5", mask.astype(np.uint8))]
    for path in paths:
        command = [
            "score",
            files["seg"],
            "--ground-truth",
            files["gt"],
            "--no-merge-mask",
            str(path),
            "--tolerance",
            "1",
        ]
        assert main(command) == 0
        told.add(capsys.readouterr().out)
    assert len(told) == 1
    assert "mergers          2 segments" in told.pop()


def test_info_shows_an_offset(files, capsys):
    path = write_h5(files["folder"] / "crop.h5", two_axons(), resolution=(30, 8, 8), offset=(1200, 0, 0))
    assert main(["info", str(path)]) == 0
    assert "offset [1200, 0, 0]" in capsys.readouterr().out


def test_info_and_check_say_what_is_not_understood(files, capsys):
    path = str(write_h5(files["folder"] / "odd.h5", two_axons(), resolution="abc"))
    for command in (["info", path], ["check", path, "--ground-truth", files["gt"]]):
        assert main(command) == 0
        assert "states resolution 'abc'" in capsys.readouterr().err


def test_score_complains_of_all_that_check_complains_of(tmp_path, capsys):
    gt, path = str(tmp_path / "gt.npz"), str(write_h5(tmp_path / "a.h5", np.zeros((2, 3, 4), np.float32)))
    straight_graph().save(gt)
    assert main(["check", path, "--ground-truth", gt]) == 1
    by_check = capsys.readouterr().err
    assert main(["score", path, "--ground-truth", gt]) == 1
    assert capsys.readouterr().err == by_check
    assert "shape" in by_check


@pytest.mark.parametrize("size", ["30,8,nan", "nan,8,8", "30,inf,8", "0,8,8", "30,8,-8"])
def test_a_voxel_size_that_is_no_length_is_wrong_usage(tmp_path, capsys, size):
    path = write_h5(tmp_path / "seg.h5", two_axons())
    with pytest.raises(SystemExit) as ended:
        main(["check", str(path), "--shape", "8,48,48", f"--voxel-size={size}"])
    assert ended.value.code == 2
    assert "each of Z,Y,X must be positive" in capsys.readouterr().err


@pytest.mark.parametrize("parser", [build_parser([name]) for name, _, _ in COMMANDS] + [client.build_parser()])
def test_every_argument_of_a_command_has_a_help_text(parser):
    (commands,) = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    arguments = [(name, action) for name, command in commands.choices.items() for action in command._actions]
    assert len(arguments) > 10
    assert [(name, action.dest) for name, action in arguments if not action.help] == []


@pytest.mark.parametrize("parser", [build_parser([]), client.build_parser(), baselines.build_parser()])
def test_every_command_tells_the_version_of_the_package(parser, capsys):
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--version"])
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out == f"{parser.prog} {version('axonem')}\n"
