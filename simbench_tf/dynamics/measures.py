"""Measures of a network's motifs while it trains: recall by attribution, and effect on the logit.

Fixed *watched sequences* are predicted and attributed with the weights of several batches. They give, for each motif,
the *recall*, the average precision with which |attribution| ranks the motif's bases above bases in no site, and the
*effect*, what the logit loses when one of its sites is deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dataset import covered
from simbench_tf.dna import one_hot
from simbench_tf.random_streams import uniforms
from simbench_tf.score import areas

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]


#: Motifs with sites in fewer of the watched sequences than this are left out: nothing can be said of them.
MIN_SEQUENCES = 5


#: Columns of a table of dynamics, one row per task, motif and batch.
DYNAMICS_COLUMNS = (
    "task", "motif", "batch", "n_sites", "recall", "effect", "loss", "recall_se", "effect_se", "chance", "n_sequences",
)  # fmt: skip


_BATCH_SEQUENCES = 4096


class WatchedSequences(NamedTuple):
    """Sequences of one task that a network is measured on, again and again as it trains.

    Attributes
    ----------
    positives, negatives : uint8, shape (N, L) and (M, L)
        With the task's label and without it. The loss is over both, all else over the positives.
    sites : DataFrame
        Sites of the positives: row, motif, start, end (half-open).
    deleted : uint8, shape (number of sites, K, L)
        The positives without each site, from `delete_sites`.
    """

    positives: Bases
    negatives: Bases
    sites: pd.DataFrame
    deleted: Bases


def delete_sites(
    bases: Bases,
    sites: pd.DataFrame,
    background: Sequence[float] = (0.25,) * 4,
    n_deletions: int = 4,
    random_state: int = 0,
) -> Bases:
    """Sequences from which one site each is deleted: its bases are replaced by random ones, the rest is kept.

    A shuffle of the site would keep its composition, but a site of ten bases has few that keep its dinucleotides.

    Parameters
    ----------
    bases : uint8, shape (N, L)
    sites : DataFrame
        row (of `bases`), start, end; S of them.
    background : sequence of 4 float
        Frequencies of A, C, G and T.
    n_deletions : int, default 4
        Random replacements of each site.
    random_state : int, default 0
        A site's replacements depend on it and on the site's number alone.

    Returns
    -------
    deleted : uint8, shape (S, n_deletions, L)

    Examples
    --------
    >>> from simbench_tf.dna import decode, encode
    >>> sites = pd.DataFrame({"row": [0], "start": [2], "end": [4]})
    >>> decode(delete_sites(encode("AAGGAA"), sites, background=(0, 1, 0, 0), n_deletions=2)[0])
    ['AACCAA', 'AACCAA']
    """
    rows, starts, ends = (sites[name].to_numpy(np.int64) for name in ("row", "start", "end"))
    widest = int((ends - starts).max(initial=0))
    draws = uniforms(random_state, "deleted sites", np.arange(len(sites)), n_deletions * widest)
    # the last letter takes what rounding leaves
    letters = np.searchsorted(np.cumsum(background)[:3] / np.sum(background), draws, side="right").astype(np.uint8)
    letters = letters.reshape(len(sites), n_deletions, widest)
    deleted = np.repeat(bases[rows][:, None], n_deletions, axis=1)
    for site, (start, end) in enumerate(zip(starts, ends, strict=True)):
        deleted[site, :, start:end] = letters[site, :, : end - start]
    return deleted


def recall_of_motifs(scores: Floats, sites: pd.DataFrame) -> pd.DataFrame:
    """How well attributions rank the bases of each motif above bases in no site.

    Parameters
    ----------
    scores : float array, shape (N, L)
        One attribution for each base, compared by size.
    sites : DataFrame
        row (of `scores`), motif, start, end of every site.

    Returns
    -------
    DataFrame
        Index motif; n_sites; n_sequences that hold any; recall, the mean over these of the average precision of the
        motif's bases against bases in no site (bases of other motifs left out), and recall_se; chance, the mean share
        of the motif's bases among these. Motifs in fewer than `MIN_SEQUENCES` sequences are left out.

    Examples
    --------
    >>> scores = np.tile([0.0, 0.3, 0.2, -0.4, 0.1], (5, 1))
    >>> sites = pd.DataFrame({"row": range(5), "motif": "GATA1", "start": 2, "end": 4})
    >>> recall_of_motifs(scores, sites)[["n_sites", "recall", "recall_se", "chance"]].round(3)
           n_sites  recall  recall_se  chance
    motif
    GATA1        5   0.833        0.0     0.4
    """
    size = np.abs(np.asarray(scores, np.float64))
    in_any = covered(sites, size.shape)
    lines = []
    for motif, own in sites.groupby("motif"):
        rows = np.unique(own["row"])
        if len(rows) < MIN_SEQUENCES:
            continue
        mine = covered(own, size.shape)[rows]
        ranked = mine | ~in_any[rows]
        auprc = pd.Series([_average_precision(*pair) for pair in zip(size[rows], mine, ranked, strict=True)])
        chance = mine.sum(axis=1) / ranked.sum(axis=1)
        lines.append((motif, len(own), len(rows), auprc.mean(), auprc.sem(), chance.mean()))
    columns = ["motif", "n_sites", "n_sequences", "recall", "recall_se", "chance"]
    return pd.DataFrame(lines, columns=columns).set_index("motif")


def effect_of_motifs(drops: Floats, sites: pd.DataFrame) -> pd.DataFrame:
    """Mean of what the logit loses with a site of each motif; each sequence counts once, by the mean of its sites.

    Parameters
    ----------
    drops : float array, shape (S,)
        Logit of the sequence less its logit without the site.
    sites : DataFrame
        row and motif of the S sites.

    Returns
    -------
    DataFrame
        Index motif; effect, effect_se.

    Examples
    --------
    >>> sites = pd.DataFrame({"row": [0, 0, 1], "motif": ["CTCF"] * 3})
    >>> effect_of_motifs(np.array([1.0, 2.0, 2.5]), sites)
           effect  effect_se
    motif
    CTCF      2.0        0.5
    """
    by_sequence = pd.Series(drops, dtype=float).groupby([sites["motif"].to_numpy(), sites["row"].to_numpy()]).mean()
    by_motif = by_sequence.groupby(level=0)
    return pd.DataFrame({"effect": by_motif.mean(), "effect_se": by_motif.sem()}).rename_axis("motif")


def measure(
    model: Any,
    watched: WatchedSequences,
    target: int = 0,
    method: str = "grad_x_input",
    references: str | None = None,
    random_state: int = 0,
    **settings: Any,
) -> pd.DataFrame:
    """Measure what a network, with the weights it has, says of the watched sequences.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, n_outputs) that ends in a sigmoid.
    watched : WatchedSequences
    target : int, default 0
        Which output.
    method, references, random_state, **settings
        Of the attribution, as in `simbench_tf.attribute`.

    Returns
    -------
    DataFrame
        One row per motif: motif, n_sites, recall, effect, loss (binary cross-entropy over all watched sequences, the
        same in all rows), recall_se, effect_se, chance, n_sequences.

    Raises
    ------
    InputError
        As `simbench_tf.attribute`.

    Examples
    --------
    >>> import keras
    >>> from simbench_tf.dna import encode
    >>> inputs = keras.Input((4, 4))
    >>> model = keras.Model(inputs, keras.ops.sigmoid(4.0 * inputs[:, 1, 2:3] - 2.0))  # is the second base G?
    >>> positives, sites = encode(["AGGA"] * 5), pd.DataFrame({"row": range(5), "motif": "G", "start": 1, "end": 2})
    >>> deleted = delete_sites(positives, sites, background=(1, 0, 0, 0))
    >>> table = measure(model, WatchedSequences(positives, encode(["AAAA"] * 5), sites, deleted))
    >>> table[["motif", "recall", "effect", "loss"]].round(2)
      motif  recall  effect  loss
    0     G     1.0     4.0  0.13
    """
    from simbench_tf.attribution import attribute
    from simbench_tf.attribution.network import open_network

    length = watched.positives.shape[1]
    network = open_network(model, length, target)

    def logits(bases: Bases) -> npt.NDArray[np.float64]:
        parts = [
            network.outputs(one_hot(bases[first : first + _BATCH_SEQUENCES]))[0]
            for first in range(0, len(bases), _BATCH_SEQUENCES)
        ]
        return np.concatenate([np.empty(0), *parts])

    of_positives = logits(watched.positives)
    without = logits(watched.deleted.reshape(-1, length)).reshape(watched.deleted.shape[:2]).mean(axis=1)
    scores = attribute(
        model,
        one_hot(watched.positives),
        method=method,
        target=target,
        references=references,
        random_state=random_state,
        **settings,
    ).scores
    recall = recall_of_motifs(scores, watched.sites)
    effect = effect_of_motifs(of_positives[watched.sites["row"].to_numpy()] - without, watched.sites)
    loss = np.logaddexp(0, np.concatenate([-of_positives, logits(watched.negatives)])).mean()
    table = recall.join(effect).assign(loss=loss).reset_index()
    return table[[name for name in DYNAMICS_COLUMNS if name in table]]


def _average_precision(
    size: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_], ranked: npt.NDArray[np.bool_]
) -> float:
    values, truth = size[ranked], truth[ranked]
    order = np.argsort(-values, kind="stable")
    return areas(values[order], truth[order])[1]
