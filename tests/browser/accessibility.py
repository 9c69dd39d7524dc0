"""axe-core on a page that Chromium shows, at four sizes and colours, small targets, and pictures of it."""

from pathlib import Path
from typing import Any

AXE = Path(__file__).parent / "vendor" / "axe-core-4.14.1.min.js"
SERIOUS = ("moderate", "serious", "critical")
WIDTHS = {"wide": 1280, "phone": 390}
# Side of the smallest target for a finger, in CSS pixels (WCAG 2.2, success criterion 2.5.8).
LEAST_TARGET = 24
# Its exceptions: a link in a sentence, and what a label of that size stands for. (The spacing that it allows in place
# of a size is not looked at: it would let a link of 16 pixels pass above a paragraph.)
SMALL_TARGETS = """least => {
  const letters = element => element.textContent.replace(/\\s/g, "").length;
  const isInSentence = link => {
    let block = link.parentElement;
    while (getComputedStyle(block).display.startsWith("inline")) block = block.parentElement;
    const targets = [...block.querySelectorAll("a, button")].filter(each => each.checkVisibility());
    const others = block.innerText.replace(/\\s/g, "").length - targets.reduce((sum, each) => sum + letters(each), 0);
    return others > 3;  // more than what stands between two links
  };
  const isSmall = element => {
    const {width, height} = element.getBoundingClientRect();
    return width > 2 && height > 2 && Math.min(width, height) < least - 0.5;
  };
  return [...document.querySelectorAll("a[href], button, summary, select, textarea, input:not([type=hidden])")]
    .filter(each => each.checkVisibility({visibilityProperty: true}) && isSmall(each))
    .filter(each => getComputedStyle(each).display !== "inline" || !isInSentence(each))
    .filter(each => ![...(each.labels || [])].some(label => !isSmall(label)))
    .map(each => `${each.tagName} “${(each.textContent || each.name).trim()}”`);
}"""


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


def small_targets(page: Any) -> list[str]:
    """Links, buttons and fields that a finger hardly hits."""
    return list(page.evaluate(SMALL_TARGETS, LEAST_TARGET))


def look(page: Any, name: str, folder: Path | None) -> list[str]:
    """A page on a desk and on a phone, light and dark: what axe finds in each, what overflows, what is too small.

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
        # The last size is that of a phone.
        found += [f"{name} phone {colours}: {target} is too small for a finger" for target in small_targets(page)]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDTHS["wide"], "height": 900})
    return found
