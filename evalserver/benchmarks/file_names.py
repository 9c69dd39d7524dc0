"""Names under which files of a benchmark are stored. They contain nothing of an uploaded name but its ending."""

import re
import secrets
from pathlib import Path
from typing import Any

from evalserver.uploads import label_suffix


def training_file_path(training_file: Any, filename: str) -> str:
    return f"training/{training_file.benchmark.slug}/{secrets.token_hex(8)}{_clean_suffix(filename)}"


def picture_path(picture: Any, filename: str) -> str:
    return f"pictures/{picture.benchmark.slug}/{secrets.token_hex(8)}{_clean_suffix(filename)}"


def ground_truth_path(ground_truth: Any, filename: str) -> str:
    volume = ground_truth.volume
    suffix = ".npz" if filename.endswith(".npz") else label_suffix(filename)
    return f"groundtruth/{volume.benchmark.slug}/{volume.slug}/source{suffix}"


def _clean_suffix(filename: str) -> str:
    suffix = "".join(Path(filename).suffixes[-2:])
    return suffix if re.fullmatch(r"(\.[A-Za-z0-9]{1,8}){0,2}", suffix) else ""
