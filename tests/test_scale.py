"""docs/scale.md is that of its tables, in which every step stays under 2 GB; and what would be expected of more."""

import pandas as pd
import pytest
from test_findings import script


@pytest.fixture(scope="module")
def scale():
    return script("make_scale")


def test_the_page_is_that_of_the_table(scale):
    assert scale.PAGE.read_text(encoding="utf-8") == scale.page(), "python docs/make_scale.py"


def test_every_step_stays_under_two_gigabytes(scale):
    costs = pd.read_csv(scale.RESULTS)
    assert sorted(costs["n_sequences"].unique()) == [100_000, 1_000_000]
    assert (costs["peak_mb"] < 2000).all()


def test_what_is_expected_lies_on_the_line_through_both_sizes(scale):
    costs = pd.DataFrame(
        [["open", 100, 12.0, 10.0, 1100.0], ["open", 200, 18.0, 16.0, 1200.0]],
        columns=["step", "n_sequences", "seconds", "processor_seconds", "peak_mb"],
    )
    row = scale.expected(costs).splitlines()[-1]
    seconds, megabytes = 18 + (scale.LARGER - 200) * 0.06, 1200 + (scale.LARGER - 200) * 1.0
    assert row == f"| open | 10,000,000 | {seconds / 60:,.1f} | {megabytes / 1000:,.1f} |"
