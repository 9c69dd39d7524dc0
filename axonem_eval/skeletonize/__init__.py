"""Skeletons from labels, block by block, by TEASAR. Needs the extra [groundtruth]."""

from axonem_eval.skeletonize.tasks import (
    LabelVoxels,
    Plan,
    SkeletonOptions,
    has_read_block,
    has_skeletonized_batch,
    read_block,
    skeletonize_batch,
)
from axonem_eval.skeletonize.teasar import Teasar
from axonem_eval.skeletonize.volume import Mapper, read_labels, skeletonize_labels, skeletonize_share

__all__ = [
    "LabelVoxels",
    "Mapper",
    "Plan",
    "SkeletonOptions",
    "Teasar",
    "has_read_block",
    "has_skeletonized_batch",
    "read_block",
    "read_labels",
    "skeletonize_batch",
    "skeletonize_labels",
    "skeletonize_share",
]
