"""The exact posterior of a grammar: what a sequence says of its labels and of its sites.

No model can predict labels better, and no ranking of bases pooled over sequences can be better, in expectation. For the
mean over sequences of each one's auPRC the posterior is the best known, not proven to be the best that any could reach.

The model is the `Grammar` that the sampler draws from. Every placement of elements that could have made a sequence is
summed over by forward-backward over decision points (Rabiner 1989, sections III.A and IV.D, for states of explicit
duration), on both strands, with every gap, position and overlap, and nothing is approximated. Of a grammar with classes
that is done for each class (`mixture`).
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logsumexp
from sklearn.metrics import average_precision_score, roc_auc_score

from simbench_tf.score import AreaErrors, area_errors, pooled_errors, pooled_scores, score_attributions, summarise
from simbench_tf.simulate.grammar import Grammar, class_prior, element_tasks, label_prior
from simbench_tf.simulate.grammar.labels import labels_of
from simbench_tf.simulate.oracle.layout import OracleLayout, layout_of
from simbench_tf.simulate.oracle.mixture import explain_classes, log_likelihood_of_classes, mixed_log_likelihood

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: Of the bootstrap of pooled areas over thousands of sequences: enough for an error known to a twentieth.
_N_RESAMPLES = 200


class Posterior(NamedTuple):
    """The posterior of labels and sites; N sequences, L bases, T tasks, ``P = 2 ** T`` label patterns.

    Attributes
    ----------
    log_likelihood : float64 (N, P)
        ``log P(sequence | pattern)``, natural logarithm; -inf where the pattern cannot give the sequence.
    label_probability : float64 (N, T)
        P(label = 1 | sequence) of each task, whatever labels were given.
    occupancy : float64 (N, L)
        P(base lies in a site of any element | sequence and the labels given). The gap of a pair is no site.
    task_occupancy : float64 (T, N, L)
        The same for the sites of those elements whose rate depends on each task's label: a task's truth.
    part_occupancy : float64 (N, L, E) or (N, L, M), or None
        Where requested, the same for each element or each motif, in the order of `Grammar.elements` or
        `Grammar.motifs`.
    """

    log_likelihood: Floats
    label_probability: Floats
    occupancy: Floats
    task_occupancy: Floats
    part_occupancy: Floats | None


def explain(
    grammar: Grammar,
    bases: Bases,
    labels: npt.NDArray[np.integer] | None = None,
    by: Literal["element", "motif"] | None = None,
) -> Posterior:
    """The posterior of sequences: of their labels, and of which of their bases lie in which motif.

    Parameters
    ----------
    grammar : Grammar
    bases : uint8 (N, L)
        A, C, G, T as 0-3; L is the grammar's `seq_length`.
    labels : int (N, T), optional
        What is known of the labels, for the occupancies: 1, 0, or -1 where a label is not known and is summed out, with
        its probability given the sequence and the labels that are. By default none is known.
    by : {"element", "motif"}, optional
        Return `part_occupancy`, too: it takes N x L x E (or M) x 8 bytes.

    Returns
    -------
    Posterior
        Each sequence on its own: the same numbers in whatever part of the data and on however many threads.

    Raises
    ------
    ValueError
        Wrong shape, dtype or length, a base that is not A, C, G, T, labels that are not -1, 0, 1, or a sequence that
        the grammar cannot give (with the labels given).

    Notes
    -----
    Of all rankings of bases pooled over sequences, the one by occupancy is the best in expectation at every recall, so
    in auROC and in auPRC (Neyman & Pearson 1933), among those that know as much of the labels: where sequences were
    chosen by a label, give that label. That is exact for pooled scores; for the mean over sequences of each one's
    metric it is the best known, and not proven to be the best.

    Examples
    --------
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.dna import encode
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
    >>> settings = GrammarSimulation(kind="grammar", seq_length=20, tasks={"K562": {"fraction": 0.5}},
    ...                              elements=[{"motif": "GATA1", "rate": 0.1, "enriched": {"K562": 0.5}}])
    >>> grammar = build_grammar(settings, load_motifs("default"))
    >>> posterior = explain(grammar, encode(["CCATTTCTTATCAGCCCGTA", "CCATTTCAATGCAGCCCGTA"]))
    >>> posterior.label_probability.round(2).tolist()
    [[0.79], [0.31]]
    """
    bases = checked_bases(grammar, bases)
    known, given = known_patterns(labels, len(bases), len(grammar.tasks))
    explained = explain_classes(class_layouts(grammar), grammar.class_weights, bases, known, given, by)
    if not explained.possible.all():
        row = int(np.flatnonzero(~explained.possible)[0])
        raise ValueError(f"sequence {row} cannot come from this grammar{'' if labels is None else ' with its labels'}")
    return Posterior(
        log_likelihood=explained.log_likelihood,
        label_probability=label_posterior(grammar, explained.log_likelihood),
        occupancy=explained.occupancy,
        task_occupancy=explained.task_occupancy,
        part_occupancy=explained.part_occupancy if by else None,
    )


def log_likelihood(grammar: Grammar, bases: Bases) -> Floats:
    """``log P(sequence | label pattern)``, float64 (N, 2 ** T), by the forward pass alone: no occupancies.

    Pattern p carries the labels of its bits, ``sum_t y_t << t``. Parameters and errors as of :func:`explain`, but a
    sequence that the grammar cannot give has -inf.
    """
    of_classes = log_likelihood_of_classes(class_layouts(grammar), checked_bases(grammar, bases))
    return mixed_log_likelihood(grammar.class_weights, of_classes)


def label_posterior(grammar: Grammar, log_likelihood: Floats) -> Floats:
    """P(label = 1 | sequence), float64 (N, T), from likelihoods (N, 2 ** T) and the grammar's prior of the labels.

    Sequences that no pattern can give have NaN.
    """
    return np.asarray(expit(label_log_odds(grammar, log_likelihood)))


def label_log_odds(grammar: Grammar, log_likelihood: Floats) -> Floats:
    """Log of P(label = 1 | sequence) / P(label = 0 | sequence), float64 (N, T), natural logarithm.

    What a model's logit should be. Parameters as of :func:`label_posterior`.
    """
    with np.errstate(divide="ignore"):
        joint = log_likelihood + np.log(label_prior(grammar))
    carried = labels_of(np.arange(joint.shape[1]), len(grammar.tasks)).astype(np.bool_)
    possible = joint.max(axis=1, keepdims=True, initial=-math.inf) > -math.inf
    joint = np.where(possible, joint, math.nan)
    columns = [logsumexp(joint[:, with_it], axis=1) - logsumexp(joint[:, ~with_it], axis=1) for with_it in carried.T]
    return np.stack(columns, axis=1)


def label_ceiling(tasks: tuple[str, ...], label_probability: Floats, labels: npt.NDArray[np.integer]) -> pd.DataFrame:
    """How well labels can be predicted from these sequences: auROC and average precision of the label posterior.

    Parameters
    ----------
    tasks : tuple of str
    label_probability : float64 (N, T)
        From :func:`explain` or :func:`label_posterior`.
    labels : int (N, T)
        The true labels.

    Returns
    -------
    DataFrame
        Columns task, auroc, auprc, auroc_se and auprc_se (`score.area_errors`), one row per task; NaN where all its
        labels are the same.

    Notes
    -----
    The best in expectation (Neyman & Pearson 1933): on one finite sample another score may come out ahead by chance,
    and the standard errors say how far another sample's ceiling would be from this one.

    Examples
    --------
    >>> label_ceiling(("a",), np.array([[0.2], [0.9], [0.6], [0.3]]), np.array([[0], [1], [1], [0]]))
      task  auroc  auprc  auroc_se  auprc_se
    0    a    1.0    1.0       0.0       0.0
    """
    if label_probability.shape != labels.shape or labels.shape[1:] != (len(tasks),):
        raise ValueError(
            f"need probabilities and labels (N, {len(tasks)}), not {label_probability.shape} and {labels.shape}"
        )
    rows = []
    for task, probability, truth in zip(tasks, label_probability.T, labels.T, strict=True):
        both = len(np.unique(truth)) == 2
        auroc = float(roc_auc_score(truth, probability)) if both else math.nan
        auprc = float(average_precision_score(truth, probability)) if both else math.nan
        errors = area_errors(probability, truth == 1)
        rows.append({"task": task, "auroc": auroc, "auprc": auprc, **errors._asdict()})
    return pd.DataFrame(rows, columns=["task", "auroc", "auprc", *AreaErrors._fields])


def attribution_ceiling(occupancy: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> dict[str, float]:
    """How well true bases can be ranked: the scores of the posterior's occupancy, with their standard errors.

    Parameters
    ----------
    occupancy : float array, shape (N, L)
        From :func:`explain`, given the label by which the sequences were chosen.
    mask : bool (N, L)
        The true bases.

    Returns
    -------
    dict
        attribution_sequences, their number. attribution_auroc and attribution_auprc, means over sequences: the best
        known. pooled_attribution_auroc and pooled_attribution_auprc, over all bases together: exact, the best in
        expectation. Each has its standard error under the name and ``_se``, with the sequence as what is drawn at
        random.

    Examples
    --------
    >>> mask = np.array([[True, False, False]] * 2)
    >>> ceiling = attribution_ceiling(np.array([[0.9, 0.1, 0.2], [0.3, 0.1, 0.4]]), mask)
    >>> ceiling["attribution_auroc"], ceiling["attribution_auroc_se"], ceiling["pooled_attribution_auroc"]
    (0.75, 0.25, 0.875)
    """
    mean = summarise(score_attributions(occupancy, mask))
    pooled = pooled_scores(occupancy, mask) | pooled_errors(occupancy, mask, _N_RESAMPLES)
    return {
        "attribution_sequences": len(mask),
        **{f"attribution_{name}": mean[name] for name in ("auroc", "auprc", "auroc_se", "auprc_se")},
        **{f"pooled_attribution_{name.removeprefix('pooled_')}": value for name, value in pooled.items()},
    }


def class_layouts(grammar: Grammar) -> list[OracleLayout]:
    """Each class of a grammar laid out for the recursions of `forward_backward`; one without classes."""
    depends = element_tasks(grammar)
    task_elements = np.array([[task in depends[each.name] for each in grammar.elements] for task in grammar.tasks])
    of_classes = zip(grammar.hmms, class_prior(grammar), strict=True)
    return [layout_of(hmm, prior, task_elements) for hmm, prior in of_classes]


def checked_bases(grammar: Grammar, bases: Bases) -> Bases:
    """Sequences as the recursions read them; ValueError where the grammar can draw nothing of their form."""
    if bases.dtype != np.uint8 or bases.ndim != 2 or bases.shape[1] != grammar.seq_length:
        raise ValueError(
            f"bases must be uint8 (N, {grammar.seq_length}), as the grammar draws them, not {bases.dtype} {bases.shape}"
        )
    if (bases > 3).any():
        row, position = np.argwhere(bases > 3)[0]
        raise ValueError(f"bases[{row}, {position}] is {bases[row, position]}: a grammar draws A, C, G and T only")
    return np.ascontiguousarray(bases)


def known_patterns(
    labels: npt.NDArray[np.integer] | None, n: int, n_tasks: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Which bits of a pattern are known, and what they are, int64 (N,) each."""
    if labels is None:
        return np.zeros(n, np.int64), np.zeros(n, np.int64)
    if labels.shape != (n, n_tasks):
        raise ValueError(f"labels must be ({n}, {n_tasks}), not {labels.shape}")
    if not np.isin(labels, (-1, 0, 1)).all():
        raise ValueError("labels must be 1, 0, or -1 where not known")
    bits = 1 << np.arange(n_tasks, dtype=np.int64)
    return ((labels >= 0) * bits).sum(axis=1), ((labels == 1) * bits).sum(axis=1)
