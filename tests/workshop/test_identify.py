"""Batches, suggestions, labels of several annotators: small tables with the answers worked out."""

import numpy as np
import pytest

from axonem_eval import InputError
from axonem_eval.workshop import SegmentLabel, Segments, agreement, consensus, make_batches, measure_segments, suggest
from tests.chains import chains


def segments(*measures):
    """From (volume_um3, length_nm, width_nm); ids from 1."""
    table = np.array(measures, np.float64).reshape(-1, 3)
    n = len(table)
    return Segments(
        np.arange(1, n + 1, dtype=np.uint64),
        np.ones(n, np.int64),
        table[:, 0],
        table[:, 1],
        table[:, 2],
        np.zeros((n, 3), np.int32),
    )


def two_kinds(n):
    """n thin long segments, then n thick ones."""
    rng = np.random.default_rng(1)
    thin, thick = np.array([0.3, 20e3, 60.0]), np.array([30.0, 15e3, 500.0])
    spread = rng.uniform(0.9, 1.1, (2 * n, 3))
    return segments(*(np.repeat([thin, thick], n, axis=0) * spread))


def said(segment, label, annotator, minute, settles=False):
    return SegmentLabel(segment, (1, 2, 3), label, annotator, f"2026-11-28T16:{minute:02}:00+00:00", settles)


def test_a_batch_holds_segments_of_one_kind_and_no_more_than_asked_for():
    batches = make_batches(two_kinds(30), per_batch=4)
    kinds = [set((batches.members(batch) // 30).tolist()) for batch in range(batches.count)]
    assert all(len(kind) == 1 for kind in kinds)
    assert max(len(batches.members(batch)) for batch in range(batches.count)) <= 4
    assert sorted(batches.order.tolist()) == list(range(60))


def test_the_same_seed_gives_the_same_batches():
    first, second = (make_batches(two_kinds(30), seed=7) for _ in range(2))
    assert first.batch.tolist() == second.batch.tolist()


def test_no_segment_is_no_batch():
    assert make_batches(two_kinds(0)).count == 0


def test_a_batch_is_suggested_what_similar_segments_are():
    table = two_kinds(30)
    batches = make_batches(table)
    label_of = {i: "axon" for i in range(1, 7)} | {i: "glia" for i in range(31, 37)}
    for batch, found in suggest(table, batches, label_of).items():
        assert found.label == ("axon" if batches.members(batch)[0] < 30 else "glia")
        assert found.share == 1.0


def test_nothing_is_suggested_before_enough_is_labelled():
    table = two_kinds(30)
    assert suggest(table, make_batches(table), {1: "axon", 2: "axon"}) == {}


def test_annotators_who_differ_are_listed_until_one_gives_way():
    rows = [said(7, "axon", "ada", 1), said(7, "glia", "ben", 2), said(8, "axon", "ada", 3)]
    found = consensus(rows)
    assert found.label == {8: "axon"}
    assert [(d.segment, d.votes) for d in found.disagreements] == [(7, {"ada": "axon", "ben": "glia"})]
    assert consensus([*rows, said(7, "axon", "ben", 4)]).label == {7: "axon", 8: "axon"}


def test_a_settling_label_overrides_those_before_it_but_not_those_after():
    rows = [said(7, "axon", "ada", 1), said(7, "glia", "ben", 2), said(7, "glia", "cem", 3, settles=True)]
    assert consensus(rows).label == {7: "glia"}
    assert len(consensus([*rows, said(7, "axon", "ada", 4)]).disagreements) == 1


def test_agreement_of_two_annotators_worked_by_hand():
    # Of 4 segments 3 alike; by chance (3/4 * 2/4 + 1/4 * 2/4) = 1/2: kappa (3/4 - 1/2) / (1 - 1/2) = 1/2.
    ada = [said(i, label, "ada", i) for i, label in enumerate(("axon", "axon", "axon", "glia"))]
    ben = [said(i, label, "ben", i) for i, label in enumerate(("axon", "axon", "glia", "glia"))]
    (pair,) = agreement([*ada, *ben])
    assert (pair.annotators, pair.segments, pair.same, pair.kappa) == (("ada", "ben"), 4, 3, pytest.approx(0.5))


def test_skeletons_without_radii_cannot_be_identified():
    with pytest.raises(InputError, match="axonem-eval skeletonize"):
        measure_segments(chains(5, step_nm=2000.0))
