"""Classes of sequences by their composition: a mixture of Markov chains fitted by EM, both strands together.

Each whole sequence is of one class, as in `GrammarSimulation.classes`. The start is by GC content, so that nothing is
left to chance, and classes that end without a sequence are left out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import log_softmax, logsumexp
from sklearn.linear_model import LogisticRegression

from simbench_tf.simulate.fit.background_words import counted_background
from simbench_tf.simulate.grammar.background import MAX_ORDER

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# bases before that tell classes apart
_ORDER = 2
# of each word, on average, in every class
_SEEN = 100
_MAX_PASSES = 200
# passes end when the mean log-likelihood of a sequence gains less than this
_LEAST_GAIN = 1e-3
# standard deviation of the logarithms of odds ratios, before anything is seen: a class without a positive is not
# thought impossible with the label
_RATIO_SD = 1.0


def sequence_classes(bases: Bases, n_classes: int) -> Integers:
    """The likeliest class of each sequence in a mixture of Markov chains, int64 (N,): 0, 1, ..., each with sequences.

    Parameters
    ----------
    bases : uint8 (N, L)
        A, C, G, T as 0-3.
    n_classes : int
        At most so many: as many as the Bayesian information criterion (Schwarz 1978) asks for.

    Notes
    -----
    EM of a mixture (Dempster, Laird & Rubin 1977) over whole sequences, from classes of equal size by GC content. A
    base depends on the two before it: that is enough to tell classes apart, whatever the order of their backgrounds.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> bases = np.where(np.arange(40)[:, None] % 2, rng.choice(4, (40, 200), p=[0.1, 0.4, 0.4, 0.1]),
    ...                  rng.choice(4, (40, 200), p=[0.4, 0.1, 0.1, 0.4])).astype(np.uint8)
    >>> sequence_classes(bases, 4)[:6].tolist()
    [0, 1, 0, 1, 0, 1]
    """
    if n_classes == 1:
        return np.zeros(len(bases), np.int64)
    words = _words(bases, _ORDER + 1)
    by_gc = np.argsort(np.argsort(np.isin(bases, (1, 2)).sum(axis=1), kind="stable"), kind="stable")
    fits = [_mixture(words, by_gc * number // len(bases)) for number in range(1, n_classes + 1)]
    n_free = [(3 * 4**_ORDER + 1) * number - 1 for number in range(1, n_classes + 1)]
    criteria = [free * np.log(len(bases)) - 2 * found for free, (found, _) in zip(n_free, fits, strict=True)]
    members = fits[int(np.argmin(criteria))][1]
    return np.unique(members, return_inverse=True)[1].reshape(len(bases))


def class_odds(classes: Integers, labels: npt.NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Weights of classes, float64 (C,), and their odds ratios by task, float64 (C, T), as `SequenceClass` has them.

    Parameters
    ----------
    classes : int64 (N,)
        0, 1, ..., each with sequences.
    labels : uint8 (N, T)
        Of each task, both 0 and 1.

    Notes
    -----
    Multinomial logistic regression of the class on the labels, whose coefficients are normal around 0 with a standard
    deviation of 1; where they are not better than none by the Bayesian information criterion (Schwarz 1978), none is
    taken. A task's ratios have the mean 1 over sequences without a label.

    Examples
    --------
    >>> classes, labels = np.repeat([0, 1, 0, 1], [600, 200, 50, 150]), np.repeat([0, 1], [800, 200])[:, None]
    >>> weights, ratios = class_odds(classes, labels)
    >>> weights.round(2).tolist(), ratios.round(1).tolist()
    ([0.75, 0.25], [[0.3], [2.9]])
    """
    shares, n_tasks = np.bincount(classes) / len(classes), labels.shape[1]
    found = LogisticRegression(C=_RATIO_SD**2, tol=1e-8, max_iter=1000).fit(labels, classes)
    slopes, base = found.coef_, found.intercept_
    if len(shares) == 2:  # it has the second class alone then, the first being 0
        slopes, base = np.concatenate([0 * slopes, slopes]), np.array([0.0, *base])
    gain = log_softmax(labels @ slopes.T + base, axis=1)[np.arange(len(classes)), classes] - np.log(shares)[classes]
    if 2 * gain.sum() <= (len(shares) - 1) * n_tasks * np.log(len(classes)):
        return shares, np.ones((len(shares), n_tasks))
    weights = np.exp(log_softmax(base))
    ratios = np.exp(slopes)
    return weights, ratios / (weights @ ratios)


def suited_order(n_bases: int, n_classes: int) -> int:
    """How many bases a background base should depend on, 1 to 5: the most for which each word is seen often enough.

    Examples
    --------
    >>> suited_order(260 * 400, 3), suited_order(5_000 * 400, 3)
    (3, 5)
    """
    fitting = [order for order in range(1, MAX_ORDER + 1) if n_bases >= _SEEN * n_classes * 4 ** (order + 1)]
    return max(fitting, default=1)


def _mixture(words: csr_array, first: Integers) -> tuple[float, Integers]:
    """Log-likelihood of a mixture, and the likeliest class of each sequence, from the classes of the start (N,)."""
    shares = np.eye(int(first.max()) + 1)[first]
    before = -np.inf
    for _ in range(_MAX_PASSES):
        tables = np.stack([counted_background(words.T @ share).ravel() for share in shares.T], axis=1)
        with np.errstate(divide="ignore"):
            joint = words @ np.log(tables) + np.log(shares.mean(axis=0))
        total = logsumexp(joint, axis=1, keepdims=True)
        shares = np.exp(joint - total)
        after = float(total.mean())
        if after - before < _LEAST_GAIN:
            break
        before = after
    return len(shares) * after, shares.argmax(axis=1)


def _words(bases: Bases, width: int) -> csr_array:
    """How often each word of `width` bases stands in each sequence, (N, 4 ** width), words as digits of base 4."""
    stretch = bases.shape[1] - width + 1
    codes = np.zeros((len(bases), stretch), np.int64)
    for offset in range(width):
        codes = 4 * codes + bases[:, offset : offset + stretch]
    rows = np.repeat(np.arange(len(bases)), stretch)
    counts = csr_array((np.ones(codes.size), (rows, codes.ravel())), shape=(len(bases), 4**width))
    counts.sum_duplicates()
    return counts
