"""How a user says that a label file is to be read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from axonem_eval.submission_rule import ANY_FILE, FileRule


@dataclass(frozen=True)
class ReadOptions:
    """How a label file is read; by default as it states itself.

    rule : how the file must be stored.
    background_ids : labels that count as 0.
    trust_voxel_size : the voxel size that is given is right, whatever the file states.
    on_warning : called with each line about what may be wrong with the file.
    """

    rule: FileRule = ANY_FILE
    background_ids: Sequence[int] = ()
    trust_voxel_size: bool = False
    on_warning: Callable[[str], None] | None = None

    def warn(self, lines: Sequence[str]) -> None:
        """Say what may be wrong with the file, where somebody listens."""
        if self.on_warning:
            for line in lines:
                self.on_warning(line)


AS_STORED = ReadOptions()
