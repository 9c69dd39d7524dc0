"""One benchmark of each kind of the field on a running server: registered, submitted to in a browser, ranked.

Each board is its shipped definition on small volumes. Ground truth comes in the layout that the field uses. Two entries
are sent through the form: one splits a neuron, one merges two. The split costs less by every rule, so it is first
whatever the direction; its figures are worked out here. Takes minutes, so it is a command, not part of the tests:

    SCREENSHOTS=pictures .venv/bin/pytest tests/browser/walk_field.py -q -p no:xdist
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from axonem_eval.cli import main as axonem_eval
from tests.browser import field_files as made
from tests.browser.field_files import MERGED, SPLIT, Tissue
from tests.browser.person import Person
from tests.browser.running_server import ORGANISER, RunningServer, free_port
from tests.browser.running_server import PASSWORD as ORGANISERS_PASSWORD
from tests.scoring import field_rules

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXONEM_SHAPE, AXONEM = (20, 64, 1024), Tissue((20, 64, 1024), 2, 4, step=4)
XPRESS_SHAPE, XPRESS_BEGIN = (120, 120, 240), 12  # in voxels of 33 nm; 96 x 96 x 216 of them are submitted
NISB, LICONN = Tissue((24, 48, 160), 2, 3), Tissue((40, 48, 160), 2, 3)
SETTINGS = {
    **{"base": NISB, "train-100": NISB, "slice-perturbed": NISB, "pos-guidance": NISB, "neg-guidance": NISB},
    **{"no-touch-thick": NISB, "touching-thin": NISB, "liconn": LICONN, "multichannel": NISB},
}
AXON_IDS = (121, 124, 132, 133, 135, 138, 141, 145, 146, 147, 157, 164, 165, 168, 169, 183, 184, 212, 213, 235, 249)
AXON_IDS += (272, 338, 380, 385, 406, 408, 123, 125, 140, 144, 148, 159, 170, 182, 206, 211, 219, 225, 259, 298, 307)
SNEMI3D = Tissue((100, 1024, 1024), 6, 7, AXON_IDS, wrong=21)  # within the third that is scored
CREMI = Tissue((6, 256, 256), 1, 3)
FINCH = Tissue((40, 48, 160), 2, 3)
LSD_BEGIN, LSD_END = (5, 0, 20), (35, 48, 140)
CHANGES = {
    "axonem": {"[1000, 4096, 4096]": str(list(AXONEM_SHAPE)), "[750, 4096, 4096]": str(list(AXONEM_SHAPE))},
    "xpress": {
        "[1200, 1200, 1200]": str(list(XPRESS_SHAPE)),
        "[[8316, 8316, 8316], [31383, 31383, 31383]]": "[[396, 396, 396], [3564, 3564, 7524]]",
    },
    "nisb": {"[1350, 3000, 3000]": "[24, 48, 160]", "[2250, 3000, 3000]": "[40, 48, 160]"},
    "snemi3d": {},
    "snemi3d-dense": {},
    "cremi": {"[125, 1250, 1250]": "[6, 256, 256]"},
    "zebrafinch": {"[5715, 10887, 10624]": "[40, 48, 160]"},
    "zebrafinch-lsd": {
        "[5700, 10880, 10624]": "[40, 48, 160]",
        "[[4000, 7200, 4500], [110000, 90900, 91800]]": "[[100, 0, 180], [700, 432, 1260]]",
        "[[50800, 43200, 44100], [61600, 54000, 54900]]": "[[200, 0, 360], [700, 432, 900]]",
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("var"), free_port()) as running:
        definitions = [str(made.small_definition(name, running.var, changes)) for name, changes in CHANGES.items()]
        running.manage("load_benchmark", *definitions)
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("field")


@pytest.fixture(scope="module")
def olga(browser, server, screenshots) -> Person:
    """The organiser."""
    olga = Person(browser, server, screenshots, timeout_s=300)
    olga.log_in(ORGANISER, ORGANISERS_PASSWORD)
    return olga


@pytest.fixture(scope="module")
def pia(browser, server, screenshots) -> Person:
    """A participant."""
    pia = Person(browser, server, screenshots, timeout_s=300)
    pia.page.goto("/accounts/signup/")
    pia.sign_up("Pia Participant", "pia@example.org", "Axon walkers")
    pia.page.get_by_role("button", name="Log out").wait_for()
    return pia


def register(olga: Person, benchmark: str, volume: str, path: Path, kind: str, **fields: str) -> None:
    """Ground truth through the organisers' form."""
    page = olga.page
    page.goto(f"/organise/benchmarks/{benchmark}/volumes/{volume}/ground-truth/")
    page.select_option("select[name=source_kind]", kind)
    for name, value in fields.items():
        field = page.locator(f"main [name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    page.set_input_files("input[name=source_file]", path)
    page.get_by_role("button", name="Upload and register").click()
    page.wait_for_selector(".status.ready, .status.rejected, .status.failed")
    assert page.locator(".status.ready").count(), page.locator("main").inner_text()


def submit(pia: Person, benchmark: str, method: str, files: dict[str, Path], phase: str = "", **about: str) -> str:
    """Through the form, published as soon as it is scored. Returns the text of the result page."""
    page = pia.page
    page.goto(f"/benchmarks/{benchmark}/submit/" + (f"?phase={phase}" if phase else ""))
    page.fill("[name=method_name]", method)
    if about:
        page.locator("details.more").evaluate("element => element.open = true")
    for name, value in about.items():
        field = page.locator(f"main [name={name}]")
        if field.evaluate("field => field.tagName") == "SELECT":
            option = field.locator("option", has_text=value).first
            field.select_option(value=option.get_attribute("value"))
        else:
            field.check()
    page.check("[name=publish_when_scored]")
    for volume, path in files.items():
        page.set_input_files(f"#id_file-{volume}", path)
    page.get_by_role("button", name="Upload and evaluate").click()
    page.wait_for_url(re.compile(r"/submissions/\w+/$"))
    page.wait_for_selector(".progress-scored, .progress-rejected, .progress-failed")
    text = page.locator("main").inner_text()
    assert page.locator(".progress-scored").count(), text
    return text


def board(pia: Person, benchmark: str, phase: str = "") -> list[tuple[str, str]]:
    """(rank, text) of each ranked entry of the leaderboard, from above."""
    pia.page.goto(f"/benchmarks/{benchmark}/leaderboard/" + (f"?phase={phase}" if phase else ""))
    rows = pia.page.locator("table.board tbody:not(.published) tr").all()
    return [(row.locator("td").first.inner_text(), row.inner_text()) for row in rows]


def ranked_right(rows: list[tuple[str, str]], first: str, second: str) -> None:
    """The split before the merger, each with the figure that ranks."""
    assert [rank for rank, _ in rows] == ["1", "2"], rows
    assert SPLIT in rows[0][1]
    assert first in rows[0][1]
    assert MERGED in rows[1][1]
    assert second in rows[1][1]


def erl_um(neurons: int, nodes: int, step_um: float, first_part: int) -> tuple[float, float, float]:
    """(ERL of the split, of the merger, of the ground truth) of equal neurons, in um.

    first_part : nodes of the first neuron before the split.
    """
    length = (nodes - 1) * step_um
    parts = ((first_part - 1) * step_um) ** 2 + ((nodes - first_part - 1) * step_um) ** 2
    split = ((neurons - 1) * length**2 + parts) / (neurons * length)
    return split, length * (neurons - 2) / neurons, length


def bundle(pia: Person, benchmark: str, volume: str, path: Path) -> Path:
    """The public ground truth, as the benchmark's page offers it."""
    answer = pia.context.request.get(f"/benchmarks/{benchmark}/{volume}/ground-truth.npz")
    assert answer.ok, answer.status
    path.write_bytes(answer.body())
    return path


def node_table(labels: Path, ground_truth: Path, *options: str) -> Path:
    """What `axonem-eval nodes` makes of an entry."""
    table = labels.with_suffix(".table.npz")
    assert axonem_eval(["nodes", str(labels), "--ground-truth", str(ground_truth), "-o", str(table), *options]) == 0
    return table


def picture(person: Person, name: str) -> None:
    """Of the page that is open, to be looked at."""
    person.page.screenshot(path=person.screenshots / f"field-{name}.png", full_page=True)


def pictures(pia: Person, *pages: str) -> None:
    for page in pages:
        pia.page.goto(page)
        picture(pia, "-".join(page.strip("/").split("/")[1:]))


# --- skeletons, higher is better ---


def test_axonem_ranks_the_higher_mean_erl_of_two_hidden_volumes_first(olga, pia, files):
    for volume, voxel_nm in (("h", (30.0, 8.0, 8.0)), ("m", (40.0, 8.0, 8.0))):
        path = made.axonem_pickle(files / f"gt_{volume}_skel_stats.p", AXONEM, voxel_nm)
        register(olga, "axonem", volume, path, "skeletons")
    picture(olga, "axonem-ground-truth")
    coarse = Tissue((20, 32, 512), 2, 4)
    entries = {name: made.main_file(files / f"axonem-{name[:5]}.h5", coarse.entry(name)) for name in (SPLIT, MERGED)}
    for name, path in entries.items():
        submit(pia, "axonem", name, {"h": path, "m": path})
    split, merged, _ = erl_um(8, 256, 0.032, 128)
    # hidden: rounded to a step of 0.2 um, that of one node
    ranked_right(board(pia, "axonem"), f"{round(split / 0.2) * 0.2:.2f}", f"{round(merged / 0.2) * 0.2:.2f}")
    picture(pia, "axonem-leaderboard")


def test_xpress_takes_an_archive_a_file_and_a_node_table(olga, pia, files):
    tissue = Tissue(XPRESS_SHAPE, 2, 3, step=3)
    path = made.xpress_pickle(files / "XPRESS_validation_skels.npz", tissue, (33.0, 33.0, 33.0))
    register(olga, "xpress", "validation", path, "skeletons")
    part = slice(XPRESS_BEGIN, XPRESS_BEGIN + 96, 3), slice(XPRESS_BEGIN, XPRESS_BEGIN + 96, 3), slice(12, 228, 3)
    offset = (396, 396, 396)
    (files / "zip").mkdir()
    packed = made.xpress_file(files / "zip" / "entry.zip", tissue.entry(SPLIT)[part], offset)
    plain = made.xpress_file(files / "submission.h5", tissue.entry(MERGED)[part], offset)
    submit(pia, "xpress", SPLIT, {"validation": packed})
    submit(pia, "xpress", MERGED, {"validation": plain})
    # six pieces of 72 nodes, the first split after 36; the first piece does not count for Rand
    split, merged, whole = erl_um(6, 72, 0.099, 36)
    scores = split / whole / 2 + 0.5, merged / whole / 2 + 0.5
    ranked_right(board(pia, "xpress"), f"{scores[0]:.4f}", f"{scores[1]:.4f}")
    ground_truth = bundle(pia, "xpress", "validation", files / "xpress.npz")
    options = ("--dataset", "submission", "--offset-nm", "396,396,396", "--file-name", "submission.h5")
    text = submit(pia, "xpress", "A table", {"validation": node_table(plain, ground_truth, *options)})
    assert f"{scores[1]:.4f}" in text
    assert [rank for rank, _ in board(pia, "xpress")] == ["1", "2", "2"]
    pictures(pia, "/benchmarks/xpress/", "/benchmarks/xpress/leaderboard/")
    pia.page.goto("/benchmarks/xpress/submit/")
    pia.see("field-xpress-submit")


def test_zebra_finch_takes_the_labels_at_the_nodes(olga, pia, files):
    path = made.j0126_groups(files / "test_50_skeletons.h5", FINCH)
    register(olga, "zebrafinch", "j0126", path, "skeletons", unit="voxel", axes="zyx")
    ground_truth = bundle(pia, "zebrafinch", "j0126", files / "j0126.npz")
    for name in (SPLIT, MERGED):
        labels = made.main_file(files / f"finch-{name[:5]}.h5", FINCH.entry(name))
        text = submit(pia, "zebrafinch", name, {"j0126": node_table(labels, ground_truth)})
        assert "labels at the nodes" in text
    split, merged, whole = erl_um(6, 160, 0.01, 80)
    ranked_right(board(pia, "zebrafinch"), f"{100 * split / whole:.1f}%", f"{100 * merged / whole:.1f}%")
    picture(pia, "zebrafinch-leaderboard")


def test_lsd_cuts_the_same_skeletons_to_each_of_its_regions(olga, pia, files):
    path = made.j0126_groups(files / "finch.h5", FINCH)
    for volume in ("region", "region-masked", "cube-masked"):
        register(olga, "zebrafinch-lsd", volume, path, "skeletons", unit="voxel", axes="zyx")
    low, high = LSD_BEGIN, LSD_END
    region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    cube = (slice(10, 35), slice(0, 48), slice(40, 100))
    for name in (SPLIT, MERGED):
        labels = FINCH.entry(name)
        part = made.main_file(files / f"lsd-{name[:5]}.h5", labels[region])
        submit(pia, "zebrafinch-lsd", name, {"region": part}, "region")
        small = made.main_file(files / f"cube-{name[:5]}.h5", labels[cube])
        ground_truth = bundle(pia, "zebrafinch-lsd", "cube-masked", files / "cube.npz")
        submit(pia, "zebrafinch-lsd", name, {"cube-masked": node_table(small, ground_truth)}, "cube-masked")
    split, merged, whole = erl_um(6, 120, 0.009, 60)
    ranked_right(board(pia, "zebrafinch-lsd", "region"), f"{100 * split / whole:.1f}%", f"{100 * merged / whole:.1f}%")
    split, merged, whole = erl_um(6, 60, 0.009, 40)
    rows = board(pia, "zebrafinch-lsd", "cube-masked")
    ranked_right(rows, f"{100 * split / whole:.1f}%", f"{100 * merged / whole:.1f}%")
    pictures(pia, "/benchmarks/zebrafinch-lsd/", "/benchmarks/zebrafinch-lsd/leaderboard/")


# --- nine settings as a matrix; runs; marks ---


def nisb_table(pia: Person, files: Path, setting: str, name: str) -> Path:
    """The labels of an entry at the nodes of one setting; the volume lies in the order x,y,z."""
    labels = made.main_file(files / f"nisb-{setting}-{name[:5]}.h5", SETTINGS[setting].entry(name).T)
    ground_truth = bundle(pia, "nisb", setting, files / f"{setting}.npz")
    return node_table(labels, ground_truth, "--axes", "xyz")


def test_nisb_ranks_nine_settings_in_one_matrix(olga, pia, server, files):
    for setting, tissue in SETTINGS.items():
        voxel_nm = (12.0 if setting == "liconn" else 20.0, 9.0, 9.0)
        path = made.nisb_pickle(files / f"{setting}.pkl", tissue, voxel_nm)
        register(olga, "nisb", setting, path, "skeletons")
    for setting in SETTINGS:
        submit(pia, "nisb", SPLIT, {setting: nisb_table(pia, files, setting, SPLIT)}, setting)
    whole = made.main_file(files / "nisb-xyz.h5", NISB.entry(MERGED).T)
    submit(pia, "nisb", MERGED, {"base": whole}, "base", extra_training_data="on")
    split, merged, length = erl_um(6, 160, 0.009, 80)
    ranked_right(board(pia, "nisb", "base"), f"{100 * split / length:.1f}%", f"{100 * merged / length:.1f}%")
    picture(pia, "nisb-base")
    pia.page.goto("/benchmarks/nisb/leaderboard/")
    rows = [row.inner_text() for row in pia.page.locator("table.board tbody:not(.published) tr").all()]
    assert SPLIT in rows[0]
    assert rows[0].count(f"{100 * split / length:.1f}") == 1 + len(SETTINGS)  # its mean, and nine settings
    assert "1 of 9" in rows[1]
    assert "extra training data" in rows[1]
    pia.see("field-nisb-matrix")


def test_three_runs_rank_by_their_mean_with_an_interval(pia, files):
    for entry, first in ((SPLIT, ""), (MERGED, "Three runs"), (SPLIT, "Three runs")):
        about = {"run_of": first} if first else {}
        submit(pia, "nisb", "Three runs", {"base": nisb_table(pia, files, "base", entry)}, "base", **about)
    split, merged, whole = erl_um(6, 160, 0.009, 80)
    percent = 100 * np.array([split, merged, split]) / whole
    half = 4.302653 * percent.std(ddof=1) / math.sqrt(3)
    text = next(text for _, text in board(pia, "nisb", "base") if "Three runs" in text)
    assert f"{percent.mean():.1f}" in text
    assert f"{half:.1f}" in text
    pia.page.get_by_role("link", name="Three runs").first.click()
    pia.see("field-nisb-runs")


# --- voxels, lower is better ---


def arand(truth: np.ndarray, segment: np.ndarray) -> float:
    """Where every voxel has a label: 1 - 2 sum n_ij^2 / (sum n_i^2 + sum n_j^2)."""
    pair = truth.astype(np.int64) * 1000 + segment
    both, rows, columns = (np.unique(a, return_counts=True)[1].astype(float) for a in (pair, truth, segment))
    return 1 - 2 * (both**2).sum() / ((rows**2).sum() + (columns**2).sum())


@pytest.fixture(scope="module")
def snemi3d(files) -> dict[str, Path]:
    labels = {"truth": SNEMI3D.labels(), **{name: SNEMI3D.entry(name) for name in (SPLIT, MERGED)}}
    return {name: made.main_file(files / f"snemi3d-{name[:5]}.h5", array) for name, array in labels.items()}


def test_snemi3d_ranks_the_lower_arand_of_a_third_of_the_volume_first(olga, pia, snemi3d):
    register(olga, "snemi3d-dense", "test", snemi3d["truth"], "dense")
    picture(olga, "snemi3d-ground-truth")
    for name in (MERGED, SPLIT):
        submit(pia, "snemi3d-dense", name, {"test": snemi3d[name]})
    third = slice(25, 75), slice(97, 928), slice(97, 928)
    truth = SNEMI3D.labels()[third]
    expected = [arand(truth, SNEMI3D.entry(name)[third]) for name in (SPLIT, MERGED)]
    whole = arand(SNEMI3D.labels(), SNEMI3D.entry(MERGED))
    assert abs(whole - expected[1]) > 0.001  # the whole volume would show another figure
    ranked_right(board(pia, "snemi3d-dense"), f"{expected[0]:.3f}", f"{expected[1]:.3f}")
    pictures(pia, "/benchmarks/snemi3d-dense/", "/benchmarks/snemi3d-dense/leaderboard/")


def test_snemi3d_axons_come_from_the_labels_by_one_command(olga, pia, server, snemi3d):
    truth = str(snemi3d["truth"])
    server.manage("register_ground_truth", "snemi3d", "snemi3d", truth, "--dense-labels", truth)
    olga.page.goto("/organise/ground-truth/")
    olga.page.locator("main tbody").get_by_role("link", name="SNEMI3D axons: SNEMI3D").first.click()
    olga.page.wait_for_selector(".status.ready")
    assert "42" in olga.page.locator("main").inner_text()
    picture(olga, "snemi3d-axons-ground-truth")
    for name in (SPLIT, MERGED):
        submit(pia, "snemi3d", name, {"snemi3d": snemi3d[name]})
    rows = board(pia, "snemi3d")
    assert [SPLIT in rows[0][1], MERGED in rows[1][1]] == [True, True]
    pictures(pia, "/benchmarks/snemi3d/", "/benchmarks/snemi3d/leaderboard/")


def cremi_score(truth: np.ndarray, segment: np.ndarray) -> float:
    """By the rule of cremi_python written out, at 25 nm in pixels of 4 nm."""
    scored = field_rules.cremi_masked(truth, 25 / 4)
    split, merge = field_rules.voi(scored.ravel().tolist(), segment.ravel().tolist())
    return math.sqrt((split + merge) * field_rules.arand(scored, segment))


def test_cremi_ranks_the_lower_mean_score_of_three_samples_first(olga, pia, files):
    truth = CREMI.labels().astype(np.uint64)
    truth[:, :20, :20] = made.NO_LABEL
    for sample in "abc":
        path = made.cremi_file(files / f"sample_{sample.upper()}_20160501.hdf", truth)
        register(olga, "cremi", sample, path, "dense", dataset="volumes/labels/neuron_ids")
    for name in (MERGED, SPLIT):
        path = made.cremi_file(files / f"cremi-{name[:5]}.hdf", CREMI.entry(name))
        submit(pia, "cremi", name, dict.fromkeys("abc", path))
    expected = [cremi_score(truth, CREMI.entry(name)) for name in (SPLIT, MERGED)]
    ranked_right(board(pia, "cremi"), f"{expected[0]:.4f}", f"{expected[1]:.4f}")
    pia.see("field-cremi-leaderboard")
    pictures(pia, "/benchmarks/cremi/", "/benchmarks/cremi/submit/")


def test_axe_and_the_console_had_nothing_to_say(pia, olga):
    assert not (found := pia.found + olga.found), "\n".join(found)
