"""The oracle against what the generator drew: calibrated, beaten by no classifier, ahead of a scan.

Statistical tests use fixed seeds and say at how many standard errors they reject.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from helpers.oracle_grammars import ELEMENTS, LONG, drawn, grammar_of
from simbench_tf.motifs import pwm
from simbench_tf.score import pooled_scores, score_attributions, summarise
from simbench_tf.simulate.grammar import Grammar, zero_order_background
from simbench_tf.simulate.oracle import attribution_ceiling, explain, label_ceiling, label_posterior, log_likelihood


@pytest.fixture(scope="module")
def grammar() -> Grammar:
    return grammar_of(ELEMENTS, LONG, 100)


@pytest.fixture(scope="module")
def calibration(grammar: Grammar) -> tuple[Any, np.ndarray, np.ndarray]:
    bases, labels, mask = drawn(grammar, 50_000)
    return explain(grammar, bases), labels, mask


@pytest.mark.slow
def test_label_posteriors_are_calibrated(grammar: Grammar, calibration: tuple[Any, np.ndarray, np.ndarray]) -> None:
    posterior, labels, _ = calibration
    for task in range(2):
        probability, truth = posterior.label_probability[:, task], labels[:, task]
        bins = np.minimum((probability * 10).astype(int), 9)
        for number in np.unique(bins):
            own = bins == number
            error = np.sqrt((probability[own] * (1 - probability[own])).sum())
            # at four standard errors; rates wrong by a fifth reach seven of them
            assert abs(truth[own].sum() - probability[own].sum()) < 4 * error, (task, number)
        assert (np.bincount(bins, minlength=10) > 300).sum() >= 8
        assert probability.mean() == pytest.approx(grammar.fractions[task], abs=0.01)


@pytest.mark.slow
def test_occupancies_are_calibrated(calibration: tuple[Any, np.ndarray, np.ndarray]) -> None:
    posterior, _, mask = calibration
    truths = [mask.any(axis=2), mask[:, :, :2].any(axis=2), mask[:, :, 1:3].any(axis=2)]
    for occupancy, truth in zip([posterior.occupancy, *posterior.task_occupancy], truths, strict=True):
        bins = np.minimum((occupancy * 10).astype(int), 9)
        for number in range(10):
            # bases of a sequence go together, so that the sequence is what is drawn independently; without the pair's
            # longest gap, 20 standard errors are reached
            excess = ((truth - occupancy) * (bins == number)).sum(axis=1)
            assert abs(excess.sum()) < 4 * np.sqrt((excess**2).sum()), number
            assert (bins == number).sum() > 1000


def log_odds(grammar: Grammar, bases: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The width of each motif and the scores in nats of its windows, (N, L - width + 1), strand by strand."""
    for one in grammar.motifs:
        weights = pwm(one, zero_order_background(grammar)).astype(np.float64) * math.log(2)
        n_windows = bases.shape[1] - len(weights) + 1
        for matrix in (weights, weights[::-1, ::-1]):
            yield len(weights), sum(row[bases[:, at : at + n_windows]] for at, row in enumerate(matrix))


def motif_features(grammar: Grammar, bases: np.ndarray) -> np.ndarray:
    """What a motif scan says of each sequence: of each motif, the best score and the log of the summed odds."""
    features = []
    for _, scores in log_odds(grammar, bases):
        features += [scores.max(axis=1), logsumexp(scores, axis=1)]
    return np.stack(features, axis=1)


def auroc_error(truth: np.ndarray, one: np.ndarray, other: np.ndarray) -> float:
    """Standard error of the difference of two auROCs on the same sequences (DeLong et al. 1988)."""
    positive, negative = [], []
    for score in (one, other):
        ranks = stats.rankdata(score)
        within_positive, within_negative = stats.rankdata(score[truth == 1]), stats.rankdata(score[truth == 0])
        positive.append((ranks[truth == 1] - within_positive) / (truth == 0).sum())
        negative.append((ranks[truth == 0] - within_negative) / (truth == 1).sum())
    variances = [np.var(a - b, ddof=1) / len(a) for a, b in (positive, negative)]
    return float(np.sqrt(sum(variances)))


@pytest.mark.slow
def test_no_classifier_beats_the_oracle(grammar: Grammar) -> None:
    n, n_train = 18_000, 10_000
    bases, labels, _ = drawn(grammar, n, seed=11)
    features = motif_features(grammar, bases)
    ceiling = label_posterior(grammar, log_likelihood(grammar, bases[n_train:]))
    for task in range(2):
        truth, oracle = labels[n_train:, task], ceiling[:, task]
        best = 0.0
        for classifier in (
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
            HistGradientBoostingClassifier(random_state=0, max_iter=40),
        ):
            with threadpool_limits(1):  # OpenMP's waiting threads crawl on a busy machine
                classifier.fit(features[:n_train], labels[:n_train, task])
            predicted = classifier.predict_proba(features[n_train:])[:, 1]
            lead = roc_auc_score(truth, predicted) - roc_auc_score(truth, oracle)
            assert lead < 3 * auroc_error(truth, predicted, oracle)
            best = max(best, roc_auc_score(truth, predicted))
        # no straw men: most of what can be known they do know
        assert best - 0.5 > 0.7 * (roc_auc_score(truth, oracle) - 0.5)


def test_occupancy_ranks_true_bases_better_than_a_scan(grammar: Grammar) -> None:
    bases, labels, mask = drawn(grammar, 2000, seed=13)
    truth = mask.any(axis=2)
    strength = np.zeros(bases.shape)  # of each base, the best log-odds of the windows over it, if above 0
    for width, scores in log_odds(grammar, bases):
        for offset in range(width):
            covered = slice(offset, offset + scores.shape[1])
            strength[:, covered] = np.maximum(strength[:, covered], scores)
    unknown, known = explain(grammar, bases).occupancy, explain(grammar, bases, labels).occupancy
    for metric in (roc_auc_score, average_precision_score):
        scanned, ranked, told = (metric(truth.ravel(), score.ravel()) for score in (strength, unknown, known))
        assert scanned > 0.6 if metric is roc_auc_score else scanned > truth.mean() + 0.1
        assert ranked > scanned + 0.02
        assert told > ranked


def test_attribution_ceiling_is_the_score_of_the_occupancy(grammar: Grammar) -> None:
    bases, labels, mask = drawn(grammar, 200)
    truth = mask.any(axis=2)
    occupancy = explain(grammar, bases, labels).occupancy
    ceiling = attribution_ceiling(occupancy, truth)
    assert ceiling["attribution_sequences"] == 200
    mean, pooled = summarise(score_attributions(occupancy, truth)), pooled_scores(occupancy, truth)
    for name in ("auroc", "auprc"):
        assert ceiling[f"attribution_{name}"] == mean[name]
        assert ceiling[f"attribution_{name}_se"] == mean[f"{name}_se"]
        assert ceiling[f"pooled_attribution_{name}"] == pooled[f"pooled_{name}"]
        assert 0 < ceiling[f"pooled_attribution_{name}_se"] < 0.05


def test_label_ceiling_is_the_posteriors(grammar: Grammar) -> None:
    bases, labels, _ = drawn(grammar, 1000)
    probability = explain(grammar, bases).label_probability
    table = label_ceiling(grammar.tasks, probability, labels).set_index("task")
    # the area is the share of (positive, negative) pairs in the right order
    ordered = probability[labels[:, 1] == 1, 1][:, None] - probability[labels[:, 1] == 0, 1]
    assert table.loc["y", "auroc"] == pytest.approx(((ordered > 0) + 0.5 * (ordered == 0)).mean(), abs=1e-12)
    assert table.loc["x", "auprc"] == pytest.approx(average_precision_score(labels[:, 0], probability[:, 0]))
    # DeLong: each positive's share of negatives below it is one observation, and each negative's of positives above
    ordered = (ordered > 0) + 0.5 * (ordered == 0)
    variance = ordered.mean(axis=1).var(ddof=1) / len(ordered) + ordered.mean(axis=0).var(ddof=1) / ordered.shape[1]
    assert table.loc["y", "auroc_se"] == pytest.approx(np.sqrt(variance))
    assert 0 < table.loc["x", "auprc_se"] < 0.05
    alone = label_ceiling(("x",), probability[:, :1], np.zeros((1000, 1), np.uint8))
    assert alone.drop(columns="task").isna().all(axis=None)
    with pytest.raises(ValueError, match=r"labels \(N, 1\)"):
        label_ceiling(("x",), probability, labels)
