"""Every page as a participant, a reader and an organiser see it: wide and on a phone, light and dark.

axe finds no serious issue, nothing is wider than the window, and the browser's console stays empty.
"""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import look
from tests.browser.running_server import ORGANISER, PASSWORD, RunningServer, free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FILL = "from tests.browser.sample_site import fill; fill()"
FOR_EVERYBODY = {
    "home": "/",
    "benchmark": "/benchmarks/{benchmark}/",
    "axons": "/benchmarks/{benchmark}/a/axons/?against={volume}",
    "benchmark-not-ready": "/benchmarks/{empty}/",
    "leaderboard": "/benchmarks/{benchmark}/leaderboard/",
    "leaderboard-superseded": "/benchmarks/{benchmark}/leaderboard/?superseded=1&sort=-mean",
    "leaderboard-nothing-fits": "/benchmarks/{benchmark}/leaderboard/?q=nothing",
    "leaderboard-empty": "/benchmarks/{empty}/leaderboard/",
    "result": "/submissions/{new}/",
    "result-superseded": "/submissions/{old}/",
    "method": "/methods/{new}/",
    "compare": "/compare/?a={new}&b={other}",
    "compare-form": "/compare/",
    "team-public": "/teams/{team}/",
    "sign-up": "/accounts/signup/",
    "log-in": "/accounts/login/",
    "docs": "/docs/formats/",
    "docs-api": "/docs/api/",
    "not-found": "/nothing/",
}
FOR_ADA = {
    "upload": "/benchmarks/{benchmark}/submit/",
    "upload-refused": "/benchmarks/{empty}/submit/",
    "my-submissions": "/submissions/",
    "result-own": "/submissions/{new}/",
    "rejected": "/submissions/{rejected}/",
    "failed": "/submissions/{failed}/",
    "edit": "/submissions/{new}/edit/",
    "team": "/teams/{team}/",
    "teams": "/teams/",
    "tokens": "/accounts/tokens/",
    "account": "/accounts/",
}
FOR_ORGANISERS = {
    "organise": "/organise/",
    "organise-benchmarks": "/organise/benchmarks/",
    "organise-benchmark": "/organise/benchmarks/{benchmark}/",
    "organise-benchmark-form": "/organise/benchmarks/{benchmark}/edit/",
    "organise-volume-form": "/organise/benchmarks/{benchmark}/volumes/a/",
    "organise-phase-form": "/organise/benchmarks/{benchmark}/phases/test/",
    "organise-ground-truth-form": "/organise/benchmarks/{benchmark}/volumes/a/ground-truth/",
    "organise-ground-truths": "/organise/ground-truth/",
    "organise-ground-truth": "/organise/ground-truth/{ground_truth}/",
    "organise-requests": "/organise/requests/",
    "organise-submissions": "/organise/submissions/",
    "organise-queue": "/organise/queue/",
    "organise-log": "/organise/log/",
}
IN_THE_ADMIN = {
    "admin": "/admin/",
    "admin-ground-truth": "/admin/benchmarks/groundtruth/{ground_truth}/change/",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("var"), free_port()) as server:
        server.names = json.loads(server.manage("shell", "--no-imports", "-c", FILL).splitlines()[-1])
        yield server


class Reader:
    """A browser of its own, and what is wrong on the pages that it opens."""

    def __init__(self, browser, site) -> None:
        self.page = browser.new_context(base_url=site.url, reduced_motion="reduce").new_page()
        self.site, self.console = site, []
        self.page.on("console", lambda m: self.console.append(m.text) if m.type == "error" else None)

    def log_in(self, email: str, password: str) -> "Reader":
        self.page.goto("/accounts/login/")
        self.page.locator("main [name=login]").fill(email)
        self.page.locator("main [name=password]").fill(password)
        self.page.locator("main button[type=submit]").first.click()
        self.page.get_by_role("button", name="Log out").wait_for()
        return self

    def look(self, path: str, name: str, folder) -> list[str]:
        self.console.clear()
        self.page.goto(path.format(**self.site.names))
        for details in self.page.locator("main details").all():
            details.evaluate("element => element.open = true")
        found = look(self.page, name, folder)
        status = 404 if name == "not-found" else 200
        return found + [text for text in self.console if str(status) not in text]


@pytest.fixture(scope="module")
def anybody(browser, site) -> Reader:
    return Reader(browser, site)


@pytest.fixture(scope="module")
def ada(browser, site) -> Reader:
    return Reader(browser, site).log_in(site.names["email"], "a long enough password")


@pytest.fixture(scope="module")
def organiser(browser, site) -> Reader:
    return Reader(browser, site).log_in(ORGANISER, PASSWORD)


@pytest.mark.parametrize("name", FOR_EVERYBODY)
def test_pages_for_everybody(anybody, name, pictures):
    assert anybody.look(FOR_EVERYBODY[name], name, pictures) == []


def test_the_axons_of_a_volume_are_compared_and_turned(anybody):
    page = anybody.page
    page.goto("/benchmarks/{benchmark}/a/axons/".format(**anybody.site.names))
    page.select_option("#against", str(anybody.site.names["volume"]))
    page.locator("#lengths th", has_text="Volume B").wait_for(state="attached")
    page.locator("#courses[data-drawn]").wait_for()
    page.get_by_role("button", name="Turn left").click()
    page.locator("#courses").press("+")
    expect(page.locator("#courses")).to_have_attribute("data-drawn", "-0.75 0.40 1.25")


@pytest.mark.parametrize("name", FOR_ADA)
def test_pages_of_a_participant(ada, name, pictures):
    assert ada.look(FOR_ADA[name], name, pictures) == []


@pytest.mark.parametrize("name", FOR_ORGANISERS)
def test_pages_of_an_organiser(organiser, name, pictures):
    assert organiser.look(FOR_ORGANISERS[name], name, pictures) == []


@pytest.mark.parametrize("name", IN_THE_ADMIN)
def test_pages_of_the_admin(organiser, name, pictures):
    """Django's own admin is not ours to mend: pictures, and that nothing of ours is missing there."""
    failed = []
    organiser.page.on("response", lambda r: failed.append(r.url) if r.status >= 400 else None)
    organiser.look(IN_THE_ADMIN[name], name, pictures)
    assert failed == []
