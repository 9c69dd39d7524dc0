"""The sortable column heads: the address of a click, and the order for a screen reader."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict

from axonem_eval.scoring import Figure
from evalserver.leaderboard.selectors import Leaderboard


@dataclass(frozen=True)
class Head:
    """One sortable column. direction : the value of aria-sort, empty where the table is in another order."""

    label: str
    hint: str
    href: str
    direction: str


def label_with_unit(figure: Figure) -> str:
    """`VOI split (bits)`, `nodes on background (%)`."""
    unit = {"bits": " (bits)", "share": " (%)", "nm": " (µm)"}.get(figure.unit, "")
    return f"{figure.label}{unit}"


def heads(board: Leaderboard, params: QueryDict) -> dict[str, Head | list[list[Head]]]:
    """Heads by name: rank, score, mean, percent, low, date; `volumes` has those of each volume.

    The first click on a head brings the best value to the top.
    """

    def head(name: str, label: str, best_first: bool = True) -> Head:
        chosen = board.query.sort == name
        descending = not board.query.descending if chosen else best_first
        kept = {
            key: params[key] for key in ("phase", "q", "rows", "marks", "superseded", "from", "to") if params.get(key)
        }
        if name != "rank" or descending:
            kept["sort"] = f"-{name}" if descending else name
        direction = ("descending" if board.query.descending else "ascending") if chosen else ""
        turned = "smallest first" if not descending else "largest first"
        return Head(label, f"Sort by {label}, {turned}", f"?{urlencode(kept)}", direction)

    return {
        "rank": head("rank", "Rank", best_first=False),
        "score": head("score", board.variant.headline.label, best_first=not board.variant.lower_is_better),
        "mean": head("mean", "ERL (µm)"),
        "percent": head("percent", "mean of % of GT"),
        "low": head("low", "95% interval (µm)"),
        "date": head("date", "Submitted"),
        "volumes": [
            [
                *(
                    (head(f"erl-{c.volume.slug}.um", "ERL (µm)"), head(f"erl-{c.volume.slug}.percent", "% of GT"))
                    if board.has_erl
                    else ()
                ),
                *(
                    head(f"erl-{c.volume.slug}.{f.name}", label_with_unit(f), best_first=not f.lower_is_better)
                    for f in board.figures
                ),
            ]
            for c in board.columns
        ],
    }
