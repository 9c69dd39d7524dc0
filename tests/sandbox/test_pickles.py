"""Ground truth that comes as a pickle: each benchmark's layout is read, and a pickle that would run code is refused."""

import collections
import functools
import operator
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import types
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import scipy.sparse

from axonem_eval import InputError, SkeletonGraph
from axonem_eval.cli import main
from axonem_eval.sandbox import unpickle_confined
from axonem_eval.sandbox.child_pickle import graph_arrays
from axonem_eval.sandbox.restricted_pickle import read_objects

PROTOCOLS = range(6)
# Two skeletons: 3 nodes in a row along x, and 2 along z; nm, z,y,x.
NODES_ZYX = np.array([[0, 0, 0], [0, 0, 20], [0, 0, 40], [30, 60, 0], [60, 60, 0]])
OWNER = [5, 5, 5, 9, 9]
EDGES = [(0, 1), (1, 2), (3, 4)]


def nisb() -> nx.Graph:
    graph = nx.Graph()
    for i, (zyx, owner) in enumerate(zip(NODES_ZYX, OWNER, strict=True)):
        voxel = zyx[::-1] // (10, 10, 30)
        graph.add_node(i, id=owner, index_position=tuple(int(v) for v in voxel), nm_position=zyx[::-1].astype(float))
    graph.add_edges_from(EDGES)
    return graph


def xpress() -> nx.Graph:
    graph = nx.Graph()
    for i, zyx in enumerate(NODES_ZYX):
        graph.add_node(f"n{i}", position=zyx[::-1].astype(np.float32))
    graph.add_edges_from((f"n{u}", f"n{v}") for u, v in EDGES)
    return graph


@pytest.fixture
def lite(monkeypatch):
    """AxonEM's lite graph, as its own module would pickle it: classes of the same names, made here."""
    module = types.ModuleType("networkx_lite")
    for name in ("NetworkXGraphLite", "NodeViewerLite", "EdgeViewerLite"):
        setattr(module, name, type(name, (), {"__module__": "networkx_lite"}))
    monkeypatch.setitem(sys.modules, "networkx_lite", module)
    names = ["skeleton_id", "x", "y", "z"]
    graph = module.NetworkXGraphLite()
    edges = scipy.sparse.dok_matrix((5, 5), dtype=np.float32)
    for edge in EDGES:
        edges[edge] = -1
    graph.node_attributes, graph.edge_attribute = names, "length"
    graph.node_dtype, graph.edge_dtype = np.uint16, np.float32
    graph._nodes = np.column_stack([OWNER, NODES_ZYX[:, ::-1]]).astype(np.uint16)
    graph._edges = edges
    graph.nodes, graph.edges = module.NodeViewerLite(), module.EdgeViewerLite()
    graph.nodes.__dict__ = {"_nodes": graph._nodes, "_node_attributes": names}
    graph.edges.__dict__ = {"_edges": edges, "_edge_attribute": "length"}
    return graph


def imported(path: Path, *options: str) -> SkeletonGraph:
    out = path.with_suffix(".npz.out.npz")
    arguments = ["import", str(path), "--shape", "4,8,8", "--voxel-size", "30,10,10", "-o", str(out), *options]
    assert main(arguments) == 0
    return SkeletonGraph.load(out)


def holds_the_two(graph: SkeletonGraph, ids: list[int]) -> None:
    assert graph.skeleton_id.tolist() == ids
    assert graph.node_voxel_zyx.tolist() == (NODES_ZYX // (30, 10, 10)).tolist()
    assert graph.skeleton_length_nm.tolist() == [40, 30]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("make", [nisb, xpress, lambda: nx.DiGraph(nisb()), lambda: nx.Graph(nisb().edges)])
def test_networkx_graphs_of_every_protocol_are_read(protocol, make):
    graph = make()
    _ = graph.nodes, graph.edges, graph.adj  # views that networkx keeps in the object
    data = pickle.dumps(graph, protocol)
    if not graph.nodes[next(iter(graph))]:
        with pytest.raises(InputError, match="expected a position"):
            graph_arrays(read_objects(data))
        return
    arrays = graph_arrays(read_objects(data))
    assert sorted(map(sorted, arrays["edges"].tolist())) == [list(e) for e in EDGES]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_axonems_lite_graph_of_both_years_is_read(lite, protocol):
    voxels = (NODES_ZYX // (30, 10, 10)).astype(np.uint16)
    of_2023 = graph_arrays(read_objects(pickle.dumps(lite, protocol) + pickle.dumps(voxels, protocol)))
    of_2024 = graph_arrays(read_objects(pickle.dumps(lite, protocol) + pickle.dumps([30, 32, 32], protocol)))
    assert (str(of_2023["unit"]), str(of_2024["unit"])) == ("voxel", "nm")
    assert of_2023["position_zyx"].tolist() == voxels.tolist()
    assert of_2024["position_zyx"].tolist() == of_2023["length_nm_zyx"].tolist() == NODES_ZYX.tolist()
    assert of_2024["edges"].tolist() == [list(e) for e in EDGES]
    assert of_2024["skeleton"].tolist() == OWNER


def test_a_graph_of_an_older_scipy_is_read(lite):
    # Before 1.13 the matrix was a dict: its entries are items of the object, not part of its state.
    class Old(dict):
        def __reduce__(self):
            return scipy.sparse.dok_matrix, ((5, 5),), {"_shape": (5, 5)}, None, iter(self.items())

    lite._edges = Old({edge: np.float32(-1) for edge in EDGES})
    lite.edges.__dict__ = {}
    assert graph_arrays(read_objects(pickle.dumps(lite, 2)))["edges"].tolist() == [list(e) for e in EDGES]


def test_import_reads_a_pickle_of_each_benchmark_in_a_confined_process(tmp_path, lite):
    (tmp_path / "skeleton.pkl").write_bytes(pickle.dumps(nisb()))
    holds_the_two(imported(tmp_path / "skeleton.pkl"), [5, 9])
    (tmp_path / "XPRESS_skels.npz").write_bytes(pickle.dumps(xpress()))  # a pickle, whatever its name says
    holds_the_two(imported(tmp_path / "XPRESS_skels.npz"), [1, 2])
    (tmp_path / "gt.p").write_bytes(pickle.dumps(lite) + pickle.dumps([30, 10, 10]))
    holds_the_two(imported(tmp_path / "gt.p"), [5, 9])


def test_nodes_outside_a_part_of_the_volume_can_be_left_out(tmp_path):
    (tmp_path / "g.pkl").write_bytes(pickle.dumps(xpress()))
    out = tmp_path / "out.npz"
    part = ["import", str(tmp_path / "g.pkl"), "--shape", "2,4,3", "--voxel-size", "30,10,10", "-o", str(out)]
    assert main([*part, "--offset", "0,0,20"]) == 1  # they lie outside
    assert main([*part, "--offset", "0,0,20", "--drop-outside"]) == 0
    graph = SkeletonGraph.load(out)
    assert graph.node_voxel_zyx.tolist() == [[0, 0, 0], [0, 0, 2]]
    assert graph.n_edges == 1


# --- pickles that would run code ---


class Calls:
    """Pickled, it calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def by_name(module: str, name: str, argument: bytes = b"") -> bytes:
    """A protocol-0 call of any name, also of one that cannot be imported here."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n(" + argument + b"tR."


def stack_global(module: str, name: str) -> bytes:
    text = b"".join(b"X" + struct.pack("<I", len(t)) + t.encode() for t in (module, name))
    return b"\x80\x04" + text + b"\x93)R."


MARK = "touch MARK"
MALICIOUS = {
    "os.system": lambda: pickle.dumps(Calls(os.system, MARK)),
    "subprocess": lambda: pickle.dumps(Calls(subprocess.check_output, ["touch", "MARK"])),
    "eval": lambda: pickle.dumps(Calls(eval, "open('MARK', 'w')")),
    "exec": lambda: pickle.dumps(Calls(exec, "open('MARK', 'w')")),
    "open": lambda: pickle.dumps(Calls(open, "MARK", "w")),
    "getattr": lambda: by_name("builtins", "getattr", b"S'os'\nS'system'\n"),
    "import": lambda: by_name("builtins", "__import__", b"S'os'\n"),
    "partial": lambda: pickle.dumps(functools.partial(os.system, MARK)),
    "attrgetter": lambda: pickle.dumps(operator.attrgetter("__class__.__mro__")),
    "in a node": lambda: pickle.dumps({0: {"position": (1, 2, 3), "id": Calls(os.system, MARK)}}),
    "in a graph": lambda: pickle.dumps(nx.Graph([(0, 1, {"weight": Calls(os.system, MARK)})])),
    "in an array": lambda: pickle.dumps(np.array([Calls(os.system, MARK)], object)),
    "after a graph": lambda: pickle.dumps(nisb()) + pickle.dumps(Calls(os.system, MARK)),
    "dotted name": lambda: stack_global("networkx.classes.graph", "Graph.__init__"),
    "module in a known one": lambda: stack_global("networkx.classes.graph", "nx"),
    "through numpy": lambda: by_name("numpy", "load", b"S'x'\n"),
    "numpy runs files": lambda: by_name("numpy.testing._private.utils", "runstring", b"S'1'\n"),
    "persistent id": lambda: b"Pos.system\n.",
    "extension code": lambda: b"\x80\x02\x82\x01)R.",
    "reconstructor of another class": lambda: by_name("copyreg", "_reconstructor", b"c__builtin__\nlist\nNN"),
    "codec": lambda: by_name("_codecs", "encode", b"S'x'\nS'zip'\n"),
    "records": lambda: pickle.dumps(np.zeros(2, [("a", "O")])),
    "object dtype": lambda: pickle.dumps(np.array([None, 1], object)),
    "defaultdict with a factory": lambda: pickle.dumps(collections.defaultdict(os.getpid)),
    "socket": lambda: by_name("socket", "socket"),
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_a_pickle_that_names_anything_else_is_refused_with_the_reason(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    data = MALICIOUS[name]()
    with pytest.raises(InputError) as refused:
        graph_arrays(read_objects(data))
    assert {c.code for c in refused.value.complaints} <= {"pickle_refused", "bad_pickle"}
    assert not (tmp_path / "MARK").exists()


def test_there_are_twenty_of_them():
    assert len(MALICIOUS) >= 20


def test_the_reason_names_what_the_pickle_asked_for(tmp_path, capsys):
    (tmp_path / "g.pkl").write_bytes(pickle.dumps(Calls(os.system, MARK)))
    assert main(["import", str(tmp_path / "g.pkl"), "--shape", "4,8,8", "--voxel-size", "30,10,10", "-o", "x"]) == 1
    assert "the pickle holds posix.system, which no graph of skeletons needs" in capsys.readouterr().err


def test_a_stand_in_cannot_be_changed_for_the_next_object():
    """BUILD on a class or function of the reader would change it."""
    change = b"cnetworkx.classes.graph\nGraph\n}S'kind'\nS'changed'\nsb."
    with pytest.raises(InputError):
        graph_arrays(read_objects(change))
    assert graph_arrays(read_objects(pickle.dumps(nisb())))["position_zyx"].shape == (5, 3)


def test_a_damaged_pickle_is_refused_with_the_place():
    data = pickle.dumps(nisb())
    with pytest.raises(InputError, match=rf"cannot be read after .* of {len(data) // 2:,} bytes"):
        read_objects(data[: len(data) // 2])


@pytest.mark.slow
@pytest.mark.parametrize(
    "state",
    [
        {"_node": {0: {"position": (1, 2, 3)}}, "_adj": {0: 5}},
        {"_node": {0: {"position": (1, 2, 3)}}, "_adj": {0: [[1]]}},
        {"_node": {0: {"position": (10**400, 2, 3)}}, "_adj": {}},
        {"_node": {0: {"position": (1, 2, 3), "id": 10**400}}, "_adj": {}},
        {"_node": {0: {"position": "123"}}, "_adj": {}},
    ],
)
def test_a_graph_with_a_wrong_part_is_refused_with_what_to_do(tmp_path, state):
    body = pickle.dumps(state, 2)[2:-1]
    (tmp_path / "g.pkl").write_bytes(b"\x80\x02cnetworkx.classes.graph\nGraph\n)\x81" + body + b"b.")
    with pytest.raises(InputError, match="Write the graph again as its benchmark gives it"):
        unpickle_confined(tmp_path / "g.pkl")


def test_a_pickle_that_unfolds_to_much_takes_no_more_memory_than_the_child_may(tmp_path):
    # a memo index of 2^31 makes the reader ask for a table of as many entries
    (tmp_path / "bomb.pkl").write_bytes(b"\x80\x02]r\xff\xff\xff\x7f.")
    with pytest.raises(InputError) as refused:
        unpickle_confined(tmp_path / "bomb.pkl")
    assert refused.value.complaints[0].code in {"too_much_memory", "no_graph", "reader_crashed"}


def test_the_examples_here_are_what_they_claim():
    assert any(op.name == "STACK_GLOBAL" for op, *_ in pickletools.genops(stack_global("a", "b")))
