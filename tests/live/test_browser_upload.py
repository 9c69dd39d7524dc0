"""The upload form in a real Chromium."""

import pytest

from tests.factories import tiny_labels
from tests.live.conftest import USER_PASSWORD
from tests.live.test_client import labels_file

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def open_form(page, line, live) -> None:
    page.goto(f"{line.url}/benchmarks/{live.benchmark}/submit/")
    if page.query_selector("input[name=login]"):
        page.fill("input[name=login]", live.email)
        page.fill("input[name=password]", USER_PASSWORD)
        page.click("main button[type=submit]")
    page.wait_for_selector("#submission-form")


def test_without_javascript_the_form_posts_its_files(browser, live, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    open_form(page, live, live)
    page.fill("[name=method_name]", "Plain form")
    for name in "ab":
        page.set_input_files(f"#id_file-{name}", labels_file(tmp_path / f"seg_{name}.h5", tiny_labels()))
    page.click("#submission-form > button[type=submit]")
    page.wait_for_url("**/submissions/*/")
    assert "Plain form" in page.inner_text("h1")
    context.close()
