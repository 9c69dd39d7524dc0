"""The SWC reader: one tree in every dialect, and what is refused, with its line."""

import codecs
import re
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axonem_eval.errors import InputError
from axonem_eval.skeletons.swc import read_swc

ROWS = ["1 0 100.0 84.0 165.0 50.0 -1", "2 0 200.0 84.0 165.0 50.0 1", "3 2 300.0 84.5 165.0 50.0 2"]
PLACES = [[100, 84, 165], [200, 84, 165], [300, 84.5, 165]]
EDGES = {(1, 0), (2, 1)}


def swc(text: str | bytes):
    return read_swc(text if isinstance(text, bytes) else text.encode(), "7.swc")


def assert_the_three(text: str | bytes) -> None:
    tree = swc(text)
    assert tree.vertex_xyz.tolist() == PLACES
    assert {tuple(e) for e in tree.edges.tolist()} == EDGES


def assert_refused(text: str | bytes) -> str:
    with pytest.raises(InputError) as caught:
        swc(text)
    assert str(caught.value).startswith("7.swc")
    return str(caught.value)


def tree_or_complaint(text: str | bytes):
    try:
        return swc(text)
    except InputError as error:
        return str(error)


DIALECTS = {
    "leading blanks": "# made\n" + "\n".join(f"  {r}" for r in ROWS),
    "trailing blanks": "\n".join(f"{r}  " for r in ROWS),
    "tabs": "\n".join(r.replace(" ", "\t") for r in ROWS),
    "blanks in columns of one width": "\n".join(r.replace(" ", "    ") for r in ROWS),
    "blanks of the web": "\n".join(r.replace(" ", "\u00a0") for r in ROWS),
    "comments anywhere": f"# head\n{ROWS[0]}\n# between\n{ROWS[1]} # shaft 9 9\n{ROWS[2]}#tip\n# end",
    "blank lines": "\n\n" + "\n \n\t\n".join(ROWS) + "\n\n",
    "CRLF": "\r\n".join(ROWS) + "\r\n",
    "lone CR": "# head\r" + "\r".join(ROWS),
    "UTF-8 with a mark": codecs.BOM_UTF8 + "\n".join(ROWS).encode(),
    "UTF-16": "\n".join(ROWS).encode("utf-16"),
    "UTF-16 of the other order": codecs.BOM_UTF16_BE + "\r\n".join(ROWS).encode("utf-16-be"),
    "a comment in Latin-1": "# Größe in µm\n".encode("latin-1").replace(b"in \xb5m", b"\xb5")
    + "\n".join(ROWS).encode(),
    "DOS end of file": "\n".join(ROWS) + "\n\x1a",
    "further columns": "\n".join(f"{r} 1 0.5" for r in ROWS),
    "further words": "\n".join(f"{r} axon" for r in ROWS),
    "commas": "\n".join(r.replace(" ", ",") for r in ROWS),
    "commas with blanks": "\n".join(r.replace(" ", ", ") for r in ROWS),
    "semicolons": "\n".join(r.replace(" ", ";") for r in ROWS),
    "empty columns at the end": "\n".join(r.replace(" ", ",") + ",," for r in ROWS),
    "names of columns": "id,type,x,y,z,radius,parent\n" + "\n".join(r.replace(" ", ",") for r in ROWS),
    "quotes": '"node_id","label","x","y","z","radius","parent_id"\n' + "\n".join(r.replace(" ", ",") for r in ROWS),
    "ids as floats": "\n".join(re.sub(r"^(\d)|(-?\d+)$", lambda m: f"{m.group()}.0", r) for r in ROWS),
    "floats with exponents": "\n".join(ROWS).replace("100.0", "1e2").replace("165.0", "1.65E+02"),
    "parent 0 as root": "\n".join(ROWS).replace(" -1", " 0"),
    "the minus of typesetters": "\n".join(ROWS).replace(" -1", " \u22121"),
    "any negative parent as root": "\n".join(ROWS).replace(" -1", " -2"),
    "no radius measured": "\n".join(ROWS).replace(" 50.0", " NA"),
    "header values that change nothing": "# OFFSET 0 0 0\n# SCALE 1.0 1.0 1.0\n# SCALE\n# OFFSET \n" + "\n".join(ROWS),
    "a comment that speaks of scale": "# scale bar 10 um, offset none\n" + "\n".join(ROWS),
}


@pytest.mark.parametrize("text", DIALECTS.values(), ids=DIALECTS.keys())
def test_a_dialect_with_one_reading_is_read(text):
    assert_the_three(text)


def test_parents_may_come_after_children():
    tree = swc("\n".join(reversed(ROWS)))
    assert {tuple(e) for e in tree.edges.tolist()} == {(0, 1), (1, 2)}


def test_zero_is_a_parent_where_a_node_has_that_id():
    assert swc("0 0 1 1 1 1 -1\n1 0 2 2 2 1 0\n").edges.tolist() == [[1, 0]]


def test_several_roots_are_pieces_of_one_skeleton():
    tree = swc("1 0 1 1 1 1 -1\n2 0 2 1 1 1 1\n3 0 5 1 1 1 0\n4 0 6 1 1 1 3\n")
    assert {tuple(e) for e in tree.edges.tolist()} == {(1, 0), (3, 2)}


def test_ids_beyond_53_bits_stay_apart():
    a, b = 2**60 + 1, 2**60 + 2
    assert swc(f"{a} 0 1 1 1 1 -1\n{b} 0 2 2 2 1 {a}\n").edges.tolist() == [[1, 0]]


def test_scale_and_offset_are_applied_and_told():
    tree = swc("# OFFSET 400.0 100.0 150.0\n#scale: 2, 2, 3\n" + "\n".join(ROWS))
    assert tree.vertex_xyz[0].tolist() == [100 * 2 + 400, 84 * 2 + 100, 165 * 3 + 150]
    assert "header is applied" in tree.notes[0]


def test_scale_of_kimimaro_is_the_voxel_size_and_not_applied():
    osteoid = pytest.importorskip("osteoid", reason="the extra [groundtruth] is not installed")
    vertices = np.array([[80, 80, 30], [160, 80, 30]], np.float32)
    written = osteoid.Skeleton(
        vertices, np.array([[0, 1]], np.uint32), space="physical", transform=[[8, 0, 0, 0], [0, 8, 0, 0], [0, 0, 30, 0]]
    )
    tree = swc(written.to_swc())
    assert tree.vertex_xyz.tolist() == vertices.tolist()
    assert tree.voxel_size_xyz == (8.0, 8.0, 30.0)


@pytest.mark.parametrize(
    ("comment", "unit"),
    [
        ("# units: micrometers", "um"),
        ("# Unit = µm", "um"),
        ("# coordinates are voxels", "voxel"),
        ("# positions in (nm)", "nm"),
        ("# skeleton 17, um; id type x y z radius parent", "um"),
        ("# a unit of study of neurons", None),
        ("# units: nm\n# units: um", None),
    ],
)
def test_a_stated_unit_is_found(comment, unit):
    assert swc(f"{comment}\n" + "\n".join(ROWS)).unit == unit


REFUSED = {
    "a missing parent": (ROWS[0] + "\n" + ROWS[1].replace("0 1", "0 108"), r"line 2: node 2 has parent 108, .*not in"),
    "a doubled id": ("\n".join([*ROWS, ROWS[1]]), r"line 4: id 2 stands on line 2 already"),
    "six columns": (f"{ROWS[0]}\n2 0 200 84 165 1", r"line 2: 6 columns, '2 0 200 84 165 1'; expected id type x y z"),
    "no line end at all": (" ".join(ROWS), r"line 1: 21 columns of numbers.*one node a line"),
    "a line end of Unicode": ("\u2028".join(ROWS), r"line 1: 21 columns"),
    "a lost line end": ("\n".join([*ROWS[:2], ROWS[2] + " 4 0 1 1 1 1 3"]), r"line 3: 14 columns of numbers"),
    "a lost line end without a blank": ("\n".join([*ROWS[:2], ROWS[2] + "4 0 1 1 1 1 2"]), r"line 3: 13 columns"),
    "text for a number": ("\n".join(ROWS).replace("84.5", "left"), r"line 3: y is 'left', expected a number"),
    "a number with a thin space": ("\n".join(ROWS).replace("84.5", "8_4"), r"line 3: y is '8_4', expected a number"),
    "nan": ("\n".join(ROWS).replace("84.5", "nan"), r"line 3: y is 'nan'"),
    "inf": ("\n".join(ROWS).replace("84.5", "-inf"), r"line 3: y is '-inf'"),
    "more than a float holds": ("\n".join(ROWS).replace("84.5", "1e999"), r"line 3: y is '1e999', expected a finite"),
    "an id with a fraction": (
        "\n".join(ROWS).replace("2 0 200", "2.5 0 200"),
        r"line 2: id is '2.5', expected a whole",
    ),
    "a parent that is none": ("\n".join(ROWS).replace(" -1", " NA"), r"line 1: parent is 'NA', .*-1 for a root"),
    "an id of 20 digits": ("\n".join(ROWS).replace("3 2", f"{10**20} 2"), r"line 3: id is '1000+', .*18 digits"),
    "a negative id": ("-1 0 1 1 1 1 -1", r"line 1: id -1, expected 0 or more"),
    "its own parent": ("\n".join(ROWS).replace(" -1", " 1"), r"line 1: node 1 is its own parent"),
    "a ring": ("\n".join(ROWS).replace(" -1", " 3"), r"line 1: node 1 and its parents close a ring of 3 nodes"),
    "no node": ("# ORIGINAL_SOURCE made up\n", r"holds no node"),
    "a node behind a header": (
        "# id type x y z radius parent 1 0 1 1 1 1 -1\n" + ROWS[1],
        r"line 2: node 2 has parent 1.*Line 1 is a comment that ends like a node",
    ),
    "only a node behind a header": ("# made up 1 0 1 1 1 1 -1", r"no node; line 1 is a comment that ends like a node"),
    "decimal commas": ("\n".join(ROWS).replace(".", ","), r"line 1: '100,0' may be one number with a decimal comma"),
    "decimal commas between semicolons": (
        "\n".join(ROWS).replace(".", ",").replace(" ", ";"),
        r"line 1: .*decimal comma",
    ),
    "decimal commas between commas": (
        "\n".join(ROWS).replace(".", ",").replace(" ", ","),
        r"line 1: .*decimal comma",
    ),
    "thousands": ("\n".join(ROWS).replace("100.0", "1,000.0"), r"line 1: '1,000.0' may be"),
    "an empty column": ("\n".join(ROWS).replace(" ", ",").replace("84.5", ""), r"line 3: a column is empty"),
    "columns of another order": (
        "id,parent,x,y,z,radius,type\n" + ROWS[0].replace(" ", ","),
        r"line 1: the columns are",
    ),
    "an OFFSET that is none": (
        "# OFFSET left\n" + "\n".join(ROWS),
        r"line 1: OFFSET is 'left', expected three numbers",
    ),
    "two OFFSETs": ("# OFFSET 1 1 1\n# OFFSET 2 2 2\n" + "\n".join(ROWS), r"line 2: OFFSET is '2 2 2', expected one"),
    "a SCALE of 0": ("# SCALE 1 1 0\n" + "\n".join(ROWS), r"line 1: SCALE .* above 0"),
    "binary": (b"1 0 1 1 1 1 -1\n\0\1\2", r"byte 15 is zero"),
    "half of UTF-16": (codecs.BOM_UTF16_LE + b"1\0 ", r"begins as utf-16-le text"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_has_no_single_reading_is_refused_with_its_line(text, reason):
    assert re.search(reason, assert_refused(text))


def test_the_same_fault_on_many_lines_is_one_complaint():
    text = assert_refused("\n".join(f"{i} 0 x 1 1 1 -1" for i in range(1, 1001)))
    assert text == "7.swc, line 1: x is 'x', expected a number (and so on 999 more lines)"


def test_integer_commas_with_a_further_column_have_one_reading():
    assert swc("1,0,12,10,5,3,-1,4\n2,0,13,10,5,3,1,4\n").edges.tolist() == [[1, 0]]


@st.composite
def trees(draw):
    """(n, 3) places with four digits, and the parent of each node; -1 for a root, else any earlier node."""
    n = draw(st.integers(1, 12))
    places = [[draw(st.integers(-(10**7), 10**7)) / 10**4 for _ in range(3)] for _ in range(n)]
    return np.array(places), [draw(st.integers(-1, i - 1)) for i in range(n)]


@st.composite
def dialects(draw):
    """How to write a tree: every choice has one reading."""
    ends = st.sampled_from(["\n", "\r\n", "\r"])
    encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    separators = st.sampled_from([" ", "  ", "\t", ",", ", ", ";", " ; ", "\u00a0"])
    return {
        "separator": draw(separators),
        "end": draw(ends),
        "encoding": draw(encodings),
        "lead": draw(st.sampled_from(["", " ", "\t"])),
        "trail": draw(st.sampled_from(["", " ", " # é", "#", "\t"])),
        "extra": draw(st.sampled_from([[], ["7"], ["0.5", "axon"]])),
        "between": draw(st.sampled_from(["", "# comment, with; all 1,5", "   "])),
        "id_form": draw(st.sampled_from(["{}", "{}.0", "+{}", "00{}"])),
        "root": draw(st.sampled_from(["-1", "-1.0", "0", "-7"])),
        "step": draw(st.sampled_from([1, 3, 2**40])),
        "shuffle": draw(st.randoms(use_true_random=False)),
        "upside_down": draw(st.booleans()),
    }


def written(places, parents, how) -> bytes:
    rows = []
    for i, (place, parent) in enumerate(zip(places, parents, strict=True)):
        name = [how["id_form"].format((k + 1) * how["step"]) for k in (i, max(parent, 0))]
        columns = [name[0], "0", *(f"{v:.4f}" for v in place), "1.0", how["root"] if parent < 0 else name[1]]
        rows.append(how["lead"] + how["separator"].join([*columns, *how["extra"]]) + how["trail"])
    if how["upside_down"]:
        rows.reverse()
    lines = [line for row in rows for line in (how["between"], row)]
    return how["end"].join(lines).encode(how["encoding"])


@given(trees(), dialects())
def test_a_tree_is_read_the_same_in_every_dialect(tree, how):
    places, parents = tree
    read = swc(written(places, parents, how))
    n = len(places)
    row = [n - 1 - i if how["upside_down"] else i for i in range(n)]
    assert np.array_equal(read.vertex_xyz[row], places)
    assert {tuple(e) for e in read.edges.tolist()} == {(row[i], row[p]) for i, p in enumerate(parents) if p >= 0}


@given(st.binary(max_size=60))
def test_no_bytes_end_in_anything_but_a_tree_or_a_complaint(data):
    read = tree_or_complaint(data)
    assert "7.swc" in read if isinstance(read, str) else len(read.vertex_xyz) > 0


@given(st.lists(st.text(alphabet="0123456789 .,;-+eE#\n\t", max_size=30), max_size=6))
def test_no_text_of_numbers_ends_in_anything_but_a_tree_or_a_complaint(lines):
    read = tree_or_complaint("\n".join(lines))
    assert "7.swc" in read if isinstance(read, str) else np.isfinite(read.vertex_xyz).all()


def test_a_file_of_many_nodes_takes_memory_in_proportion():
    n = 100_000
    text = "\n".join(f"{i} 0 {i}.5 84.0 165.0 50.0 {i - 1 or -1}" for i in range(1, n + 1)).encode()
    tracemalloc.start()
    tree = swc(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(tree.edges) == n - 1
    assert peak < 60 * len(text)


def test_one_endless_entry_is_refused_without_a_table_of_its_width():
    text = "\n".join([*ROWS, "4 0 " + "9" * 1_000_000 + " 1 1 1 1"])
    assert "line 4: x is '99999" in assert_refused(text)


def test_a_long_comment_takes_time_in_proportion():
    begun = time.process_time()
    for part in ("1 #units ", "9", " ", "#", "1.5 ", "units: ("):
        assert_the_three("# " + part * 20_000 + "\n" + "\n".join(ROWS))
    assert time.process_time() - begun < 20  # in proportion to its square it is minutes
