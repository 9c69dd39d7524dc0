"""How pages write figures: um with two decimals, percent with one. What is hidden was rounded before (`disclosure`)."""

import json
import math
from datetime import UTC, datetime
from typing import Any, Literal

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from axonem_eval.sizes import size_in_words
from evalserver.site import render_markdown
from evalserver.submissions.results.compare import WHOLE_RATE
from evalserver.submissions.results.compare import Figure as ComparedFigure
from evalserver.submissions.results.disclosure import count_in_words
from evalserver.submissions.results.headline import figure_in_words

register = template.Library()

# There is no such figure: it was not measured, or a paper does not state it.
NO_FIGURE = "–"
# There is one, but the reader is not told.
KEPT_BACK = "hidden"
# A figure; an empty text is what a template makes of an attribute of None.
Figure = float | Literal[""] | None
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@register.filter
def about_minutes(seconds: float) -> str:
    """A rough time for people: less than a minute, about 12 min, about 3 h."""
    if seconds < 60:
        return "less than a minute"
    minutes = math.ceil(seconds / 60)
    return f"about {minutes} min" if minutes < 120 else f"about {round(minutes / 60)} h"


@register.filter
def um(value: Figure) -> str:
    """A length in um."""
    return NO_FIGURE if value is None or value == "" else f"{value:,.2f}"


@register.filter
def nm_as_um(value: Figure) -> str:
    """A length in nm, shown in um."""
    return um(None if value is None or value == "" else value / 1000)


@register.filter
def gain(value: Figure) -> str:
    """A small part of an ERL in nm, shown in um."""
    return NO_FIGURE if value is None or value == "" else f"{value / 1000:,.3f}"


@register.filter
def or_hidden(words: str, is_kept_back: bool) -> str:
    """A figure in words; where there is none because it is not told of hidden ground truth, the word for that."""
    return KEPT_BACK if is_kept_back and words == NO_FIGURE else words


@register.simple_tag
def named_figure(value: Figure, name: str, digits: int) -> str:
    """A figure by its name in axonem_eval.scoring.FIGURES, without its unit, with so many decimals."""
    return NO_FIGURE if value is None or value == "" else figure_in_words(name, value, digits)


@register.filter
def cable(value: float | None) -> str:
    """A length of cable in nm, shown in um: without decimals from 100 um on."""
    return f"{value / 1000:,.0f}" if value is not None and value >= 1e5 else nm_as_um(value)


@register.filter
def percent(value: Figure) -> str:
    """A share from 0 to 100."""
    return NO_FIGURE if value is None or value == "" else f"{value:.1f}%"


@register.filter
def fraction(value: Figure) -> str:
    """A share from 0 to 1, shown in percent."""
    return percent(None if value is None or value == "" else value * 100)


@register.filter
def count(value: int | Literal[""] | None) -> str:
    """A number of things, in groups of three digits."""
    return NO_FIGURE if value is None or value == "" else f"{value:,}"


@register.filter
def errors(value: int | Literal[""] | None, report: dict[str, Any]) -> str:
    """A number of errors of a report."""
    return NO_FIGURE if value is None or value == "" else count_in_words(value, report)


@register.filter
def compared(value: float | None, row: ComparedFigure) -> str:
    """A value of a row of a comparison."""
    if value is None:
        return NO_FIGURE
    if row.unit == "per mm":
        return rate(value)
    return f"{value:,.{row.digits}f}{'%' if row.unit == 'percent' else ''}"


@register.filter
def signed(value: float | None, digits: int) -> str:
    """A difference, with its sign."""
    if value is None:
        return NO_FIGURE
    text = f"{value:+,.{digits}f}".replace("-", "−")
    return "0" if float(f"{value:.{digits}f}") == 0 else text


@register.filter
def nm_signed(value: float | None) -> str:
    """A difference in nm, shown in um with its sign."""
    return signed(None if value is None else value / 1000, 2)


@register.filter
def size(n_bytes: int) -> str:
    """A number of bytes, in kB, MB or GB."""
    return size_in_words(n_bytes)


@register.filter
def pretty_json(value: Any) -> str:
    """JSON for people."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def rate(value: float | None) -> str:
    """A number per mm, three digits."""
    if value is None:
        return NO_FIGURE
    return f"{value:,.0f}" if abs(value) >= WHOLE_RATE else f"{value:.3g}"


@register.filter
def p_value(value: float) -> str:
    """0.034, or 2 × 10⁻⁴."""
    if value >= 1e-3:
        return f"{value:.2g}"
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPT)}"


@register.filter
def markdown(text: str) -> SafeString:
    """Text of a participant as safe HTML."""
    return render_markdown(text)


@register.filter
def of_total(part: float, total: float) -> str:
    """A part of a total, in percent."""
    return percent(100 * part / total if total else None)


@register.filter
def bar_parts(edges_nm: dict[str, float]) -> list[tuple[str, float, float]]:
    """Parts of a bar 100 wide, one for each outcome of an edge: (class, start, width)."""
    parts, start = [], 0.0
    for name in ("correct", "omitted", "split", "merged"):
        width = 100 * edges_nm[name] / edges_nm["total"] if edges_nm["total"] else 0.0
        parts.append((name, start, width))
        start += width
    return parts


@register.filter
def triple(values: tuple[float, float, float]) -> str:
    """Three numbers in z, y, x order, kept on one line: `30 × 8 × 8`."""
    return "\u00a0×\u00a0".join(f"{v:,g}" if isinstance(v, float) else f"{v:,}" for v in values)


@register.filter
def utc(time: datetime | None) -> SafeString | str:
    """A time with its zone, readable by people and machines."""
    if time is None:
        return NO_FIGURE
    time = time.astimezone(UTC)
    return format_html(
        '<time datetime="{}">{}</time>', time.isoformat(timespec="seconds"), f"{time:%Y-%m-%d %H:%M} UTC"
    )
