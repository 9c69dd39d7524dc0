"""Likely splits and mergers of a segmentation, from its own skeletons, without ground truth."""

from axonem_eval.diagnosis.diagnose import Diagnosis, diagnose
from axonem_eval.diagnosis.split_and_merge_candidates import mutually_best, rank_in_segment
from axonem_eval.diagnosis.to_json import SCHEMA, diagnosis_json, summary_lines

__all__ = [
    "SCHEMA",
    "Diagnosis",
    "diagnose",
    "diagnosis_json",
    "mutually_best",
    "rank_in_segment",
    "summary_lines",
]
