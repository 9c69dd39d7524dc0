"""The HTML report: complete, self-contained, safe, and right in what it says."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from axonem_eval import NodeSample
from axonem_eval.cli import main
from axonem_eval.diagnosis import diagnose, diagnosis_json
from axonem_eval.report import ReportViews, full_report, render_axons, render_diagnosis, render_report
from axonem_eval.report.axons import error_words
from axonem_eval.report.plots import um
from axonem_eval.report.score_page import verdict
from axonem_eval.report.svg import Frame, Scale, tag, ticks
from axonem_eval.scoring import OverlapTable, dense_scores, run_table
from tests.chains import chains, u64
from tests.label_files import straight_graph, two_axons, write_h5

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """Checks nesting, and gathers elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in VOID:
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, data):
        self.words.append(data)

    def all(self, name):
        return [attributes for found, attributes in self.elements if found == name]


def many_errors(n=12):
    """n axons of 3 um: one split, one with a gap, two merged, the rest right; and a long one in two pieces."""
    graph = chains(*[4] * n, 61)
    label = graph.skeleton_id[graph.node_skeleton].copy()
    label[2:4] = 500
    label[5] = 0
    label[8:16] = 600
    label[-20:] = 700
    return graph, NodeSample.of_labels(label)


def public_page(title="seg.h5", tolerance=2):
    graph, sample = many_errors()
    dense = dense_scores(OverlapTable(u64(1, 1, 2), u64(5, 6, 7), np.array([5, 5, 10])))
    report = full_report(graph, sample, tolerance_nodes=tolerance, dense=dense, public=True, resamples=50)
    views = ReportViews.of(graph, sample, run_table(graph, sample), tolerance)
    return render_report(report, title=title, subtitle="gt", longest=views.longest, drawings=views.worst_drawn)


def test_the_page_is_well_formed_and_has_every_section():
    page = Page(public_page())
    headings = " ".join(page.words)
    for words in (
        "Where the score goes",
        "How long the correct runs are",
        "The longest axons",
        "The axons that cost most",
        "Short axons and long ones",
        "How strict the merge criterion is",
        "Against the dense ground truth",
        "Worst axons",
        "Worst errors and where they are",
        "How it was measured",
    ):
        assert words in headings


def test_the_page_loads_nothing():
    text = public_page()
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|\bsrc=", text)


def test_names_of_files_cannot_inject_markup():
    page = public_page(title='<script>alert("x")</script>')
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_every_picture_has_words_for_those_who_do_not_see_it():
    page = Page(public_page())
    pictures = page.all("svg")
    assert len(pictures) >= 14
    assert all(p["role"] == "img" and len(p["aria-label"]) > 20 for p in pictures)


def test_every_plot_is_drawn_for_desktop_and_phone():
    classes = [p.get("class") for p in Page(public_page()).all("svg")]
    assert classes.count("wide") == classes.count("narrow") == 6


def test_every_table_has_a_caption_and_column_headers():
    page = Page(public_page())
    assert len(page.all("caption")) == len(page.all("table")) >= 9
    assert all(head.get("scope") == "col" for head in page.all("th"))


def test_a_page_from_aggregates_shows_no_axon_and_no_position():
    graph, sample = many_errors(40)
    hidden = full_report(graph, sample, tolerance_nodes=2, resamples=50)
    page = " ".join(Page(render_report(hidden, title="entry")).words)
    assert "Where the score goes" in page
    assert not any(words in page for words in ("Worst", "longest axons", "axons that cost most", "voxel z, y, x"))


def test_a_perfect_result_gives_a_page_too():
    graph = chains(5, 4)
    report = full_report(graph, NodeSample.of_labels(graph.skeleton_id[graph.node_skeleton]), public=True, resamples=50)
    assert verdict(report) == "The segmentation follows the axons nearly without error."
    Page(render_report(report, title="gt"))


def test_a_result_without_a_single_correct_edge_gives_a_page_too():
    graph = chains(5, 4)
    sample = NodeSample.of_labels(np.zeros(9, np.uint64))
    report = full_report(graph, sample, public=True, resamples=50)
    views = ReportViews.of(graph, sample, run_table(graph, sample), 50)
    Page(render_report(report, title="empty", longest=views.longest, drawings=views.worst_drawn))
    assert verdict(report).startswith("Omissions cost most: 100.0% of the ceiling.")


def verdict_on(graph, *labels, tolerance=2):
    return verdict(full_report(graph, NodeSample.of_labels(u64(*labels)), tolerance_nodes=tolerance, resamples=50))


def test_the_verdict_on_splits():
    # runs of 2, 2 and 1 um of 7 um: (49 - 9) / 49 of the ceiling is lost
    words = verdict_on(chains(8), 1, 1, 1, 2, 2, 2, 3, 3)
    assert words.startswith("Splits cost most: 81.6% of the ceiling. 71.4% of the cable is in the right segment, ")
    assert "cut 2 times, once every 3.5 µm" in words
    assert "Half of the cable lies on pieces of 2 µm or more; uncut, it would lie on axons of 7 µm or more." in words


def test_the_verdict_on_omissions():
    words = verdict_on(chains(8), 1, 1, 1, 0, 0, 0, 0, 1)
    assert words.startswith("Omissions cost most")
    assert "71.4% of the cable has no segment at all, in 1 stretch." in words


def test_the_verdict_on_mergers():
    words = verdict_on(chains(5, 5), *[5] * 10)
    assert words.startswith("Mergers cost most: 100.0% of the ceiling. 1 segment runs along several axons")


def test_runs_of_an_axon_and_its_losses_fill_its_bar():
    graph, sample = many_errors()
    table = run_table(graph, sample)
    for axon in ReportViews.of(graph, sample, table, 2).longest:
        parts = sum(axon.runs_nm) + axon.other_runs_nm + axon.merged_nm + axon.split_nm + axon.omitted_nm
        assert parts == pytest.approx(axon.length_nm)
        assert axon.runs_nm == sorted(axon.runs_nm, reverse=True)


def test_a_drawing_has_each_class_of_edge_and_numbers_the_errors():
    graph, sample = chains(9, 4), NodeSample.of_labels(u64(1, 1, 1, 2, 2, 0, 3, 3, 3, 3, 3, 3, 3))
    drawing = ReportViews.of(graph, sample, run_table(graph, sample), 2).worst_drawn[0]
    assert {name.rstrip("0123456789") for name, _ in drawing.paths} == {"run", "split", "omitted", "merged"}
    assert [number for number, _, _ in drawing.marks] == ["1", "2", "3"]
    assert all(0 <= x <= drawing.width and 0 <= y <= drawing.height for _, x, y in drawing.marks)


def test_a_merger_is_told_to_each_axon_by_the_name_of_the_other():
    graph, sample = chains(5, 4), NodeSample.of_labels(u64(*[9] * 9))
    drawn = ReportViews.of(graph, sample, run_table(graph, sample), 2).worst_drawn
    words = {d.skeleton_id: error_words(d.errors, 0, d.skeleton_id) for d in drawn}
    assert words == {1: "merger by segment 9 with axon 2", 2: "merger by segment 9 with axon 1"}


@pytest.mark.parametrize(
    ("high", "most", "expected"),
    [(9.1, 5, [0, 2, 4, 6, 8, 10]), (100, 4, [0, 25, 50, 75, 100]), (0, 5, [0, 1]), (0.3, 3, [0, 0.1, 0.2, 0.3])],
)
def test_ticks_are_round_numbers(high, most, expected):
    assert ticks(high, most) == pytest.approx(expected)


def test_a_scale_without_extent_stays_in_the_plot():
    assert Scale(0, 0, 10, 90)(0) == 10


@pytest.mark.parametrize(("nm", "words"), [(3649.0, "3.65 µm"), (42.4, "42 nm"), (0, "0 µm"), (329_637, "330 µm")])
def test_lengths_for_people(nm, words):
    assert um(nm) == words


@pytest.fixture
def files(tmp_path):
    """A perfect segmentation, one that is cut in the middle of axon 1, and the ground truth."""
    graph = straight_graph()
    graph.save(tmp_path / "gt.npz")
    write_h5(tmp_path / "good.h5", two_axons())
    cut = two_axons()
    cut[:, : cut.shape[1] // 2 - 1, cut.shape[2] // 2 :] = 9
    write_h5(tmp_path / "cut.h5", cut)
    return tmp_path


def test_report_writes_page_and_tables(files, capsys):
    out = [str(files / name) for name in ("r.html", "axons.csv", "errors.json")]
    command = ["report", str(files / "cut.h5"), "--ground-truth", str(files / "gt.npz")]
    command += ["--dense-ground-truth", str(files / "good.h5"), "--tolerance", "5"]
    assert main([*command, "-o", out[0], "--axons", out[1], "--errors", out[2], "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["dense"]["voi_split"] > 0
    assert report["error_counts"]["splits"] == 1
    Page((files / "r.html").read_text(encoding="utf-8"))
    assert (files / "axons.csv").read_text().count("\n") == 3
    assert [e["kind"] for e in json.loads((files / "errors.json").read_text())] == ["split"]


def test_report_with_aggregates_only_shows_no_axon(files):
    command = ["report", str(files / "cut.h5"), "--ground-truth", str(files / "gt.npz"), "--tolerance", "5"]
    assert main([*command, "-o", str(files / "r.html"), "--aggregates-only"]) == 0
    assert "Worst" not in (files / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "nothing to write"),
        (["-o", "no/such/folder/r.html"], "folder does not exist"),
        (["--axons", "t.xlsx"], "ends in .csv"),
        (["--axons", "t.csv", "--aggregates-only"], "no table of axons"),
    ],
)
def test_report_refuses_what_it_cannot_write_before_it_reads(files, capsys, options, words):
    assert main(["report", "absent.h5", "--ground-truth", "absent.npz", *options]) == 1
    assert words in capsys.readouterr().err


def test_compare_prints_who_is_ahead(files, capsys):
    command = ["compare", str(files / "good.h5"), str(files / "cut.h5"), "--ground-truth", str(files / "gt.npz")]
    assert main([*command, "--tolerance", "5"]) == 0
    out = capsys.readouterr().out
    assert "good.h5" in out
    assert "axons: 1 better in good.h5, 0 better in cut.h5, 1 equal" in out


def test_compare_as_json(files, capsys):
    command = ["compare", str(files / "good.h5"), str(files / "cut.h5"), "--ground-truth", str(files / "gt.npz")]
    assert main([*command, "--tolerance", "5", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["a"]["normalized_erl"] == 1
    assert data["paired_bootstrap"]["difference_nm"] > 0


def test_score_adds_the_dense_errors(files, capsys):
    command = ["score", str(files / "cut.h5"), "--ground-truth", str(files / "gt.npz"), "--json"]
    assert main([*command, "--dense-ground-truth", str(files / "good.h5")]) == 0
    data = json.loads(capsys.readouterr().out)
    # axon 1 is cut into halves: half of the labelled voxels cost one bit
    assert data["voi_split"] == pytest.approx(0.5)
    assert (data["voi_merge"], data["dense"]["segments"]) == (0, 3)
    assert 0 < data["arand"] < 0.5


def test_score_without_dense_ground_truth_has_no_dense_errors(files, capsys):
    assert main(["score", str(files / "cut.h5"), "--ground-truth", str(files / "gt.npz"), "--json"]) == 0
    assert "arand" not in json.loads(capsys.readouterr().out)


SCRIPT = "<script>alert(1)</script>.h5"


def test_names_with_markup_come_out_as_text_in_the_report():
    graph, sample = many_errors()
    report = full_report(graph, sample, tolerance_nodes=2, public=True, resamples=50)
    report["worst_axons"][0]["skeleton_id"] = report["top_errors"][0]["kind"] = SCRIPT
    page = render_report(report, title=SCRIPT, subtitle=SCRIPT, command=SCRIPT)
    assert Page(page).all("script") == []
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 6


def test_names_with_markup_come_out_as_text_in_the_diagnosis():
    graph, _ = many_errors()
    data = diagnosis_json(diagnose(graph))
    data["longest_segments"][0]["segment"] = SCRIPT
    page = render_diagnosis(data, title=SCRIPT, command=SCRIPT)
    assert Page(page).all("script") == []
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4


def test_text_in_a_plot_is_escaped_unless_it_is_markup():
    assert tag("g", tag("title", "a < b") + "<i>") == "<g><title>a &lt; b</title>&lt;i&gt;</g>"


def test_what_is_few_voxels_across_is_drawn_small():
    labels = np.zeros((60, 60, 3), np.uint8)
    labels[:, 20:40] = 1  # at the width asked for, each voxel would be 90 pixels large
    picture = render_axons(labels, [1], (50.0, 50.0, 50.0), width=280, most_height=200)
    assert picture.shape[0] <= 201
    assert picture[..., 3].any()


def test_what_is_too_thin_to_be_drawn_is_an_empty_picture():
    labels = np.zeros((9, 9, 9), np.uint8)
    labels[:, 4, 4] = 1
    assert not render_axons(labels, [1], (50.0, 50.0, 50.0), width=280).any()


@pytest.mark.parametrize("name", ["5", "11-29 00:00", "2026-11-29 00:00"])
def test_a_label_at_the_end_of_an_axis_stays_inside_the_picture(name):
    frame = Frame.of(400, 200, 1.0, 1.0)
    middle = float(re.search(rf'<text x="([\d.]+)"[^>]*>{name}<', frame.x_axis([(1.0, name)], "time"))[1])
    assert middle + 3 * len(name) <= frame.width  # half of a label of 6 pixels a character
