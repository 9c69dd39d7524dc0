"""The log of a training: one JSON object a line in log.jsonl, and TensorBoard where it is installed."""

import json
from pathlib import Path
from typing import Any


class TrainingLog:
    """Writes numbers by step into a folder; nothing where it is not active (all processes but the first)."""

    def __init__(self, folder: Path, *, active: bool) -> None:
        self.file, self.board = None, _board(folder) if active else None
        if active:
            folder.mkdir(parents=True, exist_ok=True)
            self.file = open(folder / "log.jsonl", "a")  # noqa: SIM115  closed in close()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Append the values of a step."""
        if self.file is None:
            return
        self.file.write(json.dumps({"step": step, **values}) + "\n")
        self.file.flush()
        if self.board is not None:
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the files."""
        if self.file is not None:
            self.file.close()
        if self.board is not None:
            self.board.close()


def _board(folder: Path) -> Any:
    """TensorBoard's writer, or None where the extra [tensorboard] is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
