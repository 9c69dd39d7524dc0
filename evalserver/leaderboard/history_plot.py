"""The best result over time as an SVG step plot."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import ceil

import numpy as np
from django.utils.safestring import SafeString

from axonem_eval.report.svg import Frame, figure, tag, ticks, tip
from axonem_eval.scoring import HeadlineRule
from evalserver.leaderboard.rows import Record
from evalserver.site import own_markup
from evalserver.submissions.results.headline import value_in_words

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
# Between two marks of the time axis; each is less than three times the one before, so that a mark is always there.
STEPS_S = (
    *(hours * HOUR_S for hours in (1, 2, 3, 6, 12)),
    *(days * DAY_S for days in (1, 2, 4, 7, 14, 30, 61, 91, 182, 365, 730, 1826)),
)


def history_plot(
    records: Sequence[Record],
    dots: Sequence[tuple[float, float]],
    until: datetime,
    rule: HeadlineRule,
    ceiling_nm: float | None = None,
) -> SafeString:
    """Step plot of the best result, up to the last full hour before `until`; it covers a day at least.

    The dashed line is the ERL of the ground truth. Within an hour the same records give the same plot, so that a
    browser may keep the page.
    dots : all entries, (seconds since 1970, what ranks).   rule : what that is.
    """
    end = max(until.timestamp() // HOUR_S * HOUR_S, records[-1].submitted_at.timestamp(), *(at for at, _ in dots))
    # On the first day too there is an axis to show; it reaches back, for nothing is known of tomorrow.
    first = min(records[0].submitted_at.timestamp(), end - DAY_S, *(at for at, _ in dots))
    factor, unit = {"nm": (1e-3, " (µm)"), "share": (100.0, " (%)")}.get(rule.unit, (1.0, ""))
    reached = [record.headline * factor for record in records]
    best = reached[-1]
    ceiling_um = ceiling_nm and ceiling_nm / 1000
    highest = max(*reached, *(value * factor for _, value in dots)) if rule.lower_is_better else best
    levels = ticks(max(highest, ceiling_um or 0.0), 5)

    def draw(width: int) -> tuple[int, str]:
        height = 260 if width > 500 else 230
        frame = Frame.of(width, height, end - first, levels[-1] * 1.02, left=46)
        content = frame.y_axis(levels, f"mean {rule.label}{unit}")
        if ceiling_um:
            content += frame.level(ceiling_um, "ceiling", f"ground truth {ceiling_um:.2f} µm")
        xs: list[float] = []
        ys: list[float] = []
        for record, value in zip(records, reached, strict=True):
            x = record.submitted_at.timestamp() - first
            if ys:
                xs, ys = [*xs, x], [*ys, ys[-1]]
            xs, ys = [*xs, x], [*ys, value]
        content += frame.dots([at - first for at, _ in dots], [value * factor for _, value in dots], "entries")
        content += frame.line([*xs, end - first], [*ys, best], "line correct-line")
        for record, value in zip(records, reached, strict=True):
            x = record.submitted_at.timestamp() - first
            score = value_in_words(rule, record.headline)
            words = f"{record.method}, {record.team}: {score}, {record.submitted_at:%Y-%m-%d}"
            content += tag("circle", tip(words), cx=frame.x(x), cy=frame.y(value), r=4, class_="dot correct")
        return height, content + frame.x_axis(_dates(first, end, 5 if width > 500 else 3), "submitted (UTC)")

    went = "fell" if rule.lower_is_better else "rose"
    was, now = (value_in_words(rule, record.headline) for record in (records[0], records[-1]))
    description = f"{len(dots)} entries over time. The best mean {rule.label} {went} from {was} to {now}."
    return own_markup(figure(draw, description))


def _dates(first: float, end: float, count: int) -> list[tuple[float, str]]:
    """Full hours or days, `count` at most, as seconds after the first; labelled by day, or by time of day too."""
    step = next((step for step in STEPS_S if (end - first) / step <= count), STEPS_S[-1])
    form = "%m-%d %H:%M" if step < DAY_S else "%Y-%m-%d"
    times = np.arange(ceil(first / step) * step, end + 1, step)[:count].tolist()
    return [(at - first, f"{datetime.fromtimestamp(at, UTC):{form}}") for at in times]
