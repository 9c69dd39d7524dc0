"""Skeletons from labels, block by block, by TEASAR. Needs the extra [groundtruth]."""

from axonem_eval.skeletonize.tasks import (
    LabelVoxels,
    SkeletonOptions,
    has_read_block,
    has_skeletonized_batch,
    read_block,
    skeletonize_batch,
)
from axonem_eval.skeletonize.teasar import Teasar
from axonem_eval.skeletonize.volume import skeletonize_labels

__all__ = [
    "LabelVoxels",
    "SkeletonOptions",
    "Teasar",
    "has_read_block",
    "has_skeletonized_batch",
    "read_block",
    "skeletonize_batch",
    "skeletonize_labels",
]
