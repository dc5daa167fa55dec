"""Credit of sites: do a method's sums over true sites say what each site is worth?"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.score.correlation import rank_correlation
from simbench_tf.score.significance import mean_and_error

#: A rank correlation within a sequence takes as many sites, at least.
MIN_SITES = 3


def site_credit(
    scores: npt.NDArray[np.floating], row: npt.ArrayLike, start: npt.ArrayLike, end: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """What a method gives to each site: the sum of its attributions over the site's bases.

    A base in several sites of a sequence is shared evenly among them, as the Shapley value of a base that any of them
    keeps would be, so that nothing is counted twice.

    Parameters
    ----------
    scores : float array, shape (N, L)
    row, start, end : int (S,)
        Each site's sequence and half-open interval.

    Returns
    -------
    float64 (S,)

    Examples
    --------
    >>> site_credit(np.array([[1., 2., 4., 8.]]), [0, 0], [0, 1], [2, 4]).tolist()
    [2.0, 13.0]
    """
    row, start, end = (np.asarray(each, np.int64) for each in (row, start, end))
    edges = np.zeros((len(scores), scores.shape[1] + 1))
    np.add.at(edges, (row, start), 1)
    np.add.at(edges, (row, end), -1)
    share = np.cumsum(edges, axis=1)[:, :-1]
    each = np.divide(scores, share, where=share > 0, out=np.zeros(scores.shape))
    sums = np.concatenate([np.zeros((len(each), 1)), np.cumsum(each, axis=1)], axis=1)
    return sums[row, end] - sums[row, start]


def credit_scores(
    credit: npt.NDArray[np.floating], value: npt.NDArray[np.floating], row: npt.ArrayLike
) -> dict[str, float]:
    """Hold a method's credit of sites against what they are worth.

    Parameters
    ----------
    credit, value : float (S,)
        What the method gives to each site, and its true value.
    row : int (S,)
        Each site's sequence.

    Returns
    -------
    dict
        `n_sites` and `n_sequences`; `rank_correlation`, Spearman's between credit and value within a sequence of
        `MIN_SITES` sites or more, mean over sequences, and its standard error; over all sites Pearson's `correlation`,
        the `slope` of credit on value (least squares; 1 where credit is in the same units), and two errors as a share
        of the values' root mean square: `error` of credit as it is, `scaled_error` at the best scale for it, of which
        giving nothing has 1.

    Examples
    --------
    >>> value = np.array([3., 1., 0., 2., 1., 0.])
    >>> measured = credit_scores(2 * value, value, [0, 0, 0, 1, 1, 1])
    >>> measured["rank_correlation"], round(measured["slope"], 6), round(measured["scaled_error"], 6)
    (1.0, 2.0, 0.0)
    """
    given, due = np.asarray(credit, np.float64), np.asarray(value, np.float64)
    groups = pd.DataFrame({"given": given, "due": due}).groupby(np.asarray(row))
    within = np.array([rank_correlation(each["given"], each["due"], MIN_SITES) for _, each in groups])
    known = within[~np.isnan(within)]
    mean, error = mean_and_error(known, np.arange(len(known))) if len(known) else (math.nan, math.nan)
    measured = {
        "n_sites": len(due),
        "n_sequences": groups.ngroups,
        "rank_correlation": float(mean),
        "rank_correlation_se": float(error),
        "correlation": math.nan,
        "slope": math.nan,
        "error": math.nan,
        "scaled_error": math.nan,
    }
    if not due.any():
        return measured
    spread, size = due - due.mean(), math.sqrt((due**2).mean())
    scale = given @ due / (given @ given) if given.any() else 0.0
    if spread.any():
        measured["slope"] = float(spread @ given / (spread @ spread))
        measured["correlation"] = float(np.corrcoef(given, due)[0, 1]) if np.ptp(given) > 0 else math.nan
    measured["error"] = math.sqrt(((given - due) ** 2).mean()) / size
    measured["scaled_error"] = math.sqrt(((scale * given - due) ** 2).mean()) / size
    return measured
