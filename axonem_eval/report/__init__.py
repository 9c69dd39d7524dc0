"""Reports of a score and of a diagnosis: as JSON, and as pages with SVG plots."""

from axonem_eval.report import diagnosis_page, plots, svg
from axonem_eval.report.close_ups import Window, close_up_picture
from axonem_eval.report.diagnosis_page import render_diagnosis
from axonem_eval.report.full_report import dense_report, full_report
from axonem_eval.report.metric_figure import MetricExample, metric_file, metric_svg
from axonem_eval.report.pictures import PALETTE, render_axons, section_picture, webp
from axonem_eval.report.plots import bin_name
from axonem_eval.report.score_page import render_report
from axonem_eval.report.skeleton_courses import skeleton_courses
from axonem_eval.report.skeleton_pictures import render_skeleton
from axonem_eval.report.views import ReportViews
from axonem_eval.report.volume_figures import MOST_VOLUMES, axons_picture, lengths_figure

__all__ = [
    "MOST_VOLUMES",
    "PALETTE",
    "MetricExample",
    "ReportViews",
    "Window",
    "axons_picture",
    "bin_name",
    "close_up_picture",
    "dense_report",
    "diagnosis_page",
    "full_report",
    "lengths_figure",
    "metric_file",
    "metric_svg",
    "plots",
    "render_axons",
    "render_diagnosis",
    "render_report",
    "render_skeleton",
    "section_picture",
    "skeleton_courses",
    "svg",
    "webp",
]
