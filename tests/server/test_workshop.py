"""The workshop on the server: nothing that people say is lost, and no decision is applied twice."""

import threading

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.urls import reverse

from axonem_eval import workshop as library
from axonem_eval.workshop import SPLIT, Correction, consensus
from evalserver.benchmarks.models import GroundTruth, Volume
from evalserver.benchmarks.registration import register_ground_truth
from evalserver.benchmarks.role_models import Role
from evalserver.workshop import job, services
from evalserver.workshop.models import Candidate, Decision, Finalisation, Label, Segment, Workshop
from evalserver.workshop.selectors import decisions_of, labels_of
from tests.columns import CUT_COLUMN, OTHER_HALF, SHAPE, VOXEL_NM, columns
from tests.factories import h5_bytes, make_benchmark, make_user

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


@pytest.fixture
def ada(client):
    user = make_user("Ada", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def ben():
    return make_user("Ben", is_staff=True, is_superuser=True)


@pytest.fixture
def shop():
    """A workshop that is measured: two segments in one batch, and one likely split."""
    volume = make_benchmark().volumes.get()
    row = Workshop.objects.create(volume=volume, source_name="labels.h5", status=Workshop.DONE_STATUS)
    for position, name in enumerate((7, 2**64 - 1)):
        Segment.objects.create(
            workshop=row,
            name=str(name),
            batch=0,
            position=position,
            length_um=6.0,
            width_nm=90.0,
            volume_um3=0.2,
            anchor_zyx=[1, 2, 3],
        )
    found = library.Candidate(Correction(SPLIT, (7, 2**64 - 1), ((1, 2, 3),), ((4, 5, 6),)), 0.9, 0.9, 1.0)
    Candidate.objects.create(
        workshop=row,
        kind=SPLIT,
        name=found.correction.name,
        place=0,
        score=0.9,
        data=library.candidate_json(found),
    )
    return row


def pressed(client, shop, verdict, seen):
    candidate = shop.candidates.get()
    data = {"candidate": candidate.name, "kind": SPLIT, "verdict": verdict, "seen": seen}
    return client.post(reverse("organise_workshop_decide", args=[shop.pk]), data, follow=True)


def test_two_annotators_label_and_their_disagreement_is_listed_until_it_is_settled(client, shop, ada, ben):
    address = reverse("organise_workshop_label", args=[shop.pk])
    client.post(address, {"segment": ["7", str(2**64 - 1)], "label": "axon"})
    services.label_segments(workshop=shop, names=["7"], label="glia", by=ben)
    page = client.get(reverse("organise_workshop", args=[shop.pk])).content.decode()
    assert f"{ada.email} says axon" in page
    assert "1 segment has no label yet" in page
    client.post(address, {"segment": "7", "label": "glia", "settles": "yes"})
    agreed = consensus(labels_of(shop))
    assert agreed.label == {7: "glia", 2**64 - 1: "axon"}
    assert agreed.disagreements == []


def test_a_batch_stays_until_its_annotator_has_labelled_all_of_it(client, shop, ada):
    address = reverse("organise_workshop_label", args=[shop.pk])
    there = client.post(address, {"segment": "7", "label": "axon", "batch": "0", "next": "4"})
    assert there.url.endswith("?n=0")
    page = client.get(there.url).content.decode()
    assert 'value="7">' in page
    assert f'value="{2**64 - 1}" checked>' in page
    there = client.post(address, {"segment": str(2**64 - 1), "label": "glia", "batch": "0", "next": "4"})
    assert there.url.endswith("?n=4")


def test_a_label_that_there_is_not_is_refused(client, shop, ada):
    client.post(reverse("organise_workshop_label", args=[shop.pk]), {"segment": "7", "label": "soma"})
    assert not Label.objects.exists()


def test_a_form_that_is_sent_twice_decides_once(client, shop, ada):
    pressed(client, shop, "accept", 0)
    answer = pressed(client, shop, "accept", 0)
    assert "decided meanwhile" in answer.content.decode()
    assert Decision.objects.count() == 1


def test_a_decision_on_what_another_decided_meanwhile_is_refused(client, shop, ada, ben):
    services.decide(candidate=shop.candidates.get(), verdict="reject", seen=0, by=ben)
    assert "Ben decided meanwhile" in pressed(client, shop, "accept", 0).content.decode()
    assert [d.verdict for d in decisions_of(shop)] == ["rejected"]


def test_undo_opens_a_candidate_again_and_keeps_the_history(client, shop, ada):
    pressed(client, shop, "accept", 0)
    assert "Undo that first" in pressed(client, shop, "reject", 1).content.decode()
    pressed(client, shop, "undo", 1)
    pressed(client, shop, "reject", 2)
    assert [d.verdict for d in Decision.objects.order_by("number")] == ["accepted", "undone", "rejected"]
    assert library.accepted(decisions_of(shop)) == []


def test_of_decisions_at_one_moment_one_is_stored(shop, ada):
    candidate, refused, ready = shop.candidates.get(), [], threading.Barrier(4)

    def decide():
        ready.wait()
        try:
            services.decide(candidate=candidate, verdict="accept", seen=0, by=ada)
        except services.NotPossible as refusal:
            refused.append(str(refusal))
        finally:
            connection.close()

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Decision.objects.count() == 1
    assert len(refused) == 3


def test_one_worker_makes_ground_truth_of_a_workshop_at_a_time(client, shop, ada):
    for _ in range(2):
        answer = client.post(reverse("organise_workshop_finalise", args=[shop.pk]), follow=True)
    assert "A worker makes it already" in answer.content.decode()
    assert Finalisation.objects.count() == 1


def test_the_batch_shows_its_segments_and_the_list_its_candidates(client, shop, ada):
    page = client.get(reverse("organise_workshop_batch", args=[shop.pk])).content.decode()
    assert "Segment 18446744073709551615" in page
    assert "6.0 µm long" in page
    page = client.get(reverse("organise_workshop_candidates", args=[shop.pk]) + "?kind=split").content.decode()
    assert "Segments 7 and 18446744073709551615 at voxel 1, 2, 3" in page
    assert client.get(reverse("organise_workshop_candidates", args=[shop.pk]) + "?kind=end").status_code == 404
    assert client.get(reverse("organise_workshop_batch", args=[shop.pk]) + "?n=9").status_code == 404


@pytest.mark.slow
def test_a_segmentation_becomes_registered_ground_truth(client, ada, settings):
    settings.SKELETONIZE_PROCESSES = 1
    volume = make_benchmark(ready=False).volumes.get()
    Volume.objects.filter(pk=volume.pk).update(
        **dict(zip(("shape_z", "shape_y", "shape_x"), SHAPE, strict=True)),
        **dict(zip(("voxel_z_nm", "voxel_y_nm", "voxel_x_nm"), VOXEL_NM, strict=True)),
    )
    file = SimpleUploadedFile("labels.h5", h5_bytes(columns(), voxel_size_nm=VOXEL_NM))
    client.post(reverse("organise_add_workshop", args=[volume.benchmark.slug, volume.slug]), {"source_file": file})
    shop = Workshop.objects.get()
    job.prepare(shop.pk)
    shop.refresh_from_db()
    assert (shop.status, shop.complaints) == ("ready", [])
    name = shop.segments.first().name
    picture = client.get(reverse("organise_workshop_picture", args=[shop.pk]) + f"?segment={name}")
    assert picture.content[8:12] == b"WEBP"

    found = shop.candidates.filter(kind=SPLIT).first()
    picture = client.get(reverse("organise_workshop_picture", args=[shop.pk]) + f"?candidate={found.name}")
    assert picture.content[8:12] == b"WEBP"
    state = client.get(reverse("organise_workshop_view_state", args=[shop.pk]) + f"?candidate={found.name}").json()
    marks, segmentation = state["layers"]
    assert segmentation["segments"] == found.data["correction"]["segments"]
    assert len(marks["annotations"]) == 1
    for file in ("info", f"skeletons/{CUT_COLUMN}"):
        assert client.get(reverse("organise_workshop_view_file", args=[shop.pk, file])).getvalue()

    names = list(shop.segments.values_list("name", flat=True))
    services.label_segments(workshop=shop, names=names[1:], label="axon", by=ada)
    failed = services.request_finalisation(workshop=shop, by=ada)
    job.finalise(failed.pk)
    failed.refresh_from_db()
    assert [c["code"] for c in failed.complaints] == ["unlabelled"]

    services.label_segments(workshop=shop, names=names[:1], label="axon", by=ada)
    first = shop.candidates.filter(kind=SPLIT).first()
    assert first.data["correction"]["segments"] == [str(CUT_COLUMN), str(OTHER_HALF)]
    services.decide(candidate=first, verdict="accept", seen=0, by=ada)
    done = services.request_finalisation(workshop=shop, by=ada)
    job.finalise(done.pk)
    job.finalise(done.pk)  # delivered twice
    ground_truth = GroundTruth.objects.get()
    register_ground_truth(ground_truth.pk)
    ground_truth.refresh_from_db()
    assert ground_truth.status == GroundTruth.DONE_STATUS
    assert ground_truth.skeletons == len(names)
    page = client.get(reverse("organise_workshop", args=[shop.pk])).content.decode()
    assert "1 split accepted" in page


def test_a_role_in_one_benchmark_lists_no_workshop_of_another(client, shop):
    person = make_user("Rita")
    Role.objects.create(benchmark=make_benchmark().benchmark, user=person, name=Role.Name.OWNER)
    client.force_login(person)
    assert "labels.h5" not in client.get(reverse("organise_workshops")).content.decode()
