"""A section of a volume as people look at it: grey values, affinities, segmentation, ground truth, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

GAP, CAPTION = 8, 22


def colours(labels: NDArray[Any]) -> NDArray[np.uint8]:
    """(y,x) labels to (y,x,3): one colour a label by hashing, so the same in every section; 0 is black."""
    mixed = labels.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    channels = [(mixed >> np.uint64(shift)) & np.uint64(0xFF) for shift in (16, 28, 40)]
    found = np.stack([60 + (c.astype(np.float64) * 195 / 255) for c in channels], -1).astype(np.uint8)
    found[labels == 0] = 0
    return found


def overlay(grey: NDArray[np.uint8], labels: NDArray[Any], strength: float = 0.45) -> NDArray[np.uint8]:
    """Labels in colour over the grey values (y,x); background shows the grey values alone."""
    base = np.repeat(grey[..., None], 3, axis=-1).astype(np.float64)
    share = np.where(labels == 0, 0.0, strength)[..., None]
    blended: NDArray[np.uint8] = (base * (1 - share) + colours(labels) * share).astype(np.uint8)
    return blended


def panels(
    grey: NDArray[np.uint8],
    outputs: Sequence[tuple[str, NDArray[np.uint8]]],
    segmentations: Sequence[tuple[str, NDArray[Any]]],
    *,
    scale: int = 1,
) -> Image.Image:
    """One row: grey values (y,x), pictures of what the network gave (y,x,3), then segmentations over the grey."""
    rows = [("EM", np.repeat(grey[..., None], 3, -1)), *outputs]
    rows += [(name, overlay(grey, labels)) for name, labels in segmentations]
    height, width = (n * scale for n in grey.shape)
    sheet = Image.new("RGB", (len(rows) * (width + GAP) - GAP, height + CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (name, values) in enumerate(rows):
        left = place * (width + GAP)
        picture = Image.fromarray(np.ascontiguousarray(values, np.uint8)).resize(
            (width, height), Image.Resampling.NEAREST
        )
        sheet.paste(picture, (left, CAPTION))
        draw.text((left + 2, 4), name, fill="black", font_size=14)
    return sheet


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a palette PNG: small enough for a repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256).save(path, optimize=True)
