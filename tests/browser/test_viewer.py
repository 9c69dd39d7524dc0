"""Neuroglancer as readers see it: in a real browser, by its layers and by the pixels of its panels.

A state can be right by its keys and still show nothing: the client drops a layer without a word, or draws none of it.
"""

import io
import json
from collections.abc import Iterator
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from tests.browser.running_server import RunningServer, free_port
from tests.factories import VOXEL_NM, tiny_graph, tiny_labels, write_h5

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# WebGL without a graphics card.
MORE_CHROMIUM_ARGUMENTS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]

FILL = """
import json
from django.core.files.base import File
from evalserver.benchmarks.models import TrainingFile
from evalserver.benchmarks.services import store_training_file
from evalserver.submissions.evaluation.diagnosis import request_diagnoses
from tests.factories import make_benchmark
from tests.server.real_scores import score_for_real, split_axons
phase = make_benchmark()
phase.volumes.update(ground_truth_public=True)
submission = score_for_real(phase, split_axons(), files={"a": split_axons()})
request_diagnoses(submission)
em = TrainingFile(benchmark=phase.benchmark, title="Test EM", content="image", volume=phase.volumes.get())
em.file = File(open(EM, "rb"), name="em.h5")
store_training_file(em)
print(json.dumps([submission.code, f"/benchmarks/{phase.benchmark.slug}/"]))
"""
LAYERS = """() => viewer.layerManager.managedLayers.map(managed => ({
    name: managed.name, kind: managed.layer && managed.layer.constructor.type, visible: managed.visible,
    ready: Boolean(managed.layer && managed.isReady()),
    messages: (managed.layer && managed.layer.dataSources || []).flatMap(source => source.messages.messages || [])
        .map(message => message.message)}))"""
SHOW = """names => { for (const managed of viewer.layerManager.managedLayers)
    managed.setVisible(names.includes(managed.name)); }"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[RunningServer]:
    pytest.importorskip("neuroglancer", reason="the extra [view] is not installed")
    pytest.importorskip("kimimaro", reason="the extra [groundtruth] is not installed")
    with RunningServer(tmp_path_factory.mktemp("var"), free_port()) as server:
        stripes = np.where(np.indices(tiny_labels().shape)[2] // 4 % 2, 230, 20).astype(np.uint8)
        em = write_h5(server.var / "em.h5", stripes)
        fill = f"EM = {str(em)!r}\n{FILL}"
        server.code, server.benchmark = json.loads(server.manage("shell", "--no-imports", "-c", fill).splitlines()[-1])
        yield server


@pytest.fixture
def page(browser):
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.set_default_timeout(120_000)
    yield page
    page.context.close()


def coloured(page) -> float:
    """Share of the window's pixels that have a strong colour; Neuroglancer draws the rest in grey."""
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("HSV")).reshape(-1, 3)
    return float(((pixels[:, 1] > 80) & (pixels[:, 2] > 60)).mean())


def settled(page, most_s: int = 90) -> float:
    """`coloured`, once it is above nothing and no longer changes."""
    before = -1.0
    for _ in range(most_s):
        page.wait_for_timeout(1000)
        now = coloured(page)
        if now > 0.002 and abs(now - before) < 0.001:
            return now
        before = now
    return before


def assert_shows(page, kinds: dict[str, str]) -> None:
    """All layers are there, and the segmentation is seen: by itself, and no longer once it is hidden."""
    page.wait_for_function("() => window.viewer && viewer.layerManager.managedLayers.length > 0")
    page.wait_for_function("() => viewer.layerManager.managedLayers.every(managed => managed.isReady())")
    found = page.evaluate(LAYERS)
    assert {layer["name"]: layer["kind"] for layer in found} == kinds
    assert [layer["messages"] for layer in found if layer["messages"]] == []
    page.evaluate(SHOW, ["segmentation"])
    seen = settled(page)
    page.evaluate(SHOW, [])
    page.wait_for_timeout(3000)
    nothing = coloured(page)
    assert seen > nothing + 0.01, f"{seen:.3f} of the pixels have a colour with the segmentation, {nothing:.3f} without"


def wait_for_link(page, address: str, name: str):
    """The link on a page to what a worker makes meanwhile."""
    for _ in range(120):
        page.goto(address)
        if page.get_by_role("link", name=name).count():
            break
        page.wait_for_timeout(1000)
    return page.get_by_role("link", name=name).first


def test_the_viewer_of_a_result_shows_the_segmentation_beside_marks(site, page, screenshots):
    address = f"{site.url}/submissions/{site.code}/"
    wait_for_link(page, address, "Open all in Neuroglancer").click()
    page.wait_for_timeout(5000)
    page.screenshot(path=screenshots / "viewer-result.png")
    kinds = {"splits": "annotation", "segmentation": "segmentation", "ground truth": "segmentation"}
    state = page.context.request.get(f"{address}a/view.json").json()
    assert set(kinds) <= {layer["name"] for layer in state["layers"]}
    assert_shows(page, {layer["name"]: layer["type"] for layer in state["layers"]})


def test_a_slow_machine_loses_no_layer(site, page):
    """The client asks for its whole state while it fills its layers, where filling takes longer than 200 ms.

    Without keep_layers.js one of the eight is missing from a rate of 10 on.
    """
    wait_for_link(page, f"{site.url}/submissions/{site.code}/", "Open all in Neuroglancer")
    state = page.context.request.get(f"{site.url}/submissions/{site.code}/a/view.json").json()
    marks = next(layer for layer in state["layers"] if layer["type"] == "annotation")
    state["layers"] += [{**marks, "name": f"more {i}"} for i in range(4)]
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 20})
    page.goto(f"{site.url}/viewer/v/result/#!{quote(json.dumps(state))}")
    page.wait_for_function("() => window.viewer && viewer.layerManager.managedLayers.length > 0")
    assert [layer["name"] for layer in page.evaluate(LAYERS)] == [layer["name"] for layer in state["layers"]]


def test_the_viewer_of_em_draws_its_grey_values(site, page, screenshots):
    """A decoder that the page's policy forbids leaves the panels grey, and no layer says so."""
    wait_for_link(page, f"{site.url}{site.benchmark}", "Open in Neuroglancer").click()
    page.wait_for_function("() => window.viewer && viewer.layerManager.managedLayers.length > 0")
    for _ in range(60):
        page.wait_for_timeout(1000)
        grey = np.asarray(Image.open(io.BytesIO(page.screenshot(path=screenshots / "viewer-em.png"))).convert("L"))
        if ((grey > 10) & (grey < 30)).mean() > 0.02 and ((grey > 220) & (grey < 240)).mean() > 0.02:
            break
    else:
        pytest.fail("the stripes of the EM are not seen")


def test_axonem_eval_view_shows_the_segmentation_beside_marks(page, screenshots, tmp_path):
    pytest.importorskip("neuroglancer", reason="the extra [view] is not installed")
    from axonem_eval.viewer import Shown, open_view

    labels = tiny_labels()
    labels[:, :, 40:][labels[:, :, 40:] == 1] = 101
    segmentation = write_h5(tmp_path / "seg.h5", labels, voxel_size_nm=VOXEL_NM)
    view = open_view(Shown(segmentation, ground_truth=tiny_graph()))
    try:
        page.goto(view.url)
        page.wait_for_timeout(5000)
        page.screenshot(path=screenshots / "viewer-command.png")
        kinds = {"splits": "annotation", "segmentation": "segmentation", "ground truth": "segmentation"}
        assert_shows(page, kinds)
    finally:
        view.close()
