"""How heavy pages are, and when their largest element is painted: in Chromium, as on a desk and as on a phone.

    python benchmarks/server/bench_pages.py http://127.0.0.1:8000 / /benchmarks/demo/ [--loads 5]

Each load has a browser context of its own, so nothing is cached. A page weighs what travels: HTML, style sheets and
scripts, pictures apart. LCP is Chromium's largest contentful paint; the machine must be free while this runs.
"""

import argparse
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.browser.chromium import chromium

SCREENS = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 3,
        "is_mobile": True,
        "has_touch": True,
    },
}
SIZES = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")].map(
    (entry) => [entry.name, entry.initiatorType, entry.transferSize])"""
PAINT = """() => new Promise((resolve) => {
    new PerformanceObserver((list) => resolve(list.getEntries().at(-1).startTime))
        .observe({type: "largest-contentful-paint", buffered: true});
    setTimeout(() => resolve(null), 5000);
})"""
PICTURES = (".webp", ".png", ".jpg", ".svg")


@dataclass(frozen=True)
class Load:
    """One load of a page: bytes that travelled, and ms until the largest element was painted (None: not told)."""

    text_bytes: int
    picture_bytes: int
    paint_ms: float | None


def load(browser: Browser, address: str, screen: str) -> Load:
    context = browser.new_context(**SCREENS[screen])  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(address, wait_until="load")
    paint = page.evaluate(PAINT)
    page.wait_for_timeout(500)
    text = pictures = 0
    for name, kind, size in page.evaluate(SIZES):
        if kind == "img" or name.partition("?")[0].endswith(PICTURES):
            pictures += size
        else:
            text += size
    context.close()
    return Load(text, pictures, paint)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("server", help="address of a running server, without a slash at its end")
    parser.add_argument("pages", nargs="+", metavar="PAGE", help="path of a page, beginning with a slash")
    parser.add_argument("--loads", type=int, default=5, metavar="N", help="loads of each page and screen (default 5)")
    options = parser.parse_args()
    cores, busy = os.cpu_count() or 1, os.getloadavg()[0]
    print(f"load of this machine: {busy:.1f} on {cores} cores{'' if busy < 0.3 * cores else ': NOT FREE'}")
    with chromium() as browser:
        for page in options.pages:
            for screen in SCREENS:
                loads = [load(browser, options.server + page, screen) for _ in range(options.loads)]
                paints = [found.paint_ms for found in loads if found.paint_ms is not None]
                times = f"{statistics.median(paints):.0f} ms (best {min(paints):.0f})" if paints else "not told"
                text, pictures = loads[-1].text_bytes / 1000, loads[-1].picture_bytes / 1000
                print(f"{page}  {screen}: {text:.1f} kB and {pictures:.1f} kB of pictures, LCP {times}", flush=True)


if __name__ == "__main__":
    main()
