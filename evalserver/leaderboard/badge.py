"""The badge of an entry: benchmark, score and place, for a page elsewhere."""

from dataclasses import dataclass

from evalserver.leaderboard.selectors import place_of
from evalserver.site import xml_text
from evalserver.submissions.models import Submission
from evalserver.submissions.results.selectors import result_of

# Of a letter at 11 px, and what stands on either side of a text.
LETTER_PX, MARGIN_PX = 7, 6
# White is legible on both.
FILLS = ("#444444", "#1a6b8a")


@dataclass(frozen=True)
class Part:
    """A text on its ground. x, width : px."""

    text: str
    x: int
    width: int
    fill: str

    @property
    def text_width(self) -> int:
        return self.width - 2 * MARGIN_PX

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class Badge:
    """Parts from left to right."""

    parts: list[Part]

    @property
    def width(self) -> int:
        return sum(part.width for part in self.parts)

    @property
    def words(self) -> str:
        return " | ".join(part.text for part in self.parts)


def badge_of(submission: Submission) -> Badge | None:
    """`AxonEM-H | ERL 18.50 µm | #2`, of figures that everybody sees; None where there is no score.

    An entry without a rank has no third part.
    """
    result = result_of(submission, reports=False)
    if result is None:
        return None
    phase, benchmark = submission.phase, submission.phase.benchmark
    is_default = benchmark.default_phase == phase
    name = benchmark.name if is_default else f"{benchmark.name}, {phase.name}"
    texts = [name, result.headline.in_words]
    place = place_of(submission, result.headline.ranked) if result.is_current else None
    if place and place.is_ranked:
        texts.append(f"#{place.rank}")
    parts: list[Part] = []
    for i, text in enumerate(map(xml_text, texts)):
        x = parts[-1].x + parts[-1].width if parts else 0
        parts.append(Part(text, x, LETTER_PX * len(text) + 2 * MARGIN_PX, FILLS[i % 2]))
    return Badge(parts)
