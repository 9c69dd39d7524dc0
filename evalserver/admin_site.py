"""The organisers' site: Django's admin with a page about the queue."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path


class EvalserverAdminConfig(AdminConfig):
    default_site = "evalserver.admin_site.OrganiserSite"


class OrganiserSite(admin.AdminSite):
    site_header = "Benchmark organisers"
    site_title = "Organisers"
    index_title = "Administration"
    index_template = "admin/organiser_index.html"

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [path("queue/", self.admin_view(self.queue_view), name="queue")]
        return [*own, *super().get_urls()]

    def queue_view(self, request: HttpRequest) -> HttpResponse:
        """Workers, waiting and running jobs, and when the reconciler last ran."""
        # Models are not loaded yet when this module is.
        from evalserver.health import queue_health

        context: dict[str, Any] = {
            **self.each_context(request),
            "title": "Queue and workers",
            "health": queue_health(),
        }
        return TemplateResponse(request, "admin/queue.html", context, headers={"Refresh": "5"})
