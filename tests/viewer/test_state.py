"""The Neuroglancer state: what it shows, where, and in which order."""

import json

import pytest

from axonem_eval import VolumeSpec
from axonem_eval.viewer import error_marks, layer, likely_marks, viewer_state

SPEC = VolumeSpec((100, 400, 800), (30.0, 8.0, 8.0))
LAYERS = [layer("image", "raw", "precomputed://a"), layer("segmentation", "segmentation", "precomputed://b")]


def error(kind, voxel, gain=100.0, segment=7):
    z, y, x = voxel
    return {"kind": kind, "z_voxel": z, "y_voxel": y, "x_voxel": x, "skeleton_id": "3", "segment": str(segment),
            "other_segment": "0", "erl_gain_nm": gain}  # fmt: skip


LIKELY = {
    "likely_splits": {"places": [{"ends_voxel": [[1, 2, 3], [4, 5, 6]], "segments": ["8", "9"], "score": 0.5}]},
    "likely_mergers": {"places": [{"position_voxel": [7, 8, 9], "segment": "8", "kind": "bridge", "score": 0.25}]},
}


@pytest.mark.parametrize(
    "marks",
    [error_marks([error("split", (1, 2, 3)), error("merger", (4, 5, 6))], 10), likely_marks(LIKELY, 10)],
    ids=["errors", "likely"],
)
def test_annotations_come_before_every_segmentation(marks):
    # Neuroglancer 2.41.2 drops a segmentation that comes before a layer of local annotations.
    kinds = [one["type"] for one in viewer_state(SPEC, LAYERS, marks)["layers"]]
    assert kinds == ["annotation", "annotation", "image", "segmentation"]


def test_a_mark_stands_at_the_centre_of_its_voxel_in_the_order_x_y_z():
    state = viewer_state(SPEC, LAYERS, error_marks([error("split", (1, 2, 3))], 10))
    assert list(state["dimensions"]) == ["x", "y", "z"]
    assert state["layers"][0]["annotations"][0]["point"] == [3.5, 2.5, 1.5]
    assert state["position"] == [3.5, 2.5, 1.5]


def test_a_likely_split_is_a_line_between_its_ends():
    annotation = viewer_state(SPEC, LAYERS, likely_marks(LIKELY, 10))["layers"][0]["annotations"][0]
    assert (annotation["pointA"], annotation["pointB"]) == ([3.5, 2.5, 1.5], [6.5, 5.5, 4.5])


def test_without_marks_the_view_begins_in_the_middle():
    state = viewer_state(SPEC, LAYERS, {})
    assert state["position"] == [400, 200, 50]
    assert not state["selectedLayer"]["visible"]


def test_likely_errors_are_hidden_where_errors_are_known():
    state = viewer_state(SPEC, LAYERS, error_marks([error("split", (1, 2, 3))], 10) | likely_marks(LIKELY, 10))
    shown = {one["name"]: one["visible"] for one in state["layers"] if one["type"] == "annotation"}
    assert shown == {"splits": True, "likely splits": False, "likely mergers": False}


def test_of_each_kind_at_most_so_many_are_marked():
    marks = error_marks([error("split", (i, 0, 0)) for i in range(5)] + [error("merger", (0, 0, 0))], 2)
    assert {kind: len(found) for kind, found in marks.items()} == {"split": 2, "omission": 0, "merger": 1}


def test_a_state_is_plain_json_with_ids_as_text():
    marks = error_marks([error("split", (1, 2, 3), segment=2**64 - 1)], 10)
    assert (
        str(2**64 - 1)
        in json.loads(json.dumps(viewer_state(SPEC, LAYERS, marks)))["layers"][0]["annotations"][0]["description"]
    )
