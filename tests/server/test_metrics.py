"""What operators' programs read: /metrics for Prometheus, lines of the log as JSON, ids of requests and jobs."""

import json
import logging
import re
from pathlib import Path

import pytest
from django.test import Client

from evalserver.front.counts import Counts
from evalserver.log_format import AddIds, JsonLines, job_id, request_id
from tests.factories import make_benchmark, make_submission

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana-dashboard.json"
SAMPLE = re.compile(r"axonem_[a-z_]+(\{[^}]*\})? [-+0-9.eE]+(Inf|NaN)?")

GIVEN = {"Authorization": "Bearer a-secret-for-prometheus"}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("empty_queue")
def test_metrics_tell_jobs_queues_and_requests(settings):
    make_submission(make_benchmark())
    counts = Counts()
    counts.add("GET", 200, 0.02)
    counts.add("WEIRD", 404, 100.0)
    counts.flush()
    settings.METRICS_TOKEN = "a-secret-for-prometheus"
    text = Client().get("/metrics", headers=GIVEN).content.decode()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) or line.endswith("NaN") for line in lines), lines
    assert 'axonem_jobs{kind="submission",status="uploaded"} 1.0' in lines
    assert 'axonem_requests_total{method="other",status="404"} 1.0' in lines
    assert 'axonem_request_seconds_bucket{le="0.03"} 1.0' in lines
    assert "axonem_request_seconds_count 2.0" in lines
    assert "axonem_redis_up 1.0" in lines


@pytest.mark.django_db
@pytest.mark.usefixtures("empty_queue")
@pytest.mark.parametrize("page", ["/healthz", "/metrics"])
def test_programs_ask_by_an_address_that_allowed_hosts_does_not_name(settings, page):
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["bench.example.org"], True
    settings.METRICS_TOKEN = "a-secret-for-prometheus"
    assert Client().get(page, headers=GIVEN | {"Host": "web:8000"}).status_code == 200
    assert Client().get("/", headers={"Host": "web:8000"}).status_code == 400


@pytest.mark.django_db
def test_metrics_are_for_who_has_the_token(client, settings):
    assert client.get("/metrics").status_code == 404  # also from this machine: it may be a proxy's
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
    settings.METRICS_TOKEN = "a-secret-for-prometheus"
    assert client.get("/metrics").status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer another"}).status_code == 404
    assert client.get("/metrics", REMOTE_ADDR="10.0.0.9", headers=GIVEN).status_code == 200


@pytest.mark.django_db
def test_the_dashboard_draws_only_what_the_server_tells(client, settings):
    settings.METRICS_TOKEN = "a-secret-for-prometheus"
    text = client.get("/metrics", headers=GIVEN).content.decode()
    told = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))
    drawn = set(re.findall(r"axonem_\w+", DASHBOARD.read_text()))
    assert drawn
    assert {re.sub(r"_(bucket|total)$", "", name) for name in drawn} <= {re.sub(r"_total$", "", name) for name in told}


def test_a_line_of_the_log_names_request_and_job():
    record = logging.LogRecord("evalserver.jobs", logging.WARNING, "", 0, "lost %s", ("it",), None)
    record.fields = {"status": 200}
    tokens = request_id.set("ab12"), job_id.set("submissions.submission-7")
    try:
        assert AddIds().filter(record)
    finally:
        request_id.reset(tokens[0])
        job_id.reset(tokens[1])
    line = json.loads(JsonLines().format(record))
    assert (line["request_id"], line["job_id"]) == ("ab12", "submissions.submission-7")
    assert (line["message"], line["level"], line["status"]) == ("lost it", "WARNING", 200)
    plain = logging.Formatter("{ids}{message}", style="{").format(record)
    assert plain == "[ab12 submissions.submission-7] lost it"
