"""Plots of two results in one frame. Colour and dashes tell A and B apart."""

from typing import Any

from django.utils.safestring import SafeString

from axonem_eval.report import bin_name
from axonem_eval.report.svg import Frame, figure, legend, number, tag, ticks, tip
from evalserver.site import own_markup

# About as many places of a curve can be read off.
READ_AT = 10
SIDES = (("side-a", "A"), ("side-b", "B"))
LEGEND = [("side-a", "A"), ("side-b", "B, dashed")]


def tolerance(a: dict[str, Any], b: dict[str, Any]) -> SafeString:
    """ERL (um) of both against the merge tolerance."""
    points = [a["tolerance_curve"], b["tolerance_curve"]]
    names = ["∞" if p["tolerance_nodes"] is None else number(p["tolerance_nodes"]) for p in points[0]]
    ceiling = a["gt_erl_nm"] / 1000
    levels = ticks(ceiling, 5)

    def draw(width: int) -> tuple[int, str]:
        height = 280 if width > 500 else 250
        frame = Frame.of(width, height, len(names) - 0.5, levels[-1] * 1.02, left=46)
        places = [(i + 0.25, name) for i, name in enumerate(names)]
        content = frame.y_axis(levels, "ERL (µm)") + frame.level(ceiling, "ceiling", f"ceiling {ceiling:.2f} µm")
        for (class_, side), curve in zip(SIDES, points, strict=True):
            values = [p["erl_nm"] / 1000 for p in curve]
            content += frame.line([x for x, _ in places], values, f"line {class_}")
            for (x, name), value in zip(places, values, strict=True):
                words = f"{side}, T = {name}: {value:.2f} µm"
                content += tag("circle", tip(words), cx=frame.x(x), cy=frame.y(value), r=4, class_=f"dot {class_}")
        return height, content + frame.x_axis(places, "merge tolerance T (nodes, not to scale)")

    words = ", ".join(
        f"T = {name}: A {p['erl_nm'] / 1000:.2f} µm, B {q['erl_nm'] / 1000:.2f} µm"
        for name, p, q in zip(names, *points, strict=True)
    )
    return own_markup(figure(draw, f"ERL at each tolerance. {words}.") + legend(LEGEND))


def bins(a: dict[str, Any], b: dict[str, Any]) -> SafeString:
    """Normalised ERL of both by length of the axon, two bars a class."""
    pairs = [
        (x, y)
        for x, y in zip(a["length_bins"], b["length_bins"], strict=True)
        if x["normalized_erl"] is not None and y["normalized_erl"] is not None
    ]
    if not pairs:
        return own_markup("")

    def draw(width: int) -> tuple[int, str]:
        height = 280 if width > 500 else 250
        frame = Frame.of(width, height, len(pairs), 100, left=52)
        content = frame.y_axis((0, 25, 50, 75, 100), "ERL, share of the class's ceiling", "%")
        step = frame.x(1) - frame.x(0)
        for i, pair in enumerate(pairs):
            for k, ((class_, side), bin_) in enumerate(zip(SIDES, pair, strict=True)):
                value = 100 * bin_["normalized_erl"]
                words = f"{side}, {bin_name(bin_)} µm: {value:.1f}% of the ceiling"
                content += tag(
                    "rect", tip(words), x=frame.x(i) + (0.16 + 0.35 * k) * step, y=frame.y(value),
                    width=0.33 * step, height=frame.y(0) - frame.y(value), class_=f"bar {class_}",
                )  # fmt: skip
        places = [(i + 0.5, bin_name(x)) for i, (x, _) in enumerate(pairs)]
        return height, content + frame.x_axis(places, "length of the axon (µm)")

    words = "; ".join(
        f"{bin_name(x)} µm: A {100 * x['normalized_erl']:.0f}%, B {100 * y['normalized_erl']:.0f}%" for x, y in pairs
    )
    key = legend([("side-a", "A, left bar"), ("side-b", "B, right bar")])
    return own_markup(figure(draw, f"Share of the ceiling by axon length. {words}.") + key)


def survival(a: dict[str, Any], b: dict[str, Any]) -> SafeString:
    """Cable on runs of at least a length: ground truth, A and B."""
    curves = [a["run_survival"], b["run_survival"]]
    xs = [value / 1000 for value in curves[0]["length_nm"]]
    if len(xs) < 2:
        return own_markup("")

    def draw(width: int) -> tuple[int, str]:
        height = 300 if width > 500 else 260
        frame = Frame.of(width, height, xs[-1], 100, left=52)
        content = frame.y_axis((0, 25, 50, 75, 100), "cable on runs of at least that length", "%")
        content += frame.line(xs, [100 * v for v in curves[0]["ground_truth"]], "line truth")
        for (class_, _), curve in zip(SIDES, curves, strict=True):
            content += frame.line(xs, [100 * v for v in curve["segmentation"]], f"line {class_}")
        for i in range(0, len(xs), max(1, len(xs) // READ_AT)):
            truth = f"ground truth {100 * curves[0]['ground_truth'][i]:.1f}%"
            for (class_, side), curve in zip(SIDES, curves, strict=True):
                value = 100 * curve["segmentation"][i]
                words = f"{side}, runs of {xs[i]:.2f} µm and more: {value:.1f}% of the cable, {truth}"
                content += tag("circle", tip(words), cx=frame.x(xs[i]), cy=frame.y(value), r=4, class_=f"dot {class_}")
        places = [(v, number(v)) for v in ticks(xs[-1], 8 if width > 500 else 4) if v <= xs[-1] * 1.0001]
        return height, content + frame.x_axis(places, "run length (µm)")

    starts = [100 * curve["segmentation"][0] for curve in curves]
    description = f"Share of cable by run length: A starts at {starts[0]:.0f}%, B at {starts[1]:.0f}%."
    entries = [("truth-line", "ground truth"), ("side-a", "A; the area below is its ERL"), ("side-b", "B, dashed")]
    return own_markup(figure(draw, description) + legend(entries))
