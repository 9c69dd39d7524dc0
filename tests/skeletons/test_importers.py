import gzip
import json
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from axonem_eval import InputError, VolumeSpec
from axonem_eval.skeletons import import_skeletons
from axonem_eval.skeletons.importers import to_voxels
from tests.label_files import straight_graph

osteoid = pytest.importorskip("osteoid", reason="the extra [groundtruth] is not installed")

GRAPH = straight_graph()
SPEC = GRAPH.spec


def position_nm(dtype=np.float32):
    return (GRAPH.node_voxel_zyx * np.asarray(GRAPH.voxel_size_nm_zyx)).astype(dtype)


def assert_same(imported):
    assert imported.node_voxel_zyx.tolist() == GRAPH.node_voxel_zyx.tolist()
    assert imported.skeleton_length_nm == pytest.approx(GRAPH.skeleton_length_nm)
    assert imported.n_edges == GRAPH.n_edges


def test_em_erl_flat_layout(tmp_path):
    np.savez(
        tmp_path / "g.npz",
        skeleton_id=GRAPH.skeleton_id.astype(np.int64),
        skeleton_len=GRAPH.skeleton_length_nm,
        node_skeleton_index=GRAPH.node_skeleton.astype(np.uint32),
        node_coords_zyx=position_nm(),
        edge_u=GRAPH.edge_u.astype(np.uint32),
        edge_v=GRAPH.edge_v.astype(np.uint32),
        edge_len=GRAPH.edge_length_nm.astype(np.float32),
        edge_ptr=np.array([0, 19, 38], np.uint64),
        erl_graph_schema_version=np.array(2, np.uint16),
    )
    assert_same(import_skeletons(tmp_path / "g.npz", SPEC))


def test_em_erl_older_layout(tmp_path):
    edges = np.stack([GRAPH.edge_u, GRAPH.edge_v, GRAPH.edge_length_nm], axis=1)
    np.savez(
        tmp_path / "g.npz",
        skeleton_id=np.array([1, 2]),
        skeleton_len=GRAPH.skeleton_length_nm,
        nodes=np.column_stack([GRAPH.node_skeleton, position_nm(np.uint32)]).astype(np.uint32),
        edges_0=edges[:19],
        edges_1=edges[19:],
    )
    assert_same(import_skeletons(tmp_path / "g.npz", SPEC))


def as_osteoid():
    skeletons = {}
    for index, label in enumerate((1, 2)):
        mine = GRAPH.node_skeleton == index
        first = int(np.flatnonzero(mine)[0])
        edges = np.stack([GRAPH.edge_u, GRAPH.edge_v], axis=1)[GRAPH.edge_skeleton == index] - first
        skeletons[label] = osteoid.Skeleton(
            position_nm()[mine][:, ::-1].copy(), edges.astype(np.uint32), radii=np.ones(20, np.float32), segid=label
        )
    return skeletons


def test_swc_folder(tmp_path):
    for label, skeleton in as_osteoid().items():
        (tmp_path / f"{label}.swc").write_text(skeleton.to_swc())
    imported = import_skeletons(tmp_path, SPEC)
    assert_same(imported)
    assert imported.skeleton_id.tolist() == [1, 2]


def test_swc_in_um(tmp_path):
    for label, skeleton in as_osteoid().items():
        skeleton.vertices = skeleton.vertices / 1000
        (tmp_path / f"{label}.swc").write_text(skeleton.to_swc())
    assert import_skeletons(tmp_path, SPEC, unit="um").node_voxel_zyx.tolist() == GRAPH.node_voxel_zyx.tolist()


def test_folder_of_osteoid_files(tmp_path):
    for label, skeleton in as_osteoid().items():
        osteoid.save(str(tmp_path / f"{label}"), skeleton)
    assert_same(import_skeletons(tmp_path, SPEC))


def test_precomputed_folder_with_its_info(tmp_path):
    skeletons = as_osteoid()
    attributes = skeletons[1].extra_attributes
    (tmp_path / "info").write_text(json.dumps({"@type": "neuroglancer_skeletons", "vertex_attributes": attributes}))
    for label, skeleton in skeletons.items():
        (tmp_path / str(label)).write_bytes(skeleton.to_precomputed())
    assert_same(import_skeletons(tmp_path, SPEC))


def test_sharded_precomputed_says_what_to_do(tmp_path):
    (tmp_path / "info").write_text(json.dumps({"sharding": {"@type": "neuroglancer_uint64_sharded_v1"}}))
    with pytest.raises(InputError, match="unsharded"):
        import_skeletons(tmp_path, SPEC)


def test_float32_nm_just_short_of_a_voxel_corner_stays_in_its_voxel():
    index = np.arange(1000)  # beyond about 8 um one float32 step is more than 1e-4 of a 7 nm voxel
    nm = np.nextafter((index * 7).astype(np.float32), np.float32(0))
    assert (to_voxels(np.stack([nm, nm, nm], axis=1), (7.0, 7.0, 7.0))[:, 0] == index).all()


def test_a_pickle_is_refused_unread(tmp_path):
    (tmp_path / "g.p").write_bytes(pickle.dumps({"skeletons": 1}))
    with pytest.raises(InputError, match="unpickling runs code"):
        import_skeletons(tmp_path / "g.p", SPEC)


def test_a_voxel_size_in_the_wrong_order_is_noticed_by_nodes_outside(tmp_path):
    for label, skeleton in as_osteoid().items():
        (tmp_path / f"{label}.swc").write_text(skeleton.to_swc())
    with pytest.raises(InputError, match="axis order"):
        import_skeletons(tmp_path, VolumeSpec(SPEC.shape_zyx, (8.0, 8.0, 30.0)))


# A volume of 0.72 x 0.384 x 1.6 um, and an axon along x in the middle of it.
BOX = VolumeSpec((24, 48, 200), (30.0, 8.0, 8.0))
AXON_NM = [(100.0 * k, 84.0, 165.0) for k in range(1, 7)]


def write_swc(path, places=AXON_NM, head="# made up"):
    """A chain of nodes at places x,y,z."""
    rows = [f"{k} 0 {x} {y} {z} 1 {k - 1 or -1}" for k, (x, y, z) in enumerate(places, start=1)]
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("\n".join([head, *rows]) + "\n")


def write_fragment(path, places=AXON_NM, edges=None, tail=b""):
    """A precomputed skeleton, without osteoid."""
    edges = [(k, k + 1) for k in range(len(places) - 1)] if edges is None else edges
    path.parent.mkdir(exist_ok=True, parents=True)
    counts = np.array([len(places), len(edges)], "<u4").tobytes()
    path.write_bytes(counts + np.array(places, "<f4").tobytes() + np.array(edges, "<u4").tobytes() + tail)


def write_info(folder, **info):
    folder.mkdir(exist_ok=True)
    (folder / "info").write_text(json.dumps({"@type": "neuroglancer_skeletons", **info}))


def complaints(path, spec=BOX, **options):
    with pytest.raises(InputError) as caught:
        import_skeletons(path, spec, **options)
    return str(caught.value)


def assert_the_axon(graph):
    assert (graph.n_nodes, graph.n_edges) == (6, 5)
    assert graph.skeleton_length_nm.tolist() == pytest.approx([500.0])


def test_a_single_file_in_capitals(tmp_path):
    write_swc(tmp_path / "8.SWC")
    graph = import_skeletons(tmp_path / "8.SWC", BOX)
    assert_the_axon(graph)
    assert graph.skeleton_id.tolist() == [8]


def test_a_packed_file(tmp_path):
    write_swc(tmp_path / "8.swc")
    (tmp_path / "in" / "8.swc.gz").parent.mkdir()
    (tmp_path / "in" / "8.swc.gz").write_bytes(gzip.compress((tmp_path / "8.swc").read_bytes()))
    assert_the_axon(import_skeletons(tmp_path / "in", BOX))
    (tmp_path / "in" / "8.swc.gz").write_bytes(gzip.compress((tmp_path / "8.swc").read_bytes())[:-20])
    assert "8.swc.gz: the packed file breaks off" in complaints(tmp_path / "in")


def test_a_file_without_nodes_is_an_error_beside_others(tmp_path):
    write_swc(tmp_path / "8.swc")
    (tmp_path / "7.swc").write_text("# ORIGINAL_SOURCE made up\n")
    (tmp_path / "9.swc").write_text("")
    text = complaints(tmp_path)
    assert "7.swc: holds no node" in text
    assert "9.swc: the file is empty" in text


def test_nodes_without_an_edge_are_refused_in_every_importer(tmp_path):
    (tmp_path / "swc").mkdir()
    (tmp_path / "swc" / "7.swc").write_text("1 0 30 8 8 1 -1\n2 0 30 80 8 1 -1\n")
    (tmp_path / "fragments").mkdir()
    (tmp_path / "fragments" / "info").write_text('{"@type": "neuroglancer_skeletons", "vertex_attributes": []}')
    alone = osteoid.Skeleton(np.array([[8, 8, 30], [8, 80, 30]], np.float32), segid=7)
    (tmp_path / "fragments" / "7").write_bytes(alone.to_precomputed())
    for folder in ("swc", "fragments"):
        with pytest.raises(InputError, match=r"7.*: none of its 2 nodes is joined to another, so it has no cable"):
            import_skeletons(tmp_path / folder, SPEC, anyway=True)


def test_files_that_make_one_id_are_named(tmp_path):
    for name in ("2.swc", "3.swc", "3.CNG.swc", "03.swc"):
        write_swc(tmp_path / name)
    assert "03.swc, 3.CNG.swc, 3.swc: these files make the same id 3" in complaints(tmp_path)


def test_files_without_a_number_get_ids_that_no_other_has(tmp_path):
    for name in ("1.swc", "3.swc", "axon.swc", "b.swc"):
        write_swc(tmp_path / name)
    graph = import_skeletons(tmp_path, BOX)
    assert sorted(graph.skeleton_id.tolist()) == [1, 2, 3, 4]
    assert any("axon.swc is 2, b.swc is 4" in note for note in graph.notes)


def test_an_id_beyond_64_bits_is_refused(tmp_path):
    write_swc(tmp_path / f"{2**64}.swc")
    assert "does not fit 64 bits" in complaints(tmp_path)
    write_swc(tmp_path / "in" / f"{2**64 - 1}.swc")
    assert import_skeletons(tmp_path / "in", BOX).skeleton_id.tolist() == [2**64 - 1]


def test_what_lies_beside_skeletons_is_told(tmp_path):
    write_swc(tmp_path / "7.swc")
    (tmp_path / "README").write_text("about")
    (tmp_path / "b.nml").write_text("<things/>")
    write_swc(tmp_path / "more" / "8.swc")
    notes = " ".join(import_skeletons(tmp_path, BOX).notes)
    assert "README, b.nml" in notes
    assert "more" in notes


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image"),
        (
            b'<?xml version="1.0"?><things><thing id="1"/></things>',
            "(KNOSSOS, webKnossos), which is not read; save what it holds as SWC",
        ),
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file"),
    ],
)
def test_what_is_no_skeleton_is_called_by_its_name(tmp_path, content, words):
    (tmp_path / "7.swc").write_bytes(content)
    assert words in complaints(tmp_path)
    (tmp_path / "7.nml").write_bytes(content)
    assert words in complaints(tmp_path / "7.nml")
    write_info(tmp_path / "pre")
    (tmp_path / "pre" / "7").write_bytes(content)
    assert words in complaints(tmp_path / "pre")


def test_a_folder_of_other_files_says_what_they_are(tmp_path):
    (tmp_path / "7.nml").write_text("<things></things>")
    assert "an NML file of skeletons (KNOSSOS, webKnossos), which is not read" in complaints(tmp_path)
    write_swc(tmp_path / "below" / "7.swc")
    assert "there are SWC files in below: give that folder" in complaints(tmp_path)


def zipped(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_swc_files_in_a_zip(tmp_path):
    for name in ("7.swc", "8.swc"):
        write_swc(tmp_path / name)
    files = {f"skeletons/{n}": (tmp_path / n).read_bytes() for n in ("7.swc", "8.swc")}
    files |= {"__MACOSX/skeletons/._7.swc": b"\0\5\26\7", "skeletons/.DS_Store": b"\0"}
    graph = import_skeletons(zipped(tmp_path / "a.zip", files), BOX)
    assert graph.skeleton_id.tolist() == [7, 8]
    assert graph.notes == []


def test_precomputed_skeletons_in_a_zip_keep_their_transform(tmp_path):
    write_fragment(tmp_path / "7", [(x / 8, y / 8, z / 30) for x, y, z in AXON_NM])
    info = json.dumps({"@type": "neuroglancer_skeletons", "transform": [8, 0, 0, 0, 0, 8, 0, 0, 0, 0, 30, 0]})
    files = {"skel/info": info, "skel/7": (tmp_path / "7").read_bytes(), "skel/segment_properties/info": "{}"}
    assert_the_axon(import_skeletons(zipped(tmp_path / "a.zip", files), BOX))


def test_two_files_of_a_zip_with_one_id_are_named(tmp_path):
    write_swc(tmp_path / "7.swc")
    data = (tmp_path / "7.swc").read_bytes()
    assert "a/7.swc, b/7.swc" in complaints(zipped(tmp_path / "a.zip", {"a/7.swc": data, "b/7.swc": data}))


def test_a_zip_without_skeletons_and_one_that_leads_out_are_refused(tmp_path):
    assert "no .swc" in complaints(zipped(tmp_path / "a.zip", {"notes.txt": b"x"}))
    assert "leads out" in complaints(zipped(tmp_path / "b.zip", {"../7.swc": b"1 0 1 1 1 1 -1"}))
    (tmp_path / "c.zip").write_bytes((tmp_path / "a.zip").read_bytes()[:30])
    assert "c.zip" in complaints(tmp_path / "c.zip")


def test_a_file_of_a_zip_is_unpacked_no_further_than_the_archive_states(tmp_path):
    path = zipped(tmp_path / "a.zip", {"7.swc": bytes(100 << 20)}, zipfile.ZIP_BZIP2)
    stated = (100 << 20).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(stated, (100).to_bytes(4, "little")))
    tracemalloc.start()
    assert "a.zip: 7.swc cannot be read" in complaints(path)
    assert tracemalloc.get_traced_memory()[1] < 20 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(("unit", "size"), [("um", (1000, 1000, 1000)), ("voxel", (8, 8, 30))])
def test_a_set_of_another_unit_is_questioned_and_its_remedy_works(tmp_path, unit, size):
    write_swc(tmp_path / "7.swc", [(x / size[0], y / size[1], z / size[2]) for x, y, z in AXON_NM])
    text = complaints(tmp_path)
    assert f"With --unit {unit} they would fill more of it" in text
    assert "of a volume of 0.72 x 0.384 x 1.6 um" in text
    assert_the_axon(import_skeletons(tmp_path, BOX, unit=unit))
    assert import_skeletons(tmp_path, BOX, anyway=True).n_nodes == 6


def test_voxels_that_fill_the_volume_are_not_taken_for_nm(tmp_path):
    write_swc(tmp_path / "7.swc", [(0, 0, 0), (100, 20, 12), (199, 47, 23)])
    assert "--unit voxel" in complaints(tmp_path)
    places = import_skeletons(tmp_path, BOX, unit="voxel").node_voxel_zyx.tolist()
    assert places == [[0, 0, 0], [12, 20, 100], [23, 47, 199]]


def test_precomputed_voxels_are_questioned_too(tmp_path):
    write_info(tmp_path / "pre")
    write_fragment(tmp_path / "pre" / "7", [(x / 8, y / 8, z / 30) for x, y, z in AXON_NM])
    assert "--unit voxel" in complaints(tmp_path / "pre")
    assert_the_axon(import_skeletons(tmp_path / "pre", BOX, unit="voxel"))


def test_a_short_set_amid_the_volume_is_questioned_too(tmp_path):
    write_swc(tmp_path / "7.swc", [(800, 200, 400), (840, 205, 410)])
    assert "--anyway" in complaints(tmp_path)


def test_nodes_outside_name_their_file_their_number_and_the_volume(tmp_path):
    write_swc(tmp_path / "101.swc")
    write_swc(tmp_path / "105.swc", [(x + 1100, y, z) for x, y, z in AXON_NM])
    text = complaints(tmp_path)
    assert "105.swc: 2 of 6 nodes lie outside the volume of 24 x 48 x 200 voxels (z,y,x), the first at voxel" in text
    assert "101.swc" not in text


def test_nodes_outside_come_with_the_option_that_puts_them_inside(tmp_path):
    write_swc(tmp_path / "7.swc", [(165, 84, 100), (165, 84, 1500)])
    assert "with --axes zyx all nodes would lie inside" in complaints(tmp_path)
    assert import_skeletons(tmp_path, BOX, axes="zyx").node_voxel_zyx[1].tolist() == [5, 10, 187]
    assert "with --unit nm all nodes would lie inside" in complaints(tmp_path, axes="zyx", unit="um")


def test_nodes_that_no_option_puts_inside_say_so(tmp_path):
    write_swc(tmp_path / "7.swc", [(x + 1e6, y, z) for x, y, z in AXON_NM])
    assert "no other unit and axis order would put all nodes inside" in complaints(tmp_path)


def test_places_beyond_32_bits_lie_outside(tmp_path):
    write_swc(tmp_path / "7.swc", [(100, 84, 165), (1e300, 84, 165)])
    assert "1 of 2 nodes lie outside" in complaints(tmp_path)


@pytest.mark.parametrize("head", ["# units: micrometers", "# skeleton 7, um; id type x y z radius parent"])
def test_a_unit_that_the_file_states_is_compared(tmp_path, head):
    write_swc(tmp_path / "7.swc", head=head)
    assert "7.swc: a comment states the unit um, but coordinates are read as nm; give --unit um" in complaints(tmp_path)
    assert_the_axon(import_skeletons(tmp_path, BOX, anyway=True))


def test_a_voxel_size_that_osteoid_states_is_compared_for_voxels(tmp_path):
    head = "# ORIGINAL_SOURCE Osteoid 0.7.4\n# SCALE 4.0 4.0 30.0"
    write_swc(tmp_path / "7.swc", [(x / 8, y / 8, z / 30) for x, y, z in AXON_NM], head)
    text = complaints(tmp_path, unit="voxel")
    assert "7.swc states voxels of 30 x 4 x 4 nm (z,y,x), but --voxel-size is 30 x 8 x 8" in text


def test_skeletons_of_kimimaro_in_nm_keep_their_places(tmp_path):
    write_swc(tmp_path / "7.swc", head="# ORIGINAL_SOURCE Osteoid 0.7.4\n# SCALE 8.0 8.0 30.0")
    graph = import_skeletons(tmp_path, BOX)
    assert_the_axon(graph)
    assert any("SCALE is not applied" in note for note in graph.notes)


@pytest.mark.parametrize("edges", [[(0, 1), (1, 0)], [(0, 1), (0, 1)], [(0, 1), (1, 1)]])
def test_an_edge_counts_once_in_every_importer(tmp_path, edges):
    chain = [*edges, *((k, k + 1) for k in range(1, 5))]
    write_info(tmp_path / "pre")
    write_fragment(tmp_path / "pre" / "7", edges=chain)
    write_fragment(tmp_path / "osteoid" / "7", edges=chain)
    u, v = np.array(chain).T
    zyx = np.array(AXON_NM)[:, ::-1]
    length = np.linalg.norm(zyx[u] - zyx[v], axis=1)
    flat = {"node_skeleton_index": np.zeros(6, int), "node_coords_zyx": zyx, "edge_u": u, "edge_v": v}
    np.savez(tmp_path / "flat.npz", **flat, edge_len=length, edge_ptr=np.array([0, len(u)]))
    nodes = np.column_stack([np.zeros(6), zyx])
    np.savez(tmp_path / "old.npz", nodes=nodes, edges_0=np.column_stack([u, v, length]))
    for name in ("pre", "osteoid", "flat.npz", "old.npz"):
        graph = import_skeletons(tmp_path / name, BOX)
        assert_the_axon(graph)
        assert "edges" in graph.notes[0]


def test_nodes_on_one_point_are_told(tmp_path):
    write_info(tmp_path / "pre")
    write_fragment(tmp_path / "pre" / "7", [*AXON_NM[:3], AXON_NM[2], *AXON_NM[3:]], [(0, 1), (1, 2), (3, 4), (4, 5)])
    graph = import_skeletons(tmp_path / "pre", BOX)
    assert graph.n_nodes == 7
    assert "1 nodes stand where another node" in graph.notes[0]


@pytest.mark.parametrize(
    "transform", [None, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0], [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]]
)
def test_a_transform_that_is_null_or_none_or_nested(tmp_path, transform):
    write_info(tmp_path / "pre", transform=transform, vertex_attributes=None, sharding=None)
    write_fragment(tmp_path / "pre" / "7")
    assert_the_axon(import_skeletons(tmp_path / "pre", BOX))


@pytest.mark.parametrize(
    "transform", [1, [1, 2, 3], "x", [None] * 12, {"a": 1}, [0] * 12, [[1], [2, 3]], [float("nan")] * 12]
)
def test_a_transform_that_is_none_is_refused(tmp_path, transform):
    write_info(tmp_path / "pre", transform=transform)
    write_fragment(tmp_path / "pre" / "7")
    assert "the transform in info is" in complaints(tmp_path / "pre")


@pytest.mark.parametrize("text", ["<html>404</html>", "null", "[]", "", "{", "[" * 100_000, "\udcff"])
def test_an_info_that_is_no_json_object_is_refused(tmp_path, text):
    write_fragment(tmp_path / "pre" / "7")
    (tmp_path / "pre" / "info").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert "info is not readable as a JSON object" in complaints(tmp_path / "pre")


@pytest.mark.parametrize("attributes", [1, ["radius"], [{"id": "radius"}], [{"data_type": "?!", "num_components": 1}]])
def test_attributes_that_are_none_are_refused(tmp_path, attributes):
    write_info(tmp_path / "pre", vertex_attributes=attributes)
    write_fragment(tmp_path / "pre" / "7")
    assert "vertex_attributes in info is" in complaints(tmp_path / "pre")


@pytest.mark.parametrize("size", [0, 3, 8, 50, 80, 111])
def test_a_fragment_that_breaks_off_is_refused(tmp_path, size):
    write_info(tmp_path / "pre")
    write_fragment(tmp_path / "pre" / "7")
    file = tmp_path / "pre" / "7"
    assert file.stat().st_size == 120
    file.write_bytes(file.read_bytes()[:size])
    text = complaints(tmp_path / "pre")
    assert text.startswith("7: ")
    assert "empty" in text if size == 0 else "breaks off" in text


def test_a_fragment_with_bytes_that_nothing_names_is_refused(tmp_path):
    write_info(tmp_path / "pre")
    write_fragment(tmp_path / "pre" / "7", tail=bytes(24))
    write_fragment(tmp_path / "pre" / "8", tail=bytes(13))
    text = complaints(tmp_path / "pre")
    assert "8: 13 bytes follow its edges, expected 0 or 24 or 30" in text
    assert "7: " not in text


def test_a_fragment_with_an_edge_to_nowhere_or_a_place_that_is_none_is_refused(tmp_path):
    write_info(tmp_path / "pre")
    write_fragment(tmp_path / "pre" / "7", edges=[(0, 1), (1, 6)])
    write_fragment(tmp_path / "pre" / "8", [*AXON_NM[:5], (float("nan"), 1, 1)])
    text = complaints(tmp_path / "pre")
    assert "7: 1 of 2 edges name a vertex that is not there, the first is edge 1 between 1 and 6" in text
    assert "8: 1 of 6 vertices have no finite place, the first is vertex 5" in text


def test_a_segmentation_layer_is_read_from_its_skeletons(tmp_path):
    scale = {"key": "s0", "size": [200, 48, 24], "resolution": [8, 8, 30]}
    write_info(tmp_path, **{"@type": "neuroglancer_multiscale_volume"}, skeletons="skeletons_mip_0", scales=[scale])
    (tmp_path / "provenance").write_text('{"owners": []}')
    assert "its skeletons are in" in complaints(tmp_path)
    write_info(tmp_path / "skeletons_mip_0")
    write_fragment(tmp_path / "skeletons_mip_0" / "7")
    graph = import_skeletons(tmp_path, BOX)
    assert_the_axon(graph)
    assert "read from its skeletons in skeletons_mip_0" in graph.notes[0]
    other = VolumeSpec(BOX.shape_zyx, (30.0, 8.0, 10.0))
    assert "info states voxels of 30 x 8 x 8 nm (z,y,x)" in complaints(tmp_path, other)


def test_a_segmentation_layer_without_skeletons_says_so(tmp_path):
    write_info(tmp_path, scales=[], skeletons=None)
    assert "names no skeletons" in complaints(tmp_path)
    write_info(tmp_path, scales=[], skeletons="../elsewhere")
    assert "names no skeletons" in complaints(tmp_path)


def test_a_graph_whose_ids_stand_twice_is_refused(tmp_path):
    arrays = {
        "node_skeleton_index": np.array([0, 0, 1, 1]),
        "node_coords_zyx": np.array(AXON_NM)[[0, 1, 4, 5]][:, ::-1],
    }
    edges = {"edge_u": np.array([0, 2]), "edge_v": np.array([1, 3]), "edge_len": np.ones(2) * 100}
    np.savez(tmp_path / "g.npz", **arrays, **edges, edge_ptr=np.array([0, 1, 2]), skeleton_id=np.array([5, 5]))
    assert "1 ids stand for several skeletons, the first is 5" in complaints(tmp_path / "g.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"node_coords_zyx": np.zeros((3, 2))},
        {"node_coords_zyx": np.full((2, 3), np.nan)},
        {"node_coords_zyx": np.array([["a", "b", "c"]] * 2)},
        {"node_skeleton_index": np.array([0, -1])},
        {"node_skeleton_index": np.array([0.5, 0])},
        {"edge_u": np.array([7])},
        {"edge_v": np.array([1, 1])},
        {"skeleton_id": np.array([[1]])},
        {"skeleton_id": np.array(["x"])},
        {"node_skeleton_index": np.empty(0, int), "node_coords_zyx": np.empty((0, 3))},
    ],
)
def test_a_graph_whose_arrays_contradict_one_another_is_refused(tmp_path, change):
    good = {"node_skeleton_index": np.zeros(2, int), "node_coords_zyx": np.array(AXON_NM)[[0, 5]][:, ::-1]}
    good |= {
        "edge_u": np.array([0]),
        "edge_v": np.array([1]),
        "edge_len": np.array([500.0]),
        "edge_ptr": np.array([0, 1]),
    }
    np.savez(tmp_path / "good.npz", **good)
    assert import_skeletons(tmp_path / "good.npz", BOX).n_edges == 1
    np.savez(tmp_path / "bad.npz", **{**good, **change})
    assert complaints(tmp_path / "bad.npz").startswith("bad.npz")


def test_a_graph_in_voxels_gets_its_lengths_in_nm(tmp_path):
    zyx = np.array([(z / 30, y / 8, x / 8) for x, y, z in AXON_NM])
    edges = {"edge_u": np.arange(5), "edge_v": np.arange(1, 6), "edge_len": np.full(5, 12.5)}
    np.savez(tmp_path / "g.npz", node_skeleton_index=np.zeros(6, int), node_coords_zyx=zyx, **edges, edge_ptr=[0, 5])
    assert "--unit voxel" in complaints(tmp_path / "g.npz")
    assert_the_axon(import_skeletons(tmp_path / "g.npz", BOX, unit="voxel"))


def test_no_skeleton_as_long_as_wanted_is_an_error(tmp_path):
    write_swc(tmp_path / "7.swc")
    assert "none of 1 skeletons is 5 um long; the longest is 0.5 um" in complaints(tmp_path, min_length_um=5)


def test_complaints_about_many_files_are_bounded(tmp_path):
    for k in range(200):
        (tmp_path / f"{k}.swc").write_text("none")
    assert len(complaints(tmp_path)) < 4000
    assert "180 more" in complaints(tmp_path)


def test_skeletons_of_a_layer_that_begins_elsewhere_count_from_there(tmp_path):
    scale = {"key": "s0", "size": [200, 48, 24], "resolution": [8, 8, 30], "voxel_offset": [1000, 200, 40]}
    write_info(tmp_path, skeletons="skel", scales=[scale])
    write_info(tmp_path / "skel")
    write_fragment(tmp_path / "skel" / "7", [(x + 8000, y + 1600, z + 1200) for x, y, z in AXON_NM])
    graph = import_skeletons(tmp_path, BOX)
    assert graph.node_voxel_zyx[0].tolist() == [5, 10, 12]
    assert "begins at voxel (40.0, 200.0, 1000.0)" in graph.notes[-1]


def test_a_layer_that_names_no_skeletons_points_to_those_below(tmp_path):
    write_info(tmp_path, **{"@type": "neuroglancer_multiscale_volume"}, scales=[])
    write_info(tmp_path / "skel")
    assert f"there are some in {tmp_path / 'skel'}: give that folder" in complaints(tmp_path)
    write_info(tmp_path, type="image", scales=[])
    assert "an image layer" in complaints(tmp_path)
    write_info(tmp_path, **{"@type": "neuroglancer_legacy_mesh"})
    assert "neuroglancer_legacy_mesh" in complaints(tmp_path)


def test_text_among_skeletons_without_a_suffix_is_called_text(tmp_path):
    (tmp_path / "README").write_text("about these skeletons")
    assert "README: this is text" in complaints(tmp_path)


def test_a_file_that_is_no_npz_is_called_by_its_name(tmp_path):
    path = tmp_path / "g.npz"
    for content, words in [
        (b"<html>", "a web page"),
        (pickle.dumps({1: 2}), "a pickle"),
        (b"", "empty"),
        (b"x", "unknown"),
    ]:
        path.write_bytes(content)
        assert words in complaints(path)
        assert "load it unsafely" not in complaints(path)


def test_a_unit_of_several_nm_is_questioned(tmp_path):
    write_swc(tmp_path / "7.swc", head='# Meta: {"id": 7, "units": "8 nanometer"}')
    assert "states the unit 8 nm, but coordinates are read as nm; write them in nm" in complaints(tmp_path)
    write_swc(tmp_path / "7.swc", head='# Meta: {"id": 7, "units": "1 nanometer"}')
    assert_the_axon(import_skeletons(tmp_path, BOX))


def test_a_header_that_moves_nodes_outside_is_told_with_them(tmp_path):
    write_swc(tmp_path / "7.swc", head="# OFFSET 5000 0 0")
    assert "7.swc: its header is applied, coordinate * (1, 1, 1) + (5000, 0, 0)" in complaints(tmp_path)
