"""A diagnosis as a page that stands alone, and its plot for other pages."""

from typing import Any

from markupsafe import Markup

from axonem_eval.report.parts import cards, code, heading, pair, paragraph, section, stand_alone_page, table
from axonem_eval.report.plots import bin_names, percent, um
from axonem_eval.report.svg import Frame, figure, legend, tag, ticks, tip

PLACES_SHOWN = 25
RANKED_BY = "The k-th place of a segment is ranked by its score divided by k"


def render_diagnosis(data: dict[str, Any], *, title: str, command: str = "") -> str:
    """The page of ``diagnosis_json``; ``title`` names the segmentation and is plain text."""
    content = [_header(data, title), _lengths(data), _splits(data), _mergers(data), _ends(data), _longest(data)]
    if command:
        content.append(section("How it was made", code(command)))
    return stand_alone_page(f"{title}: diagnosis without ground truth", content)


def length_plot(data: dict[str, Any]) -> Markup:
    """Share of segments and of cable by length of the segment: markup for a <figure>."""
    histogram = data["length_histogram"]
    used = [i for i, n in enumerate(histogram["count"]) if n]
    first, last = (used[0], used[-1] + 1) if used else (0, 1)
    names = bin_names(histogram["edges_um"])[first:last]
    counts, cables = histogram["count"][first:last], histogram["cable_nm"][first:last]
    all_counts, all_cable = max(1, sum(counts)), max(1.0, sum(cables))
    top = 100 * max([c / all_counts for c in counts] + [c / all_cable for c in cables])

    def draw(width: int) -> tuple[int, Markup]:
        height = 290 if width > 500 else 260
        levels = ticks(top, 5)
        frame = Frame.of(width, height, len(names), levels[-1], left=52)
        content = frame.y_axis(levels, "share of all", "%")
        step = frame.x(1) - frame.x(0)
        for i, (name, count, cable) in enumerate(zip(names, counts, cables, strict=True)):
            shares = ((0.14, "split", count / all_counts), (0.51, "correct", cable / all_cable))
            for offset, class_, share in shares:
                y = frame.y(100 * share)
                words = f"{name} µm: {count:,} segments, {um(cable)} of cable"
                content += tag(
                    "rect",
                    tip(words),
                    x=frame.x(i) + offset * step,
                    y=y,
                    width=0.35 * step,
                    height=frame.y(0) - y,
                    class_=f"bar {class_}",
                )
        every = 1 if 7 * max(map(len, names)) + 8 <= step else 2  # a character is some 7 wide
        places = [(i + 0.5, name) for i, name in enumerate(names) if i % every == 0]
        return height, content + frame.x_axis(places, "length of the segment (µm)")

    words = "; ".join(
        f"{name} µm {percent(count / all_counts)} of segments, {percent(cable / all_cable)} of cable"
        for name, count, cable in zip(names, counts, cables, strict=True)
    )
    entries = [("split", "share of segments"), ("correct", "share of cable")]
    return figure(draw, f"Segments by length: {words}.") + legend(entries)


def length_rows(data: dict[str, Any]) -> list[list[str]]:
    """The plot's numbers: bin, segments, cable."""
    histogram = data["length_histogram"]
    rows = zip(bin_names(histogram["edges_um"]), histogram["count"], histogram["cable_nm"], strict=True)
    return [[name, f"{count:,}", um(cable)] for name, count, cable in rows if count]


def _header(data: dict[str, Any], title: str) -> str:
    segments, ends = data["segments"], data["end_points"]
    long_um = data["settings"]["long_um"]
    share = segments["long_cable_nm"] / segments["cable_nm"] if segments["cable_nm"] else 0.0
    figures = [
        (f"{segments['long_count']:,}", f"segments longer than {long_um:g} µm, of {segments['count']:,}"),
        (um(segments["long_cable_nm"]), f"of cable in them, {percent(share)} of all"),
        (f"{ends['interior_count']:,}", f"ends inside the volume, {ends['interior_per_mm']:,.0f} per mm of cable"),
        (f"{data['likely_splits']['count']:,}", "pairs of ends that face one another: likely splits"),
        (f"{data['likely_mergers']['count']:,}", "crossings within one segment: likely mergers"),
    ]
    meaning = (
        "What the segmentation's own skeletons tell, without any ground truth. An axon seldom ends inside a volume of "
        "this size: ends are likely splits, above all where another begins close by and in line. Axons branch in Y, "
        "hardly ever in X: two straight lines through one segment are likely two axons. These are places to look at, "
        "not errors proven."
    )
    return (
        paragraph("Diagnosis of axonem-eval", "sub small")
        + heading(title)
        + paragraph(meaning, "lead")
        + cards(figures)
        + (paragraph(f"Note: {coarse['words']}.") if (coarse := data.get("traced_coarsely")) else "")
    )


def _lengths(data: dict[str, Any]) -> str:
    rows = length_rows(data)
    return section(
        "How long the segments are",
        paragraph(
            "Most segments are short in any segmentation; what counts is in which of them the cable lies. A good "
            "segmentation of axons has its cable on the right of this plot."
        ),
        pair(length_plot(data), table(["length, µm", "segments", "cable"], rows, "Segments by length")),
    )


def _splits(data: dict[str, Any]) -> str:
    rows = [
        [
            f"{row['ranked_by']:.2f}",
            f"{row['score']:.2f}",
            " | ".join(row["segments"]),
            f"{row['distance_nm']:,.0f} nm",
            f"{row['bend_degrees']:.0f}°",
            *_place(row),
        ]
        for row in data["likely_splits"]["places"][:PLACES_SHOWN]
    ]
    head = ["ranked by", "score", "segments", "apart", "bend", "voxel z, y, x", "nm z, y, x"]
    return _list("Likely splits", head, rows, f"Ends that face one another, the likeliest first. {RANKED_BY}", (2,))


def _mergers(data: dict[str, Any]) -> str:
    rows = [
        [
            f"{row['ranked_by']:.2f}",
            f"{row['score']:.2f}",
            row["segment"],
            row["kind"],
            um(row["shorter_line_nm"]),
            f"{row['bend_degrees']:.0f}°",
            *_place(row),
        ]
        for row in data["likely_mergers"]["places"][:PLACES_SHOWN]
    ]
    head = ["ranked by", "score", "segment", "kind", "shorter line", "bend", "voxel z, y, x", "nm z, y, x"]
    words = f"Two straight lines in one segment, the straightest first. {RANKED_BY}"
    return _list("Likely mergers", head, rows, words, (2, 3))


def _ends(data: dict[str, Any]) -> str:
    rows = [
        [row["segment"], um(row["segment_length_nm"]), _nm(row["radius_nm"]), *_place(row)]
        for row in data["end_points"]["places"][:PLACES_SHOWN]
    ]
    head = ["segment", "its length", "radius", "voxel z, y, x", "nm z, y, x"]
    return _list("Ends inside the volume", head, rows, "Ends of the longest segments", (0,))


def _longest(data: dict[str, Any]) -> str:
    rows = [
        [
            row["segment"],
            um(row["length_nm"]),
            "unknown" if row["volume_um3"] is None else f"{row['volume_um3']:,.2f} µm³",
            "unknown" if row["volume_per_length_um2"] is None else f"{row['volume_per_length_um2']:.3f} µm²",
            _nm(row["mean_radius_nm"]),
            f"{row['interior_ends']:,}",
            f"{row['branch_points']:,}",
        ]
        for row in data["longest_segments"][:PLACES_SHOWN]
    ]
    head = ["segment", "length", "volume", "volume / length", "mean radius", "inner ends", "branch points"]
    return _list("Longest segments", head, rows, "The longest segments", (0,))


def _list(heading: str, head: list[str], rows: list[list[str]], caption: str, words: tuple[int, ...]) -> str:
    return section(heading, table(head, rows, caption, words) if rows else paragraph("None found."))


def _place(row: dict[str, Any]) -> list[str]:
    voxel = ", ".join(str(v) for v in row["position_voxel"])
    return [voxel, ", ".join(f"{v:,.0f}" for v in row["position_nm"])]


def _nm(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,.0f} nm"
