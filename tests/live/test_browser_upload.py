"""The upload form in a real Chromium, over a slow line that breaks."""

import time

import pytest

from tests.browser.conftest import browser  # noqa: F401  a fixture
from tests.factories import tiny_labels
from tests.live.conftest import USER_PASSWORD
from tests.live.slow_line import SlowLine
from tests.live.test_client import labels_file

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def thin_line(live):
    """3 MB/s: a file of 12 MB takes long enough to be broken off."""
    relay = SlowLine(live.port, 3e6)
    yield relay
    relay.close()


def wait(page, script: str, timeout_s: float = 90) -> None:
    """Until the expression is true. Not `wait_for_function`, which the page's policy against `eval` forbids."""
    deadline = time.monotonic() + timeout_s
    while not page.evaluate(f"() => {script}"):
        assert time.monotonic() < deadline, f"{script}: {page.inner_text('main')}"
        time.sleep(0.1)


def state(volume: str, *words: str) -> str:
    return f"{list(words)}.includes(document.querySelector('[data-volume={volume}]').dataset.state)"


def sent(volume: str, permille: int) -> str:
    return f"document.querySelector('[data-volume={volume}] progress').value > {permille}"


def open_form(page, line, live) -> None:
    page.goto(f"{line.url}/benchmarks/{live.benchmark}/submit/")
    if page.query_selector("input[name=login]"):
        page.fill("input[name=login]", live.email)
        page.fill("input[name=password]", USER_PASSWORD)
        page.click("main button[type=submit]")
    page.wait_for_selector("#submission-form")


def test_a_file_survives_a_cut_line_and_a_reload_and_is_scored(browser, live, thin_line, tmp_path):  # noqa: F811
    files = {name: labels_file(tmp_path / f"seg_{name}.h5", tiny_labels(), padding=12_000_000) for name in "ab"}
    page = browser.new_page()
    open_form(page, thin_line, live)
    page.set_input_files("#id_file-a", files["a"])
    wait(page, sent("a", 300))
    thin_line.down = True
    thin_line.cut()
    time.sleep(1)
    thin_line.down = False
    wait(page, state("a", "ready"))
    page.set_input_files("#id_file-b", files["b"])
    wait(page, sent("b", 500))
    open_form(page, thin_line, live)  # as a reload: the half of b is on the server, a is complete
    options = [option.inner_text() for option in page.query_selector_all("[data-volume=a] option")]
    assert options == ["none: send the file below", "seg_a.h5"]
    page.select_option("[data-volume=a] select", index=1)
    page.fill("[name=method_name]", "In a browser")
    offsets: list[int] = []
    page.on(
        "request",
        lambda r: offsets.append(int(r.headers["upload-offset"])) if "upload-offset" in r.headers else None,
    )
    page.set_input_files("#id_file-b", files["b"])
    page.click("#submission-form > button[type=submit]")  # before b is here: it waits, then submits by itself
    page.wait_for_url("**/submissions/*/", timeout=90_000)
    assert offsets[0] > 0
    page.wait_for_selector(".progress-scored", timeout=90_000)
    assert "100.0%" in page.inner_text("main")
    page.close()


def test_without_javascript_the_form_posts_its_files(browser, live, tmp_path):  # noqa: F811
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
