"""A planted network: an ordinary convolutional network built from a grammar, with nothing trained.

Every layer is one that all attribution methods know (Conv1D, exp, average pooling, Flatten, Dense, log1p, sigmoid), and
its logits are near the exact log-odds of the labels: where a method misses a motif on it, the network is not to blame.

Derivation
----------
Cut a sequence into windows so short that at most one element lies in each. Given the label pattern y, a site of form k
(a motif on a strand, a pair at a gap) has its middle at position i with probability ``r_k(i | y) = rate_k(y)
profile_k(i)``, and makes the bases there ``e^(s_k(i))`` times as likely as background does, s_k being the log-odds of
its PPM. So window w is

    1 - m_w(y) + sum_(i in w, k) r_k(i | y) e^(s_k(i)),      m_w(y) = sum_(i in w, k) r_k(i | y),

times as likely as background alone, and, windows taken as independent, the log-likelihood ratio of the sequence is

    log Lambda(y) = sum_w [ log(1 - m_w(y)) + log(1 + sum_(i, k) h_k(i | y) e^(s_k(i))) ],   h = r / (1 - m_w(y)).

Within a window motifs, strands and neighbouring starts compete for one site: what matches both GATA1 and GATA1::TAL1,
or both strands, counts once. Windows overlap by half and count half each, so that one of them sees a site at a border
whole. In layers: ``motifs`` (Conv1D) has s_k and, as its bias, the log of the largest h_k; ``odds`` is its
exponential, ``windows`` the average over each window, within which the profile is taken as flat; ``sites`` (Dense) has
the weights h_k(w | y), zero from one window to another; log1p follows. A task that stands alone has the logit

    log P(1) / P(0) + log Lambda(1) - log Lambda(0),

one more Dense layer. Tasks that stand together (see `label_evidence`) have ``log sum_y P(y) Lambda(y)`` over the
patterns with their label, less the same over those without: Dense layers with softplus, by two and two,
``log(e^a + e^b) = b + softplus(a - b)``.

Rules weigh placements by presence b, the set of the elements named in rules that are there. The odds that window w
holds element k are ``h_k e^(s_k) / (1 + the same of all others)``; where two windows overlap, both see the site,
and the mean of their log-odds counts; by softplus the odds over all windows add up to o_k, and ``sum_b w(b | y)
prod_(k in b) o_k`` is the likelihood of y, w being what rules multiply the probability of b by. So "A and B" is a unit
that adds the log-odds of A and of B.

What is approximate: one site a window, the profile within a window, a background whose bases depend on those before
(`motif_kernels`), presences that are independent given the sequence and judged at the mean rates over patterns, and
groups of more than six tasks, which are taken apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.layer_geometry import padded_geometry
from simbench_tf.dataset_grammar import grammar_of
from simbench_tf.errors import InputError
from simbench_tf.perfect.label_evidence import LEAST_ODDS, Channel, DenseWeights, channels_of, groups_of, head_of
from simbench_tf.perfect.motif_kernels import MotifKernels, motif_kernels
from simbench_tf.simulate.grammar import Grammar

if TYPE_CHECKING:
    import keras

    from simbench_tf.dataset import Dataset

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Activation = Literal["exp", "relu"]
Pooling = Literal["sum", "max"]
_WINDOW, _WINDOW_OF_PAIRS = 16, 20
# a window cannot hold more than one site: where rates ask for more, this much is left for none
_LEAST_EMPTY = 0.05


class _Windows(NamedTuple):
    """Overlapping windows as pooling layers cut them with padding "same"; W windows.

    `share` is what each counts, so that every position counts once: the mean of 1 / windows that hold it.
    """

    size: int
    stride: int
    start: Integers  # (W,) within the sequence
    end: Integers  # (W,)
    share: Floats  # (W,)


def planted_model(dataset: Dataset, **settings: Any) -> keras.Model:
    """The planted network of a data set that was drawn from a grammar.

    Parameters
    ----------
    dataset : Dataset
        Within its run, whose config.yaml has the grammar.
    **settings
        As of :func:`planted_network`: the defaults give the whole network, each other value breaks one thing.

    Returns
    -------
    keras.Model
        Input float32 (N, L, 4), output float32 (N, T), probabilities; the layer ``logits`` before its sigmoid.

    Raises
    ------
    InputError
        The data set has no grammar, or one with classes, or a setting does not fit.
    """
    mend = "give a data set that was drawn from a grammar"
    return planted_network(grammar_of(dataset, asked_by="planted_model", mend=mend), **settings)


def planted_network(
    grammar: Grammar,
    *,
    window: int | None = None,
    kernel_size: int | None = None,
    strands: Literal["both", "one"] = "both",
    activation: Activation = "exp",
    pooling: Pooling = "sum",
    without: Sequence[str] = (),
    name: str = "planted",
) -> keras.Model:
    """Build a network whose logits are near the exact log-odds of a grammar's labels; nothing is trained.

    Parameters
    ----------
    grammar : Grammar
    window : int, optional
        Bases of a window, in which one site is counted at most; windows lie half a window apart. Default: 16, or 20
        with pairs of motifs.
    kernel_size : int, optional
        Cut each kernel to the k neighbouring bases that have the most information.
    strands : {"both", "one"}
        "one": motifs that may lie on either strand are looked for on the + strand alone.
    activation : {"exp", "relu"}
        "relu": hard thresholds. A motif counts by how much its score exceeds the threshold where a site is as likely
        as none, and scores are added where "exp" lets them compete.
    pooling : {"sum", "max"}
        "max": of each kernel the best start in a window, not the sum over starts.
    without : sequence of str
        Elements or motifs that the network does not know.
    name : str
        The model's name.

    Returns
    -------
    keras.Model
        Input float32 (N, L, 4); output float32 (N, T), probabilities. Layers motifs, odds, windows, flatten, sites,
        log1p, logits and probabilities; before the logits, with rules, presence1, presence2, ..., and with rules or
        tasks that stand together, labels1, labels2, ...

    Raises
    ------
    InputError
        The grammar has classes, a window or kernel less than two bases or one, a name in `without` is none of the
        grammar's, or a form's score has no room in float32.

    Examples
    --------
    >>> from simbench_tf.config import GrammarSimulation
    >>> from simbench_tf.dna import one_hot
    >>> from simbench_tf.motifs import load_motifs
    >>> from simbench_tf.simulate.grammar import build_grammar
    >>> settings = GrammarSimulation(kind="grammar", seq_length=20, tasks={"K562": {"fraction": 0.5}},
    ...                              elements=[{"motif": "GATA1", "rate": 0.1, "enriched": {"K562": 0.5}}])
    >>> model = planted_network(build_grammar(settings, load_motifs("default")))
    >>> probabilities = model(one_hot(["CCATTTCTTATCAGCCCGTA", "CCATTTCAATGCAGCCCGTA"]))
    >>> [round(float(p), 2) for p in probabilities[:, 0]]  # the exact posterior is .79 and .31
    [0.75, 0.32]
    """
    _check(window, kernel_size)
    if len(grammar.hmms) > 1:
        what = "are several, and the kernels of a planted network are log-odds against one background"
        raise InputError("simulation.classes", what, "take architecture: oracle, or leave the classes out")
    if len(grammar.hmm.stretch_weight) > 1:
        what = "differ in background, and the kernels of a planted network are log-odds against one"
        raise InputError("simulation.stretches", what, "leave the model or the stretches out")
    kernels = motif_kernels(grammar, kernel_size, strands == "both", without)
    has_pairs = any(element.pair for element in grammar.elements)
    windows = _windows(grammar.seq_length, window or (_WINDOW_OF_PAIRS if has_pairs else _WINDOW))
    groups = groups_of(grammar, frozenset(kernels.element.tolist()))
    channels = channels_of(groups)
    hazards, offsets = _hazards(kernels, channels, windows)
    n_bases = (windows.end - windows.start)[:, None, None]
    # of one start: kernels score against it, so that the numbers after the exponential are odds of a site
    largest = np.maximum((hazards / n_bases).max(axis=(0, 1)), np.finfo(np.float32).tiny)
    if activation == "exp":
        # an average over a window stands for the sum, a maximum for all of it
        factors = np.array([channel.factor for channel in channels])
        weights = hazards / largest * factors[:, None] / (1 if pooling == "sum" else n_bases)
    else:
        weights = _worths(kernels, channels, np.log(largest)) * (n_bases if pooling == "sum" else np.ones_like(n_bases))
    sites = DenseWeights("sites", _block_diagonal(weights), np.zeros(weights[..., 0].size), "log1p")
    layers = [sites, *head_of(groups, offsets, windows.share, len(grammar.tasks))]
    return _network(grammar.seq_length, kernels, np.log(largest), windows, activation, pooling, layers, name)


def _check(window: int | None, kernel_size: int | None) -> None:
    if window is not None and window < 2:
        raise InputError("window", f"is {window}", "give 2 bases or more")
    if kernel_size is not None and kernel_size < 1:
        raise InputError("kernel_size", f"is {kernel_size}", "give 1 base or more")


def _windows(length: int, size: int) -> _Windows:
    geometry = padded_geometry(length, size, size // 2, 1, "same")
    start = np.arange(geometry.length) * geometry.stride - geometry.left
    end = np.minimum(start + size, length)
    start = np.maximum(start, 0)
    places = np.arange(length)
    held = (places >= start[:, None]) & (places < end[:, None])
    return _Windows(size, geometry.stride, start, end, (held / held.sum(axis=0)).sum(axis=1) / (end - start))


def _hazards(kernels: MotifKernels, channels: list[Channel], windows: _Windows) -> tuple[Floats, Floats]:
    """h of each kernel summed over a window, (W, C, K), and each channel's log(1 - m), (W, C)."""
    before = np.pad(np.cumsum(kernels.starts, axis=0), ((1, 0), (0, 0)))
    starts = before[windows.end] - before[windows.start]
    rates = np.stack([channel.rates for channel in channels])[:, kernels.element]
    all_rates = np.stack([channel.all_rates for channel in channels])[:, kernels.element]
    occupied = np.minimum(starts @ all_rates.T, 1 - _LEAST_EMPTY)
    return starts[:, None, :] * rates / (1 - occupied)[:, :, None], np.log1p(-occupied)


def _worths(kernels: MotifKernels, channels: list[Channel], log_hazard: Floats) -> Floats:
    """What each nat above the threshold counts with hard thresholds, (C, K).

    A mean site is worth its log-odds. Where its presence is asked for, no site counts as `LEAST_ODDS`, and each nat as
    much as it takes to bring a mean site from there to its own odds.
    """
    above = np.maximum(kernels.at_site + log_hazard, 1.0)
    rows = [
        np.where(channel.rates[kernels.element] > 0, 1 - np.log(LEAST_ODDS) / above, 0.0)
        if channel.worth is None
        else channel.worth[kernels.element] / above
        for channel in channels
    ]
    return np.stack(rows)


def _block_diagonal(weights: Floats) -> npt.NDArray[np.float32]:
    """(W, C, K) as a matrix from flattened (W, K) to flattened (W, C)."""
    n_windows, n_channels, n_kernels = weights.shape
    matrix = np.zeros((n_windows, n_kernels, n_windows, n_channels), np.float32)
    each = np.arange(n_windows)
    matrix[each, :, each] = weights.transpose(0, 2, 1)
    return matrix.reshape(n_windows * n_kernels, n_windows * n_channels)


def _network(
    seq_length: int,
    kernels: MotifKernels,
    log_hazard: Floats,
    windows: _Windows,
    activation: Activation,
    pooling: Pooling,
    dense: list[DenseWeights],
    name: str,
) -> keras.Model:
    import keras
    from keras import layers

    width, _, n_kernels = kernels.kernel.shape
    inputs = keras.Input((seq_length, 4), name="one_hot")
    x = layers.Conv1D(n_kernels, width, padding="same", name="motifs")(inputs)
    x = layers.Activation("exponential" if activation == "exp" else "relu", name="odds")(x)
    pool = layers.AveragePooling1D if pooling == "sum" else layers.MaxPooling1D
    x = pool(windows.size, windows.stride, padding="same", name="windows")(x)
    x = layers.Flatten(name="flatten")(x)
    for layer in dense:
        x = layers.Dense(layer.kernel.shape[1], layer.then if layer.then == "softplus" else None, name=layer.name)(x)
        if layer.then == "log1p":
            # an operation, since Keras does not save a layer with this activation
            x = keras.ops.log1p(x) if activation == "exp" else layers.Activation("relu", name="sites_relu")(x)
    model = keras.Model(inputs, layers.Activation("sigmoid", name="probabilities", dtype="float32")(x), name=name)
    model.get_layer("motifs").set_weights([kernels.kernel, log_hazard])
    for layer in dense:
        model.get_layer(layer.name).set_weights([layer.kernel, layer.bias])
    return model
