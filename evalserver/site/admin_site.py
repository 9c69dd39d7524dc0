"""The organisers' site: Django's admin with a page about the queue."""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.apps import AdminConfig
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.http import require_POST


class EvalserverAdminConfig(AdminConfig):
    default_site = "evalserver.site.admin_site.OrganiserSite"


class OrganiserSite(admin.AdminSite):
    site_header = "Benchmark organisers"
    site_title = "Organisers"
    index_title = "Administration"
    index_template = "admin/organiser_index.html"

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [
            path("queue/", self.admin_view(self.queue_view), name="queue"),
            path("queue/stop/", self.admin_view(require_POST(self.stop_view)), name="stop_job"),
        ]
        return [*own, *super().get_urls()]

    def queue_view(self, request: HttpRequest) -> HttpResponse:
        """Workers, waiting and running jobs, and when the reconciler last ran."""
        # Models are not loaded yet when this module is.
        from evalserver.jobs.health import queue_health

        context: dict[str, Any] = {
            **self.each_context(request),
            "title": "Queue and workers",
            "health": queue_health(),
        }
        return TemplateResponse(request, "admin/queue.html", context, headers={"Refresh": "5"})

    def stop_view(self, request: HttpRequest) -> HttpResponse:
        """End one job that waits or runs."""
        from evalserver.jobs.health import NotStopped, stop

        try:
            job = stop(request.POST.get("job", ""), by=request.user)  # type: ignore[arg-type]  # admin_view lets users in
        except NotStopped as reason:
            messages.error(request, str(reason))
        else:
            messages.success(request, f"{job} is stopped. Its worker is free within a few seconds.")
        return redirect("admin:queue")
