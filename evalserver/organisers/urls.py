"""Routes of the organisers' pages."""

from django.urls import path, re_path

from evalserver.organisers import benchmark_views, people_views, views, workshop_views

urlpatterns = [
    path("", views.dashboard, name="organise"),
    path("requests/", views.requests, name="organise_requests"),
    path("requests/<int:pk>/", views.answer, name="organise_answer"),
    path("submissions/", views.submissions, name="organise_submissions"),
    path("submissions/change/", views.change_submissions, name="organise_change_submissions"),
    path("queue/", views.queue, name="organise_queue"),
    path("queue/stop/", views.stop_job, name="organise_stop_job"),
    path("log/", views.audit_log, name="organise_audit_log"),
    path("benchmarks/", benchmark_views.benchmarks, name="organise_benchmarks"),
    path("new-benchmark/", benchmark_views.add_benchmark, name="organise_add_benchmark"),
    path("benchmarks/<slug:slug>/", benchmark_views.benchmark, name="organise_benchmark"),
    path("benchmarks/<slug:slug>/edit/", benchmark_views.edit_benchmark, name="organise_edit_benchmark"),
    path("benchmarks/<slug:slug>/rescore/", benchmark_views.rescore, name="organise_rescore"),
    path("benchmarks/<slug:slug>/export/", views.request_export, name="organise_request_export"),
    path("benchmarks/<slug:slug>/export/state/", views.export_state, name="organise_export_state"),
    path("benchmarks/<slug:slug>/export.zip", views.export, name="organise_export"),
    path("benchmarks/<slug:slug>/new-volume/", benchmark_views.add_volume, name="organise_add_volume"),
    path("benchmarks/<slug:slug>/new-phase/", benchmark_views.add_phase, name="organise_add_phase"),
    path("benchmarks/<slug:slug>/volumes/<slug:volume>/", benchmark_views.edit_volume, name="organise_edit_volume"),
    path(
        "benchmarks/<slug:slug>/volumes/<slug:volume>/ground-truth/",
        benchmark_views.add_ground_truth,
        name="organise_add_ground_truth",
    ),
    path("benchmarks/<slug:slug>/phases/<slug:phase>/", benchmark_views.edit_phase, name="organise_edit_phase"),
    path(
        "benchmarks/<slug:slug>/phases/<slug:phase>/freeze/", benchmark_views.freeze_phase, name="organise_freeze_phase"
    ),
    path("benchmarks/<slug:slug>/people/", people_views.people, name="organise_people"),
    path("benchmarks/<slug:slug>/people/<int:pk>/", people_views.take_role, name="organise_take_role"),
    path("ground-truth/", benchmark_views.ground_truths, name="organise_ground_truths"),
    path("ground-truth/<int:pk>/", benchmark_views.ground_truth, name="organise_ground_truth"),
    path("ground-truth/<int:pk>/change/", benchmark_views.change_ground_truth, name="organise_change_ground_truth"),
    path("workshops/", workshop_views.workshops, name="organise_workshops"),
    path(
        "benchmarks/<slug:slug>/volumes/<slug:volume>/workshop/",
        workshop_views.add_workshop,
        name="organise_add_workshop",
    ),
    path("workshops/<int:pk>/", workshop_views.workshop, name="organise_workshop"),
    path("workshops/<int:pk>/batch/", workshop_views.batch, name="organise_workshop_batch"),
    path("workshops/<int:pk>/picture/", workshop_views.picture, name="organise_workshop_picture"),
    path("workshops/<int:pk>/view.json", workshop_views.view_state, name="organise_workshop_view_state"),
    re_path(
        r"^workshops/(?P<pk>\d{1,18})/view/(?P<name>.*)$",
        workshop_views.view_file,
        name="organise_workshop_view_file",
    ),
    path("workshops/<int:pk>/label/", workshop_views.label, name="organise_workshop_label"),
    path("workshops/<int:pk>/candidates/", workshop_views.candidates, name="organise_workshop_candidates"),
    path("workshops/<int:pk>/decide/", workshop_views.decide, name="organise_workshop_decide"),
    path("workshops/<int:pk>/cut/", workshop_views.cut, name="organise_workshop_cut"),
    path("workshops/<int:pk>/cut/request/", workshop_views.request_cut, name="organise_workshop_request_cut"),
    path("workshops/<int:pk>/finalise/", workshop_views.finalise, name="organise_workshop_finalise"),
]
