"""`truth_free`: signs of an attribution's quality that ask the model and the method, and no true sites.

Formulas and papers are in `score.truth_free`. Bases are replaced by those that stand there in dinucleotide shuffles of
the same sequence, which depend on the seed and on its letters only; nothing else here is random but the weights that
`weight_randomisation` draws anew, and where perturbations and decoys fall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.explain import Attribution, attribute
from simbench_tf.attribution.network import Network, Output, open_network
from simbench_tf.attribution.references import content_index, shuffled
from simbench_tf.dna import bases_of_one_hot, one_hot
from simbench_tf.errors import InputError
from simbench_tf.random_streams import uniforms
from simbench_tf.score.metrics import METRICS, sequence_metrics
from simbench_tf.score.truth_free import (
    TRUTH_FREE,
    complexity,
    highest_bases,
    infidelity,
    relative_change,
    size_correlation,
    sparsity,
)

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Bases = npt.NDArray[np.uint8]

#: Shares of a sequence's bases that are replaced or put in, for deletion and insertion: sites are a few per cent.
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)
#: Shuffles that bases are taken from; what is measured is the mean over them.
N_SHUFFLES = 3
#: Perturbations of a sequence for infidelity, and the bases that each replaces: a stretch as long as a site.
N_PERTURBATIONS, STRETCH = 40, 10
#: Bases by which a sequence is moved, either way.
SHIFTS = (-3, -1, 1, 3)
#: Networks with more and more of the upper layers drawn anew, at most.
N_RANDOMISED = 4
_AUPRC = list(METRICS).index("auprc")


class _Explained(NamedTuple):
    """Sequences, their attributions, and how these were made."""

    model: Any
    network: Network
    bases: Bases
    one_hot: Array
    scores: Floats
    attribute: Callable[[Any, Array], Floats] | None
    seed: int


def truth_free(
    model: Any,
    one_hot: npt.NDArray[np.floating],
    attribution: Attribution | npt.NDArray[np.floating],
    *,
    method: str | None = None,
    target: int = 0,
    references: str | None = None,
    output: Output = "logit",
    others: Sequence[Attribution | npt.NDArray[np.floating]] = (),
    seeds: Sequence[Any] = (),
    shuffled_labels: Any | None = None,
    decoys: Sequence[npt.NDArray[np.floating]] = (),
    randomise: bool = True,
    random_state: int = 0,
    **settings: Any,
) -> pd.DataFrame:
    """Measure attributions without knowing where the motifs are.

    Deletion, insertion, infidelity, sparsity and complexity need the attributions alone. With `method`, the sequences
    are explained anew - moved, on the other strand, by other networks - and the metrics that compare come too.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, n_outputs).
    one_hot : float array, shape (N, L, 4)
    attribution : Attribution, or float array of shape (N, L)
        Of these sequences, one number a base.
    method : str, optional
        How they were made, with `references` and `**settings` as `attribute` takes them.
    target : int, default 0
        The output that was explained.
    references : str, optional
    output : {"logit", "probability"}, default "logit"
    others : sequence of Attribution or array
        Of other methods, for `agreement`.
    seeds : sequence of keras.Model
        Networks trained from other seeds, for `seed_consistency`.
    shuffled_labels : keras.Model, optional
        A network trained on shuffled labels, for `label_randomisation`.
    decoys : sequence of float array, shape (K, 4)
        Motifs, probabilities of A, C, G, T at each of K places; the consensus of each is planted in turn.
    randomise : bool, default True
        Whether to explain networks with layers drawn anew, for `weight_randomisation`; of functional models only.
    random_state : int, default 0
    **settings
        Of the method.

    Returns
    -------
    pandas.DataFrame
        A row a sequence; a column for each metric of `score.truth_free.TRUTH_FREE` that could be measured, in its
        order. Deletion and insertion are in units of the output.

    Raises
    ------
    InputError
        A metric's model or motifs are given without `method`, or arrays do not fit the sequences.

    Examples
    --------
    >>> import keras
    >>> from simbench_tf import dna
    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(1)]
    >>> linear = keras.Sequential([keras.Input((8, 4)), *layers])
    >>> linear.set_weights([np.eye(1, 32, 4).T, np.zeros(1)])  # the second base is an A
    >>> x = dna.one_hot(["CACGTTGC"])
    >>> measured = truth_free(linear, x, attribute(linear, x), method="grad_x_input")
    >>> measured.round(3).to_dict("list")["infidelity"], measured["complexity"].tolist()
    ([0.0], [0.0])
    """
    import pandas as pd

    x = np.ascontiguousarray(one_hot, np.float32)
    bases = bases_of_one_hot(x)
    scores = _scores(attribution, "attribution", bases.shape)
    again = _again(method, target, references, output, random_state, settings)
    if again is None and (seeds or shuffled_labels is not None or len(decoys)):
        what = "is not given, and seeds, shuffled_labels and decoys are explained anew"
        raise InputError("method", what, 'say how the attributions were made, as method="grad_x_input"')
    network = open_network(model, x.shape[1], target, output)
    explained = _Explained(model, network, bases, x, scores, again, random_state)
    found = {**_of_outputs(explained), "sparsity": sparsity(scores), "complexity": complexity(scores)}
    if others:
        rivals = [_scores(each, "others", bases.shape) for each in others]
        found["agreement"] = _mean([size_correlation(scores, each) for each in rivals])
    if again is not None:
        found |= _of_method(explained, again, seeds, shuffled_labels, decoys)
        if randomise and (randomised := randomised_models(model, random_state)):
            found["weight_randomisation"] = _mean([size_correlation(scores, again(each, x)) for each in randomised])
    return pd.DataFrame({name: found[name] for name in TRUTH_FREE if name in found})


def _scores(given: Attribution | npt.NDArray[np.floating], name: str, shape: tuple[int, ...]) -> Floats:
    scores = np.asarray(given.scores if isinstance(given, Attribution) else given, np.float64)
    if scores.shape != shape:
        raise InputError(name, f"has shape {scores.shape}, the sequences {shape}", "give one number a base")
    return scores


def _again(
    method: str | None, target: int, references: str | None, output: Output, seed: int, settings: Mapping[str, Any]
) -> Callable[[Any, Array], Floats] | None:
    """Attribute by the same method: a function of a model and one-hot (N, L, 4), to float64 (N, L)."""
    if method is None:
        if settings:
            raise InputError(next(iter(settings)), "is a setting, and no method is given", 'add method="..."')
        return None

    def explain(model: Any, x: Array) -> Floats:
        made = attribute(model, x, method, target, references, seed, output, **settings)
        return made.scores.astype(np.float64)

    return explain


# what needs outputs alone


def _of_outputs(explained: _Explained) -> dict[str, Floats]:
    bases, scores, n = explained.bases, explained.scores, len(explained.bases)
    pool = shuffled(bases, N_SHUFFLES, explained.seed)
    highest = highest_bases(scores, SHARES)[:, None]
    of_sequence = _outputs(explained, bases)
    deleted = _outputs(explained, np.where(highest, pool[:, :, None], bases[:, None, None]))
    inserted = _outputs(explained, np.where(highest, bases[:, None, None], pool[:, :, None]))
    replaced = _stretches(bases, explained.seed)
    draws = pool[:, np.arange(N_PERTURBATIONS) % N_SHUFFLES]
    perturbed = np.where(replaced, draws, bases[:, None])
    credit = np.einsum("nml,nl->nm", (perturbed != bases[:, None]).astype(np.float64), scores)
    return {
        "deletion": of_sequence - deleted.reshape(n, -1).mean(axis=1),
        "insertion": (inserted - _outputs(explained, pool)[:, :, None]).reshape(n, -1).mean(axis=1),
        "infidelity": infidelity(credit, of_sequence[:, None] - _outputs(explained, perturbed)),
    }


def _outputs(explained: _Explained, bases: Bases) -> Floats:
    """The explained output of sequences, uint8 (..., L) -> float64 (...)."""
    flat = bases.reshape(-1, bases.shape[-1])
    # mutants are many: their one-hot is made by the piece
    piece = 4096
    parts = [explained.network.outputs(one_hot(flat[k : k + piece]))[0] for k in range(0, len(flat), piece)]
    joined = np.concatenate(parts) if parts else np.zeros(0)
    return joined.astype(np.float64).reshape(bases.shape[:-1])


def _stretches(bases: Bases, seed: int) -> npt.NDArray[np.bool_]:
    """Bases of one stretch of each sequence for each perturbation, bool (N, M, L)."""
    length = bases.shape[1]
    width = min(STRETCH, length)
    draws = uniforms(seed, "truth-free stretches", content_index(bases), N_PERTURBATIONS)
    start = np.floor(draws * (length - width + 1)).astype(np.int64)[:, :, None]
    place = np.arange(length)
    return (place >= start) & (place < start + width)


# what explains anew


def _of_method(
    explained: _Explained,
    again: Callable[[Any, Array], Floats],
    seeds: Sequence[Any],
    shuffled_labels: Any | None,
    decoys: Sequence[npt.NDArray[np.floating]],
) -> dict[str, Floats]:
    model, x, scores = explained.model, explained.one_hot, explained.scores
    moved = [_moved_back(again(model, _moved(x, by)), by) for by in SHIFTS if abs(by) < x.shape[1]]
    found = {
        "shift_sensitivity": np.max([relative_change(scores, each) for each in moved], axis=0),
        "strand_consistency": size_correlation(scores, again(model, x[:, ::-1, ::-1])[:, ::-1]),
    }
    if seeds:
        found["seed_consistency"] = _mean([size_correlation(scores, again(each, x)) for each in seeds])
    if shuffled_labels is not None:
        found["label_randomisation"] = size_correlation(scores, again(shuffled_labels, x))
    if len(decoys):
        found["decoys"] = _decoys(explained, again, decoys)
    return found


def _moved(x: Array, by: int) -> Array:
    """Sequences moved to the right, or left where `by` is negative; what comes in is N."""
    moved = np.zeros_like(x)
    if by > 0:
        moved[:, by:] = x[:, :-by]
    else:
        moved[:, :by] = x[:, -by:]
    return moved


def _moved_back(scores: Floats, by: int) -> Floats:
    """Attributions of moved sequences at the bases' own places; NaN for those that were moved out."""
    back = np.full_like(scores, np.nan)
    if by > 0:
        back[:, :-by] = scores[:, by:]
    else:
        back[:, -by:] = scores[:, :by]
    return back


def randomised_models(model: Any, seed: int = 0) -> list[Any]:
    """Copies of a functional model with more and more of its upper layers drawn anew, as Adebayo et al. (2018) do.

    Parameters
    ----------
    model : keras.Model
        It is not changed.
    seed : int, default 0

    Returns
    -------
    list of keras.Model
        At most four, evenly over the layers with weights, the last with all of them drawn anew; none where the model
        is not a functional one.

    Examples
    --------
    >>> import keras
    >>> layers = [keras.layers.Flatten(), keras.layers.Dense(3, name="lower"), keras.layers.Dense(1, name="upper")]
    >>> model = keras.Sequential([keras.Input((2, 4)), *layers])
    >>> upper, both = randomised_models(model)
    >>> kernels = [each.get_layer("lower").kernel.numpy() for each in (model, upper, both)]
    >>> [bool((kernel == kernels[0]).all()) for kernel in kernels[1:]]
    [True, False]
    """
    import keras

    from simbench_tf.attribution.model_graph import is_graph

    if not is_graph(model):
        return []
    keras.utils.set_random_seed(seed % 2**32)  # for initialisers without a seed of their own
    fresh = keras.models.clone_model(model)
    places = [number for number, layer in enumerate(model.layers) if layer.weights]
    n = min(N_RANDOMISED, len(places))
    made = []
    for step in range(1, n + 1):
        first = places[len(places) - round(step * len(places) / n)]
        copy = keras.models.clone_model(model)
        for number, (target, own, new) in enumerate(zip(copy.layers, model.layers, fresh.layers, strict=True)):
            target.set_weights((new if number >= first else own).get_weights())
        made.append(copy)
    return made


def _decoys(
    explained: _Explained,
    again: Callable[[Any, Array], Floats],
    motifs: Sequence[npt.NDArray[np.floating]],
) -> Floats:
    """auPRC of the bases of a planted consensus, motif by motif in turn over the sequences' shuffles."""
    n, length = explained.bases.shape
    words = [np.asarray(motif, np.float64).argmax(axis=1).astype(np.uint8) for motif in motifs]
    if max(map(len, words)) > length:
        raise InputError("decoys", f"has a motif longer than the {length} bases", "leave it out")
    planted = shuffled(explained.bases, 1, explained.seed)[:, 0].copy()
    mask = np.zeros((n, length), np.bool_)
    draws = uniforms(explained.seed, "truth-free decoys", content_index(explained.bases), 1)[:, 0]
    for row in range(n):
        word = words[row % len(words)]
        start = int(draws[row] * (length - len(word) + 1))
        planted[row, start : start + len(word)] = word
        mask[row, start : start + len(word)] = True
    return sequence_metrics(again(explained.model, one_hot(planted)), mask)[:, _AUPRC]


def _mean(values: Sequence[Floats]) -> Floats:
    """Mean over what is known; NaN where nothing is."""
    stacked = np.array(values)
    known = ~np.isnan(stacked)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, stacked, 0.0).sum(axis=0) / np.maximum(count, 1), np.nan)
