"""Values are read off a plot by keyboard, mouse and finger."""

from pathlib import Path

import pytest

from axonem_eval.report import plots

pytestmark = pytest.mark.browser
STATIC = Path(__file__).parents[2] / "evalserver" / "static"
REPORT = {"erl_nm": 4000.0, "gt_erl_nm": 8000.0, "erl_lost_nm": {"merged": 2000.0, "split": 1500.0, "omitted": 500.0}}


@pytest.fixture
def page(browser):
    page = browser.new_context(has_touch=True).new_page()
    page.set_content(f'<figure class="plot">{plots.loss_bar(REPORT)}</figure>')
    page.add_style_tag(path=STATIC / "results.css")
    page.add_script_tag(path=STATIC / "plots.js", type="module")
    page.locator("svg.wide[tabindex]").wait_for()
    return page


def reading(page) -> str:
    return page.locator(".reading.wide").inner_text()


def test_the_arrow_keys_go_from_value_to_value(page):
    page.locator("svg.wide").focus()
    read = []
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        read.append(reading(page))
    assert read == [
        "ERL reached: 4.00 µm (50.0%)",
        "lost to mergers: 2.00 µm (25.0%)",
        "lost to splits: 1.50 µm (18.8%)",
    ]
    page.keyboard.press("ArrowLeft")
    assert reading(page) == read[1]


def test_a_pointer_and_a_finger_read_what_they_touch(page):
    page.locator("svg.wide rect.split").first.hover()
    assert reading(page).startswith("lost to splits")
    omitted = page.locator("svg.wide rect.omitted").first
    omitted.tap()
    assert reading(page).startswith("lost to omissions")
    box = omitted.bounding_box()
    page.locator("svg.wide rect.split").first.tap()
    page.touchscreen.tap(box["x"] + box["width"] + 15, box["y"] + 5)  # beside it, as fingers do
    assert reading(page).startswith("lost to omissions")
