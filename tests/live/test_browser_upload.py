"""The upload form in a real Chromium."""

import time

import pytest
from playwright.sync_api import TimeoutError, expect

from tests.factories import labels_file, tiny_labels
from tests.live.live_server import USER_PASSWORD
from tests.live.slow_line import SlowLine

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.browser]


def open_form(page, line, live) -> None:
    page.goto(f"{line.url}/benchmarks/{live.benchmark}/submit/")
    if page.query_selector("input[name=login]"):
        page.fill("input[name=login]", live.email)
        page.fill("input[name=password]", USER_PASSWORD)
        page.click("main button[type=submit]")
    page.wait_for_selector("#submission-form")


@pytest.fixture
def thin_line(live):
    """2 MB/s: a file of 5 MB is on its way for some seconds."""
    relay = SlowLine(live.port, 2e6)
    yield relay
    relay.close()


def wait_until_sent(page, volume: str, permille: int) -> None:
    """Not `wait_for_function`, which the page's policy against `eval` forbids."""
    bar = page.locator(f"[data-volume={volume}] progress")
    deadline = time.monotonic() + 60
    while bar.evaluate("bar => bar.value") < permille:
        assert time.monotonic() < deadline, page.inner_text("main")
        time.sleep(0.05)


def wait_until_submitted(page) -> None:
    """The page of the submission; where it does not come, what the form says instead."""
    try:
        page.wait_for_url("**/submissions/*/", timeout=60_000)
    except TimeoutError:
        raise AssertionError(page.inner_text("main")) from None


def test_a_file_survives_a_cut_line_and_a_reload_and_is_scored(browser, live, thin_line, tmp_path):
    files = {name: labels_file(tmp_path / f"seg_{name}.h5", tiny_labels(), padding=6_000_000) for name in "ab"}
    page = browser.new_page()
    open_form(page, thin_line, live)
    page.set_input_files("#id_file-a", files["a"])
    wait_until_sent(page, "a", 300)
    thin_line.down = True
    thin_line.cut()
    page.wait_for_selector("[data-volume=a][data-state=retrying]", timeout=30_000)
    thin_line.down = False
    page.wait_for_selector("[data-volume=a][data-state=ready]", timeout=60_000)
    page.set_input_files("#id_file-b", files["b"])
    wait_until_sent(page, "b", 500)
    open_form(page, thin_line, live)  # as a reload: half of b is on the server, a is complete
    page.select_option("[data-volume=a] select", label="seg_a.h5")
    page.fill("[name=method_name]", "Cut and reloaded")
    offsets: list[int] = []
    page.on("request", lambda r: offsets.append(int(r.headers.get("upload-offset", -1))))
    page.set_input_files("#id_file-b", files["b"])
    page.click("#submission-form button[type=submit]")
    wait_until_submitted(page)
    assert next(offset for offset in offsets if offset >= 0) > 0
    page.wait_for_selector(".progress-scored", timeout=90_000)
    assert "100.0%" in page.inner_text("main")
    page.close()


def test_submit_pressed_early_makes_one_submission_and_back_makes_another(browser, live, thin_line, tmp_path):
    page = browser.new_page()
    open_form(page, thin_line, live)
    posts = []
    page.on("request", lambda r: posts.append(r.url) if r.method == "POST" and r.url.endswith("/submit/") else None)
    page.fill("[name=method_name]", "Pressed early")
    for name in "ab":
        file = labels_file(tmp_path / f"seg_{name}.h5", tiny_labels(), padding=5_000_000)
        page.set_input_files(f"#id_file-{name}", file)
    for _ in range(2):
        page.click("#submission-form button[type=submit]")
    expect(page.locator("#submit-note")).to_contain_text("submits by itself as soon as they have arrived")
    thin_line.cut()
    wait_until_submitted(page)
    assert "Pressed early" in page.inner_text("h1")
    assert len(posts) == 1
    first, thin_line.bytes_per_s = page.url, 1e9
    page.go_back()
    page.get_by_text("You have sent this form before").wait_for()
    assert page.input_value("[name=method_name]") == "Pressed early"
    page.click("#submission-form button[type=submit]")
    wait_until_submitted(page)
    assert page.url != first
    page.close()


def test_a_connection_that_died_without_a_word_is_given_up(browser, live, thin_line, tmp_path):
    page = browser.new_page()
    page.add_init_script(
        "document.addEventListener('readystatechange',"
        " () => document.getElementById('submission-form')?.setAttribute('data-stall-seconds', '2'))"
    )
    open_form(page, thin_line, live)
    page.set_input_files("#id_file-a", labels_file(tmp_path / "seg_a.h5", tiny_labels(), padding=6_000_000))
    wait_until_sent(page, "a", 200)
    thin_line.down = True  # a next connection would take the form out of this state sooner than it can be seen
    thin_line.go_dead()
    page.wait_for_selector("[data-volume=a][data-state=retrying]", timeout=30_000)
    thin_line.down = False
    page.wait_for_selector("[data-volume=a][data-state=ready]", timeout=60_000)
    page.close()


def test_waiting_for_files_can_be_taken_back(browser, live, thin_line, tmp_path):
    page = browser.new_page()
    open_form(page, thin_line, live)
    page.fill("[name=method_name]", "Taken back")
    (tmp_path / "empty.h5").touch()
    for name in "ab":
        page.set_input_files(f"#id_file-{name}", tmp_path / "empty.h5")
        assert "empty.h5 is empty" in page.inner_text(f"[data-volume={name}][data-state=broken]")
    page.click("#submission-form button[type=submit]")
    expect(page.locator("#submit-note")).to_contain_text("a file cannot be used")
    page.focus("#id_file-a")
    page.set_input_files("#id_file-a", labels_file(tmp_path / "seg_a.h5", tiny_labels()))
    page.wait_for_selector("[data-volume=a][data-state=ready]", timeout=60_000)
    expect(page.locator("[data-volume=a]")).not_to_contain_text("is empty")
    expect(page.locator("#id_file-a")).to_be_focused()
    page.set_input_files("#id_file-b", labels_file(tmp_path / "seg_b.h5", tiny_labels(), padding=3_000_000))
    page.click("#submission-form button[type=submit]")
    page.click("text=Do not submit automatically")
    for name in "ab":
        page.wait_for_selector(f"[data-volume={name}][data-state=ready]", timeout=60_000)
    assert page.url.endswith("/submit/")
    expect(page.locator("#stop-waiting")).to_be_hidden()
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    with page.expect_event("dialog"):
        page.locator("a.brand").click(no_wait_after=True)
    assert asked == ["beforeunload"]  # to leave now would lose the text
    page.close()
    page = browser.new_page()
    open_form(page, live, live)
    note = page.get_by_text("Not submitted yet:").inner_text()  # names files of other tests too
    assert "seg_a.h5" in note
    assert "seg_b.h5" in note
    page.close()


def test_without_javascript_the_form_posts_its_files(browser, live, tmp_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    open_form(page, live, live)
    page.fill("[name=method_name]", "Plain form")
    for name in "ab":
        page.set_input_files(f"#id_file-{name}", labels_file(tmp_path / f"seg_{name}.h5", tiny_labels()))
    page.click("#submission-form button[type=submit]")
    page.wait_for_url("**/submissions/*/")
    assert "Plain form" in page.inner_text("h1")
    context.close()
