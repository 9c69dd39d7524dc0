"""Which shard of a precomputed volume holds a chunk, by Neuroglancer's specification of sharded volumes."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.uint64]

# A few arrays of this many chunks are held at once.
_BLOCK = 1 << 20


def chunks_with_shard(
    grid_xyz: Sequence[int], sharding: Mapping[str, Any], names: Collection[str]
) -> tuple[NDArray[np.bool_], str]:
    """(z, y, x) bool, whether the shard of each chunk is among the names; and the name of the first chunk's shard."""
    digits = math.ceil(int(sharding["shard_bits"]) / 4)
    matches = (re.fullmatch(r"([0-9a-f]{1,16})\.shard", name) for name in names)
    numbers = [int(m[1], 16) for m in matches if m and m[1] == f"{int(m[1], 16):0{digits}x}"]
    there, shape = np.array(sorted(numbers), np.uint64), tuple(grid_xyz)[::-1]
    present = np.zeros(math.prod(shape), np.bool_)
    for start in range(0, len(present), _BLOCK):
        index = np.arange(start, min(start + _BLOCK, len(present)))
        place_xyz = np.unravel_index(index, shape)[::-1]
        present[index] = np.isin(_shards(_morton_codes(place_xyz, grid_xyz), sharding), there)
    first = int(_shards(np.zeros(1, np.uint64), sharding)[0])
    return present.reshape(shape), f"{first:0{digits}x}.shard"


def _morton_codes(place_xyz: Sequence[NDArray[np.int64]], grid_xyz: Sequence[int]) -> Codes:
    """Compressed Morton codes: the bits of x, y and z in turn, without those that are 0 for every chunk of an axis."""
    codes = np.zeros(len(place_xyz[0]), np.uint64)
    at = 0
    for bit in range(max(grid_xyz).bit_length()):
        for place, n in zip(place_xyz, grid_xyz, strict=True):
            if 1 << bit < n:
                codes |= (place.astype(np.uint64) >> np.uint64(bit) & np.uint64(1)) << np.uint64(at)
                at += 1
    return codes


def _shards(codes: Codes, sharding: Mapping[str, Any]) -> Codes:
    shift, minishard_bits, shard_bits = (int(sharding[f"{n}_bits"]) for n in ("preshift", "minishard", "shard"))
    hashed = _shifted(codes, shift)
    if sharding["hash"] != "identity":
        hashed = _murmurhash3_x86_128(hashed)
    return _shifted(hashed, minishard_bits) & np.uint64((1 << shard_bits) - 1)


def _shifted(codes: Codes, bits: int) -> Codes:
    """The codes without their lowest bits, which may be all 64."""
    return codes >> np.uint64(bits) if bits < 64 else np.zeros_like(codes)


def _murmurhash3_x86_128(codes: Codes) -> Codes:
    """Lower half of the hash with seed 0 of each code as eight bytes, the least significant one first."""
    low, high = codes.astype(np.uint32), (codes >> np.uint64(32)).astype(np.uint32)
    c1, c2, c3 = np.uint32(0x239B961B), np.uint32(0xAB0E9789), np.uint32(0x38B34AE5)
    h1 = _rotated(low * c1, 15) * c2 ^ np.uint32(8)
    h2 = _rotated(high * c2, 16) * c3 ^ np.uint32(8)
    h3 = h4 = np.full_like(low, 8)
    for mix in (_mixed, lambda h: h):
        h1 = h1 + h2 + h3 + h4
        h2, h3, h4 = h2 + h1, h3 + h1, h4 + h1
        h1, h2, h3, h4 = mix(h1), mix(h2), mix(h3), mix(h4)
    return h1.astype(np.uint64) | h2.astype(np.uint64) << np.uint64(32)


def _rotated(words: NDArray[np.uint32], bits: int) -> NDArray[np.uint32]:
    return words << np.uint32(bits) | words >> np.uint32(32 - bits)


def _mixed(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    words = (words ^ words >> np.uint32(16)) * np.uint32(0x85EBCA6B)
    words = (words ^ words >> np.uint32(13)) * np.uint32(0xC2B2AE35)
    return words ^ words >> np.uint32(16)
