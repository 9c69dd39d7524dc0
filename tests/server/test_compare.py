"""Two entries side by side, and whether their difference is more than chance."""

import re

import pytest
from allauth.core.internal.ratelimit import get_ip
from django.urls import reverse

from axonem_eval.sampling import NodeSample
from axonem_eval.scoring import compare_samples
from evalserver.submissions.evaluation import comparison as service
from evalserver.submissions.models import Comparison
from tests.factories import TOLERANCE, make_benchmark, make_scored, make_user, tiny_graph, tiny_labels
from tests.server.real_scores import merged_axons, score_for_real, split_axons

pytestmark = pytest.mark.django_db


@pytest.fixture
def phase():
    return make_benchmark()


@pytest.fixture
def pair(phase):
    return score_for_real(phase, method_name="whole"), score_for_real(phase, split_axons(), method_name="cut")


def address(a, b) -> str:
    return f"{reverse('compare')}?a={a.code}&b={b.code}"


def test_both_entries_stand_side_by_side_before_anything_is_computed(client, pair):
    page = client.get(address(*pair)).content.decode()
    assert "whole" in page
    assert "cut" in page
    assert "ERL lost to splits" in page
    assert "Compute significance" in page
    assert not Comparison.objects.exists()


def test_values_are_read_off_the_curves_of_run_lengths_of_both(client, phase, pair):
    phase.volumes.update(ground_truth_public=True)
    page = client.get(address(*pair)).content.decode()
    whole, cut = (
        re.findall(rf"{side}, runs of 2\.\d\d µm and more: ([\d.]+)% of the cable, ground truth ([\d.]+)%", page)
        for side in "AB"
    )
    assert set(whole) == {("100.0", "100.0")}
    assert set(cut) == {("33.3", "100.0")}  # two of the three axons are cut


def test_a_difference_of_rates_has_no_more_digits_than_the_rates(client, phase, pair):
    phase.volumes.update(ground_truth_public=True)
    page = client.get(address(*pair)).content.decode()
    row = re.search(r"Splits per mm</th>(.*?)</tr>", page, re.DOTALL)[1]
    none, rate, difference = re.findall(r">\s*([−\d.,]+)\s*</td>", row)
    assert (none, difference) == ("0", f"−{rate}")
    assert float(rate) >= 100


def test_the_address_of_an_entrys_page_is_a_name_for_it(client, pair):
    a, b = pair
    url = reverse("compare")
    pasted = {"a": f"https://bench.example.org/submissions/{a.code}/", "b": f" {b.code} "}
    assert "ERL lost to splits" in client.get(url, pasted).content.decode()


def test_a_reader_compares_only_what_they_may_see(client, pair, phase):
    private = score_for_real(phase, published_at=None)
    assert client.get(address(pair[0], private)).status_code == 404
    client.force_login(private.team.members.get())
    for sides in ((pair[0], private), (private, pair[0])):
        page = client.get(address(*sides)).content.decode()
        assert re.findall(r'value="(\w+)" selected', page) == [entry.code for entry in sides]


def test_entries_of_two_phases_are_not_compared(client, pair):
    other = score_for_real(make_benchmark())
    page = client.get(address(pair[0], other)).content.decode()
    assert "not scored on the same axons" in page
    client.force_login(make_user())
    assert client.post(reverse("compare"), {"a": pair[0].code, "b": other.code}).status_code == 404


@pytest.mark.parametrize(("own", "above"), [(0, 1), (1, 0), (2, 1), ("private", 1)])
def test_the_other_entry_is_chosen_from_the_board_the_one_above_first(client, phase, own, above):
    ranked = [make_scored(phase, erl, method_name=f"erl {erl}") for erl in (9000, 7000, 5000)]
    if own == "private":
        own = 3
        ranked.append(make_scored(phase, 6000, method_name="private", published_at=None))
        client.force_login(ranked[own].team.members.get())
    page = client.get(reverse("compare"), {"a": ranked[own].code}).content.decode()
    (choices,) = re.findall(r'<select id="entry-b" name="b">(.*?)</select>', page, re.DOTALL)
    others = [entry.code for entry in ranked[:3] if entry is not ranked[own]]
    assert re.findall(r'value="(\w+)"', choices) == others
    assert re.findall(r'value="(\w+)" selected', choices) == [ranked[above].code]


def test_an_entry_is_not_compared_with_itself(client, pair):
    assert "Choose two" in client.get(address(pair[0], pair[0])).content.decode()


def test_the_api_compares_as_the_page_does(client, pair, phase, empty_queue):
    a, b = pair
    path = f"/api/v1/comparisons/{a.code}/{b.code}"
    answer = client.get(path).json()
    assert (answer["state"], answer["mean"]) == ("none", None)
    erl = answer["volumes"][0]["figures"][0]
    assert (erl["figure"], erl["unit"]) == ("ERL", "um")
    assert erl["difference"] == pytest.approx(erl["a"] - erl["b"])
    assert client.post(path, content_type="application/json").status_code == 401
    client.force_login(make_user())
    assert client.post(path, content_type="application/json").json()["state"] == "computing"
    service.compare(Comparison.objects.get().pk)
    answer = client.get(path).json()
    assert answer["state"] == "ready"
    assert answer["mean"]["difference_nm"] > 0
    assert answer["volumes"][0]["paired"]["p_value"] == answer["mean"]["p_value"]
    # Axons of hidden ground truth are not counted.
    assert answer["volumes"][0]["axons_worse"] is None
    phase.volumes.update(ground_truth_public=True)
    assert client.get(path).json()["volumes"][0]["axons_worse"] == 0


def test_the_api_compares_only_what_can_be_compared_and_seen(client, pair, phase):
    a, private = pair[0], score_for_real(phase, published_at=None)
    other = score_for_real(make_benchmark())
    for code, status in ((private.code, 404), ("none", 404), (a.code, 409), (other.code, 409)):
        assert client.get(f"/api/v1/comparisons/{a.code}/{code}").status_code == status


def test_who_is_not_logged_in_keeps_few_workers_busy_and_leaves_room_for_others(client, pair, phase, settings):
    settings.ACCOUNT_RATE_LIMITS = {"compare": "7/h/ip"}
    others = [score_for_real(phase) for _ in range(7)]

    def ask(other):
        form = f"a={pair[0].code}&b={other.code}"
        kind = "application/x-www-form-urlencoded"  # as browsers send it
        return client.post(reverse("compare"), form, content_type=kind, follow=True).content.decode()

    pages = [ask(other) for other in others[:5]]
    assert all("Waiting for a worker" in page for page in pages)
    assert "Many comparisons are waiting for a worker. Try again in a few minutes or log in." in ask(others[5])
    Comparison.objects.update(status="ready")
    assert "Waiting for a worker" in ask(others[5])
    assert "Your network has asked for many comparisons" in ask(others[6])
    assert Comparison.objects.count() == 6
    client.force_login(make_user())
    assert "Waiting for a worker" in ask(others[6])


@pytest.mark.parametrize(
    ("callers", "counted"),
    [
        (["10.0.0.7", "10.0.0.8", "::ffff:10.0.0.7", "::ffff:10.0.0.8"], 2),
        (["2001:db8:1:2:3::4", "2001:db8:1:2:ffff::"], 1),
    ],
)
def test_limits_of_a_network_count_ipv4_by_address_and_ipv6_by_its_64(rf, callers, counted):
    assert len({get_ip(rf.post("/", REMOTE_ADDR=caller)) for caller in callers}) == counted


def test_the_bootstrap_is_the_librarys_and_computed_once(client, pair):
    a, b = pair
    client.force_login(make_user())
    for _ in range(2):
        client.post(reverse("compare"), {"a": a.code, "b": b.code})
    row = Comparison.objects.get()
    service.compare(row.pk)
    row.refresh_from_db()
    assert row.status == "ready"
    graph = tiny_graph()
    samples = [NodeSample.of_labels(x[tuple(graph.node_voxel_zyx.T)]) for x in (tiny_labels(), split_axons())]
    at_home = compare_samples(graph, *samples, tolerance_nodes=TOLERANCE)
    assert row.result["mean"] == at_home.bootstrap.to_json()
    assert row.result["volumes"][0]["axons_better"] == at_home.axons_better == 2
    client.logout()
    assert "paired bootstrap over about 3 axons" in client.get(address(a, b)).content.decode()


def test_the_other_way_round_is_the_negative(pair):
    a, b = pair
    results = []
    for one, two in ((a, b), (b, a)):
        row = service.request_comparison(one, two)
        service.compare(row.pk)
        row.refresh_from_db()
        results.append(row.result["mean"])
    assert results[0]["difference_nm"] == -results[1]["difference_nm"] > 0
    assert results[0]["difference_low_nm"] == pytest.approx(-results[1]["difference_high_nm"])
    assert results[0]["p_value"] == results[1]["p_value"]


def test_equal_entries_are_not_told_apart(client, phase):
    a, b = score_for_real(phase, merged_axons()), score_for_real(phase, merged_axons())
    service.compare(service.request_comparison(a, b).pk)
    assert "The difference may be chance" in client.get(address(a, b)).content.decode()


def test_a_comparison_under_a_changed_tolerance_is_asked_for_anew(client, phase, pair):
    row = service.request_comparison(*pair)
    phase.volumes.update(tolerance_nodes=TOLERANCE + 1)
    service.compare(row.pk)
    row.refresh_from_db()
    assert row.status == "rejected"
    assert service.comparison_of(*pair) is None


def test_without_stored_labels_the_page_says_so(client, phase):
    a, b = make_scored(phase, 1000), make_scored(phase, 2000)
    row = service.request_comparison(a, b)
    service.compare(row.pk)
    assert "no longer stored" in client.get(address(a, b)).content.decode()


def test_waiting_comparisons_are_limited(client, pair, monkeypatch):
    monkeypatch.setattr(service, "MAX_WAITING", 0)
    client.force_login(make_user())
    answer = client.post(reverse("compare"), {"a": pair[0].code, "b": pair[1].code}, follow=True)
    assert "Many comparisons are waiting" in answer.content.decode()
