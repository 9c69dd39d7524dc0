"""Labels as the kernels take them: native byte order, unsigned, read-only."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.spec import Triple
from axonem_eval.volumes.label_volume import Labels, LabelVolume


def native_unsigned(volume: LabelVolume, labels: Labels, origin_zyx: Triple) -> Labels:
    """Labels in native byte order as unsigned numbers; raises InputError for a negative one."""
    if not labels.dtype.isnative:
        labels = labels.astype(labels.dtype.newbyteorder("="))
    if labels.dtype.kind == "i":
        lowest = labels.min()
        if lowest < 0:
            at = np.argwhere(labels == lowest)[0] + origin_zyx
            raise negative_label(volume, int(lowest), (int(at[0]), int(at[1]), int(at[2])))
        labels = labels.view(f"u{labels.dtype.itemsize}")
    return read_only(labels)


def negative_label(volume: LabelVolume, label: int, at_zyx: Triple) -> InputError:
    """The complaint about a negative label; shared by `check` and the sampler."""
    return InputError.of(
        "negative_label",
        f"{volume.path.name}: label {label} at voxel {at_zyx} (z,y,x); labels must be 0 (background) or positive. "
        f"Save them unsigned, e.g. as uint64, and write background as 0, not -1 (dtype is {volume.dtype})",
    )


def read_only(labels: NDArray[Any]) -> NDArray[Any]:
    """The array as a read-only view: numba compiles one kernel, whoever owns the buffer."""
    labels = labels.view()
    labels.flags.writeable = False
    return labels
