"""What the pages of the main job show."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from evalserver.submissions.models import Submission, VolumeFile
from tests.factories import make_benchmark, make_scored, make_submission, make_user, tiny_labels, upload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


@pytest.fixture
def ada(client):
    user = make_user("Ada")
    client.force_login(user)
    return user


def page_of(client, submission, name="submission") -> str:
    answer = client.get(reverse(name, args=[submission.code]))
    assert answer.status_code == 200
    return answer.content.decode()


def of(user, **fields) -> Submission:
    return make_submission(make_benchmark(("a", "b")), team=user.teams.get(), **fields)


def test_the_page_polls_while_the_submission_runs(client, ada):
    submission = of(ada, status="running", stage="Reading labels of Volume A", percent=42)
    page = page_of(client, submission)
    assert f'hx-get="{reverse("submission_progress", args=[submission.code])}"' in page
    assert 'value="42"' in page
    assert "Reading labels of Volume A" in page
    assert '<meta http-equiv="refresh"' in page  # without JavaScript


@pytest.mark.parametrize(("percent", "told"), [(50, "about 10 min left"), (2, None), (96, "less than a minute left")])
def test_the_page_estimates_what_is_left_once_it_can(client, ada, percent, told):
    submission = of(ada, status="running", percent=percent, claimed_at=timezone.now() - timedelta(minutes=9.5))
    page = page_of(client, submission)
    assert told in page if told else " left." not in page


def test_the_poll_answers_with_the_fragment_that_the_page_includes(client, ada):
    submission = of(ada, status="running", percent=42)
    fragment = page_of(client, submission, "submission_progress").strip()
    assert "<html" not in fragment
    without_tokens = [line for line in fragment.splitlines() if "csrfmiddlewaretoken" not in line]
    page = page_of(client, submission)
    assert all(line in page for line in without_tokens)


def test_an_end_state_is_not_polled(client, ada):
    page = page_of(client, of(ada, status="rejected", complaints=[{"volume": "", "code": "x", "message": "y"}]))
    assert "hx-get" not in page
    assert 'http-equiv="refresh"' not in page


def test_a_rejection_shows_every_complaint(client, ada):
    complaints = [
        {"volume": "Volume A", "code": "wrong_shape", "message": "a.h5: shape 1 x 2 x 3"},
        {"volume": "Volume B", "code": "wrong_dtype", "message": "b.h5: <float32>"},
    ]
    page = page_of(client, of(ada, status="rejected", complaints=complaints))
    assert "a.h5: shape 1 x 2 x 3" in page
    assert "b.h5: &lt;float32&gt;" in page


def test_a_failure_shows_its_incident_and_no_reason(client, ada):
    page = page_of(client, of(ada, status="failed", incident_id="0a1b2c3d4e"))
    assert "0a1b2c3d4e" in page
    assert "Traceback" not in page


def test_a_result_states_what_it_depends_on(client):
    phase = make_benchmark(("a", "b"))
    page = page_of(client, make_scored(phase, 4321.0))
    for words in (
        "4.50",
        "45.0%",
        "5 nodes",
        "0.15 µm",
        "metric 1",
        phase.volumes.first().ground_truths.get().checksum[:10],
    ):
        assert words in page, words


def test_the_form_says_what_is_expected(client, ada):
    phase = make_benchmark(("a", "b"))
    page = client.get(reverse("upload", args=[phase.benchmark.slug])).content.decode()
    assert "axonem-eval check" in page
    assert "--shape 24,64,96 --voxel-size 30,30,30" in page
    assert 'type="file"' in page


def test_an_upload_is_stored_under_our_own_name(client, ada):
    phase = make_benchmark()
    hostile = "../../../etc/passwd\x00.h5"
    form = {"team": ada.teams.get().pk, "method_name": "m", "file-a": upload(tiny_labels(), hostile)}
    answer = client.post(reverse("upload", args=[phase.benchmark.slug]), form)
    submission = Submission.objects.get()
    assert answer.url == reverse("submission", args=[submission.code])
    row = VolumeFile.objects.get()
    assert row.file.name == f"submissions/{submission.code}/a.h5"
    assert "/" not in row.original_name
    assert len(row.sha256) == 64


def test_a_missing_file_is_said_at_its_field(client, ada):
    phase = make_benchmark(("a", "b"))
    form = {"team": ada.teams.get().pk, "method_name": "m", "file-a": upload()}
    answer = client.post(reverse("upload", args=[phase.benchmark.slug]), form)
    assert answer.status_code == 422
    assert set(answer.context["form"].errors) == {"file-b"}


def test_too_large_an_upload_is_turned_away_before_it_is_read(client, ada, settings):
    settings.UPLOAD_MAX_BYTES = 1000
    phase = make_benchmark()
    form = {"team": ada.teams.get().pk, "method_name": "m", "file-a": upload(b"x" * 2000)}
    answer = client.post(reverse("upload", args=[phase.benchmark.slug]), form)
    assert answer.status_code == 413
    assert "at most 1 kB" in answer.content.decode()


def test_a_visitors_upload_is_not_stored(client):
    phase = make_benchmark()
    answer = client.post(reverse("upload", args=[phase.benchmark.slug]), {"file-a": upload()})
    assert answer.status_code == 302
    assert "login" in answer.url


def test_forms_without_a_csrf_token_are_refused(ada):
    from django.test import Client

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    submission = of(ada, status="scored")
    assert strict.post(reverse("submission_action", args=[submission.code, "publish"])).status_code == 403


def test_publishing_and_taking_back(client, ada):
    submission = of(ada, status="scored")
    act = lambda action: client.post(reverse("submission_action", args=[submission.code, action]))  # noqa: E731
    act("publish")
    submission.refresh_from_db()
    assert submission.is_listed
    act("unpublish")
    submission.refresh_from_db()
    assert not submission.is_listed


def test_a_withdrawn_submission_cannot_be_published(client, ada):
    submission = of(ada, status="scored", withdrawn_at=timezone.now())
    client.post(reverse("submission_action", args=[submission.code, "publish"]))
    submission.refresh_from_db()
    assert submission.published_at is None


def test_withdrawing_is_asked_first_and_leaves_no_place(client, ada):
    entry = make_scored(make_benchmark(), 5000, team=ada.teams.get(), published_at=None)
    address = reverse("submission_action", args=[entry.code, "withdraw"])
    page = page_of(client, entry)
    assert "Place if it were published" in page
    assert f'href="{address}"' in page
    assert f'action="{address}"' not in page
    question = client.get(address).content.decode()
    assert f'action="{address}"' in question
    entry.refresh_from_db()
    assert entry.withdrawn_at is None
    assert "Place" not in client.post(address, follow=True).content.decode()
    entry.refresh_from_db()
    assert entry.withdrawn_at
    assert client.get(address).status_code == 302
    assert client.get(reverse("submission_action", args=[entry.code, "publish"])).status_code == 405


def test_browsers_find_the_icon_where_they_look_for_it(client):
    assert client.get("/favicon.ico").url.endswith(".svg")


@pytest.mark.parametrize("path", ["/", "/nothing/here/"])
def test_plain_pages(client, path):
    answer = client.get(path)
    assert answer.status_code == (200 if path == "/" else 404)
    assert "<h1>" in answer.content.decode()


def test_the_foot_of_a_page_says_where_software_organisers_and_imprint_are(client, settings):
    settings.SITE_CONTACT, settings.IMPRINT_URL = "organisers@example.org", "https://example.org/imprint"
    settings.SOFTWARE_URL = "https://example.org/axonem"
    foot = client.get("/metric/").content.decode().partition("<footer")[2]
    for address in ("mailto:organisers@example.org", "https://example.org/imprint", "https://example.org/axonem"):
        assert f'href="{address}"' in foot


def test_without_an_address_of_the_software_the_foot_leads_to_how_it_is_installed(client, settings):
    settings.SOFTWARE_URL = ""
    foot = client.get("/metric/").content.decode().partition("<footer")[2]
    assert 'href="/docs/participants/#install">Software' in foot


def test_a_reproducible_entry_says_where_its_command_comes_from(client):
    entry = make_scored(make_benchmark(), 1000, is_reference=True, reproduce_command="baselines reproduce fib25")
    for path in ("submission", "method"):
        page = client.get(reverse(path, args=[entry.code])).content.decode()
        assert "baselines reproduce fib25" in page
        assert "The commands come with the package" in page


def test_a_benchmark_without_ground_truth_is_shown(client):
    phase = make_benchmark(ready=False)
    page = client.get(reverse("benchmark", args=[phase.benchmark.slug]))
    assert page.status_code == 200
    assert '<td class="num">–</td>' in page.content.decode()


def test_the_home_page_without_any_benchmark(client):
    assert "no benchmark" in client.get("/").content.decode()
