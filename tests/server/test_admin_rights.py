"""What staff may do at /admin/: who may only look changes nothing, and keys to accounts are for superusers."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import RequestFactory
from django.urls import reverse

from evalserver.submissions.models import Submission
from tests.factories import make_benchmark, make_scored, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_queue")]


def with_permissions(**conditions):
    helper = make_user("Hal", is_staff=True)
    helper.user_permissions.set(Permission.objects.filter(**conditions))
    return helper


def pages():
    return [
        (model, admin.site.get_model_admin(model)) for model in apps.get_models() if admin.site.is_registered(model)
    ]


def test_who_may_look_at_everything_is_offered_no_action_on_any_page():
    request = RequestFactory().get("/admin/")
    request.user = with_permissions(codename__startswith="view_")
    offered = {model: page.get_actions(request) for model, page in pages() if page.has_view_permission(request)}
    assert len(offered) >= 12
    assert {model: actions for model, actions in offered.items() if actions} == {}


def test_an_action_that_is_sent_anyway_changes_nothing(client):
    entry = make_scored(make_benchmark(), 5000)
    client.force_login(with_permissions(codename="view_submission"))
    address = reverse("admin:submissions_submission_changelist")
    client.post(address, {"action": "hide", "_selected_action": [entry.pk]})
    assert Submission.objects.get().hidden_at is None


def test_what_logs_people_in_is_for_superusers_whatever_staff_may(client):
    keys = [model._meta for model, _ in pages() if model.__module__.startswith("allauth.")]
    assert {meta.model_name for meta in keys} >= {"emailaddress", "authenticator", "socialaccount", "socialtoken"}
    addresses = [
        reverse(f"admin:{meta.app_label}_{meta.model_name}_{what}") for meta in keys for what in ("changelist", "add")
    ]
    client.force_login(with_permissions())
    assert {client.get(address).status_code for address in addresses} == {403}
    client.force_login(make_user("Olga", is_staff=True, is_superuser=True))
    assert {client.get(address).status_code for address in addresses} == {200}
