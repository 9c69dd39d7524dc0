"""Limits on the work that a file may cause, checked before anything is decoded.

A file of a few bytes may declare chunks of a GB, or a billion chunks. So the limits grow with the bytes that the file
stores.
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axonem_eval.errors import InputError
from axonem_eval.sizes import size_in_words
from axonem_eval.spec import format_triple
from axonem_eval.volumes.label_volume import MAX_CHUNK_BYTES, MAX_CHUNKS

# Any file may have chunks of this size; larger ones must be stored in at least one byte of 256.
FREE_CHUNK_BYTES = 64 << 20
CHUNK_BYTES_A_STORED_BYTE = 256
# Any file may have this many chunks; with more there must be a stored byte for each.
FREE_CHUNKS = 1_000_000
# A thousand times the largest volumes that are scored.
MAX_VOXELS = 1 << 44
# An address, or a size, larger than that of any file; the sum of two is an int64. Damaged files state larger ones.
BEYOND = 1 << 61


def most_chunk_bytes(stored_bytes: int) -> int:
    """Largest decompressed size of a chunk in a file of that size."""
    return min(MAX_CHUNK_BYTES, max(FREE_CHUNK_BYTES, CHUNK_BYTES_A_STORED_BYTE * stored_bytes))


def require_small_chunk(
    name: str, chunk_zyx: tuple[int, ...], itemsize: int, stored_bytes: int, what: str = "chunk"
) -> None:
    """Raise InputError where a decompressed chunk is larger than a file of that size may have."""
    chunk_bytes, most = math.prod(chunk_zyx) * itemsize, most_chunk_bytes(stored_bytes)
    if chunk_bytes > most:
        raise InputError.of(
            "huge_chunk",
            f"{name}: one {what} is {format_triple(chunk_zyx)} voxels, {size_in_words(chunk_bytes)}; expected at most "
            f"{size_in_words(most)}, which grows with the {size_in_words(stored_bytes)} that are stored. Write "
            "chunks of about 64 x 64 x 64 voxels (of HDF5: `h5repack -l CHUNK=64x64x64 -f GZIP=4 IN OUT`)",
        )


def require_few_chunks(
    name: str, shape_zyx: tuple[int, ...], chunk_zyx: tuple[int, ...], stored_bytes: int | None = None
) -> None:
    """Raise InputError where there are more chunks or voxels than a file of that size may have.

    stored_bytes : size of the file; None where it does not matter, as for a volume in one piece.
    """
    chunks = math.prod(-(-n // c) for n, c in zip(shape_zyx, chunk_zyx, strict=True))
    most = MAX_CHUNKS if stored_bytes is None else min(MAX_CHUNKS, max(FREE_CHUNKS, stored_bytes))
    if chunks > most:
        grows = (
            f", which grows with the {size_in_words(stored_bytes)} that are stored"
            if stored_bytes and most < MAX_CHUNKS
            else ""
        )
        raise InputError.of(
            "tiny_chunks",
            f"{name}: {chunks:,} chunks of {format_triple(chunk_zyx)} voxels, expected at most {most:,}{grows}; "
            "rewrite it with chunks of about 64 x 64 x 64",
        )
    if math.prod(shape_zyx) > MAX_VOXELS:
        raise InputError.of(
            "too_many_voxels",
            f"{name}: the labels have shape {format_triple(shape_zyx)}, {math.prod(shape_zyx):.1e} voxels; expected "
            f"at most {MAX_VOXELS:.1e}. Write the volume of the benchmark",
        )


def require_apart(path: Path, address: NDArray[np.int64], size: NDArray[np.int64], what: str = "chunks") -> None:
    """Raise InputError where parts share bytes of the file: no writer does that, and a small file could take long.

    address, size : (n,) bytes, of parts such as stored chunks; a part with a negative address is not stored.
    """
    written = np.flatnonzero((address >= 0) & (size > 0))
    first, end = address[written], address[written] + size[written]
    if (first[1:] >= end[:-1]).all():
        return
    order = np.argsort(first, kind="stable")
    shared = int(np.count_nonzero(first[order][1:] < end[order][:-1]))
    if shared:
        raise InputError.of(
            "overlapping_chunks",
            f"{path.name}: {shared:,} of {len(written):,} stored {what} lie on bytes of another; expected each in a "
            "place of its own. The file is damaged: write it again",
        )


def require_inside(path: Path, address: NDArray[np.int64], size: NDArray[np.int64], what: str = "chunks") -> None:
    """Raise InputError where parts lie beyond the end of the file. Arguments as in ``require_apart``."""
    file_bytes = path.stat().st_size
    beyond = int(np.count_nonzero(address + size > file_bytes))
    if beyond:
        raise InputError.of(
            "truncated",
            f"{path.name}: {beyond:,} of {len(address):,} {what} lie beyond the end of the file ({file_bytes:,} "
            "bytes). The copy or upload broke off: compare sha256sum and send it again",
        )
