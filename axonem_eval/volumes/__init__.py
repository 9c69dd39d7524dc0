"""Label volumes of every format behind one face: open, check, read in chunks, downsample, write."""

from axonem_eval.progress import Progress, StageProgress
from axonem_eval.volumes.background_ids import reserved_of, reserved_warning
from axonem_eval.volumes.check import (
    check_labels,
    check_volume,
    header_complaints,
    open_for,
    require_voxel_size,
    reserved_id_warnings,
)
from axonem_eval.volumes.downsample import Box, blocks, downsample_block, near_isotropic_factor, read_small, small_shape
from axonem_eval.volumes.exchanged import exchanged_complaint, exchanged_files
from axonem_eval.volumes.hdf5.filters import warm_filters
from axonem_eval.volumes.hdf5.own import own_member, require_own_data
from axonem_eval.volumes.hdf5.writer import label_file, write_hdf5, write_label_blocks
from axonem_eval.volumes.label_info import LabelInfo
from axonem_eval.volumes.label_volume import (
    MAX_CHUNK_BYTES,
    MAX_CHUNKS,
    MEMORY_BUDGET_BYTES,
    Labels,
    LabelVolume,
    Scratch,
)
from axonem_eval.volumes.native import native_unsigned, read_only
from axonem_eval.volumes.open import open_labels, split_dataset
from axonem_eval.volumes.precomputed_writer import write_precomputed, write_precomputed_image
from axonem_eval.volumes.read_options import AS_STORED, ReadOptions
from axonem_eval.volumes.reversed_axes import ReversedAxes
from axonem_eval.volumes.single_file import unpack_single, unpacked
from axonem_eval.volumes.store import Store, list_store
from axonem_eval.volumes.threads import for_each_chunk, reading_threads, run_threads

__all__ = [
    "AS_STORED",
    "MAX_CHUNKS",
    "MAX_CHUNK_BYTES",
    "MEMORY_BUDGET_BYTES",
    "Box",
    "LabelInfo",
    "LabelVolume",
    "Labels",
    "Progress",
    "ReadOptions",
    "ReversedAxes",
    "Scratch",
    "StageProgress",
    "Store",
    "blocks",
    "check_labels",
    "check_volume",
    "downsample_block",
    "exchanged_complaint",
    "exchanged_files",
    "for_each_chunk",
    "header_complaints",
    "label_file",
    "list_store",
    "native_unsigned",
    "near_isotropic_factor",
    "open_for",
    "open_labels",
    "own_member",
    "read_only",
    "read_small",
    "reading_threads",
    "require_own_data",
    "require_voxel_size",
    "reserved_id_warnings",
    "reserved_of",
    "reserved_warning",
    "run_threads",
    "small_shape",
    "split_dataset",
    "unpack_single",
    "unpacked",
    "warm_filters",
    "write_hdf5",
    "write_label_blocks",
    "write_precomputed",
    "write_precomputed_image",
]
