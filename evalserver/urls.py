"""All routes."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from evalserver.api import tus
from evalserver.api.urls import api, not_found
from evalserver.benchmarks import views as benchmarks
from evalserver.leaderboard import feeds, method_views, team_views, track_views
from evalserver.leaderboard import views as leaderboard
from evalserver.site import documentation, metrics, views
from evalserver.submissions import views as submissions
from evalserver.submissions.results import compare_views, viewer_views
from evalserver.submissions.results import views as results
from evalserver.uploads import views as uploads

# Organisers log in where everybody does: with a second factor, and not without end.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

handler404 = "evalserver.site.errors.answer_to_not_found"
handler500 = "evalserver.site.errors.answer_to_exception"

urlpatterns = [
    path("", views.home, name="home"),
    path("metric/", views.metric, name="metric"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("healthz", views.health, name="health"),
    path("metrics", metrics.metrics, name="metrics"),
    path("benchmarks/<slug:slug>/", benchmarks.detail, name="benchmark"),
    path("benchmarks/<slug:slug>/participate/", benchmarks.participate, name="participate"),
    path("benchmarks/<slug:slug>/training/<int:pk>/", benchmarks.training_file, name="training_file"),
    path("benchmarks/<slug:slug>/<slug:volume>/ground-truth.npz", benchmarks.bundle, name="ground_truth_bundle"),
    path("benchmarks/<slug:slug>/pictures/<int:pk>/", benchmarks.picture, name="picture"),
    path(
        "benchmarks/<slug:slug>/<slug:volume>/axons/<slug:kind>-<int:number>.webp",
        benchmarks.axon_picture,
        name="axon_picture",
    ),
    path("benchmarks/<slug:slug>/<slug:volume>/axons/courses.json", benchmarks.axon_courses, name="axon_courses"),
    path("benchmarks/<slug:slug>/<slug:volume>/axons/", benchmarks.volume_axons, name="volume_axons"),
    path("benchmarks/<slug:slug>/leaderboard/", leaderboard.table, name="leaderboard"),
    path("benchmarks/<slug:slug>/tracks/", track_views.tracks, name="tracks"),
    re_path(r"^benchmarks/(?P<slug>[-\w]+)/tracks\.(?P<form>csv|json)$", track_views.download, name="tracks_download"),
    re_path(
        r"^benchmarks/(?P<slug>[-\w]+)/leaderboard\.(?P<form>csv|json)$",
        leaderboard.download,
        name="leaderboard_download",
    ),
    path("feed.atom", feeds.site_feed, name="feed"),
    path("benchmarks/<slug:slug>/feed.atom", feeds.benchmark_feed, name="benchmark_feed"),
    path("methods/<slug:code>/", method_views.method, name="method"),
    path("submissions/<slug:code>/badge.svg", method_views.badge, name="badge"),
    path("benchmarks/<slug:slug>/submit/", submissions.upload, name="upload"),
    path("submissions/", results.my_submissions, name="my_submissions"),
    path("submissions/<slug:code>/", results.detail, name="submission"),
    path("submissions/<slug:code>/progress/", results.progress, name="submission_progress"),
    path("submissions/<slug:code>/edit/", results.edit, name="submission_edit"),
    path("submissions/<slug:code>/result.json", results.result_json, name="result_json"),
    path("submissions/<slug:code>/result.csv", results.result_csv, name="result_csv"),
    path("submissions/<slug:code>/<slug:volume>/<str:table>.csv", results.volume_table, name="volume_table"),
    path("submissions/<slug:code>/<slug:volume>/errors/", results.worst_errors, name="worst_errors"),
    path("submissions/<slug:code>/<slug:volume>/errors/<int:number>.webp", results.error_picture, name="error_picture"),
    path("submissions/<slug:code>/<slug:volume>/diagnosis/", results.diagnosis, name="diagnosis"),
    path("submissions/<slug:code>/<slug:volume>/diagnosis.json", results.diagnosis_json, name="diagnosis_json"),
    path(
        "submissions/<slug:code>/<slug:volume>/skeletons.npz",
        results.diagnosis_skeletons,
        name="diagnosis_skeletons",
    ),
    path("submissions/<slug:code>/<slug:volume>/view.json", viewer_views.state, name="view_state"),
    re_path(
        r"^submissions/(?P<code>[-\w]+)/(?P<volume>[-\w]+)/view/(?P<name>.*)$", viewer_views.view_file, name="view_file"
    ),
    re_path(
        r"^benchmarks/(?P<slug>[-\w]+)/(?P<volume>[-\w]+)/skeletons/(?P<name>.*)$",
        viewer_views.skeleton_file,
        name="skeleton_file",
    ),
    path("benchmarks/<slug:slug>/data/<int:pk>/view.json", viewer_views.image_state, name="image_state"),
    re_path(
        r"^benchmarks/(?P<slug>[-\w]+)/data/(?P<pk>\d{1,18})/view/(?P<name>.*)$",
        viewer_views.image_file,
        name="image_file",
    ),
    # The client finds its name for a Python process behind /v/ in its own address.
    re_path(r"^viewer/v/result/(?P<name>[\w.]*)$", viewer_views.client, name="viewer"),
    re_path(r"^viewer/(?:action|state|volume_response|credentials)/", viewer_views.no_python),
    path("submissions/<slug:code>/<slug:action>/", submissions.act, name="submission_action"),
    path("compare/", compare_views.compare, name="compare"),
    path("teams/<int:pk>/", team_views.team, name="team"),
    path("docs/", documentation.index, name="docs"),
    path("docs/img/<str:name>", documentation.image, name="docs_image"),
    path("docs/<slug:name>/", documentation.page, name="docs_page"),
    path("", include("evalserver.accounts.urls")),
    path("uploads/", uploads.my_uploads, name="my_uploads"),
    path("uploads/<slug:code>/remove/", uploads.remove, name="remove_upload"),
    path("api/v1/uploads/", tus.collection, name="tus_uploads"),
    path("api/v1/uploads/<slug:code>", tus.upload, name="tus_upload"),
    path("api/v1/", api.urls),
    re_path(r"^api/", not_found),
    path("organise/", include("evalserver.organisers.urls")),
    path("admin/queue/", RedirectView.as_view(pattern_name="organise_queue")),
    path("admin/", admin.site.urls),
]
