"""Intervals cover the bases that a plain loop marks."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simbench_tf.intervals import covered_bases


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_covered_bases_are_those_a_loop_marks(intervals):
    rows = [row for row, _, _ in intervals]
    starts, ends = [min(bounds) for _, *bounds in intervals], [max(bounds) for _, *bounds in intervals]
    expected = np.zeros((3, 9), bool)
    for row, start, end in zip(rows, starts, ends, strict=True):
        expected[row, start:end] = True
    np.testing.assert_array_equal(covered_bases(rows, starts, ends, (3, 9)), expected)
