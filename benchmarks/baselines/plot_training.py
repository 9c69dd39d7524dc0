"""The curve of a training as SVG: voxel scores of the fields of view, and scores of the validation volume.

    python benchmarks/baselines/plot_training.py runs/ffn-synthetic/log.jsonl docs/img/ffn-synthetic-training.svg

Voxel scores are means over the objects of as many log entries as --mean says.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from markupsafe import Markup

sys.path.insert(0, str(Path(__file__).parents[2]))
from axonem_eval.report.svg import Frame, standalone, svg, tag, text, ticks

WIDTH, HEIGHT = 600, 250
COLOURS = {"a": "#2563a8", "b": "#b4530a", "c": "#3c8541"}
STYLE = (
    "text{font:12px sans-serif;fill:#666}.grid{stroke:#9994}.axis{stroke:#999}polyline{fill:none;stroke-width:2}"
    + "".join(
        f".{name}{{stroke:{colour};fill:{colour}}}polyline.{name}{{fill:none}}" for name, colour in COLOURS.items()
    )
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("log", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--mean", type=int, default=5)
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.log.read_text().splitlines()]
    trained = _means([row for row in rows if "train/accuracy" in row], options.mean)
    validated = [row for row in rows if "validate/arand_error" in row]
    for row in validated:
        row["validate/voi"] = row["validate/voi_split"] + row["validate/voi_merge"]
        row["validate/erl_um"] = row.get("validate/erl_nm", 0) / 1e3
    panels = [
        (trained, {"train/accuracy": "accuracy", "train/precision": "precision", "train/recall": "recall"},
         "training: voxels of objects, share"),
        (validated, {"validate/arand_error": "ARAND", "validate/voi": "VOI (bits)", "validate/erl_um": "ERL (um)"},
         "validation volume"),
    ]  # fmt: skip
    end = max(row["step"] for row in rows)
    parts, top = [], 0
    for values, names, label in panels:
        if values:
            parts.append(tag("g", _panel(values, names, label, end), transform=f"translate(0 {top})"))
            top += HEIGHT
    picture = svg(WIDTH + 20, top, Markup().join(parts), f"Curves of the training in {options.log.name}")
    options.target.write_text(standalone(str(picture), STYLE))


def _means(rows: list[dict[str, float]], window: int) -> list[dict[str, float]]:
    """Running means of the shares, each entry weighted by its objects."""
    found = []
    for end in range(window, len(rows) + 1):
        part = rows[end - window : end]
        row = {"step": part[-1]["step"]}
        for name in ("train/accuracy", "train/precision", "train/recall"):
            kept = [(r[name], r["train/objects"]) for r in part if name in r]
            if kept:
                values, weights = zip(*kept, strict=True)
                row[name] = float(np.average(values, weights=weights))
        found.append(row)
    return found


def _panel(rows: list[dict[str, float]], names: dict[str, str], label: str, end: int) -> Markup:
    """Lines of some values over the steps, with their names in their colours."""
    values = ticks(max(row.get(name, 0.0) for row in rows for name in names), 5)
    frame = Frame.of(WIDTH, HEIGHT, end, values[-1])
    parts = [frame.y_axis(values, label), frame.x_numbers("steps")]
    for place, (class_, (name, words)) in enumerate(zip(COLOURS, names.items(), strict=True)):
        points = [(row["step"], row[name]) for row in rows if name in row]
        parts.append(frame.line([x for x, _ in points], [y for _, y in points], class_))
        parts += [
            tag("circle", cx=frame.x(x), cy=frame.y(y), r=3, class_=class_) for x, y in points if len(points) < 30
        ]
        parts.append(tag("rect", x=300 + 100 * place, y=2, width=10, height=10, class_=class_))
        parts.append(text(314 + 100 * place, 11, words))
    return Markup().join(parts)


if __name__ == "__main__":
    main()
