"""What the parent of all programs tells the organisers' page: which ones ended by themselves, and when."""

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from axonem_eval.files import write_atomically

REMEMBERED_S = 3600.0


@dataclass(frozen=True)
class Restarts:
    """A program that ended by itself. ends : times, s since the epoch; keeps_ending : soon after each start."""

    program: str
    ends: list[float]
    last_end: str
    keeps_ending: bool

    def __str__(self) -> str:
        often = "once" if len(self.ends) == 1 else f"{len(self.ends)} times"
        last = datetime.fromtimestamp(max(self.ends), UTC)
        follows = "It keeps ending; it is tried again within a minute" if self.keeps_ending else "It was started again"
        return (
            f"The program “{self.program}” ended by itself {often} within an hour, last at {last:%H:%M} UTC "
            f"({self.last_end}). {follows}. The reason is in {self.program}.log."
        )


def restarts_file(var_dir: Path) -> Path:
    """Where the restarts are written down."""
    return var_dir / "restarts.json"


def write_restarts(path: Path, rows: list[Restarts]) -> None:
    """Write down how often each program was started again."""
    text = json.dumps([asdict(row) for row in rows])
    write_atomically(path, lambda draft: draft.write(text.encode()), mode=0o600)


def recent_restarts(var_dir: Path) -> list[Restarts]:
    """Programs that ended by themselves within the last hour; none where `up` does not run them."""
    try:
        rows = json.loads(restarts_file(var_dir).read_text())
    except FileNotFoundError:
        return []
    since = time.time() - REMEMBERED_S
    found = [Restarts(**{**row, "ends": [at for at in row["ends"] if at > since]}) for row in rows]
    return [row for row in found if row.ends]
