"""Kill -9 in the middle of a big job, then the same command again: is the result that of an undisturbed run?

    python benchmarks/scorer/kill_and_resume.py score          scoring a whole AxonEM volume
    python benchmarks/scorer/kill_and_resume.py skeletonize    making skeletons of the cortex cube

Prints how much of the work the second run found done.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.data import make_big_volume, tiles


def command(labels: Path, bundle: Path, *options: str) -> list[str]:
    """`axonem-eval score`, as JSON."""
    program = [sys.executable, "-m", "axonem_eval.cli", "score", str(labels), "--ground-truth", str(bundle), "--json"]
    return [*program, *options]


def report(program: list[str]) -> tuple[dict[str, object], float]:
    """What the command prints, and its wall seconds."""
    began = time.perf_counter()
    text = subprocess.run(program, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(text), time.perf_counter() - began


def kill(program: subprocess.Popen[bytes]) -> None:
    """The program and its workers, as the kernel does when memory runs out."""
    os.killpg(program.pid, signal.SIGKILL)
    print(f"killed: exit status {program.wait()}")


def kill_skeletonize() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = [sys.executable, "-m", "axonem_eval.cli", "skeletonize", str(tiles.cube_file())]
        program += ["--voxel-size", ",".join(map(str, tiles.VOXEL_NM_ZYX)), "--work-dir"]
        first = [*program, str(folder / "work"), "-o", str(folder / "killed.npz")]
        running = subprocess.Popen(first, stdout=subprocess.DEVNULL, start_new_session=True)
        batches = folder / "work" / "skeletons"
        while running.poll() is None and len(list(batches.glob("*.npz"))) < 4:
            time.sleep(0.05)
        kill(running)
        done = {path.name: path.stat().st_mtime_ns for path in batches.glob("*.npz")}
        began = time.perf_counter()
        subprocess.run(first, check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - began
        kept = sum((batches / name).stat().st_mtime_ns == then for name, then in done.items())
        total = len(list(batches.glob("*.npz")))
        print(f"the same command again: {seconds:.1f} s; {kept} of {total} batches were done before")
        began = time.perf_counter()
        subprocess.run(
            [*program, str(folder / "other"), "-o", str(folder / "whole.npz")], check=True, stdout=subprocess.DEVNULL
        )
        equal = (folder / "killed.npz").read_bytes() == (folder / "whole.npz").read_bytes()
        seconds = time.perf_counter() - began
        print(f"undisturbed: {seconds:.1f} s; the bundles are {'equal' if equal else 'DIFFERENT'}")


def kill_score() -> None:
    bundle = make_big_volume.make_skeletons(tiles.AXONEM_SHAPE_ZYX)
    labels = make_big_volume.make_labels("uint32", tiles.AXONEM_SHAPE_ZYX)
    with tempfile.TemporaryDirectory() as folder:
        resume = Path(folder) / "resume"
        # Fewer threads, so that the first checkpoint, after ten seconds, comes well before the end on any machine.
        program = command(labels, bundle, "--resume", str(resume), "--threads", "1")
        first = subprocess.Popen(program, stdout=subprocess.DEVNULL, start_new_session=True)
        while not resume.exists() and first.poll() is None:
            time.sleep(0.05)
        kill(first)
        done = int(np.load(resume)["batches_done"])
        print(f"the checkpoint holds {done:,} batches of chunks, {resume.stat().st_size / 1e6:.0f} MB")
        resumed, seconds = report(program)
        print(f"the same command again: {seconds:.1f} s, checkpoint removed: {not resume.exists()}")
    undisturbed, seconds = report(command(labels, bundle, "--threads", "1"))
    print(f"undisturbed: {seconds:.1f} s; the reports are {'equal' if resumed == undisturbed else 'DIFFERENT'}")
    print(json.dumps(resumed, indent=2))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("score", "skeletonize"))
    {"score": kill_score, "skeletonize": kill_skeletonize}[parser.parse_args().what]()
