"""Cuts by points on the server: a worker parts the segment, the page shows both sides, and the cut is decided about."""

import numpy as np
import pytest
from django.core.files.base import ContentFile
from django.urls import reverse

from axonem_eval.workshop import MERGER, accepted
from evalserver.workshop import point_cuts
from evalserver.workshop.models import PointCut, Workshop
from evalserver.workshop.selectors import decisions_of
from tests.factories import h5_bytes, make_benchmark, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]
THIS, OTHER = "2, 3, 8", "2, 12, 8"


@pytest.fixture
def ada(client):
    user = make_user("Ada", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def shop():
    """A measured workshop of a volume in which segment 7 holds two bars that touch."""
    volume = make_benchmark().volumes.get()
    labels = np.zeros(volume.spec.shape_zyx, np.uint8)
    labels[:5, :7, :16], labels[:5, 9:16, :16], labels[2, 7:9, 7:9] = 7, 7, 7
    row = Workshop(volume=volume, source_name="labels.h5", status=Workshop.DONE_STATUS, view_files=1)
    row.source_file.save("labels.h5", ContentFile(h5_bytes(labels, voxel_size_nm=volume.voxel_size_nm_zyx)))
    return row


def asked(client, shop, this=THIS, other=OTHER, segment="7"):
    fields = {"segment": segment, "this_side": this, "other_side": other}
    return client.post(reverse("organise_workshop_request_cut", args=[shop.pk]), fields, follow=True)


def shown(client, shop, row):
    return client.get(reverse("organise_workshop_cut", args=[shop.pk]) + f"?n={row.pk}").content.decode()


def decided(client, shop, candidate, verdict, seen):
    data = {"candidate": candidate.name, "kind": MERGER, "verdict": verdict, "seen": seen}
    client.post(reverse("organise_workshop_decide", args=[shop.pk]), data)


def test_a_cut_is_previewed_accepted_and_undone(client, ada, shop):
    assert "Refresh" in asked(client, shop).content.decode()
    row = PointCut.objects.get()
    point_cuts.part(row.pk)
    point_cuts.part(row.pk)  # delivered twice
    row.refresh_from_db()
    assert row.side_um3[0] == pytest.approx(row.side_um3[1], rel=0.1)
    page = shown(client, shop, row)
    assert "Preview" in page
    assert THIS in page  # the form begins with the points, so that one can be added
    picture = client.get(reverse("organise_workshop_picture", args=[shop.pk]) + f"?candidate={row.candidate.name}")
    assert picture.content[8:12] == b"WEBP"
    decided(client, shop, row.candidate, "accept", 0)
    assert [c.this_side for c in accepted(decisions_of(shop))] == [((2, 3, 8),)]
    decided(client, shop, row.candidate, "undo", 1)
    assert accepted(decisions_of(shop)) == []


def test_the_same_points_again_are_the_same_candidate(client, ada, shop):
    for _ in range(2):
        asked(client, shop)
    for row in PointCut.objects.all():
        point_cuts.part(row.pk)
    assert shop.candidates.count() == 1


def test_a_point_outside_the_segment_is_told_by_the_worker(client, ada, shop):
    asked(client, shop, other="8, 8, 8")
    row = PointCut.objects.get()
    point_cuts.part(row.pk)
    assert "voxel 8,8,8 does not lie in segment 7" in shown(client, shop, row)
    assert not shop.candidates.exists()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"this": "2, 3"}, "Blue side, line 1: “2, 3” is not a voxel"),
        ({"other": ""}, "Orange side: 0 points"),
        ({"segment": str(2**64)}, "is no segment"),
    ],
)
def test_what_cannot_be_read_is_told_and_kept_in_the_form(client, ada, shop, fields, told):
    page = asked(client, shop, **fields).content.decode()
    assert told in page
    assert (OTHER if "other" not in fields else THIS) in page
    assert not PointCut.objects.exists()


def test_more_cuts_than_may_wait_are_refused_until_one_is_done(client, ada, shop):
    for _ in range(point_cuts.MOST_WAITING):
        asked(client, shop)
    assert "10 cuts of yours are waiting" in asked(client, shop).content.decode()
    point_cuts.part(PointCut.objects.first().pk)
    asked(client, shop)
    assert PointCut.objects.count() == point_cuts.MOST_WAITING + 1


def test_neuroglancer_opens_with_the_points_of_the_form_in_two_layers(client, ada, shop):
    query = {"segment": "7", "this_side": THIS, "other_side": f"{OTHER}\nno voxel"}
    state = client.get(reverse("organise_workshop_view_state", args=[shop.pk]), query).json()
    assert [layer["name"] for layer in state["layers"]] == ["blue side", "orange side", "segmentation"]
    assert [[a["point"] for a in layer["annotations"]] for layer in state["layers"][:2]] == [
        [[8.5, 3.5, 2.5]],
        [[8.5, 12.5, 2.5]],
    ]
