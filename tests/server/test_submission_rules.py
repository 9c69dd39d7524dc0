"""Benchmarks that ask for files in their own way: from the definition to the score, which is the one at home."""

import io
import pickle
import zipfile

import h5py
import networkx as nx
import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from axonem_eval.client.submit import check_files
from axonem_eval.errors import InputError
from axonem_eval.sampling import NodeTable
from axonem_eval.scoring import sample_file, score_nodes
from axonem_eval.skeletons import ForeignGraph, ImportOptions, SkeletonGraph, foreign_graph
from axonem_eval.volumes import ReadOptions
from evalserver.benchmarks.models import GroundTruth
from evalserver.benchmarks.registration import register_ground_truth as run_registration
from evalserver.benchmarks.services import load_benchmark, register_ground_truth
from evalserver.submissions.evaluation.job import evaluate_submission
from evalserver.submissions.models import Diagnosis, Evaluation, Submission
from tests.factories import make_user, upload
from tests.server.caller import Caller

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]

# An image of 60 x 60 x 120 voxels of 33 nm; submitted are 10 x 10 x 30 voxels of 99 nm from voxel 12 on.
IMAGE = {"shape_zyx": [60, 60, 120], "voxel_size_nm_zyx": [33.0, 33.0, 33.0]}
XPRESS = {
    "factor_zyx": [3, 3, 3],
    "region_nm_zyx": [[396, 396, 396], [1386, 1386, 3366]],
    "dataset": "submission",
    "file_name": "submission.h5",
    "zipped": True,
}
SHAPE = (10, 10, 30)


def definition(submission, *, variant="xpress", public=True, **volume):
    row = {"slug": "v", "name": "V", **IMAGE, "min_length_um": 0.0, "ground_truth_public": public, **volume}
    row["submission"] = submission
    return {"slug": "b", "name": "B", "summary": "S.", "scoring_variant": variant, "volumes": [row]}


def two_lines() -> nx.Graph:
    """XPRESS's layout, positions x,y,z in nm: two axons along x that begin before the region and end after it."""
    graph = nx.Graph()
    for axon, (z, y) in enumerate(((600.0, 600.0), (1000.0, 900.0))):
        for i in range(60):
            graph.add_node((axon, i), position=np.array([300.0 + 55 * i, y, z], np.float32))
        graph.add_edges_from(((axon, i), (axon, i + 1)) for i in range(59))
    return graph


def registered(benchmark, content: bytes, name: str, kind: str, **options) -> GroundTruth:
    row = register_ground_truth(
        volume=benchmark.volumes.get(), source_kind=kind, source_file=upload(content, name), **options
    )
    run_registration(row.pk)
    row.refresh_from_db()
    return row


def bundle(row: GroundTruth) -> SkeletonGraph:
    return SkeletonGraph.load(row.bundle.path)


def xpress_labels() -> np.ndarray:
    labels = np.ones(SHAPE, np.uint64)
    labels[:, 5:] = 2
    labels[:, 5:, 12:] = 3
    return labels


def xpress_zip(labels, name="submission.h5") -> bytes:
    stored, packed = io.BytesIO(), io.BytesIO()
    with h5py.File(stored, "w") as file:
        data = file.create_dataset("submission", data=labels, compression="gzip")
        data.attrs.update({"resolution": (99, 99, 99), "offset": (396, 396, 396)})
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, stored.getvalue())
    return packed.getvalue()


def submitted(benchmark, content: bytes, name: str) -> Submission:
    """Through the form, and evaluated here."""
    user = make_user()
    client = Client()
    client.force_login(user)
    fields = {"team": user.teams.get().pk, "method_name": "m", "file-v": upload(content, name)}
    answer = client.post(reverse("upload", args=[benchmark.slug]), fields)
    assert answer.status_code == 302, answer.content.decode()
    submission = Submission.objects.get()
    evaluate_submission(submission.pk)
    submission.refresh_from_db()
    return submission


@pytest.fixture
def xpress():
    benchmark = load_benchmark(definition(XPRESS))
    row = registered(benchmark, pickle.dumps(two_lines()), "skels.npz", "skeletons")
    assert row.status == "ready", row.complaints
    return benchmark, row


def test_a_pickle_is_registered_on_the_grid_of_submissions(xpress):
    graph = bundle(xpress[1])
    position = np.array([p["position"] for _, p in two_lines().nodes(data=True)], float)[:, ::-1]
    voxel = np.floor((position - 396) / 99).astype(int)
    inside = ((voxel >= 0) & (voxel < SHAPE)).all(axis=1)
    assert 0 < inside.sum() < len(inside)
    assert (graph.node_voxel_zyx == voxel[inside]).all()
    assert (graph.shape_zyx, graph.voxel_size_nm_zyx) == (SHAPE, (99.0, 99.0, 99.0))


def test_an_archive_of_one_file_scores_as_at_home(xpress, tmp_path):
    benchmark, row = xpress
    content = xpress_zip(xpress_labels())
    submission = submitted(benchmark, content, "entry.zip")
    assert submission.status == "scored", submission.complaints
    (tmp_path / "entry.zip").write_bytes(content)
    graph, volume = bundle(row), benchmark.volumes.get()
    sample = sample_file(tmp_path / "entry.zip", graph, ReadOptions(volume.rule.file))
    at_home = score_nodes(graph, sample, variant=volume.variant)
    assert Evaluation.objects.get().erl_nm == at_home.erl_nm
    assert 0 < at_home.erl_nm < at_home.gt_erl_nm


@pytest.mark.parametrize(
    ("name", "words"),
    [("seg.h5", "This benchmark wants submission.h5, or a .zip"), ("t.npz", "this volume is taken as a whole")],
)
def test_the_form_says_at_once_which_name_is_wanted(xpress, name, words):
    user = make_user()
    client = Client()
    client.force_login(user)
    fields = {"team": user.teams.get().pk, "method_name": "m", "file-v": upload(b"x", name)}
    page = client.post(reverse("upload", args=["b"]), fields).content.decode()
    assert words.lower() in page.lower()
    assert not Submission.objects.exists()


def test_form_and_benchmark_page_explain_the_file_and_its_check(xpress):
    client = Client()
    client.force_login(make_user())
    for address in ("upload", "benchmark"):
        page = client.get(reverse(address, args=["b"])).content.decode()
        assert "Each voxel covers 3\u00a0×\u00a03\u00a0×\u00a03 voxels of the image" in page
        assert "--shape 10,10,30 --voxel-size 99,99,99 --dataset submission --offset-nm 396,396,396" in page
        assert "--file-name submission.h5 --zipped" in page


def test_the_api_states_the_rule_and_refuses_an_upload_of_another_name(xpress):
    caller = Caller()
    rule = caller.get("/benchmarks/b").json()["volumes"][0]["submission"]
    assert rule["shape_zyx"] == list(SHAPE)
    assert (rule["offset_nm_zyx"], rule["dataset"], rule["zipped"]) == ([396.0] * 3, "submission", True)


def test_labels_of_the_image_become_axons_of_the_asked_ids_on_the_grid():
    labels = np.zeros(IMAGE["shape_zyx"], np.uint16)
    labels[10:25, 10:25], labels[30:45, 30:45] = 4, 9
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["main"] = labels.transpose(2, 1, 0)
    rule = {"factor_zyx": [1, 2, 2], "axes": "xyz"}
    benchmark = load_benchmark(definition(rule, variant="axonem", axon_ids=[9], ends_inside_voxels=1))
    row = registered(benchmark, content.getvalue(), "gt.h5", "labels", axes="xyz")
    assert row.status == "ready", row.complaints
    graph = bundle(row)
    assert graph.skeleton_id.tolist() == [9]
    assert graph.shape_zyx == (60, 30, 60)
    inside = labels[:, ::2, ::2][tuple(graph.node_voxel_zyx.T)]
    assert (inside == 9).all()


def test_groups_in_hdf5_are_registered_in_the_order_of_their_numbers():
    content, vertices = io.BytesIO(), {0: 10, 2: 20, 10: 30}
    with h5py.File(content, "w") as file:
        for number, x in vertices.items():
            file[f"{number}/vertices"] = np.array([[5, 5, x], [25, 55, x + 60]], np.float32)
            file[f"{number}/edges"] = np.array([[0, 1]], np.uint32)
    benchmark = load_benchmark(definition({"node_tables": True}, variant="lsd-j0126"))
    row = registered(benchmark, content.getvalue(), "test.h5", "skeletons", unit="voxel", axes="zyx")
    assert row.status == "ready", row.complaints
    assert bundle(row).node_voxel_zyx[:, 2].tolist() == [10, 70, 20, 80, 30, 90]


@pytest.mark.parametrize("kind", ["skeletons", "labels"])
def test_a_pickle_that_runs_code_is_rejected_and_not_run(tmp_path, kind):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    row = registered(load_benchmark(definition({})), pickle.dumps(Evil()), "skels.pkl", kind)
    assert row.status == "rejected"
    assert not (tmp_path / "ran").exists()


def node_benchmark():
    """The axons of `two_lines` in the whole image, as a bundle, where tables of node labels are taken."""
    benchmark = load_benchmark(definition({"node_tables": True}, variant="nisb"))
    volume = benchmark.volumes.get()
    graph = two_lines()
    position = np.array([p["position"] for _, p in graph.nodes(data=True)], float)[:, ::-1]
    number = {node: i for i, node in enumerate(graph)}
    edges = np.array([(number[u], number[v]) for u, v in graph.edges])
    owner = np.array([axon for axon, _ in graph], np.uint64)
    made = foreign_graph(ForeignGraph(position, owner, edges), volume.spec, ImportOptions("nm", "zyx", True))
    return benchmark, made


def npz(save, tmp_path) -> bytes:
    save(tmp_path / "x.npz")
    return (tmp_path / "x.npz").read_bytes()


def test_a_node_table_scores_as_the_volume_and_says_what_it_is(tmp_path):
    benchmark, graph = node_benchmark()
    row = registered(benchmark, npz(graph.save, tmp_path), "gt.npz", "bundle")
    assert row.status == "ready", row.complaints
    labels = np.ones(IMAGE["shape_zyx"], np.uint32)
    labels[:, 22:], labels[:, 22:, 70:] = 2, 3
    with h5py.File(tmp_path / "seg.h5", "w") as file:
        file["main"] = labels
    public = Client().get(reverse("ground_truth_bundle", args=["b", "v"]))
    (tmp_path / "gt.npz").write_bytes(b"".join(public.streaming_content))
    at_home = SkeletonGraph.load(tmp_path / "gt.npz")
    sample = sample_file(tmp_path / "seg.h5", at_home)
    table = NodeTable(sample.node_segment, at_home.nodes_sha256())
    submission = submitted(benchmark, npz(table.save, tmp_path), "table.npz")
    assert submission.status == "scored", submission.complaints
    expected = score_nodes(at_home, sample, variant=benchmark.volumes.get().variant)
    assert Evaluation.objects.get().erl_nm == expected.erl_nm
    assert not Diagnosis.objects.exists()
    client = Client()
    client.force_login(submission.created_by)
    assert "submitted a table of labels" in client.get(reverse("submission", args=[submission.code])).content.decode()


def test_a_table_of_other_skeletons_is_rejected(tmp_path):
    benchmark, graph = node_benchmark()
    registered(benchmark, npz(graph.save, tmp_path), "gt.npz", "bundle")
    table = NodeTable(np.ones(graph.n_nodes, np.uint64), "0" * 64)
    submission = submitted(benchmark, npz(table.save, tmp_path), "mine.npz")
    assert submission.status == "rejected"
    assert "mine.npz: the table is of other skeletons" in submission.complaints[0]["message"]


def test_node_tables_are_refused_on_hidden_ground_truth():
    with pytest.raises(InputError, match="needs nodes that everybody knows, and the ground truth is hidden"):
        load_benchmark(definition({"node_tables": True}, variant="axonem", public=False))


def test_the_command_registers_a_file_and_names_the_volumes_that_there_are(tmp_path, capsys):
    load_benchmark(definition(XPRESS))
    (tmp_path / "skels.npz").write_bytes(pickle.dumps(two_lines()))
    call_command("register_ground_truth", "b", "v", str(tmp_path / "skels.npz"), "--kind", "skeletons")
    row = GroundTruth.objects.get()
    run_registration(row.pk)
    row.refresh_from_db()
    assert row.status == "ready", row.complaints
    with pytest.raises(CommandError, match="there are: b v"):
        call_command("register_ground_truth", "b", "w", str(tmp_path / "skels.npz"))


def test_the_client_checks_files_by_the_rule_that_the_server_states(xpress, tmp_path):
    benchmark = Caller().get("/benchmarks/b").json()
    told = []
    for name, content in (
        ("submission.h5", b""),
        ("seg.h5", b"x"),
        ("t.npz", b"x"),
        ("entry.zip", xpress_zip(xpress_labels())),
    ):
        (tmp_path / name).write_bytes(content)
        told.append([c.message for c in check_files({"v": tmp_path / name}, benchmark, lambda *_: None)])
    assert "the file is empty" in told[0][0]
    assert "this benchmark wants submission.h5" in told[1][0]
    assert "this volume is taken as a whole" in told[2][0]
    assert told[3] == []
