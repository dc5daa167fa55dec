"""Our own seqlet caller: a plain reference, its p-values, the rate of false calls that it holds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

import simbench_tf as sb
from simbench_tf.discovery import base_pvalues, score_instances
from simbench_tf.discovery.null_sequences import shuffled_sequences, shuffled_stretches
from simbench_tf.discovery.seqlets import EDGE, END_WIDTH, centred_means
from simbench_tf.dna.shuffles import dinucleotide_counts


def plain_candidates(row, width, edge):
    """Windows from the highest down, one base at a time; the ends as the docstring says."""
    values, length = np.abs(row), len(row)
    ends = [np.mean(values[max(0, i - (END_WIDTH - 1) // 2) : i + END_WIDTH // 2 + 1]) for i in range(length)]
    taken, found = set(), []
    windows = {start: values[start : start + width].mean() for start in range(length - width + 1)}
    for start in sorted(windows, key=lambda each: (-windows[each], each)):
        if np.isnan(windows[start]) or taken & set(range(start, start + width)):
            continue
        top = max(range(start, start + width), key=lambda each: (ends[each], -each))
        first, last = top, top + 1
        while first > max(0, start - width) and first - 1 not in taken and ends[first - 1] >= edge * ends[top]:
            first -= 1
        while last < min(length, start + 2 * width) and last not in taken and ends[last] >= edge * ends[top]:
            last += 1
        taken |= set(range(min(first, start), max(last, start + width)))
        found.append((first, last, windows[start]))
    return sorted(found)


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 12), edge=st.floats(0.05, 0.95))
def test_candidates_equal_a_plain_loop(seed, width, edge):
    scores = np.random.default_rng(seed).gamma(0.5, size=(3, 40)) * [[1], [-1], [1]]
    called = sb.call_seqlets(scores, scores, fdr=1, width=width, edge=edge)
    for row in range(3):
        mine = called[called["row"] == row]
        expected = plain_candidates(scores[row], width, edge)
        assert list(zip(mine["start"], mine["end"], strict=True)) == [(first, last) for first, last, _ in expected]
        np.testing.assert_allclose(mine["score"], [score for *_, score in expected], rtol=1e-9, atol=1e-12)


def test_calls_do_not_depend_on_the_unit_of_scores_nor_on_their_sign():
    rng = np.random.default_rng(1)
    scores, null = rng.normal(size=(8, 90)), rng.normal(size=(300, 90))
    scores[2, 30:42] -= 5
    called = sb.call_seqlets(scores, null)
    columns = ["row", "start", "end", "pvalue", "qvalue"]
    assert called["row"].tolist() == [2]
    # the mean of five bases falls below .3 of its highest two bases or so beyond the box
    np.testing.assert_allclose(called.loc[0, ["start", "end"]].astype(int), [30, 42], atol=3)
    np.testing.assert_array_equal(called[columns], sb.call_seqlets(-1000 * scores, 1000 * null)[columns])


def test_missing_numbers_of_the_null_hold_no_candidate():
    null = np.full((4, 60), np.nan)
    null[:, 10:30] = 1.0
    known = sb.call_seqlets(np.full((1, 60), 2.0), null, fdr=1, width=5)
    # a candidate takes its window of 5 and, as the mean never falls, 5 bases more: two of them in each stretch of 20
    assert known["pvalue"].to_numpy() == pytest.approx(1 / 9)
    assert sb.call_seqlets(np.full((1, 60), 0.5), null, fdr=1, width=5)["pvalue"].to_numpy() == pytest.approx(1.0)


def test_pvalues_of_the_null_itself_are_uniform():
    rng = np.random.default_rng(2)
    scores, null = rng.normal(size=(1200, 120)), rng.normal(size=(1200, 120))
    called = sb.call_seqlets(scores, null, fdr=1)
    # some 7,000 candidates of each that are nearly independent: p < .01 from a distance of .0275 on
    assert len(called) > 6000
    assert kstest(called["pvalue"], "uniform").statistic < 0.03
    bases = base_pvalues(scores, null)
    assert bases.shape == scores.shape
    assert abs((bases <= 0.05).mean() - 0.05) < 0.006


@pytest.mark.parametrize("fdr", [0.05, 0.2])
def test_a_stated_rate_of_false_calls_is_held_where_the_null_is_right(fdr):
    rng = np.random.default_rng(3)
    scores, null = rng.normal(size=(1000, 150)), rng.normal(size=(4000, 150))
    starts = rng.integers(20, 120, size=1000)
    for row, start in enumerate(starts):
        scores[row, start : start + 10] += np.sign(rng.normal()) * rng.uniform(1.0, 4.0)
    called = sb.call_seqlets(scores, null, fdr=fdr)
    sites = sites_at(starts)
    on_site = score_instances(called, sites, length=150, n_shuffles=0).loc[0, "on_site"]
    # Benjamini and Hochberg's procedure gives fdr times the share of candidates that stand on no site, .92 here; some
    # candidates beside a site reach into it. About 800 calls: the standard error is .008 and .014.
    share_null = 1 - 1000 / len(sb.call_seqlets(scores, null, fdr=1))
    assert 1 - on_site == pytest.approx(fdr * share_null, abs=0.025 if fdr == 0.05 else 0.04)
    assert len(called) > 500


def sites_at(starts):
    rows = np.arange(len(starts))
    return pd.DataFrame({"row": rows, "start": starts, "end": starts + 10, "strand": ".", "motif": "SPI1"})


def test_means_about_bases():
    values = np.random.default_rng(4).normal(size=(2, 11))
    values[1, 4] = np.nan
    for width in (1, 4, 5):
        plain = [[np.mean(row[max(0, i - (width - 1) // 2) : i + width // 2 + 1]) for i in range(11)] for row in values]
        np.testing.assert_allclose(centred_means(values, width), plain, atol=1e-12)


def test_wrong_arrays_are_told():
    good = np.ones((2, 30))
    with pytest.raises(ValueError, match="two axes"):
        sb.call_seqlets(good[0], good)
    with pytest.raises(ValueError, match="between 1 and the 30 bases"):
        sb.call_seqlets(good, good, width=31)
    with pytest.raises(ValueError, match="some are missing"):
        sb.call_seqlets(np.where(np.eye(2, 30), np.nan, good), good)
    with pytest.raises(ValueError, match="null has no 9 numbers side by side"):
        sb.call_seqlets(good, np.full((2, 30), np.nan))
    with pytest.raises(ValueError, match="null has no 9 numbers"):
        base_pvalues(good, np.full((2, 30), np.nan))
    with pytest.raises(ValueError, match="fdr and edge"):
        sb.call_seqlets(good, good, fdr=0)
    assert 0 < EDGE < 1


def test_null_sequences_keep_dinucleotides_and_all_that_does_not_count():
    bases = np.random.default_rng(5).integers(0, 4, (50, 80)).astype(np.uint8)
    null = shuffled_stretches(bases, random_state=7)
    assert (null.counts.sum(axis=1) == 20).all()
    assert (null.bases == bases)[~null.counts].all()
    assert (null.bases != bases)[null.counts].mean() > 0.5
    # the dinucleotides within a stretch stay, and those at its ends, as its first and last base do
    np.testing.assert_array_equal(dinucleotide_counts(null.bases), dinucleotide_counts(bases))
    first = null.counts.argmax(axis=1)
    assert len(set(first)) > 20
    whole = shuffled_sequences(bases, random_state=7)
    assert whole.counts.all()
    np.testing.assert_array_equal(dinucleotide_counts(whole.bases), dinucleotide_counts(bases))
    np.testing.assert_array_equal(whole.bases, shuffled_sequences(bases, random_state=7).bases)
    # references of the same seed are other shuffles
    assert (whole.bases != sb.dinucleotide_shuffle(bases, 1, 7)[:, 0]).any(axis=1).all()
