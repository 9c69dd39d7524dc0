"""axe-core on a page that Chromium shows, at four sizes and colours, and pictures of it."""

from pathlib import Path
from typing import Any

AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1.min.js"
SERIOUS = ("moderate", "serious", "critical")
WIDTHS = {"wide": 1280, "phone": 390}


def issues(page: Any) -> list[str]:
    """Findings that are more than minor: rule, element, and what is wrong."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{violation['id']} at {node['target']}: {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in SERIOUS
        for node in violation["nodes"]
    ]


def sideways(page: Any) -> int:
    """Pixels by which the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def look(page: Any, name: str, folder: Path | None) -> list[str]:
    """A page on a desk and on a phone, light and dark: what axe finds in each, and what overflows.

    folder : where pictures of it go; None for none.
    """
    found = []
    for colours in ("light", "dark"):
        page.emulate_media(color_scheme=colours)
        for size, width in WIDTHS.items():
            page.set_viewport_size({"width": width, "height": 900})
            if folder is not None:
                page.screenshot(path=folder / f"{name}-{size}-{colours}.png", full_page=True)
            found += [f"{name} {size} {colours}: {issue}" for issue in issues(page)]
            if sideways(page) > 0:
                found.append(f"{name} {size}: the page is {sideways(page)} pixels too wide")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDTHS["wide"], "height": 900})
    return found
