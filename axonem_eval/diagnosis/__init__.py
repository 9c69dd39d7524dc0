"""Likely splits and mergers of a segmentation, from its own skeletons, without ground truth."""

from axonem_eval.diagnosis.diagnose import SCHEMA, Diagnosis, diagnose

__all__ = [
    "SCHEMA",
    "Diagnosis",
    "diagnose",
]
