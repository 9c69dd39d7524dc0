"""The most frequent label of each block of voxels."""

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def most_frequent(labels, fz, fy, fx, out):  # type: ignore[no-untyped-def]
    """The most frequent label of each block; a tie goes to a non-zero label, so that thin axons survive."""
    size_z, size_y, size_x = labels.shape
    values = np.empty(fz * fy * fx, labels.dtype)
    counts = np.empty(fz * fy * fx, np.int64)
    for z in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                kinds = 0
                for i in range(z * fz, min((z + 1) * fz, size_z)):
                    for j in range(y * fy, min((y + 1) * fy, size_y)):
                        for k in range(x * fx, min((x + 1) * fx, size_x)):
                            value = labels[i, j, k]
                            place = 0
                            while place < kinds and values[place] != value:
                                place += 1
                            if place == kinds:
                                values[kinds] = value
                                counts[kinds] = 0
                                kinds += 1
                            counts[place] += 1
                best = 0
                for place in range(1, kinds):
                    more = counts[place] > counts[best]
                    if more or (counts[place] == counts[best] and values[best] == 0):
                        best = place
                out[z, y, x] = values[best]
