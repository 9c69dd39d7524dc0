"""A progress bar with an honest time left."""

from collections.abc import Callable

from tqdm import tqdm


class Progress:
    """A bar whose time left counts what is done now alone, not what an earlier run did.

    after : called after each piece that is done now.
    """

    def __init__(
        self, total: int, label: str, unit: str, *, quiet: bool = False, after: Callable[[], None] | None = None
    ) -> None:
        self.bar = tqdm(total=total, desc=label, unit=unit, disable=quiet)
        self.after, self.begun = after, False

    def did(self, pieces: int = 1) -> None:
        """Count pieces; the first one is shown at once, with the time that the others will take."""
        self.bar.update(pieces)
        if not self.begun:
            self.begun = True
            self.bar.refresh()
        if self.after:
            self.after()

    def skip(self, pieces: int = 1) -> None:
        """Count pieces that are stored already."""
        if not self.bar.disable:
            self.bar.initial += pieces
            self.bar.n += pieces
            self.bar.last_print_n += pieces
            self.bar.refresh()

    def close(self) -> None:
        self.bar.close()
