"""Likeness of drawn to real sequences: composition, words, hits of motifs, and whether a classifier tells them apart.

Each measure is a number of the real sequences and one of the drawn ones, its twin. What is drawn is like life in a
measure where its number lies in the interval that real sequences leave open by being few.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from simbench_tf.score.kmer_classifier import kmer_counts

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
#: Train on some sequences and their labels, score others: ``(train, labels, test) -> scores``.
Classifier = Callable[[Bases, npt.NDArray[np.int64], Bases], Floats]

#: Bases in the words of the spectrum and of the classifier.
K = 6
#: How many sequences there are; of each hit its sequence and its middle.
Places = tuple[int, npt.NDArray[np.integer], Floats]
_N_RESAMPLES, _N_FOLDS = 200, 5
_C = 0.001
_LETTERS = "ACGT"


class Measure(NamedTuple):
    """A line of likeness.csv.

    Attributes
    ----------
    measure : str
    real, twin : float
    low, high : float
        95% interval of `real` over resampled regions; for classifiers and the distance of spectra, of `twin`.
    """

    measure: str
    real: float
    twin: float
    low: float
    high: float


def composition_measures(real: Bases, twin: Bases, seed: int = 0) -> list[Measure]:
    """GC content, its spread over sequences, and the sixteen dinucleotides on both strands together.

    Parameters
    ----------
    real, twin : uint8 array, shape (N, L) and (M, L)
        0-3 for A, C, G, T.
    seed : int, default 0
        Of the resampling.

    Examples
    --------
    >>> real = np.array([[1, 2, 1, 2], [0, 0, 0, 0]], np.uint8)
    >>> composition_measures(real, real[:1])[0][:3]
    ('gc', 0.5, 1.0)
    """
    gc, twin_gc = (np.isin(bases, (1, 2)).mean(axis=1) for bases in (real, twin))
    found = [_mean("gc", gc, twin_gc, seed), _statistic("gc_sd", gc, twin_gc, np.std, seed)]
    pairs = [kmer_counts(bases, 2).astype(np.float64) / max(bases.shape[1] - 1, 1) for bases in (real, twin)]
    for column, name in enumerate(_words(2)):
        found.append(_mean(f"dinucleotide_{name}", pairs[0][:, column], pairs[1][:, column], seed))
    return found


def spectrum_distance(real: Bases, twin: Bases, k: int = K, seed: int = 0) -> Measure:
    """Jensen-Shannon distance of the spectra of k-mers of the real sequences and of as many drawn ones.

    `real` is the same distance between one half of the real sequences and the other, which being few leave open: the
    twin is held against a half, too, so that both are of as many words.
    """
    rng = np.random.default_rng(seed)
    counts = [kmer_counts(bases, k).astype(np.float64) for bases in (real, twin)]
    half = len(real) // 2
    within, between = [], []
    for _ in range(_N_RESAMPLES // 10):
        order, drawn = rng.permutation(len(real)), rng.permutation(len(twin))[:half]
        first = counts[0][order[:half]].sum(axis=0)
        within.append(_distance(first, counts[0][order[half : 2 * half]].sum(axis=0)))
        between.append(_distance(first, counts[1][drawn].sum(axis=0)))
    low, high = np.quantile(between, [0.025, 0.975])
    return Measure(f"spectrum_distance_{k}", float(np.mean(within)), float(np.mean(between)), float(low), float(high))


def hit_measures(name: str, real: npt.ArrayLike, twin: npt.ArrayLike, seed: int = 0) -> Measure:
    """Mean hits of a motif in a sequence, from the hits in each."""
    return _mean(f"hits_{name}", np.asarray(real, np.float64), np.asarray(twin, np.float64), seed)


def place_measures(real: Places, twin: Places, length: int, seed: int = 0) -> list[Measure]:
    """Where hits lie: their mean distance from the middle of the sequence, and from the hit before, in bases.

    Parameters
    ----------
    real, twin : tuple of int, int array, float array
        How many sequences there are; of each hit its sequence (0 to N - 1) and its middle.
    length : int
        Bases of a sequence.
    seed : int, default 0

    Examples
    --------
    >>> places = (2, np.array([0, 0, 1]), np.array([10.0, 30.0, 20.0]))
    >>> [(each.measure, round(each.real, 2)) for each in place_measures(places, places, 40)]
    [('hits_distance', 6.67), ('hits_spacing', 20.0)]
    """

    def mean(sums: Floats) -> float:
        total, number = sums.sum(axis=0)
        return float(total / number) if number else float("nan")

    distances = [_sums_by_row(n, rows, np.abs(middles - length / 2)) for n, rows, middles in (real, twin)]
    spacings = [_spacings(*places) for places in (real, twin)]
    return [
        _statistic("hits_distance", distances[0], distances[1], mean, seed),
        _statistic("hits_spacing", spacings[0], spacings[1], mean, seed),
    ]


def _spacings(n: int, rows: npt.NDArray[np.integer], middles: Floats) -> Floats:
    order = np.lexsort((middles, rows))
    rows, middles = rows[order], middles[order]
    together = rows[1:] == rows[:-1]
    return _sums_by_row(n, rows[1:][together], np.diff(middles)[together])


def _sums_by_row(n: int, rows: npt.NDArray[np.integer], values: Floats) -> Floats:
    """The sum of each sequence's values, and how many they are, (N, 2)."""
    return np.stack([np.bincount(rows, values, n), np.bincount(rows, minlength=n)], axis=1).astype(np.float64)


def transfer_measure(
    name: str,
    scores: tuple[npt.ArrayLike, npt.ArrayLike],
    labels: tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]],
    seed: int = 0,
) -> Measure:
    """auROC of a label on real and on drawn sequences, by the scores of a model that was trained on real ones.

    Parameters
    ----------
    name : str
    scores, labels : tuple of two arrays, shapes (N,) and (M,)
        Of real sequences that it was not trained on, and of drawn ones.
    seed : int, default 0
    """

    def area(both: Floats) -> float:
        return float(roc_auc_score(both[:, 1], both[:, 0])) if len(np.unique(both[:, 1])) == 2 else float("nan")

    real, twin = (np.stack([np.asarray(s, np.float64), y], axis=1) for s, y in zip(scores, labels, strict=True))
    return _statistic(name, real, twin, area, seed)


def dispersion_measure(real: npt.ArrayLike, twin: npt.ArrayLike, seed: int = 0) -> Measure:
    """Variance over mean of the hits of all motifs in a sequence: 1 where sites know nothing of each other."""

    def dispersion(hits: Floats) -> float:
        mean = float(hits.mean())
        return float(hits.var() / mean) if mean else float("nan")

    return _statistic("hits_dispersion", np.asarray(real, np.float64), np.asarray(twin, np.float64), dispersion, seed)


def classifier_measure(name: str, real: Bases, twin: Bases, classifier: Classifier, seed: int = 0) -> Measure:
    """auROC at which a classifier tells drawn from real sequences, over five folds; .5 is perfect likeness.

    Parameters
    ----------
    name : str
    real, twin : uint8 array, shape (N, L) and (M, L)
        As many drawn ones as there are real ones are taken, by the seed.
    classifier : callable
        ``(train, labels, test) -> scores``, higher for drawn sequences.
    seed : int, default 0

    Returns
    -------
    Measure
        With the interval over resampled sequences.
    """
    rng = np.random.default_rng(seed)
    n = min(len(real), len(twin))
    chosen = [bases[np.sort(rng.permutation(len(bases))[:n])] for bases in (real, twin)]
    bases, labels = np.concatenate(chosen), np.repeat([0, 1], n)
    scores = np.zeros(2 * n)
    folds = StratifiedKFold(min(_N_FOLDS, n), shuffle=True, random_state=seed)
    for train, test in folds.split(bases, labels):
        found = classifier(bases[train], labels[train], bases[test])
        # folds have scales of their own
        scores[test] = np.argsort(np.argsort(found, kind="stable"), kind="stable") / len(test)
    resampled = []
    for _ in range(_N_RESAMPLES):
        rows = np.concatenate([rng.integers(0, n, n), n + rng.integers(0, n, n)])
        resampled.append(roc_auc_score(labels[rows], scores[rows]))
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Measure(name, 0.5, float(roc_auc_score(labels, scores)), float(low), float(high))


def by_words(train: Bases, labels: npt.NDArray[np.int64], test: Bases) -> Floats:
    """Score sequences by a logistic regression on counts of 6-mers."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=_C, max_iter=1_000))
    model.fit(kmer_counts(train, K).astype(np.float64), labels)
    return np.asarray(model.decision_function(kmer_counts(test, K).astype(np.float64)), np.float64)


def _mean(name: str, real: Floats, twin: Floats, seed: int) -> Measure:
    return _statistic(name, real, twin, np.mean, seed)


def _statistic(name: str, real: Floats, twin: Floats, statistic: Callable[[Floats], float], seed: int) -> Measure:
    rng = np.random.default_rng(seed)
    resampled = [statistic(real[rng.integers(0, len(real), len(real))]) for _ in range(_N_RESAMPLES)]
    low, high = np.nanquantile(resampled, [0.025, 0.975])
    return Measure(name, float(statistic(real)), float(statistic(twin)), float(low), float(high))


def _distance(first: Floats, second: Floats) -> float:
    from scipy.spatial.distance import jensenshannon

    return float(jensenshannon(first, second, base=2))


def _words(k: int) -> Iterator[str]:
    """Words of k bases as the columns of `kmer_counts` count them, each with its reverse complement."""
    for number in range(4**k):
        digits = [number // 4 ** (k - 1 - place) % 4 for place in range(k)]
        turned = [3 - digit for digit in reversed(digits)]
        if digits <= turned:
            yield "".join(_LETTERS[digit] for digit in digits)
