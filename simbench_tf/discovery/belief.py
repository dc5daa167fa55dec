"""Belief: how likely a base, or a called site, is a true one, fitted where the truth is known (isotonic calibration).

A candidate is a seqlet (`seqlets.candidates`), whatever its score; it is right where it stands on a true site, with
half of the shorter's bases in common. What is fitted holds for attributions of the same method, of models that are as
good, on sequences like those it was fitted on. Two trainings of one network differ in the size of their attributions,
so that scores count in units of their mean size (`scaled`), and in what they have learnt, so that a belief is fitted to
several where there are (`pooled`). `crossed` says what it is worth on sequences, and trainings, that it has not seen.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dataset import covered
from simbench_tf.discovery.seqlets import candidates
from simbench_tf.score.calibration import Calibration, calibrate

Floats = npt.NDArray[np.floating]

#: Parts of the sequences for `crossed`: each is predicted by what was fitted to the others.
N_FOLDS = 5
#: No probability rests on fewer candidates, or bases.
MIN_CALLS, MIN_BASES = 50, 500


class Belief(NamedTuple):
    """Probabilities by score.

    Attributes
    ----------
    bases : Calibration
        Of a base, by its score.
    calls : Calibration
        Of a candidate, by its score, the mean of its best window.
    sign : {"absolute", "signed"}
        What bases are ranked by.
    """

    bases: Calibration
    calls: Calibration
    sign: Literal["absolute", "signed"]


class Crossed(NamedTuple):
    """Predictions for the sequences that a belief was fitted on, each by a fit to others (and to other trainings).

    Attributes
    ----------
    bases : float64 array, shape (N, L)
        Probability of each base; NaN where it has no score.
    calls : DataFrame
        Of all candidates: row, start, end, score, probability, and right (bool).
    """

    bases: npt.NDArray[np.float64]
    calls: pd.DataFrame


def scaled(scores: Floats) -> npt.NDArray[np.float64]:
    """Attributions in units of their mean size over all sequences, float64 (N, L); NaN stays.

    Examples
    --------
    >>> scaled(np.array([[1., -3, np.nan], [0, 0, 4]])).tolist()
    [[0.625, -1.875, nan], [0.0, 0.0, 2.5]]
    """
    values = np.asarray(scores, np.float64)
    unit = np.nanmean(np.abs(values)) if not np.isnan(values).all() else np.nan
    return np.asarray(values / unit) if unit > 0 else values


class Pooled(NamedTuple):
    """Attributions of several trainings of a network, one after the other.

    Attributes
    ----------
    scores : float64 array, shape (K N, L)
        Each training's `scaled` by itself.
    sites : DataFrame
        True sites, their rows counted in `scores`.
    trainings : int64 array, shape (K N,)
        Which training each row is of.
    """

    scores: npt.NDArray[np.float64]
    sites: pd.DataFrame
    trainings: npt.NDArray[np.int64]


def pooled(scores: Sequence[Floats], sites: pd.DataFrame) -> Pooled:
    """Put the attributions of the same sequences by several trainings together.

    Parameters
    ----------
    scores : sequence of float arrays, each of shape (N, L)
    sites : DataFrame
        Of the N sequences: row, start, end.

    Examples
    --------
    >>> found = pooled([np.ones((2, 3)), 5 * np.ones((2, 3))], pd.DataFrame({"row": [1], "start": 0, "end": 2}))
    >>> found.scores.tolist()[3], found.sites["row"].tolist(), found.trainings.tolist()
    ([1.0, 1.0, 1.0], [1, 3], [0, 0, 1, 1])
    """
    n = len(scores[0])
    rows = [sites.assign(row=sites["row"] + number * n) for number in range(len(scores))]
    trainings = np.repeat(np.arange(len(scores)), n)
    return Pooled(np.concatenate([scaled(each) for each in scores]), pd.concat(rows, ignore_index=True), trainings)


def fit_belief(scores: Floats, sites: pd.DataFrame, sign: Literal["absolute", "signed"] = "absolute") -> Belief:
    """Fit probabilities to attributions of sequences whose sites are known.

    Parameters
    ----------
    scores : float array, shape (N, L)
        `scaled`; NaN where a base does not count.
    sites : DataFrame
        True sites: row, start, end (0-based, half-open).
    sign : {"absolute", "signed"}
        Whether |attribution| tells, or the attribution with its sign.

    Raises
    ------
    InputError
        No base has a score.

    Examples
    --------
    >>> scores = np.zeros((200, 40)); scores[:100, 10:20], scores[100:, 10:20] = 9, 5
    >>> sites = pd.DataFrame({"row": np.arange(150), "start": 10, "end": 20})  # so that half of the 5s are right
    >>> belief = fit_belief(scores, sites)
    >>> belief.bases.predict([0, 5, 9]).tolist()
    [0.0, 0.5, 1.0]
    >>> believed_calls(belief, scores, .6)["row"].nunique()
    100
    """
    called = _called(scores, sign)
    of_bases = calibrate(scores, covered(sites, scores.shape), sign=sign, min_group=MIN_BASES)
    of_calls = calibrate(called["score"], stands_on_site(called, sites), min_group=MIN_CALLS)
    return Belief(of_bases, of_calls, sign)


def believed_calls(belief: Belief, scores: Floats, least: float = 0.0) -> pd.DataFrame:
    """Candidates that are right with at least a stated probability.

    Parameters
    ----------
    belief : Belief
    scores : float array, shape (N, L)
        `scaled`.
    least : float
        Between 0 and 1.

    Returns
    -------
    DataFrame
        By row and start: row, start, end, score, probability.
    """
    called = _called(scores, belief.sign)
    called = called.assign(probability=belief.calls.predict(called["score"]))
    return called[called["probability"] >= least].reset_index(drop=True)


def crossed(found: Pooled, sign: Literal["absolute", "signed"] = "absolute", n_folds: int = N_FOLDS) -> Crossed:
    """Predict each sequence by what is fitted to the sequences of the other parts, of other trainings where there are.

    Parameters
    ----------
    found : Pooled
    sign
        As in `fit_belief`.
    n_folds : int
        Parts; sequence i of each training is in part i modulo this.
    """
    scores, sites, trainings = found
    last = int(trainings.max())
    fold_of = np.arange(len(scores)) % ((trainings == 0).sum()) % n_folds
    bases, calls = np.full(scores.shape, np.nan), []
    for training, fold in itertools.product(range(last + 1), range(n_folds)):
        own = (trainings == training) & (fold_of == fold)
        others = (fold_of != fold) & ((trainings != training) | (last == 0))
        if not own.any() or not others.any():
            continue
        # of the rows of other parts no base counts, and so they have no candidate
        belief = fit_belief(np.where(others[:, None], scores, np.nan), sites, sign)
        bases[own] = belief.bases.predict(scores[own])
        calls.append(believed_calls(belief, np.where(own[:, None], scores, np.nan)))
    called = pd.concat(calls, ignore_index=True).sort_values(["row", "start"], ignore_index=True)
    return Crossed(bases, called.assign(right=stands_on_site(called, sites)))


def stands_on_site(called: pd.DataFrame, sites: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each call has half of its bases in common with a site, or half of the site's.

    Examples
    --------
    >>> called = pd.DataFrame({"row": [0, 0, 1], "start": [0, 20, 0], "end": [10, 40, 10]})
    >>> stands_on_site(called, pd.DataFrame({"row": [0, 0], "start": [6, 22], "end": [16, 30]})).tolist()
    [False, True, False]
    """
    columns = ["row", "start", "end"]
    both = called[columns].assign(call=np.arange(len(called))).merge(sites[columns], on="row", suffixes=("", "_site"))
    common = np.minimum(both["end"], both["end_site"]) - np.maximum(both["start"], both["start_site"])
    shorter = np.minimum(both["end"] - both["start"], both["end_site"] - both["start_site"])
    right = np.zeros(len(called), np.bool_)
    right[both["call"].to_numpy()[((common > 0) & (2 * common >= shorter)).to_numpy()]] = True
    return right


def _called(scores: Floats, sign: str) -> pd.DataFrame:
    """All candidates by row and start; where the sign tells, of what is above 0."""
    values = np.asarray(scores, np.float64)
    values = np.abs(values) if sign == "absolute" else np.maximum(values, 0.0)
    found = candidates(values).sort_values(["row", "start"], kind="stable", ignore_index=True)
    return found[["row", "start", "end", "score"]]
