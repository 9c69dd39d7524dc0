"""What the commands print: tables on stdout, progress on stderr."""

import sys
from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Aligned columns: the first `left` to the left, the others to the right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def um(nm: float | None) -> str:
    """Micrometres with two digits; a dash where there is no figure."""
    return "-" if nm is None else f"{nm / 1000:,.2f}"


def percent(share: float | None) -> str:
    """A share from 0 to 1 as percent; a dash where there is no figure."""
    return "-" if share is None else f"{share * 100:.1f}%"


def result_table(evaluations: Sequence[dict[str, Any]], headline: dict[str, Any] | None) -> str:
    """One line per volume, then the mean."""
    head = ["volume", "ERL (um)", "of GT", "correct", "omitted", "split", "merged", "mergers"]
    rows = []
    for e in evaluations:
        edges = e["edges_nm"] or {}
        shares = [percent(edges[k] / edges["total"] if edges.get("total") else None) for k in head[3:7]]
        rows.append([e["volume"], um(e["erl_nm"]), percent(e["normalized_erl"]), *shares, _mergers(e)])
    if headline:
        mean = [um(headline["mean_erl_nm"]), percent(headline["mean_normalized_erl"])]
        rows.append(["mean", *mean, "", "", "", "", ""])
    text = table(head, rows)
    if evaluations:
        e = evaluations[0]
        text += f"\ntolerance {e['tolerance_nodes']} nodes, metric {e['metric_version']}"
    for e in evaluations:
        if e.get("withheld"):
            text += f"\n{e['volume']}: {e['withheld']}"
        elif e["erl_nm"] is not None and (step := e.get("rounded_to")):
            text += f"\n{e['volume']}: hidden ground truth. The server rounds the ERL to {um(step['erl_nm'])} um"
            text += f" and numbers of errors to {step['count']:,.0f}"
    for e in evaluations:
        if other := e.get("follows_volume"):
            text += f"\n{e['volume']}: this file follows the axons of {other} better. The files of the two volumes are "
            text += "probably exchanged: submit each for its own volume"
    return text


def _mergers(evaluation: dict[str, Any]) -> str:
    """The number of mergers. A number that the server has rounded to 0 need not be 0."""
    if evaluation["mergers"] is None:
        return "-"
    step = (evaluation.get("rounded_to") or {}).get("count")
    return f"<{step:,.0f}" if step and not evaluation["mergers"] else f"{evaluation['mergers']:,}"


def submissions_table(items: Sequence[dict[str, Any]]) -> str:
    """One line per submission, as the API lists them."""
    head = ["code", "benchmark", "method", "status", "visibility", "ERL (um)"]
    rows = []
    for s in items:
        status = f"{s['status']} {s['percent']}%" if s["status"] in ("uploaded", "running") else s["status"]
        erl = um(s["headline"]["mean_erl_nm"]) if s["headline"] else "-"
        rows.append([s["code"], s["benchmark"], s["method"][:40], status, s["visibility"], erl])
    return table(head, rows, left=5)


def leaderboard_table(board: dict[str, Any]) -> str:
    """One line per entry, with the ERL of each volume in micrometres."""
    volumes = sorted({v["volume"] for row in board["rows"] for v in row["volumes"]})
    head = ["rank", "method", "team", "mean (um)", "of GT", *volumes]
    rows = []
    for row in board["rows"]:
        scores = {v["volume"]: um(v["erl_nm"]) for v in row["volumes"]}
        shown = [scores.get(volume, "-") for volume in volumes]
        mean = [um(row["mean_erl_nm"]), percent(row["mean_normalized_erl"])]
        rows.append([str(row["rank"] or "-"), row["method"][:40], row["team"][:30], *mean, *shown])
    text = table(head, rows, left=3)
    if board["pages"] > 1:
        text += f"\npage {board['page']} of {board['pages']}"
    if board["published"]:
        text += "\n\npublished, not scored here:\n" + table(
            ["method", "mean (um)"], [[p["method"][:60], um(p["mean_erl_nm"])] for p in board["published"]]
        )
    return text


def comparison_text(pair: dict[str, Any]) -> str:
    """A table for each volume, and the result of the paired bootstrap."""
    parts = []
    for volume in pair["volumes"]:
        rows = []
        for f in volume["figures"]:
            label = f"{f['figure']} ({f['unit']})" if f["unit"] else f["figure"]
            rows.append([label, *(_plain(f[side]) for side in ("a", "b", "difference"))])
        parts.append(table([volume["volume"], "A", "B", "A - B"], rows))
    mean = pair["mean"]
    if mean:
        ahead = "A" if mean["difference_nm"] > 0 else "B"
        said = f"{ahead} has the higher ERL" if mean["significant"] else "The difference may be chance"
        low, high = um(mean["difference_low_nm"]), um(mean["difference_high_nm"])
        parts.append(
            f"{said}: A - B is {um(mean['difference_nm'])} um ({100 * mean['level']:g}% interval {low} to {high}), "
            f"{_p_value(mean)}, paired bootstrap over {mean['axons']:g} axons"
        )
    return "\n\n".join(parts)


def _p_value(mean: dict[str, Any]) -> str:
    if not mean.get("p_value_is_bound"):
        return f"p = {mean['p_value']:.2g}"
    return f"p < {mean['p_value']:g}" if mean["p_value"] < 1 else "p not below 0.05"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


class Bars:
    """A progress bar for the running stage, on stderr. If stderr is not a terminal, one line per stage."""

    def __init__(self) -> None:
        """No bar yet."""
        self.stage = ""
        self.bar: Any = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` of a stage is done."""
        from tqdm import tqdm

        if stage != self.stage:
            self.close()
            self.stage = stage
            scale = stage.startswith(("uploading", "reading"))
            if sys.stderr.isatty():
                self.bar = tqdm(total=total, initial=done, desc=stage, unit="B" if scale else "", unit_scale=scale,
                                unit_divisor=1000, file=sys.stderr, leave=scale)  # fmt: skip
            else:
                start = f" from byte {done:,} of {total:,}" if stage.startswith("uploading") else ""
                print(f"{stage}{start}", file=sys.stderr, flush=True)
        if self.bar is not None:
            self.bar.total = total
            self.bar.n = done
            self.bar.refresh() if done == total else self.bar.update(0)

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
