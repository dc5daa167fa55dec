"""docs/what_may_i_believe.md is that of results/belief.csv, and what the page says of the cases is so."""

import pandas as pd
import pytest
from test_findings import script


@pytest.fixture(scope="module")
def made():
    return script("make_belief")


@pytest.fixture(scope="module")
def found(made):
    return pd.read_csv(made.RESULTS)


def test_the_page_and_its_figure_are_those_of_the_table(made, found):
    assert made.PAGE.read_text(encoding="utf-8") == made.page(found), "python docs/make_belief.py"
    assert made.FIGURE.read_text(encoding="utf-8") == made.figure(found), "python docs/make_belief.py"


def test_errors_are_weighted_by_hand(made):
    bins = pd.DataFrame({"predicted": [0.1, 0.5], "observed": [0.2, 0.8], "n": [3, 1]})
    assert made.error(bins) == pytest.approx((3 * 0.1 + 0.3) / 4)


@pytest.mark.parametrize("what", ["bases", "candidates"])
def test_a_fitted_twin_is_calibrated_and_scores_as_they_are_are_not(made, found, what):
    for _, own in found[found["what"] == what].groupby("key"):
        of = {case: made.error(rows) for case, rows in own.groupby("case")}
        assert of["fitted"] < 0.05
        assert of["fitted"] < min(of["twice the sites"], of["a motif is missing"])


def test_what_is_stated_of_called_sites_holds_over_pairs_of_networks(made, found):
    pairs = found[found["case"].str.startswith(made.PAIR)]
    assert (pairs["what"] == "called").all()
    for _, own in pairs.groupby("key"):
        off = own["predicted"] - own["observed"]
        assert len(off) == 12
        assert abs(off.mean()) < 2 * off.std() / len(off) ** 0.5
        assert f"{100 * off.mean():.1f} (" in made.methods(found)
