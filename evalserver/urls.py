"""All routes."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import path

from evalserver import views
from evalserver.accounts import views as accounts
from evalserver.benchmarks import views as benchmarks
from evalserver.leaderboard import views as leaderboard
from evalserver.submissions import views as submissions

urlpatterns = [
    path("", views.home, name="home"),
    path("healthz", views.health, name="health"),
    path("benchmarks/<slug:slug>/", benchmarks.detail, name="benchmark"),
    path("benchmarks/<slug:slug>/leaderboard/", leaderboard.table, name="leaderboard"),
    path("benchmarks/<slug:slug>/submit/", submissions.upload, name="upload"),
    path("submissions/", submissions.my_submissions, name="my_submissions"),
    path("submissions/<slug:code>/", submissions.detail, name="submission"),
    path("submissions/<slug:code>/progress/", submissions.progress, name="submission_progress"),
    path("submissions/<slug:code>/<slug:action>/", submissions.act, name="submission_action"),
    path("accounts/signup/", accounts.sign_up, name="signup"),
    path("accounts/login/", accounts.LogIn.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]
