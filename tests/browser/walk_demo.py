"""The way of a newcomer through a running demo: download the test EM, run a baseline, sign up, submit, publish.

Takes minutes, so it is a command and no test:

    .venv/bin/python -m tests.browser.walk_demo http://127.0.0.1:8000 --mail var/mail -o walk

Prints the seconds of each step; the folder has the files and a picture of each page.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from playwright.sync_api import Page

from tests.browser.chromium import chromium
from tests.browser.person import PASSWORD, link_in, mails_to

METHOD = "My first U-Net"
BASELINE = ["reproduce", "synthetic-shipped", "--em", "a=a-em.h5", "--em", "b=b-em.h5", "-o", "mine", "--quiet"]


class Walk:
    """Prints what each step took, and keeps a picture of where it ended."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder, self.began = page, folder, time.monotonic()

    def step(self, name: str) -> None:
        self.page.screenshot(path=self.folder / f"{name}.png", full_page=True)
        now = time.monotonic()
        print(f"{now - self.began:7.1f} s  {name}  {self.page.url}", flush=True)
        self.began = now


def download(walk: Walk) -> None:
    page = walk.page
    page.goto("/")
    page.locator(".card").first.get_by_role("link", name="Data").click()
    walk.step("data")
    for volume in "AB":
        with page.expect_download() as download:
            page.get_by_role("link", name=f"Test EM, Demo {volume}").click()
        download.value.save_as(walk.folder / download.value.suggested_filename)
    page.get_by_role("link", name="download, run a baseline, submit").click()
    page.get_by_role("heading", name="From data to an entry").wait_for()
    walk.step("downloaded")


def segment(walk: Walk) -> None:
    program = Path(sys.executable).with_name("baselines")
    subprocess.run([program, *BASELINE], cwd=walk.folder, check=True)
    walk.step("segmented")


def sign_up(walk: Walk, mail: Path) -> None:
    page, email = walk.page, f"newcomer-{time.time_ns()}@example.org"
    page.goto("/benchmarks/demo/")
    page.get_by_role("link", name="Submit a segmentation").click()
    page.get_by_role("main").get_by_role("link", name="Sign up").first.click()
    fields = {"name": f"Newcomer {time.time_ns()}", "email": email, "password1": PASSWORD, "password2": PASSWORD}
    for name, value in fields.items():
        page.locator(f"main [name={name}]").fill(value)
    page.get_by_role("main").get_by_role("button", name="Create account").click()
    page.get_by_role("heading", name="Confirm your address").wait_for()
    page.goto(link_in(mails_to(mail.parent, email)[-1]))
    page.get_by_role("main").get_by_role("button", name="Confirm").click()
    page.get_by_role("heading", name="Submit a segmentation").wait_for()
    walk.step("signed-up")


def submit(walk: Walk) -> None:
    page = walk.page
    page.fill("[name=method_name]", METHOD)
    for volume in "ab":
        page.set_input_files(f"#id_file-{volume}", walk.folder / "mine" / f"{volume}.h5")
    page.get_by_role("button", name="Upload and evaluate").click()
    page.wait_for_url("**/submissions/*/")
    page.get_by_text("Where the score is lost").first.wait_for()
    walk.step("scored")
    page.get_by_role("main").get_by_role("button", name="Publish on the leaderboard").click()
    page.get_by_text("Published.").wait_for()
    page.goto("/benchmarks/demo/leaderboard/")
    row = page.locator("main table tbody").first.locator("tr", has_text=METHOD).first
    print(" ".join(row.inner_text().split()))
    walk.step("on-the-board")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("server", help="address of the demo")
    parser.add_argument(
        "--mail", type=Path, required=True, help="folder to which the demo writes its mail: VAR_DIR/mail"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("walk"), help="folder for files and pictures")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        page = browser.new_context(base_url=options.server).new_page()
        page.set_default_timeout(300_000)
        walk = Walk(page, options.output)
        download(walk)
        segment(walk)
        sign_up(walk, options.mail)
        submit(walk)
    return 0


if __name__ == "__main__":
    sys.exit(main())
