"""Classes of sequences in the posterior: which class made a sequence, and sums over all that may have.

A sequence is of one class, which depends on its labels. So its likelihood given the labels is the mean of the classes'
likelihoods, weighted by P(class | labels), and what each class says of its sites counts by the posterior of the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, softmax

from simbench_tf.simulate.oracle.forward_backward import log_likelihood_rows
from simbench_tf.simulate.oracle.layout import OracleLayout
from simbench_tf.simulate.oracle.occupancy import PosteriorRows, explain_rows
from simbench_tf.simulate.oracle.site_starts import SiteKinds, site_start_rows

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def mixed_log_likelihood(weights: Floats, log_likelihood: Floats) -> Floats:
    """``log P(sequence | pattern)``, float64 (N, P), from each class's, (C, N, P), and P(class | pattern), (C, P).

    Examples
    --------
    >>> float(mixed_log_likelihood(np.array([[0.25], [0.75]]), np.log([[[0.4]], [[0.8]]]))[0, 0].round(6)), 0.7
    (-0.356675, 0.7)
    """
    if len(weights) == 1:
        return log_likelihood[0]
    return np.asarray(logsumexp(log_likelihood, axis=0, b=weights[:, None]))


def class_posterior(prior: Floats, log_likelihood: Floats, known: Integers, labels: Integers) -> Floats:
    """P(class | sequence, labels), float64 (C, N).

    Parameters
    ----------
    prior : float64 (C, P)
        P(class and label pattern).
    log_likelihood : float64 (C, N, P)
        Of each class.
    known, labels : int64 (N,)
        As in `occupancy.explain_rows`. Where no class can give the sequence the posterior is P(class).
    """
    fits = (np.arange(prior.shape[1]) & known[:, None]) == labels[:, None]
    joint = logsumexp(log_likelihood, axis=2, b=np.where(fits, prior[:, None], 0.0))
    possible = joint.max(axis=0) > -np.inf
    return np.asarray(softmax(np.where(possible, joint, np.log(prior.sum(axis=1))[:, None]), axis=0))


def log_likelihood_of_classes(layouts: Sequence[OracleLayout], bases: Bases) -> Floats:
    """``log P(sequence | pattern, class)``, float64 (C, N, P)."""
    return np.stack([log_likelihood_rows(layout, bases) for layout in layouts])


def explain_classes(
    layouts: Sequence[OracleLayout],
    weights: Floats,
    bases: Bases,
    known: Integers,
    labels: Integers,
    by: Literal["element", "motif"] | None,
) -> PosteriorRows:
    """`occupancy.explain_rows` of sequences whose class is not known; parameters as there, and P(class | pattern)."""
    if len(layouts) == 1:
        return explain_rows(layouts[0], bases, known, labels, by)
    likelihoods = log_likelihood_of_classes(layouts, bases)
    shares = class_posterior(_prior(layouts), likelihoods, known, labels)
    total: PosteriorRows | None = None
    backward = []
    # one class at a time: occupancies by part are large
    for layout, share in zip(layouts, shares, strict=True):
        part = explain_rows(layout, bases, known, labels, by)
        backward.append(part.backward_log_likelihood)
        part.occupancy[:] *= share[:, None]
        part.task_occupancy[:] *= share[:, None]
        part.part_occupancy[:] *= share[:, None, None] if by else 1.0
        if total is None:
            total = part
        else:
            for sums, more in zip(total[2:], part[2:], strict=True):
                np.add(sums, more, out=sums)
    assert total is not None
    return total._replace(
        log_likelihood=mixed_log_likelihood(weights, likelihoods),
        backward_log_likelihood=mixed_log_likelihood(weights, np.stack(backward)),
    )


def site_starts_of_classes(
    layouts: Sequence[OracleLayout], kinds: SiteKinds, bases: Bases, known: Integers, labels: Integers
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """`site_starts.site_start_rows` of sequences whose class is not known; parameters as there."""
    if len(layouts) == 1:
        return site_start_rows(layouts[0], kinds, bases, known, labels)
    shares = class_posterior(_prior(layouts), log_likelihood_of_classes(layouts, bases), known, labels)
    starts, possible = np.zeros((len(bases), len(kinds.width), bases.shape[1])), np.zeros(len(bases), np.bool_)
    for layout, share in zip(layouts, shares, strict=True):
        own, can = site_start_rows(layout, kinds, bases, known, labels)
        starts += share[:, None, None] * own
        possible |= can
    return starts, possible


def _prior(layouts: Sequence[OracleLayout]) -> Floats:
    """P(class and label pattern), float64 (C, P)."""
    return np.stack([layout.prior for layout in layouts])
