"""What is said of a rejected file has a bound, whatever the file holds; and what a rejection costs its team."""

import pytest
from django.urls import reverse

from axonem_eval.errors import Complaint, InputError
from evalserver.jobs import REJECTED, Rejection, run_job, under_own_name
from evalserver.jobs.complaints import LONGEST_MESSAGE, MOST_BYTES, bounded
from evalserver.submissions import quota, services
from evalserver.submissions.models import Submission
from evalserver.submissions.results.mail import mail_result
from tests.factories import make_benchmark, make_submission, make_user
from tests.server.people import plain_site
from tests.server.real_scores import submit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("empty_queue")]


def complaint(code="wrong_shape", message="m", volume="A"):
    return {"volume": volume, "code": code, "message": message}


def reject(submission, *complaints):
    def work(lease):
        raise Rejection(list(complaints))

    run_job(Submission, submission.pk, work)
    submission = Submission.objects.get(pk=submission.pk)
    assert submission.status == REJECTED
    return submission


def test_few_complaints_stay_as_they_are():
    rows = [complaint(message=f"reason {i}") for i in range(5)]
    assert bounded(rows) == rows


def test_many_complaints_are_cut_and_counted():
    rows = [complaint(message=f"reason {i}: {'x' * 80}") for i in range(500)]
    kept = bounded(rows)
    assert kept[:-1] == rows[: len(kept) - 1]
    assert kept[-1]["message"] == f"and {500 - len(kept) + 1} more"
    assert sum(len(row["message"]) for row in kept) < MOST_BYTES + 100


def test_one_long_complaint_is_cut():
    (kept,) = bounded([complaint(message="x" * 10**6)])
    assert len(kept["message"]) == LONGEST_MESSAGE


def test_of_many_complaints_each_kind_is_told_once_before_any_is_told_twice():
    rows = [complaint(message=f"{i}" * 100) for i in range(300)] + [complaint("wrong_dtype", "float32")]
    assert {"wrong_shape", "wrong_dtype", "and_more"} == {row["code"] for row in bounded(rows)}


def test_one_volume_does_not_crowd_out_another():
    rows = [complaint(message="x" * 500) for _ in range(100)] + [complaint(message="mine", volume="B")]
    assert complaint(message="mine", volume="B") in bounded(rows)


def test_the_bound_holds_in_the_database_on_the_page_in_the_api_and_in_the_mail(client, settings, mailoutbox):
    plain_site(settings)
    user = make_user("Ada")
    submission = make_submission(make_benchmark(), team=user.teams.get(), created_by=user)
    error = InputError(Complaint("wrong_id", f"id {i} is not what it should be: {'x' * 60}") for i in range(520))
    rows = [submission.files.get().complaint(c.code, c.message) for c in error.complaints]
    submission = reject(submission, *rows)
    last = submission.complaints[-1]["message"]
    assert last.startswith("and 4")
    client.force_login(user)
    page = client.get(reverse("submission", args=[submission.code])).content.decode()
    answer = client.get(f"/api/v1/submissions/{submission.code}").content.decode()
    mail_result(submission.pk)
    for text in (page, answer, mailoutbox[0].body):
        assert last in text
        assert len(text) < 20_000


@pytest.mark.parametrize("code", ["too_slow", "too_much_memory", "reader_crashed"])
def test_a_rejection_for_what_the_file_cost_counts_and_is_said_to(client, settings, mailoutbox, code):
    plain_site(settings)
    phase, user = make_benchmark(per_day=1), make_user("Ada")
    submission = reject(submit(phase, user=user), complaint(code, "reading took too long"))
    assert quota.slots_left(team=user.teams.get(), phase=phase) == 0
    with pytest.raises(services.NotAccepted, match="too much time or memory"):
        submit(phase, user=user)
    client.force_login(user)
    assert "It counts against" in client.get(reverse("submission", args=[submission.code])).content.decode()
    mail_result(submission.pk)
    assert "counts against your daily limit" in mailoutbox[0].body
    assert "does not count" not in mailoutbox[0].body


def test_the_cost_counts_also_where_it_stands_behind_many_other_complaints():
    phase, user = make_benchmark(per_day=1), make_user("Ada")
    noise = [complaint(message="x" * 500) for _ in range(100)]
    reject(submit(phase, user=user), *noise, complaint("too_slow", "reading took too long"))
    assert quota.slots_left(team=user.teams.get(), phase=phase) == 0


def test_any_other_rejection_gives_the_slot_back(client):
    phase, user = make_benchmark(per_day=1), make_user("Ada")
    submission = reject(submit(phase, user=user), complaint())
    assert quota.slots_left(team=user.teams.get(), phase=phase) == 1
    client.force_login(user)
    assert "It does not count" in client.get(reverse("submission", args=[submission.code])).content.decode()


def test_a_costly_submission_that_an_organiser_starts_again_takes_no_second_slot():
    phase, user = make_benchmark(per_day=2), make_user("Ada")
    submission = reject(submit(phase, user=user), complaint("too_slow"))
    assert services.retry_submission(submission)
    assert quota.slots_left(team=user.teams.get(), phase=phase) == 1


@pytest.mark.parametrize("message", ["/data/private/submissions/ab/a.h5: cut off", "a.h5: cut off", "'a.h5': cut off"])
def test_a_file_is_named_as_its_owner_names_it(message):
    told = under_own_name(message, "submissions/ab/a.h5", "mine (1).h5")
    assert told.replace("'", "") == "mine (1).h5: cut off"
