"""Matching of calls with sites: maximum, best scores first, whatever the order of rows."""

import itertools

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.called_tables import tables
from simbench_tf.discovery.calls import checked_tables
from simbench_tf.discovery.matching import best_matching, overlapping_pairs


def brute_force(called, sites, pairs):
    """Every matching among these pairs, as sets of numbers of pairs."""
    edges = list(zip(pairs.call.tolist(), pairs.site.tolist(), strict=True))
    for n in range(len(edges) + 1):
        for chosen in itertools.combinations(edges, n):
            calls, taken = [call for call, _ in chosen], [site for _, site in chosen]
            if len(set(calls)) == len(calls) and len(set(taken)) == len(taken):
                yield chosen


@given(tables(most=4))
@settings(max_examples=40)
def test_the_matching_is_maximum_then_of_best_scores_then_of_nearest_ends(both):
    called, sites = checked_tables(*both)
    found = best_matching(called, sites, 0.4)
    pairs = overlapping_pairs(called, sites, 0.4)

    def worth(matching):
        scores = sorted((called["score"][call] for call, _ in matching), reverse=True)
        apart = sum(
            abs(called[end][call] - sites[end][site]) for call, site in matching for end in ("start", "end")
        )  # fmt: skip
        strands, names = (
            sum(called[each][call] != sites[each][site] for call, site in matching) for each in ("strand", "motif")
        )
        return len(matching), scores, -apart, -strands, -names

    assert worth(list(zip(found.call, found.site, strict=True))) == max(
        worth(matching) for matching in brute_force(called, sites, pairs)
    )


@given(tables())
@settings(max_examples=40)
def test_calls_above_any_score_hold_as_many_matched_ones_as_could_be_matched_alone(both):
    called, sites = checked_tables(*both)
    matched = called["score"][best_matching(called, sites, 0.4).call]
    for threshold in range(4):
        kept = called[called["score"] >= threshold].reset_index(drop=True)
        assert (matched >= threshold).sum() == len(best_matching(kept, sites, 0.4).call)


@given(tables(), st.randoms())
@settings(max_examples=40)
def test_pairs_are_of_one_sequence_and_share_what_is_asked(both, random):
    called, sites = checked_tables(*both)
    pairs = overlapping_pairs(called, sites, 0.5)
    plain = []
    for call, site in itertools.product(called.itertuples(), sites.itertuples()):
        common = min(call.end, site.end) - max(call.start, site.start)
        wider = max(call.end - call.start, site.end - site.start)
        if call.row == site.row and common >= 0.5 * wider:
            plain.append((call.Index, site.Index))
    assert sorted(zip(pairs.call.tolist(), pairs.site.tolist(), strict=True)) == plain


def test_half_in_common_is_enough_and_less_is_not():
    site = pd.DataFrame({"row": [0], "start": [10], "end": [20]})
    for shift, is_pair in ((0, True), (5, True), (6, False), (-5, True), (-6, False)):
        moved = site.assign(start=10 + shift, end=20 + shift)
        assert bool(len(overlapping_pairs(moved, site, 0.5).call)) is is_pair
    # reciprocal: a call of thirty bases has a third of them in a site of ten
    assert not len(overlapping_pairs(site.assign(start=0, end=30), site, 0.5).call)
    assert len(overlapping_pairs(site.assign(start=0, end=30), site, 1 / 3).call) == 1


def test_large_numbers_of_competing_calls_are_matched():
    start = np.arange(0, 300, 3)
    called = pd.DataFrame({"row": 0, "start": start, "end": start + 12}).assign(strand="+", motif="", score=1.0 * start)
    sites = called.assign(start=called["start"] + 1, end=called["end"] + 1, motif="GATA1")
    called, sites = checked_tables(called, sites)
    found = best_matching(called, sites, 0.5)
    np.testing.assert_array_equal(found.call, found.site)
    assert len(found.call) == 100
