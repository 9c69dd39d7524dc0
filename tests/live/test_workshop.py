"""Two annotators at two browsers, one browser killed, the server restarted: nothing lost, nothing decided twice."""

import contextlib
import json
import os
import signal
import sqlite3

import pytest
from playwright.sync_api import Error

from tests.browser.chromium import ARGUMENTS, find_chromium
from tests.browser.running_server import ORGANISER, PASSWORD
from tests.live.live_server import USER_PASSWORD

pytestmark = [pytest.mark.live, pytest.mark.slow, pytest.mark.browser]

SEGMENTS = 6
# Places of the candidates, and what happens while they are decided on.
AT_ONCE, CRASHED, RESTARTED = (0, 1, 2), 3, 4
CANDIDATES = 5
# Measuring a segmentation is tested elsewhere; this one is measured already.
MAKE_WORKSHOP = f"""
import json
from axonem_eval.workshop import SPLIT, Candidate as Found, Correction, candidate_json
from evalserver.benchmarks.models import Volume
from evalserver.workshop.models import Candidate, Segment, Workshop
from tests.factories import make_user
shop = Workshop.objects.create(volume=Volume.objects.first(), source_name="labels.h5", status=Workshop.DONE_STATUS)
for i in range({SEGMENTS}):
    Segment.objects.create(workshop=shop, name=str(100 + i), batch=i // 3, position=i, length_um=6, width_nm=90,
                           volume_um3=0.2, anchor_zyx=[1, 2, 3])
for place in range({CANDIDATES}):
    found = Found(Correction(SPLIT, (1, 2 + place), ((1, 2, 3),), ((4, 5, 6),)), 0.9, 0.9, 1.0)
    Candidate.objects.create(workshop=shop, kind=SPLIT, name=found.correction.name, place=place, score=0.9,
                             data=candidate_json(found))
ben = make_user("Ben", is_staff=True, is_superuser=True)
print(json.dumps([shop.pk, ben.email]))
"""


def another(browser):
    """A second browser, with processes of its own."""
    return browser.browser_type.launch(executable_path=find_chromium(), args=ARGUMENTS)


class Annotator:
    """Somebody at a browser."""

    def __init__(self, browser, live, email: str, password: str):
        self.browser = browser
        self.page = browser.new_page(base_url=live.url)
        self.page.set_default_timeout(60_000)
        self.page.goto("/accounts/login/")
        self.page.locator("main [name=login]").fill(email)
        self.page.locator("main [name=password]").fill(password)
        self.page.get_by_role("main").get_by_role("button", name="Log in").click()
        self.page.get_by_role("link", name="Organise", exact=True).wait_for()

    def frame(self, shop: int, place: int) -> None:
        """Open the list, with a candidate framed."""
        self.page.goto(f"/organise/workshops/{shop}/candidates/?kind=split")
        self.page.locator(".workshop-candidate").nth(place).focus()

    def press(self, key: str) -> str:
        """Press a key; the text of the page that it leads to."""
        with self.page.expect_navigation():
            self.page.keyboard.press(key)
        return self.page.inner_text("main")

    def is_decided(self, place: int) -> bool:
        return self.page.locator(".workshop-candidate").nth(place).locator(".status").count() > 0

    def press_and_crash(self, key: str) -> None:
        """The browser dies before the answer to a key is there."""
        processes = self.browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
        (main,) = (p["id"] for p in processes if p["type"] == "browser")
        self.page.keyboard.press(key)
        os.kill(main, signal.SIGKILL)


def rows(live, query: str) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(live.var / "db.sqlite3", timeout=30)) as database:
        return database.execute(query).fetchall()


def test_two_annotators_a_killed_browser_and_a_restart_lose_nothing(browser, live):
    shop, ben_email = json.loads(live.manage("shell", "--no-imports", "-c", MAKE_WORKSHOP).splitlines()[-1])
    ada = Annotator(browser, live, ORGANISER, PASSWORD)
    ben = Annotator(another(browser), live, ben_email, USER_PASSWORD)

    # Both decide on the same candidates at the same moment: one verdict each, and the other is told.
    for place in AT_ONCE:
        for annotator in (ada, ben):
            annotator.frame(shop, place)
        with ada.page.expect_navigation(), ben.page.expect_navigation():
            ada.page.keyboard.press("y")
            ben.page.keyboard.press("n")
        said = [page.inner_text("main") for page in (ada.page, ben.page)]
        assert sum("Look at it again" in text for text in said) == 1, said

    # A browser dies while its verdict is on its way: the verdict counts once or not at all, and can be given after.
    ben.frame(shop, CRASHED)
    ben.press_and_crash("n")
    ben = Annotator(another(browser), live, ben_email, USER_PASSWORD)
    ben.frame(shop, CRASHED)
    if not ben.is_decided(CRASHED):
        ben.press("n")
    ben.browser.close()

    # The server restarts in the middle. What was confirmed is there; what was not is pressed again and counts once.
    ada.page.goto(f"/organise/workshops/{shop}/batch/")
    assert "3 segments labelled axon" in ada.press("a")
    ada.frame(shop, RESTARTED)
    live.stop()
    with contextlib.suppress(Error), ada.page.expect_navigation(timeout=5000):
        ada.page.keyboard.press("y")
    live.start()
    ada.frame(shop, RESTARTED)  # she is still logged in
    ada.press("y")
    ada.page.goto(f"/organise/workshops/{shop}/batch/?n=1")
    ada.press("d")
    ada.page.close()

    decisions = """select c.place, d.number, d.verdict from workshop_decision d
                   join workshop_candidate c on c.id = d.candidate_id order by c.place, d.number"""
    found = rows(live, decisions)
    assert [(place, number) for place, number, _ in found] == [(place, 1) for place in range(CANDIDATES)]
    assert [verdict for place, _, verdict in found if place not in AT_ONCE] == ["rejected", "accepted"]
    labels = rows(live, "select s.batch, l.label from workshop_label l join workshop_segment s on s.id = l.segment_id")
    assert sorted(labels) == [(0, "axon")] * 3 + [(1, "dendrite")] * 3
