"""The page where a reader moves errors: the script's figures are the scorer's. No server runs; pages come from here."""

import itertools
import mimetypes

import pytest
from django.contrib.staticfiles import finders
from django.test import Client
from playwright.sync_api import expect

from axonem_eval.report import MetricExample
from tests.browser.accessibility import look
from tests.server.people import plain_site

pytestmark = pytest.mark.browser
CASES = list(itertools.product((1, 6, 20), (0, 1, 14, 24), (0, 1, 12), (0, 5, 6, 20)))


@pytest.fixture
def metric_html(settings) -> bytes:
    plain_site(settings)
    return Client().get("/metric/").content


def open_metric(context, html: bytes):
    """The page with its style sheets and scripts."""

    def answer(route):
        name = route.request.url.partition("/static/")[2]
        path = finders.find(name) if name else None
        if path:
            route.fulfill(path=path, content_type=mimetypes.guess_type(path)[0])
        elif route.request.url.endswith("/metric/"):
            route.fulfill(body=html, content_type="text/html; charset=utf-8")
        else:
            route.fulfill(status=404)

    page = context.new_page()
    page.route("**/*", answer)
    page.goto("http://metric.test/metric/")
    return page


def test_the_script_computes_what_the_scorer_computes(metric_html, browser):
    page = open_metric(browser.new_context(), metric_html)
    found = page.evaluate(
        """cases => cases.map(values => {
          const form = document.getElementById("metric-example");
          ["tolerance", "split", "omitted", "shared"].forEach((name, i) => (form.elements[name].value = values[i]));
          form.dispatchEvent(new Event("input"));
          const edges = [...document.querySelectorAll("svg.metric .edge")].map(e => e.getAttribute("class").slice(5));
          const told = document.querySelector("svg.metric text.merger").textContent;
          return [Number(form.dataset.erlNm), edges, told];
        })""",
        CASES,
    )
    expected = [MetricExample(*case) for case in CASES]
    assert [erl for erl, *_ in found] == pytest.approx([example.report.erl_nm for example in expected], rel=1e-12)
    assert [edges for _, edges, _ in found] == [example.edge_classes for example in expected]
    assert [told for *_, told in found] == [example.shared_words for example in expected]


def test_a_slider_moved_by_keyboard_changes_the_sum(metric_html, browser, pictures):
    page = open_metric(browser.new_context(), metric_html)
    before, after = MetricExample().lines[1], MetricExample(tolerance=20).lines[1]
    assert before != after
    total = page.locator("svg.metric text.total")
    expect(total).to_have_text(before)
    page.get_by_label("Tolerance").press("End")
    expect(total).to_have_text(after)
    assert look(page, "metric", pictures) == []


def test_without_javascript_it_is_a_picture(metric_html, browser):
    page = open_metric(browser.new_context(java_script_enabled=False), metric_html)
    assert page.locator("svg.metric").is_visible()
    assert not page.locator("#metric-example").is_visible()
