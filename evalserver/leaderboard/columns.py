"""The sortable column heads: the address of a click, and the order for a screen reader."""

from dataclasses import dataclass, replace
from urllib.parse import urlencode

from django.http import QueryDict

from axonem_eval.scoring import Figure
from evalserver.leaderboard.selectors import Leaderboard


@dataclass(frozen=True)
class Head:
    """One sortable column. direction : the value of aria-sort, empty where the table is in another order.

    css_class : of its cell.   rows : that the cell is high.
    """

    label: str
    hint: str
    href: str
    direction: str
    css_class: str
    rows: int


def label_with_unit(figure: Figure) -> str:
    """`VOI split (bits)`, `nodes on background (%)`."""
    unit = {"bits": " (bits)", "share": " (%)", "nm": " (µm)"}.get(figure.unit, "")
    return f"{figure.label}{unit}"


def heads(board: Leaderboard, params: QueryDict) -> dict[str, list[Head]]:
    """Heads from the left to the right: `rank` and `date` at the sides, between them `means` and `volumes`.

    The first click on a head brings the best value to the top.
    """
    kept = {key: params[key] for key in ("phase", "q", "rows", "marks", "superseded", "from", "to") if params.get(key)}

    def head(name: str, label: str, best_first: bool = True, *, css_class: str = "num", rows: int = 1) -> Head:
        chosen = board.query.sort == name
        descending = not board.query.descending if chosen else best_first
        order = {} if name == "rank" and not descending else {"sort": f"-{name}" if descending else name}
        direction = ("descending" if board.query.descending else "ascending") if chosen else ""
        turned = "smallest first" if not descending else "largest first"
        return Head(label, f"Sort by {label}, {turned}", f"?{urlencode(kept | order)}", direction, css_class, rows)

    means, volumes = [], []
    if board.has_points:
        means.append(head("score", board.variant.headline.label, best_first=not board.variant.lower_is_better))
    if board.has_erl:
        means += [
            head("mean", "ERL (µm)"),
            head("percent", "mean of % of GT"),
            head("low", "95% interval (µm)"),
        ]
    for slug in [column.volume.slug for column in board.columns]:
        of_volume = [
            head(f"erl-{slug}.{f.name}", label_with_unit(f), best_first=not f.lower_is_better) for f in board.figures
        ]
        if board.has_erl:
            of_volume = [
                head(f"erl-{slug}.um", "ERL (µm)"),
                head(f"erl-{slug}.percent", "% of GT"),
                *of_volume,
            ]
        volumes += _begin_group(of_volume)
    return {
        "rank": [head("rank", "Rank", best_first=False, css_class="num rank", rows=2)],
        "means": _begin_group(means),
        "volumes": volumes,
        "date": [head("date", "Submitted", css_class="", rows=2)],
    }


def _begin_group(group: list[Head]) -> list[Head]:
    """With a line at the left of the first."""
    return [replace(head, css_class="num first") for head in group[:1]] + group[1:]
