"""Where a result comes from: code, configuration, data, hardware and times, in one JSON file of the run."""

import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from axonem_eval.processes import usable_cores
from baselines.common.blockwise import write_json
from baselines.common.config import ExperimentConfig

LIBRARIES = ("axonem", "torch", "numpy", "scipy", "numba", "zarr", "h5py", "kimimaro")


class Provenance:
    """What a run used and how long its stages took. Stages of earlier calls keep their times."""

    def __init__(self, path: Path, config: ExperimentConfig, command: str) -> None:
        self.path = path
        earlier = json.loads(path.read_text()) if path.exists() else {}
        self.values: dict[str, Any] = {
            "command": command,
            "experiment": config.name,
            "config": config.to_json(),
            "code": code_version(),
            "libraries": library_versions(),
            "hardware": hardware(),
            "data": earlier.get("data", {}),
            "precision": earlier.get("precision", {}),
            "seconds": earlier.get("seconds", {}),
            "results": earlier.get("results", {}),
        }

    def note(self, section: str, name: str, value: Any) -> None:
        """Keep a value and write the file."""
        self.values.setdefault(section, {})[name] = value
        write_json(self.path, self.values)

    def take(self, prefix: str, other: "Provenance", stages: Sequence[str]) -> None:
        """Keep the data and the seconds of these stages of a part of this run, under ``prefix``."""
        for name, value in other.values["data"].items():
            self.note("data", f"{prefix} {name}", value)
        for name in stages:
            if name in other.values["seconds"]:
                self.note("seconds", f"{prefix} {name}", other.values["seconds"][name])

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the wall-clock seconds of a stage to what earlier runs of it took."""
        started = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            self.note("seconds", name, round(self.values["seconds"].get(name, 0.0) + seconds, 2))

    @property
    def origin(self) -> dict[str, Any]:
        """What a result comes from, without times and results: the same for each run of one code and configuration."""
        return {name: self.values[name] for name in ("command", "experiment", "config", "code")}


def file_checksum(path: Path) -> str:
    """sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_version() -> dict[str, Any]:
    """Commit of the checkout and whether it was changed since; the package's version elsewhere."""
    root = Path(__file__).parent.parent.parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        changed = bool(git("status", "--porcelain", "--", "baselines", "axonem_eval")) if commit else None
    except (OSError, subprocess.TimeoutExpired):
        commit, changed = "", None
    return {"commit": commit or None, "changed": changed, "version": library_versions().get("axonem")}


def library_versions() -> dict[str, str]:
    """Installed versions of what a result depends on."""
    found = {"python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """Processor, cores, memory and GPUs."""
    found: dict[str, Any] = {"machine": platform.machine(), "cores": usable_cores(), "processor": platform.processor()}
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        found["processor"] = names[0] if names else found["processor"]
    memory = Path("/proc/meminfo")
    if memory.exists():
        found["memory_gb"] = round(int(memory.read_text().split()[1]) / 1e6, 1)
    try:
        import torch

        found["gpus"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    except ImportError:
        pass
    return found
