"""The report's plots. Each function takes a part of the full report and returns markup for a <figure>."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from axonem_eval.report.axons import AxonDrawing, AxonRuns
from axonem_eval.report.svg import Frame, Scale, figure, legend, number, svg, tag, text, ticks, tip

# One colour for each class of edge, the same in every plot; the style sheet has the colours for light and dark.
CLASSES = (("correct", "correct"), ("merged", "merged"), ("split", "split"), ("omitted", "omitted"))
# Points of a long curve that tell their value.
READ_AT = 10
# In the order of the metric's definition, the last first.
LOSSES = (("merged", "mergers"), ("split", "splits"), ("omitted", "omissions"))


def um(nm: float) -> str:
    """Length for people: 3.65 µm, 42 nm."""
    value = nm / 1000
    if value >= 100:
        return f"{value:,.0f} µm"
    return f"{value:.3g} µm" if value >= 0.1 or value == 0 else f"{nm:.2g} nm"


def percent(share: float) -> str:
    """Share for people: 40.0%."""
    return f"{100 * share:.1f}%"


def stacked_bar(
    parts: Sequence[tuple[str, str, float]], total: float, unit: str, label: str, description: str
) -> Markup:
    """One bar made of (class, name, value); its axis runs from 0 to ``total`` in ``unit``, µm or %."""

    def words(name: str, value: float) -> str:
        share = percent(value / total)
        return f"{name}: {share}" if unit == "%" else f"{name}: {um(1000 * value)} ({share})"

    def draw(width: int) -> tuple[int, Markup]:
        frame = Frame.of(width, 104, total, 1, left=14)
        return 104, _bar(frame, parts, 0.0, (8, 42), words, lambda value: percent(value / total)) + frame.x_numbers(
            label
        )

    entries = [(class_, words(name, value)) for class_, name, value in parts]
    return figure(draw, description) + legend(entries)


def loss_bar(report: dict[str, Any]) -> Markup:
    """From the ceiling to the score, and what is lost enlarged below."""
    lost, ceiling = report["erl_lost_nm"], report["gt_erl_nm"] / 1000
    reached = ("correct", "ERL reached", report["erl_nm"] / 1000)
    losses = [(name, f"lost to {words}", lost[name] / 1000) for name, words in LOSSES]
    lost_um = sum(value for *_, value in losses)
    # Rounded figures of hidden ground truth may add up to a little more than the ceiling.
    full = max(ceiling, reached[2] + lost_um)
    # Where little is reached the whole bar shows the losses well enough.
    zoom = 0.005 * ceiling < lost_um < 0.7 * ceiling

    def words(name: str, value: float) -> str:
        return f"{name}: {value:.2f} µm ({percent(value / ceiling)})"

    def in_um(value: float) -> str:
        return f"{value:.2f} µm"

    def draw(width: int) -> tuple[int, Markup]:
        frame = Frame.of(width, 176 if zoom else 104, full, 1, left=14)
        content = _bar(frame, [reached, *losses], 0.0, (8, 34), words, in_um)
        if zoom:
            low, high = reached[2], reached[2] + lost_um
            start, stop = frame.x(low), frame.x(high)
            edges = f"{start:.1f},46 {stop:.1f},46 {frame.x.stop:.1f},74 {frame.x.start:.1f},74"
            content += tag("polygon", points=edges, class_="zoom")
            whole = replace(frame, x=Scale(low, high, frame.x.start, frame.x.stop))
            content += _bar(whole, losses, low, (78, 42), words, in_um)
            levels = [low + i * lost_um / 4 for i in range(5)]
            return 176, content + whole.x_axis([(v, f"{v:.2f}") for v in levels], "ERL (µm), what is lost enlarged")
        return 104, content + frame.x_numbers("ERL (µm); the full bar is the ceiling")

    told = ", ".join(f"{name} {value:.2f} µm" for _, name, value in [reached, *losses])
    entries = [(class_, words(name, value)) for class_, name, value in [reached, *losses]]
    return figure(draw, f"Ceiling: {told}.") + legend(entries)


def _bar(
    frame: Frame,
    parts: Sequence[tuple[str, str, float]],
    start: float,
    place: tuple[int, int],
    words: Callable[[str, float], str],
    unit_words: Callable[[float], str],
) -> Markup:
    """Parts (class, name, value) one after the other from ``start`` on; place : top and height in pixels."""
    (top, high), at, pieces = place, start, []
    for class_, name, value in parts:
        left, right = frame.x(at), frame.x(at + value)
        at += value
        if value <= 0:
            continue
        box = {"x": left, "y": top, "width": max(right - left, 1), "height": high}
        pieces.append(tag("rect", tip(words(name, value)), **box, class_=f"bar {class_}"))
        if right - left > 52:
            inside = unit_words(value)
            pieces.append(text((left + right) / 2, top + high / 2 + 4, inside, f"on-bar on-{class_}", "middle"))
    return Markup().join(pieces)


def edge_bar(report: dict[str, Any]) -> Markup:
    """Share of the cable in each class of edge."""
    edges = report["edges_nm"]
    parts = [(class_, name, 100 * edges[name] / edges["total"]) for class_, name in CLASSES]
    words = ", ".join(f"{name} {value:.1f}%" for _, name, value in parts)
    return stacked_bar(parts, 100, "%", "share of the ground-truth cable (%)", f"Cable: {words}.")


def survival_plot(survival: dict[str, list[float]]) -> Markup:
    """Cable on runs of at least a length, ground truth and segmentation."""
    xs = [v / 1000 for v in survival["length_nm"]]
    truth = [100 * v for v in survival["ground_truth"]]
    reached = [100 * v for v in survival["segmentation"]]

    def draw(width: int) -> tuple[int, Markup]:
        height = 300 if width > 500 else 260
        frame = Frame.of(width, height, xs[-1], 100, left=52)
        content = frame.y_axis((0, 25, 50, 75, 100), "cable on runs of at least that length", "%")
        content += frame.area(xs, reached, "area correct")
        content += frame.line(xs, truth, "line truth") + frame.line(xs, reached, "line correct-line")
        for i in range(0, len(xs), max(1, len(xs) // READ_AT)):
            words = f"runs of {xs[i]:.2f} µm and more: {reached[i]:.1f}% of the cable, ground truth {truth[i]:.1f}%"
            content += tag("circle", tip(words), cx=frame.x(xs[i]), cy=frame.y(reached[i]), r=4, class_="dot correct")
        return height, content + frame.x_numbers("run length (µm)")

    description = (
        f"Share of cable by run length, from 0 to {number(round(xs[-1], 1))} µm: the segmentation's curve starts at "
        f"{reached[0]:.0f}% and lies below the ground truth's."
    )
    entries = [
        ("truth-line", "ground-truth axons, whole"),
        ("correct", "runs in the segmentation; the area is the ERL"),
    ]
    return figure(draw, description) + legend(entries)


def tolerance_plot(report: dict[str, Any], count_in_words: Callable[[int], str] = "{:,}".format) -> Markup:
    """ERL against the merge tolerance, with the benchmark's tolerance marked. count_in_words : a number of mergers."""
    points = report["tolerance_curve"]
    names = ["∞" if p["tolerance_nodes"] is None else number(p["tolerance_nodes"]) for p in points]
    values = [p["erl_nm"] / 1000 for p in points]
    ceiling = report["gt_erl_nm"] / 1000

    def draw(width: int) -> tuple[int, Markup]:
        height = 280 if width > 500 else 250
        levels = ticks(ceiling, 5)
        frame = Frame.of(width, height, len(points) - 0.5, levels[-1] * 1.02, left=46)
        places = [(i + 0.25, name) for i, name in enumerate(names)]
        content = frame.y_axis(levels, "ERL (µm)")
        content += frame.level(ceiling, "ceiling", f"ceiling {ceiling:.2f} µm")
        for (x, name), point in zip(places, points, strict=True):
            if point["tolerance_nodes"] == report["tolerance_nodes"]:
                at = frame.x(x)
                content += tag("line", x1=at, x2=at, y1=frame.y.start, y2=frame.y.stop, class_="mark")
                content += text(at + 5, frame.y.start - 6, f"scored at {name}", "note")
        content += frame.line([x for x, _ in places], values, "line correct-line")
        for (x, name), value, point in zip(places, values, points, strict=True):
            words = f"T = {name}: ERL {value:.2f} µm, {count_in_words(point['mergers'])} mergers"
            content += tag("circle", tip(words), cx=frame.x(x), cy=frame.y(value), r=4, class_="dot correct")
        return height, content + frame.x_axis(places, "merge tolerance T (nodes, not to scale)")

    description = f"ERL rises from {values[0]:.2f} µm at T = {names[0]} to {values[-1]:.2f} µm at infinite tolerance."
    return figure(draw, description)


def bin_name(bin_: dict[str, Any]) -> str:
    """0-1, or >200."""
    lower, upper = number(bin_["lower_um"]), bin_["upper_um"]
    return f"≥{lower}" if upper is None else f"{lower}–{number(upper)}"


def bin_names(edges_um: Sequence[float]) -> list[str]:
    """Names of the bins between edges; the last is open."""
    uppers = [*edges_um[1:], None]
    return [bin_name({"lower_um": lower, "upper_um": upper}) for lower, upper in zip(edges_um, uppers, strict=True)]


def bins_plot(bins: Sequence[dict[str, Any]]) -> Markup:
    """Normalised ERL of each length class."""
    shown = [b for b in bins if b["axons"]]

    def draw(width: int) -> tuple[int, Markup]:
        height = 280 if width > 500 else 250
        frame = Frame.of(width, height, len(shown), 100, left=52)
        content = frame.y_axis((0, 25, 50, 75, 100), "ERL, share of the class's ceiling", "%")
        step = frame.x(1) - frame.x(0)
        for i, b in enumerate(shown):
            value = 100 * b["normalized_erl"]
            words = f"{bin_name(b)} µm: {b['axons']:,} axons, ERL {um(b['erl_nm'])} of {um(b['gt_erl_nm'])}"
            left, wide = frame.x(i) + 0.18 * step, 0.64 * step
            full = frame.y(0) - frame.y(100)
            content += tag("rect", x=left, y=frame.y(100), width=wide, height=full, class_="rest")
            high = frame.y(0) - frame.y(value)
            content += tag("rect", tip(words), x=left, y=frame.y(value), width=wide, height=high, class_="bar correct")
            # Within the bar where there is room, so that a full bar's number stays inside the plot.
            inside = value > 85
            y = frame.y(value) + (16 if inside else -5)
            content += text(left + wide / 2, y, f"{value:.0f}", "on-bar on-correct" if inside else "tick", "middle")
        places = [(i + 0.5, bin_name(b)) for i, b in enumerate(shown)]
        return height, content + frame.x_axis(places, "length of the axon (µm)")

    words = "; ".join(f"{bin_name(b)} µm {percent(b['normalized_erl'])}" for b in shown)
    entries = [("correct", "ERL reached"), ("rest", "ceiling of the class (100%)")]
    return figure(draw, f"Share of the ceiling by axon length: {words}.") + legend(entries)


def strips(axons: Sequence[AxonRuns]) -> Markup:
    """The longest axons as bars to scale, cut into their runs."""

    def draw(width: int) -> tuple[int, Markup]:
        row, top = 20, 4
        height = top + row * len(axons) + 44
        longest = max(a.length_nm for a in axons) / 1000
        left = 52 if width > 500 else 40
        frame = Frame.of(width, height, longest, 1, left=left)
        content = Markup()
        for i, axon in enumerate(axons):
            y = top + i * row
            content += text(left - 6, y + 13, str(i + 1), "tick", "end")
            content += _strip(frame, axon, y, row - 5)
        return height, content + frame.x_numbers("length along the axon's branches (µm)")

    description = "The longest axons to scale, each cut into its runs: " + "; ".join(
        f"axon {i + 1}, {um(a.length_nm)}, {a.n_runs} runs, the longest {um(a.runs_nm[0] if a.runs_nm else 0)}"
        for i, a in enumerate(axons)
    )
    entries = [("correct", "a run: cable in one segment (longest first)"), *CLASSES[1:]]
    return figure(draw, description) + legend(entries)


def _strip(frame: Frame, axon: AxonRuns, y: float, high: float) -> Markup:
    parts = []
    at = 0.0
    pieces = [("correct", nm, "run of one segment") for nm in axon.runs_nm]
    pieces += [("correct", axon.other_runs_nm, "shorter runs"), ("merged", axon.merged_nm, "merged")]
    pieces += [("split", axon.split_nm, "split"), ("omitted", axon.omitted_nm, "omitted")]
    for class_, nm, words in pieces:
        left, right = frame.x(at / 1000), frame.x((at + nm) / 1000)
        at += nm
        if right - left < 0.05:
            continue
        # A gap of a pixel parts neighbouring runs, as far as they are wide enough to show it.
        gap = min(1.0, (right - left) / 3)
        shape = tag(
            "rect", tip(f"{words}: {um(nm)}"), x=left, y=y, width=right - left - gap, height=high, class_=class_
        )
        parts.append(shape)
    return Markup().join(parts)


def drawing(axon: AxonDrawing) -> Markup:
    """One axon projected to a plane, each run in a colour of its own, errors numbered."""
    parts = [tag("path", d=path, class_=class_) for class_, path in axon.paths]
    for name, x, y in axon.marks:
        parts.append(tag("circle", cx=x, cy=y, r=8, class_="error"))
        parts.append(text(x, y + 4, name, "error-number", "middle"))
    bar_px, bar_name = axon.scale_bar
    low = axon.height - 8
    parts.append(tag("line", x1=8, x2=8 + bar_px, y1=low, y2=low, class_="scale-bar"))
    parts.append(text(8, low - 6, bar_name, "note"))
    return svg(axon.width, axon.height, Markup().join(parts), axon.description, "drawing")
