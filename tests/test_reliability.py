"""docs/reliability.md is that of its table, which holds every reader that is fuzzed, without a fault."""

import pandas as pd
import pytest
from test_findings import script

from helpers.fuzzed_readers import READERS


@pytest.fixture(scope="module")
def reliability():
    return script("make_reliability")


def test_the_page_is_that_of_the_table(reliability):
    assert reliability.PAGE.read_text(encoding="utf-8") == reliability.page(), "python docs/make_reliability.py"


def test_every_reader_was_fuzzed_without_a_fault(reliability):
    table = pd.read_csv(reliability.RESULTS, comment="#").set_index("reader")
    assert list(table.index) == list(READERS)
    assert (table["faults"] == 0).all()
    assert (table["taken"] + table["refused"] == table["mutants"]).all()
