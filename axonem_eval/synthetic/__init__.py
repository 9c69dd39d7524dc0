"""Synthetic axon tissue with dense labels, and controlled errors on labels.

make_tissue(shape_zyx, voxel_size_nm_zyx, seed=...) -> Tissue(labels, raw, kind, ...)
with_errors(labels, voxel_size_nm_zyx, Errors(splits=..., merges=...)) -> (labels, records)
write_labels : chunked HDF5, also of grey values, with the attribute voxel_size_nm (z,y,x)
"""

from axonem_eval.synthetic.anatomy import Anatomy
from axonem_eval.synthetic.errors import (
    Errors,
    drop,
    erode_boundaries,
    merge_below_tolerance,
    merge_labels,
    punch_holes,
    randomize_ids,
    shift_section,
    split_label,
    touching,
    with_errors,
)
from axonem_eval.synthetic.imaging import Defect, Imaging
from axonem_eval.synthetic.records import (
    DroppedSection,
    Erosion,
    Hole,
    Merge,
    Record,
    Relabelling,
    ShiftedSection,
    SmallMerge,
    Split,
)
from axonem_eval.synthetic.tissue import Tissue, make_tissue, write_labels

__all__ = [
    "Anatomy",
    "Defect",
    "DroppedSection",
    "Erosion",
    "Errors",
    "Hole",
    "Imaging",
    "Merge",
    "Record",
    "Relabelling",
    "ShiftedSection",
    "SmallMerge",
    "Split",
    "Tissue",
    "drop",
    "erode_boundaries",
    "make_tissue",
    "merge_below_tolerance",
    "merge_labels",
    "punch_holes",
    "randomize_ids",
    "shift_section",
    "split_label",
    "touching",
    "with_errors",
    "write_labels",
]
