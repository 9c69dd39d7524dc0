"""Django's admin, for what the organisers' own pages do not have."""

from django.contrib import admin
from django.contrib.admin.apps import AdminConfig


class EvalserverAdminConfig(AdminConfig):
    """Django's admin, by the site below."""

    default_site = "evalserver.site.admin_site.OrganiserSite"


class OrganiserSite(admin.AdminSite):
    """/admin/ under the organisers' name."""

    site_header = "Benchmark organisers"
    site_title = "Organisers"
    index_title = "Administration"
    index_template = "admin/organiser_index.html"
