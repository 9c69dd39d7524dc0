"""Plots as SVG text: scales, axes, bars and lines, styled by the page's CSS variables. No dependency, no script.

A plot is drawn for a width in pixels and shown at that size, so that its text keeps its size on a phone: ``figure``
draws each plot once for wide and once for narrow screens, and the style sheet shows one of them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDE, NARROW = 600, 344
TICK_CHARACTER_PX = 6.5  # at most, on average
TICK_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def tag(name: str, content: str = "", **attributes: str | float) -> Markup:
    """One element; ``class_`` and ``stroke_width`` become class and stroke-width. Content is escaped unless Markup."""
    text = "".join(f' {k.rstrip("_").replace("_", "-")}="{_value(v)}"' for k, v in attributes.items())
    return Markup(f"<{name}{text}>{escape(content)}</{name}>")


def _value(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")


def text(x: float, y: float, content: str, class_: str = "tick", anchor: str = "start") -> Markup:
    """A line of text."""
    return tag("text", content, x=x, y=y, class_=class_, text_anchor=anchor)


def tip(content: str) -> Markup:
    """What a pointer resting on the element is told."""
    return tag("title", content)


@dataclass(frozen=True)
class Scale:
    """From data to pixels, linear."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return self.start + share * (self.stop - self.start)


def ticks(high: float, most: int) -> list[float]:
    """Round numbers from 0 to at least ``high``, at most ``most`` + 1 of them."""
    if high <= 0:
        return [0.0, 1.0]
    exponent = 10 ** math.floor(math.log10(high / most))
    step = next(s * exponent for s in TICK_STEPS if s * exponent * most >= high * (1 - 1e-9))
    n = math.ceil(high / step - 1e-9)
    return [i * step for i in range(n + 1)]


def number(value: float) -> str:
    """A tick's number without needless digits."""
    return f"{value:,.10g}" if abs(value) < 1e6 else f"{value:.3g}"


@dataclass(frozen=True)
class Frame:
    """The rectangle of a plot inside its margins, with both axes' scales."""

    width: int
    height: int
    x: Scale
    y: Scale

    @classmethod
    def of(cls, width: int, height: int, x_high: float, y_high: float, left: int = 46) -> "Frame":
        """A plot of the given size; its axes run from 0 to ``x_high`` and ``y_high``."""
        return cls(width, height, Scale(0, x_high, left, width - 14), Scale(0, y_high, height - 42, 26))

    def y_axis(self, values: Sequence[float], label: str, unit: str = "") -> Markup:
        """Grid lines with numbers, and the label above the axis."""
        parts = [text(2, 10, label, "label")]
        for value in values:
            y = self.y(value)
            parts.append(tag("line", x1=self.x.start, x2=self.x.stop, y1=y, y2=y, class_="grid"))
            parts.append(text(self.x.start - 6, y + 4, number(value) + unit, "tick", "end"))
        return Markup().join(parts)

    def x_axis(self, places: Sequence[tuple[float, str]], label: str) -> Markup:
        """Numbers below the axis at data positions, and the label under them."""
        base = self.y.start
        parts = [tag("line", x1=self.x.start, x2=self.x.stop, y1=base, y2=base, class_="axis")]
        for value, name in places:
            x = self.x(value)
            parts.append(tag("line", x1=x, x2=x, y1=base, y2=base + 4, class_="axis"))
            inside = min(x, self.width - len(name) * TICK_CHARACTER_PX / 2)
            parts.append(text(inside, base + 17, name, "tick", "middle"))
        parts.append(text((self.x.start + self.x.stop) / 2, base + 36, label, "label", "middle"))
        return Markup().join(parts)

    def x_numbers(self, label: str) -> Markup:
        """The axis with round numbers, as many as there is room for."""
        high = self.x.high
        values = ticks(high, 8 if self.width > 500 else 4)
        return self.x_axis([(value, number(value)) for value in values if value <= high * 1.0001], label)

    def line(self, xs: Sequence[float], ys: Sequence[float], class_: str) -> Markup:
        """A polyline through data points."""
        points = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        return tag("polyline", points=points, class_=class_)

    def dots(self, xs: Sequence[float], ys: Sequence[float], class_: str) -> Markup:
        """A round dot at each data point, all in one path of whole pixels; the style's stroke-width is its diameter.

        Ten bytes a dot, so that thousands of them make a small picture.
        """
        points = [(round(self.x(x)), round(self.y(y))) for x, y in zip(xs, ys, strict=True)]
        moves, (left, top) = [], (0, 0)
        for x, y in points:
            moves.append(f"m{x - left} {y - top}h0")
            left, top = x, y
        return tag("path", d="".join(moves), class_=class_)

    def area(self, xs: Sequence[float], ys: Sequence[float], class_: str) -> Markup:
        """The area between a line and the x axis."""
        points = [f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True)]
        first, last = f"{self.x(xs[0]):.1f},{self.y(0):.1f}", f"{self.x(xs[-1]):.1f},{self.y(0):.1f}"
        return tag("polygon", points=" ".join([first, *points, last]), class_=class_)

    def level(self, value: float, class_: str, label: str) -> Markup:
        """A horizontal line across the plot with its label above the left end."""
        y = self.y(value)
        line = tag("line", x1=self.x.start, x2=self.x.stop, y1=y, y2=y, class_=class_)
        return line + text(self.x.start + 6, y - 5, label, "note")


def svg(width: int, height: int, content: str, description: str, class_: str = "") -> Markup:
    """The picture itself; ``description`` is what a screen reader says."""
    return tag(
        "svg",
        content,
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        class_=class_,
        role="img",
        aria_label=description,
    )


def standalone(picture: str, css: str) -> str:
    """A picture of ``svg`` as a file of its own, with its style."""
    head, body = picture.split(">", 1)
    return f'{head} xmlns="http://www.w3.org/2000/svg"><style>{css}</style>{body}\n'


def figure(draw: Callable[[int], tuple[int, str]], description: str) -> Markup:
    """A plot for both kinds of screen. ``draw(width)`` returns (height, markup)."""
    parts = []
    for width, class_ in ((WIDE, "wide"), (NARROW, "narrow")):
        height, content = draw(width)
        parts.append(svg(width, height, content, description, class_))
    return Markup().join(parts)


def legend(entries: Sequence[tuple[str, str]]) -> Markup:
    """HTML list of (class of the colour, words)."""
    items = Markup().join(
        tag("li", tag("span", class_=f"swatch {class_}", aria_hidden="true") + words) for class_, words in entries
    )
    return tag("ul", items, class_="legend")
