"""The workshop driven through a browser, from a segmentation of cortex to a scored submission on hidden ground truth.

    python benchmarks/server/drive_workshop.py --work FOLDER [--crop 160,256,256] [--splits 8] [--merges 4]

Takes a corner of the cortex cube with planted splits and mergers. An organiser at Chromium uploads it, labels every
batch, decides on the candidates with the keyboard, cuts a segment by points, and makes hidden ground truth. A
participant submits the corner as planted and as it was. The untouched labels say which candidates are right. FOLDER
gets pictures of each page, of four sizes and colours; what axe and the browser's console say is printed at the end.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).parents[2]))

from axonem_eval.skeletonize import skeletonize_labels
from axonem_eval.synthetic import Errors, with_errors, write_labels
from benchmarks.data.tiles import VOXEL_NM_ZYX, load_cube, shape_of
from tests.browser.chromium import chromium
from tests.browser.person import Person
from tests.browser.running_server import ORGANISER, PASSWORD, RunningServer, free_port

DEFINITION = """
slug = "cortex"
name = "Cortex corner"
summary = "A corner of cortex."
[[volumes]]
slug = "corner"
name = "Corner"
tissue = "cortex"
shape_zyx = {shape}
voxel_size_nm_zyx = {voxel_nm}
[[phases]]
slug = "practice"
name = "Practice"
kind = "practice"
submissions_per_day = 50
"""
LONG_NM = 5000.0
# Of labels of so large a share of the corner; the true kinds are not known.
GLIA_SHARE, DENDRITE_SHARE = 0.03, 0.006


class Truth:
    """The untouched labels: what each planted segment is, and which candidates are right."""

    def __init__(self, clean: np.ndarray, planted: np.ndarray) -> None:
        self.clean = clean
        wide = np.int64(clean.max()) + 1
        pair, voxels = np.unique(planted.astype(np.int64) * wide + clean, return_counts=True)
        order = np.argsort(voxels, kind="stable")
        self.body = dict(zip((pair // wide)[order].tolist(), (pair % wide)[order].tolist(), strict=True))
        ids, size = np.unique(clean, return_counts=True)
        self.share = dict(zip(ids.tolist(), (size / clean.size).tolist(), strict=True))

    def kind(self, segment: int) -> str:
        share = self.share[self.body[segment]]
        return "glia" if share > GLIA_SHARE else "dendrite" if share > DENDRITE_SHARE else "axon"

    def is_right(self, name: str, data: dict) -> bool:
        sides = [{int(self.clean[tuple(v)]) for v in data[side]} for side in ("this_side", "other_side")]
        if name.startswith("split"):
            return sides[0] == sides[1]
        return len(sides[0]) == len(sides[1]) == 1 and sides[0] != sides[1]


def begin(olga: Person, labels: Path) -> None:
    page = olga.page
    page.goto("/organise/workshops/")
    olga.see("1-workshops")
    page.get_by_role("link", name="Cortex corner, Corner").click()
    page.set_input_files("input[name=source_file]", labels)
    page.locator("main form button").last.click()
    page.wait_for_url(re.compile(r"/organise/workshops/\d+/$"))
    olga.see("2-measuring")
    wait_for(page, "1. Identify")
    olga.see("3-workshop")


def wait_for(page: Page, words: str) -> None:
    """Load the page again until it says so."""
    for _ in range(1800):
        if words in page.inner_text("main"):
            return
        if page.locator("[role=alert]").count():
            break
        time.sleep(1)
        page.reload()
    raise SystemExit(f"{words!r} did not come: {page.inner_text('main')[:2000]}")


def identify(olga: Person, truth: Truth) -> int:
    """Label every segment, batch by batch, one key for each kind; how many keys."""
    page, keys = olga.page, 0
    page.get_by_role("link", name="Batch 0", exact=True).click()
    olga.see("4-batch")
    while page.locator("[name=segment]:checked").count():
        chosen = [int(box.get_attribute("value")) for box in page.locator("[name=segment]:checked").all()]
        number = page.locator("[name=batch]").get_attribute("value")
        if page.locator("text=Olga Organiser: ").count() == page.locator("[name=segment]").count():
            break  # the last batch, which stays when it is done
        kinds = [truth.kind(segment) for segment in chosen]
        most = max(set(kinds), key=kinds.count)
        for segment, kind in zip(chosen, kinds, strict=True):
            if kind != most:
                page.locator(f"[name=segment][value='{segment}']").focus()
                page.keyboard.press("Space")
        with page.expect_navigation():
            page.keyboard.press(most[0])
        keys += 1
        if number == "0" and page.locator("[name=batch]").get_attribute("value") == "0":
            olga.see("5-batch-half")
    return keys


def proofread(olga: Person, truth: Truth, server: RunningServer, kind: str, most: int) -> tuple[int, int]:
    """Decide on the first candidates with the keyboard; how many were accepted, of how many."""
    page, accepted = olga.page, 0
    page.goto("/organise/workshops/1/")
    page.get_by_role("link", name=f"likely {kind}s").click()
    olga.see(f"6-{kind}s")
    names = [box.get_attribute("value") for box in page.locator("[name=candidate]").all()][:most]
    for name in names:
        form = page.locator(f".workshop-candidate:has([value='{name}'])")
        form.focus()
        right = truth.is_right(name, data_of(server, name))
        with page.expect_navigation():
            page.keyboard.press("y" if right else "n")
        accepted += right
    olga.see(f"7-{kind}s-decided")
    return accepted, len(names)


def data_of(server: RunningServer, name: str) -> dict:
    """The correction of a candidate, from the database."""
    import json
    import sqlite3

    with sqlite3.connect(server.var / "db.sqlite3") as database:
        row = database.execute("select data from workshop_candidate where name = ?", [name]).fetchone()
    return dict(json.loads(row[0])["correction"])


def open_viewer(olga: Person, name: str) -> None:
    """Follow a link into Neuroglancer."""
    with olga.context.expect_page() as opened:
        olga.page.keyboard.press("v")
    viewer = opened.value
    viewer.set_viewport_size({"width": 1280, "height": 900})
    viewer.wait_for_timeout(8000)
    viewer.screenshot(path=olga.screenshots / f"{name}.png")
    viewer.close()


def cut_by_points(olga: Person) -> str:
    """Place a point in Neuroglancer, take it from there, preview the cut and accept it; what the page says of it."""
    page = olga.page
    page.goto("/organise/workshops/1/candidates/?kind=merger")
    page.locator(".workshop-candidate").first.focus()
    with page.expect_navigation():
        page.keyboard.press("c")
    with olga.context.expect_page() as opened:
        page.get_by_role("button", name="Place points in Neuroglancer").click()
    viewer = opened.value
    viewer.set_viewport_size({"width": 1280, "height": 900})
    # A function: the viewer's content policy forbids an expression, which the page itself would evaluate.
    viewer.wait_for_function("() => window.viewer && viewer.layerManager.managedLayers.length >= 3")
    viewer.wait_for_timeout(8000)
    viewer.keyboard.down("Control")
    viewer.mouse.click(236, 261)  # beside the middle of the first panel, where the first point lies
    viewer.keyboard.up("Control")
    viewer.screenshot(path=olga.screenshots / "7-cut-viewer.png")
    page.get_by_role("button", name="Take the points from there").click()
    olga.see("7-cut-points")
    before = page.locator("[name=this_side]").input_value()
    viewer.close()
    page.get_by_role("button", name="Preview the cut").click()
    page.wait_for_url("**/cut/?n=*")
    wait_for(page, "Preview\n")
    olga.see("7-cut-preview")
    page.locator(".workshop-candidate").focus()
    with page.expect_navigation():
        page.keyboard.press("y")
    return f"{len(before.splitlines())} points on the blue side, {page.locator('.status.accepted').count()} accepted"


def label_joins(olga: Person, truth: Truth) -> int:
    """Segments that are long only since they were joined. Returns how many groups were labelled."""
    page, labelled = olga.page, 0
    page.goto("/organise/workshops/1/")
    olga.see("7-joins")
    asked = page.locator("form", has=page.locator("img[src*='segment=']"))
    while asked.count():
        kind = truth.kind(int(asked.first.locator("input[name=segment]").input_value()))
        asked.first.locator(f"button[value={kind}]").click()
        page.wait_for_url("**/organise/workshops/1/")
        labelled += 1
    return labelled


def finalise(olga: Person) -> None:
    page = olga.page
    page.goto("/organise/workshops/1/")
    page.get_by_role("button", name="Make hidden ground truth").click()
    for _ in range(1200):
        if page.locator("main [role=alert]").count():
            raise SystemExit(page.locator("main [role=alert]").first.inner_text())
        if "Labels given" in page.inner_text("main"):
            break
        time.sleep(1)
        page.goto("/organise/workshops/1/")
    olga.see("8-finalised")
    page.locator("main a[href*='/organise/ground-truth/']").last.click()
    wait_for(page, "Preview, only for organisers")
    olga.see("9-ground-truth")


def submit(pia: Person, method: str, labels: Path) -> str:
    page = pia.page
    page.goto("/benchmarks/cortex/submit/")
    page.fill("[name=method_name]", method)
    page.set_input_files("#id_file-corner", labels)
    page.get_by_role("button", name="Upload and evaluate").click()
    page.wait_for_url(re.compile(r"/submissions/\w+/$"), timeout=120_000)
    page.get_by_text("Where the score is lost").first.wait_for(timeout=300_000)
    pia.see(f"10-{method.replace(' ', '-')}")
    found = re.search(r"[\d.]+\s*µm", page.inner_text("main"))
    return found.group(0) if found else "?"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=Path, help="folder for files and pictures")
    parser.add_argument("--crop", type=shape_of, default=(160, 256, 256), help="voxels z,y,x (default 160,256,256)")
    parser.add_argument("--splits", type=int, default=8, help="planted splits (default 8)")
    parser.add_argument("--merges", type=int, default=4, help="planted mergers (default 4)")
    parser.add_argument("--decide", type=int, default=30, help="candidates of each kind to decide (default 30)")
    arguments = parser.parse_args()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    z, y, x = arguments.crop
    clean = np.ascontiguousarray(load_cube()[:z, :y, :x])
    write_labels(work / "clean.h5", clean, VOXEL_NM_ZYX)
    graph = skeletonize_labels(work / "clean.h5", VOXEL_NM_ZYX)
    long = graph.skeleton_id[graph.skeleton_length_nm > LONG_NM].tolist()
    errors = Errors(splits=arguments.splits, merges=arguments.merges)
    planted, _ = with_errors(clean, VOXEL_NM_ZYX, errors, seed=1, candidates=long)
    write_labels(work / "planted.h5", planted, VOXEL_NM_ZYX)
    truth = Truth(clean, planted)
    server = RunningServer(work / f"var-{int(time.time())}", free_port())
    with server, chromium() as browser:
        definition = server.var / "cortex.toml"
        definition.write_text(DEFINITION.format(shape=list(clean.shape), voxel_nm=list(VOXEL_NM_ZYX)))
        server.manage("load_benchmark", str(definition))
        olga = Person(browser, server, work, timeout_s=120)
        olga.log_in(ORGANISER, PASSWORD)
        begin(olga, work / "planted.h5")
        print(f"{identify(olga, truth)} keys labelled all segments")
        for kind in ("split", "merger"):
            accepted, shown = proofread(olga, truth, server, kind, arguments.decide)
            print(f"{kind}s: {accepted} of {shown} accepted")
            open_viewer(olga, f"7-{kind}-viewer")
        print(f"cut by points: {cut_by_points(olga)}")
        print(f"{label_joins(olga, truth)} joined groups labelled")
        finalise(olga)
        pia = Person(browser, server, work, timeout_s=120)
        pia.page.goto("/accounts/signup/")
        pia.sign_up("Pia Participant", "pia@example.org", "Axon walkers")
        pia.page.get_by_role("button", name="Log out").wait_for()
        for method, name in (("As planted", "planted"), ("As it was", "clean")):
            print(f"{method}: {submit(pia, method, work / f'{name}.h5')}")
        print("\n".join([*olga.found, *pia.found]) or "axe and the console said nothing")


if __name__ == "__main__":
    main()
