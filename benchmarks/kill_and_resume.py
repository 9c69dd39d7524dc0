"""Kill -9 in the middle of scoring a whole AxonEM volume, then the same command again.

    python benchmarks/kill_and_resume.py

Prints how much the second run still read, and whether its report is that of an undisturbed run, to the last digit.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import make_big_volume
import numpy as np
import tiles


def command(labels: Path, bundle: Path, *options: str) -> list[str]:
    """`axonem-eval score`, as JSON."""
    program = [sys.executable, "-m", "axonem_eval.cli", "score", str(labels), "--ground-truth", str(bundle), "--json"]
    return [*program, *options]


def report(program: list[str]) -> tuple[dict[str, object], float]:
    """What the command prints, and its wall seconds."""
    began = time.perf_counter()
    text = subprocess.run(program, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(text), time.perf_counter() - began


def main() -> None:
    bundle = make_big_volume.make_skeletons(tiles.AXONEM_SHAPE_ZYX)
    labels = make_big_volume.make_labels("uint32", tiles.AXONEM_SHAPE_ZYX)
    with tempfile.TemporaryDirectory() as folder:
        resume = Path(folder) / "resume"
        # Fewer threads, so that the first checkpoint, after ten seconds, comes well before the end on any machine.
        program = command(labels, bundle, "--resume", str(resume), "--threads", "1")
        first = subprocess.Popen(program, stdout=subprocess.DEVNULL)
        while not resume.exists() and first.poll() is None:
            time.sleep(0.05)
        os.kill(first.pid, signal.SIGKILL)
        print(f"killed: exit status {first.wait()}")
        done = int(np.load(resume)["batches_done"])
        print(f"the checkpoint holds {done:,} batches of chunks, {resume.stat().st_size / 1e6:.0f} MB")
        resumed, seconds = report(program)
        print(f"the same command again: {seconds:.1f} s, checkpoint removed: {not resume.exists()}")
    undisturbed, seconds = report(command(labels, bundle, "--threads", "1"))
    print(f"undisturbed: {seconds:.1f} s; the reports are {'equal' if resumed == undisturbed else 'DIFFERENT'}")
    print(json.dumps(resumed, indent=2))


if __name__ == "__main__":
    main()
