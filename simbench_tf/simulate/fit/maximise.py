"""The M step of a fit: additive rates, positional profiles and label correlation that suit expected sites best."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar
from scipy.special import xlogy

from simbench_tf.config import Position
from simbench_tf.simulate.grammar.labels import pattern_probabilities

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_RATE_STEPS = 300


# a bell narrower than this is a few regions' shared sequence, not a preference
_LEAST_SD = 5.0
_LEAST_FLOOR = 1e-3


# where the search for a profile begins, in lengths of the sequence
_FIRST_SDS = (0.05, 0.2)


# how near to its bounds a correlation is looked for
_MARGIN = 1e-3


def fit_rates(counts: Floats, sizes: npt.ArrayLike, design: Floats, rates: Floats) -> Floats:
    """Nonnegative additive rates that give expected counts the highest Poisson likelihood.

    Parameters
    ----------
    counts : float64 (K, E)
        Expected starts, summed over the sequences of each label pattern.
    sizes : int (K,)
        Sequences of each pattern.
    design : float64 (K, T + 1)
        1, then the labels of each pattern.
    rates : float64 (T + 1, E)
        Where to begin; what is 0 stays 0.

    Returns
    -------
    float64 (T + 1, E)

    Notes
    -----
    Each start is shared out among the terms of its pattern's rate, and each term gets the mean of its shares (the EM
    algorithm of Shepp & Vardi 1982 for sums of Poisson rates; Lee & Seung 2001, eq. 5).

    Examples
    --------
    100 sequences without a label and 50 with it:

    >>> rates = fit_rates(np.array([[10.0], [30.0]]), [100, 50], np.array([[1.0, 0], [1, 1]]), np.ones((2, 1)))
    >>> rates.ravel().round(4).tolist()
    [0.1, 0.5]
    """
    weights = np.asarray(sizes)[:, None] * design
    totals = weights.sum(axis=0)[:, None]
    for _ in range(_RATE_STEPS):
        modelled = np.einsum("kt,te->ke", design, rates)
        shares = np.divide(counts, modelled, where=modelled > 0, out=np.zeros_like(counts))
        rates = rates * np.einsum("kt,ke->te", design, shares) / totals
    return rates


def fit_position(starts: Floats, widths: npt.ArrayLike) -> tuple[Position, float]:
    """The positional profile under which starts are the likeliest, and how much likelier than under a flat profile.

    Parameters
    ----------
    starts : float64 (L, E)
        Expected starts at each position of the elements that share the profile.
    widths : int (E,)
        Their bases.

    Returns
    -------
    position : Position
        Centre, sd (at least 5 bases) and floor; a flat profile is among them, as floor 1.
    gain : float
        Log-likelihood less that of a flat profile.

    Notes
    -----
    Maximum likelihood of the multinomial that `grammar.build_grammar` states, by L-BFGS-B from a narrow and a wide
    bell.
    """
    widths = np.asarray(widths)
    length = len(starts)
    # shares of the length, and of the starts: the optimiser's steps and tolerances are then in one unit
    scale = max(1.0, starts.sum())
    flat = _profile_log_likelihood(np.array([0.5, 0.0, 1.0]), starts, widths)[0]

    def objective(x: Floats) -> tuple[float, Floats]:
        value, slope = _profile_log_likelihood(x, starts, widths)
        return -value / scale, -slope / scale

    bounds = [(0.0, 1.0), (np.log(_LEAST_SD / length), 0.0), (_LEAST_FLOOR, 1.0)]
    options = {"ftol": 1e-12, "gtol": 1e-8}
    results = [
        minimize(objective, np.array([0.5, np.log(sd), 0.3]), jac=True, bounds=bounds, options=options)
        for sd in _FIRST_SDS
    ]
    best = min(results, key=lambda result: float(result.fun))
    centre, log_sd, floor = best.x.tolist()
    position = Position(centre=length * centre, sd=length * float(np.exp(log_sd)), floor=floor)
    return position, max(0.0, -scale * float(best.fun) - flat)


def fit_label_correlation(fractions: Floats, counts: Integers) -> float:
    """The correlation of the labels' latent normals under which the label patterns are the likeliest.

    Parameters
    ----------
    fractions : float64 (T,)
        P(label) of each task, held as they are.
    counts : int64 (2 ** T,)
        Sequences of each label pattern, ``sum_t y_t << t``.

    Examples
    --------
    Two labels of one half agree with probability ``1/2 + arcsin(rho) / pi``:

    >>> round(fit_label_correlation(np.array([0.5, 0.5]), np.array([1000, 500, 500, 1000])), 4)
    0.5
    """
    n_tasks = len(fractions)
    if n_tasks == 1:
        return 0.0

    def minus_log_likelihood(correlation: float) -> float:
        return -float(xlogy(counts, pattern_probabilities(fractions, correlation).clip(1e-12)).sum())

    lowest = -(1 - _MARGIN) / (n_tasks - 1)
    found = minimize_scalar(minus_log_likelihood, bounds=(lowest, 1 - _MARGIN), method="bounded")
    return float(found.x)


def _profile_log_likelihood(parameters: Floats, starts: Floats, widths: Integers) -> tuple[float, Floats]:
    """Log-likelihood of starts whose profile has a centre, log sd (in lengths) and floor, and its gradient by them."""
    length = len(starts)
    centre, sd, floor = parameters[0] * length, np.exp(parameters[1]) * length, parameters[2]
    start = np.arange(length)[:, None]
    fits = start <= length - widths
    z = (start + widths / 2 - centre) / sd
    bell = np.where(fits, np.exp(-(z**2) / 2), 0.0)
    weights = np.where(fits, floor + (1 - floor) * bell, 1.0)
    totals = np.where(fits, weights, 0.0).sum(axis=0)
    # round-off may leave a trace of starts where none fits
    at = np.where(fits, starts, 0.0)
    counts = at.sum(axis=0)
    value = float((at * np.log(weights)).sum() - (counts * np.log(totals)).sum())
    slopes = [(1 - floor) * bell * z / sd * length, (1 - floor) * bell * z**2, fits - bell]
    gradient = [(at / weights * slope).sum() - (counts / totals * slope.sum(axis=0)).sum() for slope in slopes]
    return value, np.array(gradient)
