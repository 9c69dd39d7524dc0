"""Read label files that are changed at random, as the server reads uploads.

    python -m tests.hostile.fuzz --files 10000

Each file is read in a process of its own behind the walls and limits of the server's reader. A change that reaches code
which no file reached before is changed further, so the search goes deep. What may come of a file: labels, or a reason
in words, or a reader that crashed on it; the crash is read again by the server's own parent process, which must put it
into words. A fault is a hang, a parent that dies, more memory or time than the limits, an error that no check foresaw,
and any label or word of a file outside (the canary). Exit status 1 where there is one.
"""

import argparse
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import h5py
import numpy as np

from axonem_eval import InputError, VolumeSpec, open_labels, sample_nodes
from axonem_eval.sampling import warm_kernels
from axonem_eval.sandbox import Limits, sample_confined
from axonem_eval.sandbox.child import save_no_kernels
from axonem_eval.sandbox.process import ConfinedCrash
from axonem_eval.sandbox.protection import confine
from axonem_eval.volumes import check_labels
from tests.hostile.case import LABELS, SHAPE
from tests.hostile.mutate import mutated

VOXEL_NM = (30.0, 8.0, 8.0)
CANARY = 0xC0FFEE
SECRET = "a-word-that-only-the-canary-holds"
LARGEST_SEED = 100_000
# Of a small file; the limits of the server allow 45 s.
HANGS_AFTER_S = 60
READERS = str(Path(sys.modules[open_labels.__module__].__file__ or "").parent)


@dataclass
class Seen:
    """kinds : what came of the files.   faults : what must not.   reached : lines of the readers."""

    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    reached: set[str] = field(default_factory=set)
    slowest_s: float = 0.0
    peak_mb: float = 0.0


def seeds(folder: Path) -> dict[str, list[bytes]]:
    """Files of each format: good ones, and the hostile ones of the list, which reach odd places."""
    from tests.hostile.make_files import CASES

    found: dict[str, list[bytes]] = {}
    for case in CASES:
        # Files that blow up take seconds each to make, and are too large to change.
        if case.slow or case.shape_zyx != SHAPE or case.make.__module__.endswith("amplifiers"):
            continue
        path = folder / case.name
        case.make(path)
        content = path.read_bytes()
        path.unlink()
        if len(content) <= LARGEST_SEED:
            found.setdefault(_format(content), []).append(content)
    _write_hdf5(folder / "seed")
    found["hdf5"] += [(folder / f"seed-{i}").read_bytes() for i in range(4)]
    return {name: found[name] for name in ("hdf5", "zarr", "precomputed", "tiff")}


def _format(content: bytes) -> str:
    if content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if content[:2] == b"PK":
        return "precomputed" if b"@type" in content or b'"scales"' in content else "zarr"
    return "hdf5" if content[:4] == b"\x89HDF" else "other"


def _write_hdf5(path: Path) -> None:
    """Both ages of the format, and files that lead to the canary."""
    canary = path.with_name("canary.h5")
    for i, version in enumerate(("earliest", "latest")):
        with h5py.File(f"{path}-{i}", "w", libver=version) as file:
            file.create_dataset("main", data=LABELS, chunks=(8, 16, 16), compression="gzip", shuffle=True)
    with h5py.File(f"{path}-2", "w") as file:
        file["main"] = h5py.ExternalLink(str(canary), "main")
    with h5py.File(f"{path}-3", "w") as file:
        layout = h5py.VirtualLayout(shape=SHAPE, dtype=np.uint64)
        layout[:] = h5py.VirtualSource(str(canary), "main", shape=SHAPE)
        file.create_virtual_dataset("main", layout)


def read(path: Path) -> tuple[str, bool]:
    """What comes of a file: a word, and whether it holds anything of the canary. Behind the walls already."""
    nodes = np.random.default_rng(0).integers(0, SHAPE, (200, 3)).astype(np.int32)
    try:
        check_labels(path, VolumeSpec(SHAPE, VOXEL_NM))
        with open_labels(path) as volume:
            labels = sample_nodes(volume, nodes).node_segment
    except InputError as error:
        return error.complaints[0].code, SECRET in str(error)
    except MemoryError:
        return "too_much_memory", False
    except Exception as error:  # the child calls the file unreadable then
        return f"unforeseen {type(error).__name__}", SECRET in str(error)
    return "labels", bool((labels == CANARY).any())


def _tracer(reached: set[str]) -> Any:
    def of_lines(frame: FrameType, event: str, _: Any) -> Any:
        reached.add(f"{frame.f_code.co_filename[len(READERS) :]}:{frame.f_lineno}")
        return of_lines

    def of_calls(frame: FrameType, event: str, _: Any) -> Any:
        return of_lines(frame, event, None) if frame.f_code.co_filename.startswith(READERS) else None

    return of_calls


def in_a_fork(path: Path, seen: Seen) -> tuple[str, set[str]]:
    """Read one file in a fork of this process; what came of it, and the lines of the readers that it reached."""
    begun = time.monotonic()
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.alarm(HANGS_AFTER_S)
        os.close(read_end)
        confine([path], [], Limits().for_file(path.stat().st_size))
        reached: set[str] = set()
        sys.settrace(_tracer(reached))
        kind, outside = read(path)
        sys.settrace(None)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        with os.fdopen(write_end, "w") as out:
            json.dump([kind, outside, peak, sorted(reached)], out)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        text = answer.read()
    _, status = os.waitpid(pid, 0)
    took = time.monotonic() - begun
    seen.slowest_s = max(seen.slowest_s, took)
    if not text:
        if not os.WIFSIGNALED(status):
            return f"crash exit {os.WEXITSTATUS(status)}", set()  # a library that ends the process
        ended = os.WTERMSIG(status)
        if ended == signal.SIGALRM:
            return "hang", set()
        return "too_slow" if ended in (signal.SIGXCPU, signal.SIGKILL) else f"crash {signal.Signals(ended).name}", set()
    kind, outside, peak, lines = json.loads(text)
    seen.peak_mb = max(seen.peak_mb, peak)
    return ("canary" if outside else kind), set(lines)


def by_the_server(path: Path) -> str:
    """As a worker reads it; what is wrong with that, empty where nothing is."""
    try:
        sample_confined(path, VolumeSpec(SHAPE, VOXEL_NM), np.zeros((1, 3), np.int32))
    except InputError:
        return ""
    except ConfinedCrash as error:
        return f"our own fault: {error}"
    return ""


def fuzz(files: int, *, seed: int, folder: Path, formats: list[str], seconds: float, keep: Path | None) -> Seen:
    """Read so many changed files, or as many as fit into the time; Ctrl-C ends it with what was seen so far."""
    seen = Seen()
    with suppress(KeyboardInterrupt):
        _fuzz(seen, files, seed=seed, folder=folder, formats=formats, seconds=seconds, keep=keep)
    return seen


def _fuzz(
    seen: Seen, files: int, *, seed: int, folder: Path, formats: list[str], seconds: float, keep: Path | None
) -> None:
    dice = random.Random(seed)
    with h5py.File(folder / "canary.h5", "w") as file:
        file["main"] = np.full(SHAPE, CANARY, np.uint64)
        file["main"].attrs["note"] = SECRET
    corpus = {name: rows for name, rows in seeds(folder).items() if name in formats}
    end = time.monotonic() + seconds
    path = folder / "file"
    crashes: set[str] = set()
    for number in range(files):
        if time.monotonic() > end:
            break
        name = formats[number % len(formats)]
        content = mutated(dice.choice(corpus[name]), dice, dice.choice(corpus[name]))
        path.write_bytes(content)
        kind, lines = in_a_fork(path, seen)
        seen.kinds[f"{name}: {kind}"] += 1
        if not lines <= seen.reached:
            seen.reached |= lines
            corpus[name].append(content)
        fault = {"hang": "no answer", "canary": "something of a file outside came out"}.get(kind, "")
        if kind.startswith("unforeseen"):
            fault = "no check foresaw it, so that its message does not say what is wrong"
        if kind.startswith(("crash", "too_slow")) and f"{name} {kind}" not in crashes:
            crashes.add(f"{name} {kind}")  # once for each kind: starting the server's reader takes a second
            fault = by_the_server(path)
        if fault:
            seen.faults.append(f"file {number} ({name}): {kind}: {fault}")
            print(seen.faults[-1], flush=True)
        if keep and (fault or kind.startswith("crash")):
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{number}-{name}-{kind.replace(' ', '-')}").write_bytes(content)
        if number % 500 == 499:
            print(f"{number + 1} files, {len(seen.reached)} lines of the readers", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this time")
    parser.add_argument("--formats", default="hdf5,zarr,precomputed,tiff", help="(%(default)s)")
    parser.add_argument("--keep", type=Path, help="folder for files that crashed the reader or surprised it")
    options = parser.parse_args()
    import tensorstore  # noqa: F401  once, not in every fork
    import tifffile  # noqa: F401

    warm_kernels()
    save_no_kernels()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        seen = fuzz(
            options.files,
            seed=options.seed,
            folder=Path(folder),
            formats=options.formats.split(","),
            seconds=options.seconds,
            keep=options.keep,
        )
    for kind, count in sorted(seen.kinds.items()):
        print(f"{count:>7}  {kind}")
    print(
        f"{seen.kinds.total()} files, {len(seen.reached)} lines of the readers, slowest {seen.slowest_s:.1f} s, "
        f"peak {seen.peak_mb:.0f} MB, {len(seen.faults)} faults",
        *seen.faults,
        sep="\n",
    )
    return 1 if seen.faults else 0


if __name__ == "__main__":
    sys.exit(main())
