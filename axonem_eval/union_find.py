"""Disjoint sets of the numbers 0..n-1 (union-find), for compiled loops. The root of a set is its smallest number."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def root(parent, v):  # type: ignore[no-untyped-def]
    """The root of the set of ``v``; halves the way to it."""
    while parent[v] != v:
        parent[v] = parent[parent[v]]
        v = parent[v]
    return v


@njit(cache=True, nogil=True)
def join(parent, a, b):  # type: ignore[no-untyped-def]
    """Make the sets of two roots one; returns its root."""
    if b < a:
        a, b = b, a
    parent[b] = a
    return a


@njit(cache=True, nogil=True)
def join_pairs(parent, a, b):  # type: ignore[no-untyped-def]
    """Make the sets of ``a[i]`` and ``b[i]`` one, for each i."""
    for i in range(len(a)):
        join(parent, root(parent, a[i]), root(parent, b[i]))


@njit(cache=True, nogil=True)
def numbered(parent):  # type: ignore[no-untyped-def]
    """(n,) uint32 number of each element's set and how many there are: from 1 in the order of the roots; 0 stays 0."""
    number = np.zeros(len(parent), np.uint32)
    count = 0
    for i in range(1, len(parent)):
        if parent[i] == i:
            count += 1
            number[i] = count
        else:  # the root is smaller, so it has its number already
            number[i] = number[root(parent, i)]
    return number, count
