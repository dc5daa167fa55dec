"""Evidence for fitted parameters: standard errors of rates, and which enrichments and positional profiles to keep."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from simbench_tf.simulate.fit.maximise import fit_position

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Profile = Literal["own", "shared", "flat"]


#: Starts seen beyond doubt from which on an element has a profile of its own; its centre's error is then sd / 17.
OWN_PROFILE_STARTS = 300


#: An enrichment stays when it is this many standard errors above 0.
SIGNIFICANT_ERRORS = 2.0


def rate_errors(rates: Floats, scores: Floats, design: Floats) -> Floats:
    """Standard errors of rates, float64 (T + 1, E); 0 where a rate is held at 0.

    The inverse of the summed outer products of each sequence's score, which is its posterior expectation under complete
    data (Meilijson 1989), of all rates together.

    Parameters
    ----------
    rates : float64 (T + 1, E)
    scores : float64 (K, E, E)
        Sums of outer products of ``expected starts / rate - 1`` over the sequences of each pattern.
    design : float64 (K, T + 1)
    """
    free = np.flatnonzero(rates.ravel() > 0)
    errors = np.zeros(rates.size)
    errors[free] = np.sqrt(np.diagonal(_covariance(scores, design, free)))
    return errors.reshape(rates.shape)


def supported_rates(rates: Floats, scores: Floats, design: Floats) -> npt.NDArray[np.bool_]:
    """Which rates to keep, (T + 1, E): enrichments are removed, the one with the least Wald statistic first.

    Parameters are those of `rate_errors`. Of two motifs that look alike, one keeps what both account for.
    """
    covariance = _covariance(scores, design, np.arange(rates.size))
    estimate, kept = rates.ravel().copy(), np.ones(rates.size, np.bool_)
    n_elements = rates.shape[1]
    while kept[n_elements:].any():
        candidates = np.flatnonzero(kept[n_elements:]) + n_elements
        z = estimate[candidates] / np.sqrt(covariance[candidates, candidates])
        if z.min() >= SIGNIFICANT_ERRORS:
            break
        least = candidates[z.argmin()]
        # what the others are, and how well they are known, once this one is held at 0
        direction = covariance[:, least] / covariance[least, least]
        estimate = estimate - direction * estimate[least]
        covariance = covariance - np.outer(direction, covariance[least])
        kept[least] = False
    return kept.reshape(rates.shape)


def profile_kinds(resolved: Floats) -> tuple[Profile, ...]:
    """Whose positional profile each element has, by the starts that are seen beyond doubt, (E,)."""
    return tuple("own" if count >= OWN_PROFILE_STARTS else "shared" for count in resolved)


def supported_profiles(starts: Floats, resolved: Floats, widths: Integers) -> tuple[Profile, ...]:
    """The same, but flat where that is not worse by the Bayesian information criterion (Schwarz 1978).

    Parameters
    ----------
    starts : float64 (L, E)
        Expected starts at each position.
    resolved : float64 (E,)
        The information on how many there are, in starts seen beyond doubt. The gain in likelihood counts by that share,
        since a start that is only guessed is put where the profile expects it.
    widths : int (E,)
    """
    kinds = np.array(profile_kinds(resolved), object)
    groups = [kinds == "shared", *np.eye(len(kinds), dtype=np.bool_)[kinds == "own"]]
    for group in groups:
        count = max(1.0, starts[:, group].sum())
        seen = min(1.0, resolved[group].sum() / count)
        if 2 * seen * fit_position(starts[:, group], widths[group])[1] <= 3 * np.log(count):
            kinds[group] = "flat"
    return tuple(kinds)


def _covariance(scores: Floats, design: Floats, free: Integers) -> Floats:
    """Of the free ones of all rates, numbered row by row."""
    size = design.shape[1] * scores.shape[1]
    information = np.einsum("kt,ks,kef->tesf", design, design, scores).reshape(size, size)[np.ix_(free, free)]
    # a trace more of each keeps apart what the sequences cannot
    return np.linalg.inv(information + np.diag(1e-6 * information.diagonal() + 1e-12))
