"""The main job on real input: FIB-25, from an organiser's labels to ranked entries, through the pages."""

import re
from pathlib import Path

import pytest

from axonem_eval.pipeline import score_file
from tests.browser.running_server import ORGANISER, PASSWORD
from tests.scoring.conftest import SHARED_DATA
from tests.scoring.fib25_files import write_fib25

pytestmark = pytest.mark.browser

DEFINITION = """
slug = "fib25"
name = "FIB-25 sample"
summary = "A cube of fly medulla."
[[volumes]]
slug = "cube"
name = "Cube"
tissue = "Drosophila medulla"
shape_zyx = [250, 250, 250]
voxel_size_nm_zyx = [10.0, 10.0, 10.0]
min_length_um = 0.0
[[phases]]
slug = "test"
name = "Test"
submissions_per_day = 50
"""


@pytest.fixture(scope="module")
def fib25(tmp_path_factory) -> Path:
    source = SHARED_DATA / "fib25"
    if not source.is_dir():
        pytest.skip("the public FIB-25 volume is not beside this checkout; it is not part of the repository")
    return write_fib25(source, tmp_path_factory.mktemp("fib25"))


@pytest.fixture(scope="module")
def shoot(browser, screenshots):
    """Take a screenshot of a page at desktop width, light, and at phone width, dark."""

    def shoot(page, name: str) -> None:
        page.screenshot(path=screenshots / f"{name}-desktop.png", full_page=True)
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 390, "height": 844})
        page.screenshot(path=screenshots / f"{name}-phone.png", full_page=True)
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")

    return shoot


@pytest.fixture(scope="module")
def new_page(browser):
    """A page of a browser of its own, without cookies."""

    def new_page():
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.set_default_timeout(90_000)
        return page

    return new_page


def log_in(page, server, email: str) -> None:
    page.goto(f"{server.url}/accounts/login/")
    page.locator("input[name=login], input[name=username]").first.fill(email)
    page.locator("input[type=password]").first.fill(PASSWORD)
    page.locator("main button[type=submit]").first.click()
    page.wait_for_load_state()


@pytest.fixture(scope="module")
def registered(server, fib25, new_page, shoot, tmp_path_factory):
    """An organiser has registered the ground truth from labels; a worker made the skeletons."""
    definition = tmp_path_factory.mktemp("definition") / "fib25.toml"
    definition.write_text(DEFINITION)
    server.manage("load_benchmark", str(definition))
    page = new_page()
    log_in(page, server, ORGANISER)
    page.goto(f"{server.url}/admin/benchmarks/groundtruth/add/")
    page.select_option("select[name=volume]", index=1)
    page.select_option("select[name=source_kind]", "labels")
    page.set_input_files("input[name=source_file]", fib25 / "gt.h5")
    shoot(page, "organiser-register")
    page.click("input[name=_save]")
    page.get_by_text("ready", exact=True).first.wait_for(timeout=180_000)
    shoot(page, "organiser-registered")
    return server


def submit(page, server, method: str, path: Path) -> str:
    """Hand in a file through the form; the code of the new submission."""
    page.goto(f"{server.url}/benchmarks/fib25/submit/")
    page.fill("input[name=method_name]", method)
    page.set_input_files("input[name=file-cube]", path)
    page.locator("main form button[type=submit]").last.click()
    page.wait_for_url(re.compile(r"/submissions/\w+/$"), timeout=120_000)
    return page.url.rstrip("/").rpartition("/")[2]


@pytest.fixture(scope="module")
def participant(registered, new_page):
    """A participant who has signed up through the form."""
    page = new_page()
    page.goto(f"{registered.url}/accounts/signup/")
    page.fill("input[name=name]", "Pia Participant")
    page.fill("input[name=email]", "pia@example.org")
    for field in page.locator("input[type=password]").all():
        field.fill(PASSWORD)
    page.locator("main button[type=submit]").first.click()
    page.wait_for_load_state()
    return page


def test_published_segmentations_are_scored_and_ranked(registered, participant, fib25, shoot):
    page = participant
    page.goto(f"{registered.url}/benchmarks/fib25/submit/")
    shoot(page, "form")
    expected = {}
    for method, name in (("FFN, published", "ffn.h5"), ("Over-segmentation, published", "overseg.h5")):
        submit(page, registered, method, fib25 / name)
        shoot(page, f"progress-{name[:3]}")
        page.get_by_text("Per volume").first.wait_for(timeout=120_000)
        expected[method] = score_file(fib25 / name, fib25 / "gt.npz").erl_nm / 1000
        assert f"{expected[method]:.2f}" in page.locator("main").inner_text()
        shoot(page, f"result-{name[:3]}")
    page.goto(f"{registered.url}/benchmarks/fib25/leaderboard/")
    shoot(page, "leaderboard")
    rows = page.locator("main table tbody tr").all_inner_texts()
    first, second = (next(i for i, row in enumerate(rows) if method in row) for method in expected)
    assert first < second
    assert [f"{erl:.2f}" in rows[place] for erl, place in zip(expected.values(), (first, second), strict=True)] == [
        True,
        True,
    ]


def test_a_bad_file_is_rejected_with_its_reasons_and_the_queue_goes_on(registered, participant, fib25, shoot, tmp_path):
    import h5py

    page = participant
    with h5py.File(fib25 / "ffn.h5") as source, h5py.File(tmp_path / "bad.h5", "w") as file:
        data = file.create_dataset("main", data=source["main"][:100], chunks=(64, 64, 64), compression="gzip")
        data.attrs["voxel_size_nm"] = (30.0, 6.0, 6.0)
    submit(page, registered, "Cropped", tmp_path / "bad.h5")
    page.get_by_text("expected 250 x 250 x 250").first.wait_for(timeout=60_000)
    text = page.locator("main").inner_text()
    assert "bad.h5" in text
    assert "10 x 10 x 10" in text
    shoot(page, "rejection")
    submit(page, registered, "FFN again", fib25 / "ffn.h5")
    page.get_by_text("Per volume").first.wait_for(timeout=120_000)


def test_ground_truth_is_on_no_page_and_behind_no_address(registered, new_page):
    page = new_page()
    for path in registered.var.rglob("*.npz"):
        for prefix in ("/media/", "/static/", "/private/", "/var/", "/"):
            response = page.request.get(f"{registered.url}{prefix}{path.relative_to(registered.var)}")
            assert response.status == 404
