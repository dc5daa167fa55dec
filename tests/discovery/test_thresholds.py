"""The best threshold against a matching made anew at each."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from helpers.called_tables import tables
from simbench_tf.discovery import best_f1, score_instances
from simbench_tf.errors import InputError


@given(tables())
@settings(max_examples=25)
def test_the_best_of_a_matching_at_each_threshold(both):
    called, sites = both
    found = best_f1(called, sites, overlap=0.4)
    plain = {
        threshold: score_instances(called[called["score"] >= threshold], sites, overlap=0.4, n_shuffles=0).loc[0, "f1"]
        for threshold in called["score"]
    }
    best = max(plain.values())
    assert found.f1 == pytest.approx(best, abs=1e-12)
    if best > 0:
        assert found.threshold == max(score for score, f1 in plain.items() if f1 >= best - 1e-12)
    else:
        assert found.threshold == np.inf


def test_nothing_to_find_or_to_keep():
    site = pd.DataFrame({"row": [0], "start": [10], "end": [20]})
    call = site.assign(start=30, end=40, score=2.0)
    assert best_f1(call, site) == (np.inf, 0)
    assert best_f1(call[:0], site) == (np.inf, 0)
    assert best_f1(call, site[:0]) == (np.inf, 0)
    assert np.isnan(best_f1(call[:0], site[:0]).f1)
    with pytest.raises(InputError, match="called: has calls without a score; give each a number in a column score"):
        best_f1(call.drop(columns="score"), site)
