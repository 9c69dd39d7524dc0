"""The main job through the pages, from an organiser's labels to a frozen ranking, each by a person at a browser.

On the published FIB-25 segmentations where they lie beside the checkout, else on synthetic tissue with known errors.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import h5py
import pytest

from axonem_eval import SkeletonGraph, score_nodes
from axonem_eval.scoring import sample_file
from axonem_eval.synthetic import Errors, make_tissue, with_errors, write_labels
from tests.browser.person import Person, link_in, mails_to
from tests.browser.running_server import ORGANISER, RunningServer, free_port
from tests.browser.running_server import PASSWORD as ORGANISERS_PASSWORD
from tests.fib25_files import write_fib25
from tests.live.slow_line import SlowLine
from tests.public_volumes import SHARED_DATA

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DEFINITION = """
slug = "walk"
name = "A walk"
summary = "One volume, from registration to ranking."
[[volumes]]
slug = "cube"
name = "Cube"
tissue = "neuropil"
shape_zyx = {shape}
voxel_size_nm_zyx = {voxel_nm}
min_length_um = 0.0
ground_truth_public = true
[[phases]]
slug = "practice"
name = "Practice"
kind = "practice"
submissions_per_day = 50
"""
GOOD, BAD = "FFN", "Over-segmentation"


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """gt.h5, a good and a bad segmentation: ffn.h5 and overseg.h5."""
    folder = tmp_path_factory.mktemp("walk")
    source = SHARED_DATA / "fib25"
    if source.is_dir():
        return write_fib25(source, folder)
    voxel_nm = (30.0, 15.0, 15.0)
    labels = make_tissue((60, 160, 160), voxel_nm, seed=2, grey=False).labels
    write_labels(folder / "gt.h5", labels, voxel_nm)
    for name, splits in (("ffn.h5", 4), ("overseg.h5", 60)):
        write_labels(folder / name, with_errors(labels, voxel_nm, Errors(splits=splits), seed=1)[0], voxel_nm)
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory, files) -> Iterator[RunningServer]:
    """As installed: addresses must be confirmed, mail goes to files."""
    running = RunningServer(tmp_path_factory.mktemp("var"), free_port())
    running.environment["CONFIRM_EMAIL"] = "1"
    with running:
        with h5py.File(files / "gt.h5") as file:
            (data,) = file.values()
            shape, voxel_nm = list(data.shape), [float(v) for v in data.attrs["voxel_size_nm"]]
        definition = running.var / "walk.toml"
        definition.write_text(DEFINITION.format(shape=shape, voxel_nm=voxel_nm))
        running.manage("load_benchmark", str(definition))
        yield running


@pytest.fixture(scope="module")
def olga(browser, server, screenshots) -> Person:
    """The organiser."""
    olga = Person(browser, server, screenshots, timeout_s=90)
    olga.log_in(ORGANISER, ORGANISERS_PASSWORD)
    return olga


@pytest.fixture(scope="module")
def pia(browser, server, screenshots) -> Person:
    """A new participant."""
    return Person(browser, server, screenshots, timeout_s=90)


def test_01_the_organiser_registers_the_volume_from_labels(olga, server, files):
    page = olga.page
    page.goto("/organise/")
    page.get_by_role("link", name="A walk").click()
    page.get_by_role("link", name="Add a version of Cube").click()
    page.select_option("select[name=source_kind]", "labels")
    page.set_input_files("input[name=source_file]", files / "gt.h5")
    page.get_by_role("button", name="Upload and register").click()
    page.get_by_role("heading", name="Preview, only for organisers").wait_for(timeout=180_000)
    page.screenshot(path=olga.screenshots / "walk-01-preview.png", full_page=True)
    assert page.locator("svg").count() >= 1


def test_02_a_participant_signs_up_and_confirms(pia, server):
    pia.page.goto("/")
    pia.page.get_by_role("link", name="Take part", exact=True).click()
    pia.sign_up("Pia Participant", "pia@example.org")
    pia.page.get_by_role("heading", name="Confirm your address").wait_for()
    pia.page.goto(link_in(mails_to(server.var, "pia@example.org")[-1]))
    pia.press("Confirm")
    if pia.page.get_by_role("link", name="Log in").count():
        pia.log_in("pia@example.org")
    pia.page.get_by_role("link", name="Account").wait_for()


def test_03_she_joins_a_team_that_invites_her(pia, olga, server):
    olga.page.goto("/teams/")
    olga.fill(name="Axon walkers")
    olga.press("Make team")
    olga.fill(email="pia@example.org")
    olga.press("Invite")
    olga.page.get_by_text("pia@example.org is invited").wait_for()
    pia.page.goto(link_in(mails_to(server.var, "pia@example.org")[-1]))
    pia.press("Join as pia@example.org")
    pia.page.get_by_text("You are a member of Axon walkers now").wait_for()


def test_04_she_makes_a_token(pia):
    pia.page.goto("/accounts/tokens/")
    pia.fill(name="laptop")
    pia.press("Make token")
    key = pia.page.locator("#new-key").input_value()
    answer = pia.context.request.get("/api/v1/me", headers={"Authorization": f"Bearer {key}"})
    assert "Axon walkers" in answer.text()


def choose_team(page) -> None:
    if page.locator("select[name=team]").count():
        page.select_option("select[name=team]", label="Axon walkers")


def uncompressed(source: Path, target: Path) -> Path:
    """The same labels in a file that takes its time on a slow line."""
    with h5py.File(source) as file, h5py.File(target, "w") as out:
        (labels,) = file.values()
        data = out.create_dataset("main", data=labels[:], chunks=(32, 64, 64))
        data.attrs["voxel_size_nm"] = labels.attrs["voxel_size_nm"]
    return target


def test_05_her_upload_survives_a_cut_line_and_is_scored(pia, server, files):
    big = uncompressed(files / "ffn.h5", files / "ffn-uncompressed.h5")
    line = SlowLine(server.port, 0.2 * big.stat().st_size)
    page = pia.context.new_page()
    page.set_default_timeout(90_000)
    page.goto(f"{line.url}/accounts/login/")
    if page.locator("main [name=login]").count():
        page.locator("main [name=login]").fill("pia@example.org")
        page.locator("main [name=password]").fill("seven brown axons")
        page.get_by_role("main").get_by_role("button", name="Log in").click()
        page.get_by_role("link", name="Account").wait_for()
    page.goto(f"{line.url}/benchmarks/walk/submit/")
    page.fill("[name=method_name]", GOOD)
    choose_team(page)
    page.set_input_files("#id_file-cube", big)
    progress = page.locator("[data-volume=cube] progress")
    page.wait_for_function("() => document.querySelector('[data-volume=cube] progress')?.value > 0")
    line.cut()
    line.down = True
    page.wait_for_timeout(2500)
    page.screenshot(path=pia.screenshots / "walk-05-cut.png", full_page=True)
    assert 0 < float(progress.get_attribute("value")) < float(progress.get_attribute("max"))
    line.down = False
    page.wait_for_selector("[data-volume=cube][data-state=ready]", timeout=60_000)
    page.get_by_role("button", name="Upload and evaluate").click()
    page.wait_for_url("**/submissions/*/")
    page.screenshot(path=pia.screenshots / "walk-05-evaluating.png", full_page=True)
    page.get_by_text("Where the score is lost").first.wait_for()
    expected = erl_um(files / "ffn.h5", files_bundle(server))
    assert f"{expected:.2f}" in page.locator("main").inner_text()
    pia.page.goto(page.url.replace(line.url, server.url))
    page.close()
    line.close()


def erl_um(segmentation: Path, bundle: Path, tolerance_nodes: int = 50) -> float:
    graph = SkeletonGraph.load(bundle)
    return score_nodes(graph, sample_file(segmentation, graph), tolerance_nodes=tolerance_nodes).erl_nm / 1000


def files_bundle(server) -> Path:
    """The skeletons that the worker made."""
    return next((server.var / "private" / "groundtruth" / "walk" / "cube").glob("v1*.npz"))


def test_06_she_reads_the_result_and_opens_it_in_the_viewer(pia, pictures):
    page = pia.page
    page.get_by_text("Segments by length").first.wait_for(state="attached", timeout=180_000)
    page.reload()
    pia.see("walk-06-result")
    with page.expect_response(lambda r: "/view/" in r.url and r.url.endswith("info"), timeout=90_000) as info:
        page.get_by_role("link", name="Neuroglancer: Cube").click()
    assert info.value.ok
    page.get_by_text("segmentation", exact=True).first.wait_for()
    if pictures is not None:
        page.wait_for_timeout(4000)
        page.screenshot(path=pictures / "walk-06-viewer.png")
    page.go_back()


def test_07_she_publishes_it_and_finds_it_on_the_leaderboard(pia, server):
    pia.page.goto("/submissions/")
    pia.page.get_by_role("link", name=GOOD).first.click()
    if pia.page.get_by_role("button", name="Publish on the leaderboard").count():
        pia.press("Publish on the leaderboard")
    pia.page.goto("/benchmarks/walk/leaderboard/")
    assert GOOD in pia.page.locator("main table tbody").first.inner_text()


def submit(pia, method: str, path: Path) -> None:
    page = pia.page
    page.goto("/benchmarks/walk/submit/")
    page.fill("[name=method_name]", method)
    choose_team(page)
    page.set_input_files("#id_file-cube", path)
    page.get_by_role("button", name="Upload and evaluate").click()
    page.wait_for_url(re.compile(r"/submissions/\w+/$"), timeout=120_000)


def test_08_a_bad_file_is_rejected_with_its_reasons(pia, files, tmp_path):
    with h5py.File(files / "ffn.h5") as source, h5py.File(tmp_path / "bad.h5", "w") as file:
        (labels,) = source.values()
        data = file.create_dataset("main", data=labels[:50], chunks=(50, 64, 64), compression="gzip")
        data.attrs["voxel_size_nm"] = (33.0, 6.0, 6.0)
    submit(pia, "Cropped", tmp_path / "bad.h5")
    pia.page.get_by_text("Why it was rejected").wait_for()
    text = pia.page.locator("main").inner_text()
    assert "expected" in text
    assert "bad.h5" in text
    pia.see("walk-08-rejected")


def test_09_the_over_segmentation_ranks_below_and_is_compared(pia, files, server):
    submit(pia, BAD, files / "overseg.h5")
    pia.page.get_by_text("Where the score is lost").first.wait_for()
    if pia.page.get_by_role("button", name="Publish on the leaderboard").count():
        pia.press("Publish on the leaderboard")
    pia.page.goto("/benchmarks/walk/leaderboard/")
    rows = pia.page.locator("main table tbody tr").all_inner_texts()
    first, second = (next(i for i, row in enumerate(rows) if name in row) for name in (GOOD, BAD))
    assert first < second
    pia.see("walk-09-leaderboard")
    for box, name in (("#compare-a", GOOD), ("#compare-b", BAD)):
        option = pia.page.locator(f"{box} option", has_text=name).first
        pia.page.select_option(box, value=option.get_attribute("value"))
    pia.page.get_by_role("button", name="Compare").click()
    pia.press("Compute significance")
    pia.page.get_by_text("paired bootstrap over").wait_for()
    pia.see("walk-09-compare")


def test_10_the_organiser_rescores_under_another_tolerance(olga, pia, server, files):
    page = olga.page
    page.goto("/organise/submissions/")
    assert GOOD in page.get_by_role("region", name="Submissions").inner_text()
    page.goto("/organise/benchmarks/walk/")
    page.get_by_role("link", name="Cube", exact=True).click()
    page.fill("input[name=tolerance_nodes]", "3")
    page.get_by_role("button", name="Save").click()
    page.get_by_role("button", name="Re-score all submissions").click()
    page.get_by_text("sent to the workers").wait_for()
    expected = erl_um(files / "ffn.h5", files_bundle(server), tolerance_nodes=3)
    for _ in range(60):
        pia.page.goto("/benchmarks/walk/leaderboard/")
        if f"{expected:.2f}" in pia.page.locator("main").inner_text():
            break
        pia.page.wait_for_timeout(1000)
    row = pia.page.locator("main table tbody tr", has_text=GOOD).first.inner_text()
    assert f"{expected:.2f}" in row


def test_11_the_organiser_freezes_the_ranking(olga, pia):
    olga.page.goto("/organise/benchmarks/walk/")
    olga.page.get_by_role("button", name="Freeze Practice").click()
    olga.page.get_by_role("button", name="Unfreeze Practice").wait_for()
    pia.page.goto("/benchmarks/walk/submit/")
    assert "frozen" in pia.page.locator("main").inner_text()


def test_12_axe_and_the_console_had_nothing_to_say(pia):
    assert not pia.found, "\n".join(pia.found)


def test_13_ground_truth_is_behind_no_address(server, browser):
    page = browser.new_page()
    for path in server.var.rglob("*.npz"):
        for prefix in ("/media/", "/static/", "/private/", "/var/", "/"):
            response = page.request.get(f"{server.url}{prefix}{path.relative_to(server.var)}")
            assert response.status == 404
