"""Our own seqlet caller: stretches of high |attribution|, with p-values from attributions of sequences without motifs.

A seqlet is where the mean |attribution| of a window is the highest about; its p-value is the share of seqlets of null
sequences, put through the same model and method, that are as high. The rate of false calls is held by Benjamini and
Hochberg's procedure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import prange
from scipy.stats import false_discovery_control

from simbench_tf.compiled import njit
from simbench_tf.discovery.calls import NO_STRAND

Floats = npt.NDArray[np.floating]

#: Bases of a window, and of the mean that decides where a seqlet ends.
WIDTH, END_WIDTH = 9, 5
#: A seqlet goes on while the mean |attribution| of `END_WIDTH` bases is this share of its highest.
EDGE = 0.3
#: Columns of the result of `call_seqlets`.
COLUMNS = ("row", "start", "end", "strand", "score", "pvalue", "qvalue")


def call_seqlets(
    scores: Floats, null: Floats, *, fdr: float = 0.05, width: int = WIDTH, edge: float = EDGE
) -> pd.DataFrame:
    """Call seqlets, places of sequences that a model's attributions say matter, at a stated rate of false ones.

    The highest window of `width` bases, by mean |attribution|, is a candidate; then the highest that shares no base
    with a candidate before; and so on. A candidate ends where the mean of five bases falls below `edge` of its
    highest, at most `width` bases beyond its window. Its p-value is (1 + the null's candidates that are as high) /
    (1 + the null's candidates); its q-value follows by Benjamini and Hochberg's procedure over all candidates. Both
    hold as far as attributions of sequence without a motif are distributed as in `null`, which docs/motifs.md measures.

    Parameters
    ----------
    scores : float array, shape (N, L)
        Attributions, one number a base; only |score| counts.
    null : float array, shape (M, K)
        Attributions by the same model and method where there is no motif: of shuffled sequences, or of sequences with
        a shuffled stretch (`shuffled_stretches`), and NaN wherever a base does not count.
    fdr : float, default .05
        Candidates of q-value up to this are returned; 1 returns all.
    width : int, default 9
        Bases of a window; about those of the motifs' cores.
    edge : float, default .3
        Between 0 and 1; lower makes seqlets wider.

    Returns
    -------
    DataFrame
        In order of row and start: row (int), start, end (0-based, half-open), strand (always "."), score (mean
        |attribution| of the window), pvalue, qvalue.

    Raises
    ------
    ValueError
        An array has not two axes, or a score is not a number; a sequence is shorter than `width`; the null has no
        window of numbers; `fdr` or `edge` is not between 0 and 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores, null = rng.normal(size=(20, 100)), rng.normal(size=(1000, 100))
    >>> scores[7, 40:50] += 4
    >>> call_seqlets(scores, null)[["row", "start", "end"]].values.tolist()  # noise goes on beside them
    [[7, 38, 57]]
    """
    if not 0 < fdr <= 1 or not 0 < edge < 1:
        raise ValueError(f"fdr and edge must lie between 0 and 1, not {fdr} and {edge}")
    values = _absolute(scores, "scores", width)
    if np.isnan(values).any():
        raise ValueError("scores must be numbers, and some are missing")
    found = candidates(values, width, edge)
    chance = np.sort(candidates(_absolute(null, "null", width), width, edge)["score"].to_numpy())
    if not len(chance):
        raise ValueError(f"null has no {width} numbers side by side")
    found["pvalue"] = _share_as_high(found["score"].to_numpy(), chance)
    found["qvalue"] = false_discovery_control(found["pvalue"].to_numpy())
    kept = found[found["qvalue"] <= fdr].sort_values(["row", "start"], kind="stable")
    return kept.reset_index(drop=True)[list(COLUMNS)]


def base_pvalues(scores: Floats, null: Floats, *, width: int = WIDTH) -> npt.NDArray[np.float32]:
    """P-values of bases: how often the mean |attribution| about a base of the null is as high.

    Neighbours share their windows, so what p-values of a sequence's bases say is one thing said several times.

    Parameters
    ----------
    scores, null, width
        As in `call_seqlets`. The mean is over the `width` bases about a base; near an end, over those that there are.

    Returns
    -------
    float32 array, shape (N, L)

    Raises
    ------
    ValueError
        As `call_seqlets`.

    Examples
    --------
    >>> null = np.ones((3, 33)); null[:, 16] = 10
    >>> base_pvalues(np.array([[0., 0, 0, 8, 0, 0, 0]]), null, width=1).round(2).tolist()
    [[1.0, 1.0, 1.0, 0.03999999910593033, 1.0, 1.0, 1.0]]
    """
    values, chance = _absolute(scores, "scores", width), _absolute(null, "null", width)
    means = centred_means(chance, width)
    known = np.sort(means[~np.isnan(means)])
    if not len(known):
        raise ValueError(f"null has no {width} numbers side by side")
    return _share_as_high(centred_means(values, width), known).astype(np.float32)


def _share_as_high(values: Floats, chance: Floats) -> Floats:
    """(1 + values of a sorted chance that are as high) / (1 + all): no p-value is 0, and null ones are uniform."""
    below = np.searchsorted(chance, values, side="left")
    return (1 + len(chance) - below) / (1 + len(chance))


def _absolute(scores: Floats, what: str, width: int) -> npt.NDArray[np.float64]:
    values = np.abs(np.asarray(scores, np.float64))
    if values.ndim != 2:
        raise ValueError(f"{what} must have two axes, sequences and bases, not the shape {values.shape}")
    if not 1 <= width <= values.shape[1]:
        raise ValueError(f"width must lie between 1 and the {values.shape[1]} bases of {what}, not be {width}")
    return values


def centred_means(values: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """Means of the bases about each base, those that there are near an end; NaN where one of them is.

    Examples
    --------
    >>> centred_means(np.array([[1., 2, 3, 4]]), 3).tolist()
    [[1.5, 2.0, 3.0, 3.5]]
    """
    length = values.shape[1]
    first = np.clip(np.arange(length) - (width - 1) // 2, 0, None)
    last = np.clip(np.arange(length) + width // 2 + 1, None, length)
    missing = _window_sums(np.isnan(values).astype(np.float64), first, last)
    sums = _window_sums(np.nan_to_num(values), first, last)
    return np.where(missing > 0, np.nan, sums / (last - first))


def _window_sums(
    values: npt.NDArray[np.float64], first: npt.NDArray[np.int64], last: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    return np.asarray(sums[:, last] - sums[:, first])


def candidates(values: npt.NDArray[np.float64], width: int = WIDTH, edge: float = EDGE) -> pd.DataFrame:
    """All candidates of `call_seqlets`: row, start, end, strand and score, highest first in a row.

    Parameters
    ----------
    values : float64 array, shape (N, L)
        Not negative, as |attribution|; a window with a NaN is none.
    width, edge
        As in `call_seqlets`.
    """
    starts = np.arange(values.shape[1] - width + 1)
    missing = _window_sums(np.isnan(values).astype(np.float64), starts, starts + width)
    windows = np.maximum(_window_sums(np.nan_to_num(values), starts, starts + width), 0) / width
    windows[missing > 0] = -1.0
    order = np.argsort(-windows, axis=1, kind="stable")
    ends = np.nan_to_num(centred_means(values, END_WIDTH), nan=-1.0)
    places, scores, counts = _choose(windows, order, ends, width, edge)
    chosen = np.arange(places.shape[1]) < counts[:, None]
    rows = np.repeat(np.arange(len(values)), counts)
    columns = {"row": rows, "start": places[..., 0][chosen], "end": places[..., 1][chosen], "strand": NO_STRAND}
    return pd.DataFrame(columns | {"score": scores[chosen]})


@njit(parallel=True)
def _choose(
    windows: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
    ends: npt.NDArray[np.float64],
    width: int,
    edge: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Starts and ends (N, most, 2), scores (N, most) and their number (N,), window after window from the highest."""
    n, n_windows = windows.shape
    length, most = ends.shape[1], (n_windows + width - 1) // width + 1
    places, scores = np.zeros((n, most, 2), np.int64), np.zeros((n, most))
    counts = np.zeros(n, np.int64)
    for row in prange(n):
        taken = np.zeros(length, np.bool_)
        for turn in range(n_windows):
            start = order[row, turn]
            if windows[row, start] < 0:
                break
            if taken[start : start + width].any():
                continue
            within = ends[row, start : start + width]
            least = edge * within.max()
            top = start + within.argmax()
            first, last = top, top + 1
            while first > max(0, start - width) and not taken[first - 1] and ends[row, first - 1] >= least:
                first -= 1
            while last < min(length, start + 2 * width) and not taken[last] and ends[row, last] >= least:
                last += 1
            taken[min(first, start) : max(last, start + width)] = True
            place = counts[row]
            places[row, place, 0], places[row, place, 1] = first, last
            scores[row, place] = windows[row, start]
            counts[row] += 1
    return places, scores, counts
