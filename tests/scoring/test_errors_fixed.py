"""What fixing several errors together would give."""

import numpy as np
import pytest
from hypothesis import given

from axonem_eval import NodeSample
from axonem_eval.scoring import erl_fixed_nm, locate_errors, run_table
from axonem_eval.scoring.located_errors import OMISSION
from tests.chains import chains, u64
from tests.scoring.random_cases import TOLERANCES, cases


@given(cases(), TOLERANCES)
def test_fixing_one_error_gives_its_gain(case, tolerance):
    graph, sample = case
    table = run_table(graph, sample)
    errors = locate_errors(graph, sample, table, tolerance)
    # Who fills a gap makes its neighbours one segment: edges between them elsewhere in the axon are then correct too.
    for group in np.unique(errors.group):
        one = errors.rows(np.flatnonzero(errors.group == group)[:1])
        fixed = erl_fixed_nm(graph, sample, table, one, tolerance)
        rise = fixed - table.erl_nm(tolerance)
        assert rise == pytest.approx(one.gain_nm[0], abs=1e-6) or (one.kind[0] == OMISSION and rise > one.gain_nm[0])


@given(cases(), TOLERANCES)
def test_fixing_all_errors_gives_the_ceiling(case, tolerance):
    graph, sample = case
    table = run_table(graph, sample)
    errors = locate_errors(graph, sample, table, tolerance)
    assert erl_fixed_nm(graph, sample, table, errors, tolerance) == pytest.approx(table.gt_erl_nm)


def test_two_splits_of_one_axon_are_worth_more_together():
    graph, labels = chains(9), u64(1, 1, 1, 2, 2, 2, 3, 3, 3)
    sample = NodeSample.of_labels(labels)
    table = run_table(graph, sample)
    errors = locate_errors(graph, sample, table, 50)
    # Runs of 2 µm each: 12 / 8 µm. One cut glued: (5² + 2²) / 8. Both: the whole axon.
    assert table.erl_nm(50) == pytest.approx(1500)
    assert errors.gain_nm == pytest.approx([29e6 / 8e3 - 1500] * 2)
    assert erl_fixed_nm(graph, sample, table, errors, 50) == pytest.approx(8000)


def test_a_split_beside_a_merger_is_fixed_with_it():
    graph, labels = chains(6, 3), u64(1, 1, 1, 2, 2, 2, 2, 2, 2)
    sample = NodeSample.of_labels(labels)
    table = run_table(graph, sample)
    errors = locate_errors(graph, sample, table, 2)
    assert erl_fixed_nm(graph, sample, table, errors.rows(np.flatnonzero(errors.kind == 0)), 2) == table.erl_nm(2)
    assert erl_fixed_nm(graph, sample, table, errors, 2) == pytest.approx(table.gt_erl_nm)
