"""Submissions from finished uploads: the form and the service take them as they take posted files."""

import hashlib
import html
import re

import pytest
from django.test import Client
from django.urls import reverse

from evalserver.accounts.teams import create_team
from evalserver.submissions import services
from evalserver.submissions.models import QuotaSlot, Submission
from evalserver.uploads import services as uploads
from evalserver.uploads import store
from evalserver.uploads.models import Upload
from tests.factories import make_benchmark, make_scored, make_user, upload
from tests.server.uploaded import sent, submit

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_finished_upload_becomes_the_submissions_file(empty_queue):
    user, phase = make_user(), make_benchmark()
    row = sent(user, phase)
    content = store.path_of(row.code).read_bytes()
    submission = submit(user, phase, {"a": row})
    stored = submission.files.get()
    with stored.file as file:
        assert file.read() == content
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    assert stored.original_name == "seg.h5"
    row.refresh_from_db()
    assert (row.state, row.used_by) == ("used", submission.code)
    assert list(store.folder().glob(f"{row.code}*")) == []


def test_an_upload_and_a_posted_file_go_together(empty_queue):
    user, phase = make_user(), make_benchmark(("a", "b"))
    submission = submit(user, phase, {"a": sent(user, phase), "b": upload()})
    first, second = submission.files.all()
    assert first.sha256 == second.sha256


def test_an_upload_is_taken_once(empty_queue):
    user, phase = make_user(), make_benchmark()
    row = sent(user, phase)
    again = store.UploadedBefore(row)
    again.close()
    submit(user, phase, {"a": row})
    store.path_of(row.code).write_bytes(b"as if the first transaction were still open")
    with pytest.raises(services.NotAccepted, match="Another submission has taken"):
        services.create_submission(
            team=user.teams.get(), user=user, phase=phase, method_name="n", files={phase.volumes.get(): again}
        )
    assert Submission.objects.count() == 1
    assert QuotaSlot.objects.count() == 1


def test_a_refused_submission_leaves_the_upload_whole(empty_queue):
    user, phase = make_user(), make_benchmark(per_day=1)
    submit(user, phase, {"a": upload()})
    row = sent(user, phase)
    with pytest.raises(services.NotAccepted, match="has used all"):
        submit(user, phase, {"a": row})
    row.refresh_from_db()
    assert row.state == "ready"
    assert store.size_of(row.code) == row.size_bytes


def test_every_volume_needs_a_file(empty_queue):
    user, phase = make_user(), make_benchmark(("a", "b"))
    with pytest.raises(services.NotAccepted, match="Volume A, Volume B"):
        submit(user, phase, {"a": sent(user, phase)})


def test_an_empty_upload_is_not_accepted(empty_queue):
    user, phase = make_user(), make_benchmark()
    with pytest.raises(services.NotAccepted, match=r"empty\. Choose the file"):
        submit(user, phase, {"a": sent(user, phase, content=b"")})


@pytest.fixture
def browser():
    client = Client()
    client.user = make_user()
    client.force_login(client.user)
    return client


def post_form(client, phase, **fields):
    address = f"/benchmarks/{phase.benchmark.slug}/submit/"
    return client.post(address, {"team": client.user.teams.earliest("pk").pk, "method_name": "m", **fields})


def test_the_form_takes_a_finished_upload(browser, empty_queue):
    phase = make_benchmark()
    row = sent(browser.user, phase)
    response = post_form(browser, phase, **{"upload-a": row.code})
    assert response.status_code == 302
    assert Submission.objects.get().files.get().size_bytes == row.size_bytes


def test_the_form_offers_what_is_here_already(browser, empty_queue):
    phase = make_benchmark()
    row = sent(browser.user, phase)
    page = browser.get(f"/benchmarks/{phase.benchmark.slug}/submit/").content.decode()
    assert f'<option value="{row.code}">seg.h5</option>' in page


def test_the_form_says_what_is_not_submitted_yet_and_offers_no_empty_file(browser, empty_queue):
    phase = make_benchmark()
    address = f"/benchmarks/{phase.benchmark.slug}/submit/"
    empty = sent(browser.user, phase, content=b"")
    page = browser.get(address).content.decode()
    assert empty.code not in page
    assert "Not submitted yet" not in page
    sent(browser.user, phase)
    assert "Not submitted yet: seg.h5" in browser.get(address).content.decode()
    answer = post_form(browser, phase, **{"upload-a": empty.code})
    assert answer.status_code == 422
    assert "This file is empty. Choose the file of your segmentation." in answer.content.decode()


def test_who_submits_again_finds_the_texts_and_the_files_that_were_right(browser, empty_queue):
    phase = make_benchmark(("a", "b"))
    files = {f"upload-{slug}": sent(browser.user, phase, slug).code for slug in "ab"}
    post_form(browser, phase, description="Affinities", compute="4 GPUs", **files)
    first = Submission.objects.get()
    wrong = [{"volume": "Volume B", "code": "wrong_shape", "message": "seg.h5: labels have shape 1, 2, 3"}]
    Submission.objects.filter(pk=first.pk).update(status="rejected", complaints=wrong)
    (address,) = re.findall(r'href="([^"]*)">Submit again', browser.get(f"/submissions/{first.code}/").content.decode())
    page = browser.get(address := html.unescape(address)).content.decode()
    assert 'name="method_name" value="m"' in page
    assert "Affinities" in page
    assert 'value="4 GPUs"' in page
    assert f'<option value="{first.code}.a" selected>seg.h5, as submitted before</option>' in page
    assert f"{first.code}.b" not in page
    form = {"team": first.team_id, "method_name": "m"}
    assert browser.post(address, {**form, "upload-a": f"{first.code}.b", "file-b": upload()}).status_code == 422
    assert browser.post(address, {**form, "upload-a": f"{first.code}.a", "file-b": upload()}).status_code == 302
    again = Submission.objects.exclude(pk=first.pk).get()
    before, after = (row.files.get(volume__slug="a") for row in (first, again))
    assert (after.sha256, after.original_name) == (before.sha256, "seg.h5")
    with before.file as left, after.file as right:
        assert left.read() == right.read()
    assert again.files.get(volume__slug="b").size_bytes
    assert not list(store.folder().glob("*.link-*"))


def test_nobody_submits_another_teams_files_again(browser, empty_queue):
    phase, ada = make_benchmark(), make_user("Ada")
    private = submit(ada, phase, {"a": upload()})
    address = f"/benchmarks/{phase.benchmark.slug}/submit/?again={private.code}"
    assert private.code not in browser.get(address).content.decode().replace(f"?again={private.code}", "")
    form = {"team": browser.user.teams.get().pk, "method_name": "m", "upload-a": f"{private.code}.a"}
    assert browser.post(address, form).status_code == 422


def test_the_form_takes_no_stranger_s_upload(browser, empty_queue):
    phase = make_benchmark()
    row = sent(make_user(), phase)
    response = post_form(browser, phase, **{"upload-a": row.code})
    assert response.status_code == 422
    assert not Submission.objects.exists()


def test_the_form_takes_no_unchecked_upload(browser, empty_queue):
    phase = make_benchmark()
    row = sent(browser.user, phase, checked=False)
    assert post_form(browser, phase, **{"upload-a": row.code}).status_code == 422


def test_the_form_asks_for_a_missing_file(browser):
    response = post_form(browser, make_benchmark())
    assert response.status_code == 422
    assert "Choose the file of your segmentation." in response.content.decode()


def test_my_submissions_shows_how_much_is_here(browser):
    row = uploads.create_upload(user=browser.user, file_name="big.h5", size_bytes=200)
    store.path_of(row.code).write_bytes(b"x" * 86)
    uploads.settle(row)
    page = browser.get("/submissions/").content.decode()
    assert "big.h5" in page
    assert "43% of 200" in page


def test_an_upload_can_be_removed_on_the_page(browser):
    row = uploads.create_upload(user=browser.user, file_name="big.h5", size_bytes=200)
    outsider = Client()
    outsider.force_login(make_user())
    assert outsider.post(f"/uploads/{row.code}/remove/").status_code == 404
    assert browser.post(f"/uploads/{row.code}/remove/", follow=True).status_code == 200
    assert not Upload.objects.exists()


def test_the_form_takes_links_facts_and_the_earlier_entry(browser, empty_queue):
    phase = make_benchmark()
    earlier = make_scored(phase, 5000, team=browser.user.teams.get())
    about = {"paper_url": "https://example.org/paper", "training_data": "the benchmark's own", "supersedes": earlier.pk}
    assert post_form(browser, phase, **{"upload-a": sent(browser.user, phase).code}, **about).status_code == 302
    submission = Submission.objects.get(status="uploaded")
    assert (submission.paper_url, submission.training_data) == (about["paper_url"], about["training_data"])
    assert submission.supersedes == earlier


def test_the_form_replaces_no_other_team_s_entry(browser, empty_queue):
    phase = make_benchmark()
    foreign = make_scored(phase, 5000)
    row = sent(browser.user, phase)
    response = post_form(browser, phase, **{"upload-a": row.code, "supersedes": foreign.pk})
    assert response.status_code == 422
    mine = create_team(user=browser.user, name="Second team")
    of_mine = make_scored(phase, 5000, team=mine)
    response = post_form(browser, phase, **{"upload-a": row.code, "supersedes": of_mine.pk})
    page = response.content.decode()
    assert "choose one of the team that submits" in page
    assert '<details class="more" open>' in page


def post(client, user, phase, name: str) -> str:
    form = {"team": user.teams.get().pk, "method_name": name, "file-a": upload()}
    answer = client.post(reverse("upload", args=[phase.benchmark.slug]), form, follow=True)
    return answer.content.decode()


def test_who_submits_the_same_files_twice_is_told(client, empty_queue):
    user, phase = make_user(), make_benchmark()
    client.force_login(user)
    assert "byte for byte" not in post(client, user, phase, "first")
    page = post(client, user, phase, "again")
    first = Submission.objects.get(method_name="first")
    assert f"those of “first” ({first.code})" in page


def test_nobody_is_told_of_another_teams_private_entry_with_the_same_files(client, empty_queue):
    phase, eve, ada = make_benchmark(), make_user("Eve"), make_user("Ada")
    client.force_login(ada)
    post(client, ada, phase, "private")
    client.force_login(eve)
    assert "byte for byte" not in post(client, eve, phase, "mine")
