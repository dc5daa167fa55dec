"""Columns that cross a stage boundary, and the checks of them."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from simbench_tf.dna.arrow import bases_of, text_column
from simbench_tf.tables import SITE_COLUMNS, check_sequences, check_sites, sequence_schema


@given(npst.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 30)), elements=st.integers(0, 4)))
def test_bases_survive_a_text_column(bases):
    column = text_column(bases)
    assert column.to_pylist() == ["".join("ACGTN"[base] for base in row) for row in bases]
    np.testing.assert_array_equal(bases_of(column), bases)
    np.testing.assert_array_equal(bases_of(column.slice(1)), bases[1:] if len(bases) > 1 else np.empty((0, 0)))
    np.testing.assert_array_equal(bases_of(pa.chunked_array([column, column])), np.concatenate([bases, bases]))


def test_dna_columns_are_offered_here_too_and_load_no_numba_before():
    code = (
        "import sys; from simbench_tf import tables; assert 'numba' not in sys.modules\n"
        "from simbench_tf.dna import arrow\n"
        "assert tables.bases_of is arrow.bases_of and tables.text_column is arrow.text_column\n"
        "assert not hasattr(tables, 'other')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_lower_case_and_ambiguity_codes():
    np.testing.assert_array_equal(bases_of(pa.array(["acgtRnN"])), [[0, 1, 2, 3, 4, 4, 4]])


def test_ragged_sequences_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        bases_of(pa.array(["AC", "A"]))
    with pytest.raises(ValueError, match="differ in length"):
        bases_of(pa.chunked_array([["AC"], ["A"]]))


def sequences(**changed):
    columns = {
        "seq_id": ["a", "b"],
        "chrom": [None, None],
        "start": [None, None],
        "end": [None, None],
        "split": ["train", "test"],
        "sequence": ["ACGT", "TTTT"],
        "H1": [0, 1],
    }
    return pa.table({**columns, **changed}, schema=sequence_schema(["H1"]))


def test_a_good_table_passes():
    check_sequences(sequences(), ["H1"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"split": ["train", "tset"]}, "tset"), ({"H1": [0, 2]}, "H1"), ({"seq_id": ["a", "a"]}, "twice")],
)
def test_a_bad_table_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        check_sequences(sequences(**changed), ["H1"])


def test_missing_columns_and_types_are_named():
    with pytest.raises(ValueError, match="sequence columns are"):
        check_sequences(sequences().drop_columns("split"), ["H1"])
    table = sequences()
    number = table.schema.get_field_index("H1")
    with pytest.raises(ValueError, match="column H1 is int64"):
        check_sequences(table.set_column(number, "H1", pa.array([0, 1])), ["H1"])


def test_sites_must_read_what_they_say():
    texts = pd.Series({"a": "ACGT"})
    site = dict(zip(SITE_COLUMNS, ["a", "M", "T", 1, 3, "-", 1.0, 0.1, "CG", "M"], strict=True))
    check_sites(pd.DataFrame([site]), texts)
    with pytest.raises(ValueError, match="does not read"):
        check_sites(pd.DataFrame([{**site, "matched": "GC"}]), texts)
    with pytest.raises(ValueError, match="strand"):
        check_sites(pd.DataFrame([{**site, "strand": "."}]), texts)
