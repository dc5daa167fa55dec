"""In-silico mutagenesis: changes of the output when single bases, pairs of bases or whole sites are replaced."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.averaged import Copy
from simbench_tf.attribution.mutagenesis.fast import Engine, find_graph, make_engine, mutant_changes
from simbench_tf.attribution.mutagenesis.substitutions import substitutions_of
from simbench_tf.attribution.network import Forward, Network, Output, open_network, padded_size
from simbench_tf.attribution.references import content_index
from simbench_tf.attribution.registry import Parts, register_method
from simbench_tf.dna import N_BASE, bases_of_one_hot, dinucleotide_shuffle, mononucleotide_shuffle
from simbench_tf.dna import one_hot as _one_hot
from simbench_tf.errors import InputError

Array = npt.NDArray[np.float32]

# mutants of the first sequence that also take whole passes; how far, of the largest output, windows may be from them
_CHECKED = 8
_ROUNDING = 1e-3


def _moved_window(settings: Mapping[str, Any], length: int, copy: Copy) -> dict[str, Any] | None:
    """The window [start, end) on a copy of the sequence, as far as it is in it; None where it is not."""
    if settings["start"] == 0 and settings["end"] in (None, length):
        return {**settings}  # all of any copy
    end = length if settings["end"] is None else settings["end"]
    start, end = max(0, settings["start"] + copy.shift), min(length, end + copy.shift)
    if copy.is_reversed:
        start, end = length - end, length - start
    return {**settings, "start": start, "end": end} if start < end else None


@register_method(
    "ism",
    title="in-silico mutagenesis",
    source="Zhou & Troyanskaya 2015; Nair et al. 2022",
    chunk=16,
    moved=_moved_window,
)
def ism(network: Network, one_hot: Array, *, start: int = 0, end: int | None = None, fast: bool = True) -> Parts:
    """In-silico mutagenesis: minus the mean change of the output over the three other bases.

    With change[l, c] = f(sequence with base c at position l) - f(sequence), `hypothetical` at [l, c] is change[l, c]
    less the mean change of the three other bases: what base c would have been given had it stood there. The four
    values of a position add up to zero, and at the observed base the value is the importance, which is all that
    `contributions` hold. Positions that are N or outside of the window [start, end) are left alone and given zeros.
    By default only what a substitution can change is computed, layer by layer, through branches as well; from a layer
    that mixes all positions and is not linear, or is not known, mutants go on as a whole. All substitutions are
    computed together by a layer that can (see `substitutions`). Where that saves too little, where the first few
    mutants differ from whole passes by more than rounding (a UserWarning says so), and with ``fast=False``, 3 L + 1
    passes a sequence.
    """
    length = one_hot.shape[1]
    stop = length if end is None else end
    if not 0 <= start < stop <= length:
        window = f"the window {start} to {stop} is not within {length} bases"
        raise InputError("ism.start, ism.end", window, f"give 0 <= start < end <= {length}")
    change = substitution_changes(network, one_hot, start, stop, fast)
    hypothetical = (change - change.mean(axis=-1, keepdims=True)) * np.float32(4 / 3)
    return Parts(hypothetical * one_hot, hypothetical)


def substitution_changes(network: Network, one_hot: Array, start: int, end: int, fast: bool) -> Array:
    """Change of each target when each base takes the place of the observed one, (T, n, L, 4); 0 at N and outside."""
    bases = bases_of_one_hot(one_hot)
    n, length = bases.shape
    change = np.zeros((len(network.targets), n, length, 4), np.float32)
    if n == 0:
        return change
    at_once = substitutions_of(network) if fast else None
    if at_once is not None:
        known = (bases[:, start:end] != N_BASE)[:, :, None]
        mutated, before = at_once(one_hot)[:, :, start:end], one_hot[:, start:end]
        # at N no base is replaced, and what would be may be infinite
        mutated = np.where(known, mutated, np.float32(0))
        change[:, :, start:end] = mutated - (mutated * before).sum(axis=-1, keepdims=True)
        return change
    engine = _engine(network, length) if fast else None
    mutants = None if engine is None else _fast_mutants(network, engine, one_hot, bases, start, end)
    if mutants is None:
        mutants = _plain_mutants(network, one_hot, bases, start, end)
    observed = bases[:, start:end]
    # mutant k of a base is the base k + 1 further on, going round
    further = (np.arange(4) - observed[:, :, None]) % 4
    observed_or_unknown = (further == 0) | (observed == N_BASE)[:, :, None]
    index = np.broadcast_to(np.maximum(further - 1, 0), (*mutants.shape[:3], 4))
    spread = np.take_along_axis(mutants, index, axis=3)
    change[:, :, start:end] = np.where(observed_or_unknown, np.float32(0), spread)
    return change


def _engine(network: Network, length: int) -> Engine | None:
    if network.is_outside:
        return None
    try:
        graph = network.graph
    except InputError:
        # a subclassed model is known only as a function
        graph = None
    engine: Engine | None = network.compiled(_engines, graph, length)(network.batch_size)
    return engine


def _engines(_: Forward, model: Any, length: int) -> Callable[[int], Engine | None]:
    """Read a model once, so that it is warned of once if it can't be followed; make an engine for each batch size."""
    graph = find_graph(model, length)
    return functools.cache(lambda batch_size: None if graph is None else make_engine(graph, batch_size))


def _fast_mutants(
    network: Network, engine: Engine, one_hot: Array, bases: npt.NDArray[np.uint8], start: int, end: int
) -> Array | None:
    """Changes by the single mutants, (T, n, end - start, 3), as many sequences together as fill a batch.

    None where the first batch that an engine ever had is not what whole passes give.
    """
    trusted: dict[tuple[int, int], bool] = network.compiled(_trusted_engines)()
    which = bases.shape[1], network.batch_size
    if not trusted.get(which, True):
        return None
    together = max(1, network.batch_size // max(engine.plan.block, bases.shape[1]))
    parts = []
    for first in range(0, len(bases), together):
        rows = slice(first, first + together)
        # filled up with the last sequence, so that few shapes are compiled
        size = min(together, 1 << (len(bases[rows]) - 1).bit_length())
        index = np.minimum(np.arange(first, first + size), len(bases) - 1)
        changes = mutant_changes(engine, one_hot[index], bases[index], network.targets, start, end)
        parts.append(changes[:, : len(bases[rows])])
        if which not in trusted:
            trusted[which] = _agree(network, bases[0], changes[:, 0], start)
            if not trusted[which]:
                return None
    return np.concatenate(parts, axis=1)


def _trusted_engines(_: Forward) -> Callable[[], dict[tuple[int, int], bool]]:
    """Hold what was found of the engines of a model, by length and batch size."""
    found: dict[tuple[int, int], bool] = {}
    return lambda: found


def _agree(network: Network, bases: npt.NDArray[np.uint8], changes: Array, start: int) -> bool:
    """Whether whole passes give a few of the changes (T, w, 3) by mutants of one sequence; a UserWarning where not."""
    places = np.unique(np.linspace(0, changes.shape[1] - 1, _CHECKED).astype(int))
    places = places[bases[start + places] != N_BASE]
    further = np.arange(len(places)) % 3
    mutants = np.repeat(bases[None], len(places) + 1, axis=0)
    mutants[np.arange(len(places)), start + places] = (bases[start + places] + further + 1) % 4
    outputs = network.outputs(_one_hot(mutants))
    expected = outputs[:, :-1] - outputs[:, -1:]
    errors = np.abs(changes[:, places, further] - expected)
    # not greater, so that what is not a number in both passes; a change is rounded as the values it is added to are
    beyond = errors > _ROUNDING * np.nanmax(np.abs(outputs), initial=_ROUNDING)
    if not beyond.any():
        return True
    warnings.warn(
        f"fast in-silico mutagenesis differs from whole passes by {errors[beyond].max():.2g}, "
        f"more than by rounding; all mutants go through the whole model",
        UserWarning,
        stacklevel=2,
    )
    return False


def _plain_mutants(network: Network, one_hot: Array, bases: npt.NDArray[np.uint8], start: int, end: int) -> Array:
    """Changes by the single mutants, (T, n, end - start, 3), each from a pass through the whole model."""
    import tensorflow as tf

    total = len(bases) * (end - start) * 3
    values = network.compiled(_mutant_values, padded_size(total, network.batch_size))
    window = tf.constant(start), tf.constant(end - start)
    mutants = values(tf.constant(bases, tf.int32), *window, tf.constant(network.targets)).numpy()[:total]
    return mutants.T.reshape(-1, len(bases), end - start, 3) - network.outputs(one_hot)[:, :, None, None]


def _mutant_values(forward: Forward, batch_size: int) -> Callable[..., Any]:
    """Compile outputs of all single mutants of n sequences in a window of w bases: (>= n w 3, T).

    The function takes bases int32 (n, L), the window's start and w, and targets (T,). Mutants are made on the device, a
    batch at a time; the last batch repeats the last mutant.
    """
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def mutant_values(bases: Any, start: Any, width: Any, targets: Any) -> Any:
        length = tf.shape(bases)[1]
        total = tf.shape(bases)[0] * width * 3
        n_batches = (total + batch_size - 1) // batch_size

        def batch(number: Any) -> Any:
            mutant = tf.minimum(number * batch_size + tf.range(batch_size), total - 1)
            row, position, further = mutant // (3 * width), start + mutant // 3 % width, mutant % 3 + 1
            originals = tf.gather(bases, row)
            here = tf.range(length)[None, :] == position[:, None]
            x = tf.one_hot(tf.where(here, (originals + further[:, None]) % 4, originals), 4)
            return tf.gather(forward(x), targets, axis=1)

        def step(number: Any, values: Any) -> Any:
            return number + 1, values.write(number, batch(number))

        values = tf.TensorArray(tf.float32, n_batches, element_shape=(batch_size, None))
        _, values = tf.while_loop(lambda number, _: number < n_batches, step, (0, values), parallel_iterations=1)
        return values.concat()

    return mutant_values


# more than one base


def double_mutants(
    model: Any,
    one_hot: npt.NDArray[np.floating],
    pairs: Sequence[tuple[int, int]] | npt.NDArray[np.integer],
    target: int | Sequence[int] = 0,
    output: Output = "logit",
    batch_size: int | None = None,
) -> Array:
    """How far the effect of two substitutions is from the sum of their own effects.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, n_outputs).
    one_hot : float array, shape (N, L, 4)
        Channels A, C, G, T; rows of zeros for N.
    pairs : sequence of (int, int)
        K pairs of unlike positions i, j, the same for every sequence.
    target : int or sequence of int, default 0
        Which output, or several.
    output : {"logit", "probability"}, default "logit"
    batch_size : int, optional
        By default as many as fit the memory, at most 256.

    Returns
    -------
    interaction : float32 array, shape (N, K, 4, 4)
        At [a, b]: f(a at i, b at j) - f(a at i) - f(b at j) + f(sequence), which is zero where a or b is observed;
        zeros also where either position is N. A leading axis for a list of targets.

    Raises
    ------
    ValueError
        A pair is not two unlike positions of the sequence.
    InputError
        The model has another form.

    Examples
    --------
    >>> import keras
    >>> from simbench_tf.dna import one_hot
    >>> inputs = keras.Input((2, 4))
    >>> model = keras.Model(inputs, inputs[:, 0, :1] * inputs[:, 1, :1])  # one for AA
    >>> double_mutants(model, one_hot("CG"), [(0, 1)], output="probability")[0, 0].tolist()
    [[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    bases = bases_of_one_hot(np.asarray(one_hot))
    n, length = bases.shape
    places = np.asarray(pairs, np.int64)
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"pairs must have shape (K, 2), not {places.shape}")
    if ((places < 0) | (places >= length)).any() or (places[:, 0] == places[:, 1]).any():
        raise ValueError(f"pairs must be two unlike positions within {length} bases")
    network = open_network(model, length, target, output, batch_size)
    values = np.empty((len(network.targets), n, len(places), 4, 4), np.float32)
    together = max(1, network.batch_size // 16)
    for row in range(n):
        for begin in range(0, len(places), together):
            some = slice(begin, begin + together)
            mutants = _pair_mutants(bases[row], places[some])
            values[:, row, some] = network.outputs(_one_hot(mutants)).reshape(len(values), -1, 4, 4)
    observed = bases[:, places]
    known = (observed != N_BASE).all(axis=-1)[..., None, None]
    at = np.minimum(observed, 3)[None, ..., None]
    first = np.take_along_axis(values, at[..., 1:, :], axis=4)  # a at i, the observed base at j
    second = np.take_along_axis(values, at[..., :1, :], axis=3)
    both = np.take_along_axis(first, at[..., :1, :], axis=3)
    interaction = np.where(known, values - first - second + both, np.float32(0))
    return interaction[0] if np.ndim(target) == 0 else interaction


def _pair_mutants(bases: npt.NDArray[np.uint8], pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Sequences with all sixteen pairs of letters at each pair of positions, uint8 (16 K, L)."""
    mutants = np.tile(bases, (len(pairs), 4, 4, 1))
    which = np.arange(len(pairs))
    mutants[which, :, :, pairs[:, 0]] = np.arange(4)[:, None]
    mutants[which, :, :, pairs[:, 1]] = np.arange(4)
    return mutants.reshape(-1, len(bases))


def shuffle_site(
    model: Any,
    one_hot: npt.NDArray[np.floating],
    start: int,
    end: int,
    n_shuffles: int = 20,
    random_state: int = 0,
    kind: Literal["dinucleotide", "mononucleotide"] = "dinucleotide",
    target: int | Sequence[int] = 0,
    output: Output = "logit",
    batch_size: int | None = None,
) -> Array:
    """Mean change of the output when a site is deleted by shuffling its bases, the rest of the sequence kept.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, n_outputs).
    one_hot : float array, shape (N, L, 4)
        Channels A, C, G, T; rows of zeros for N, which stay where they are.
    start, end : int
        The site, 0-based, half-open.
    n_shuffles : int, default 20
    random_state : int, default 0
        The seed; shuffles depend on it and on each sequence's own letters only.
    kind : {"dinucleotide", "mononucleotide"}, default "dinucleotide"
        What shuffles of the site keep. Short sites have few shuffles that keep their dinucleotides.
    target : int or sequence of int, default 0
        Which output, or several.
    output : {"logit", "probability"}, default "logit"
    batch_size : int, optional
        By default as many as fit the memory, at most 256.

    Returns
    -------
    change : float32 array, shape (N,)
        Negative where the site raises the output. A leading axis for a list of targets.

    Raises
    ------
    ValueError
        The site is empty or not within the sequence, or the kind is unknown.
    InputError
        The model has another form.

    Examples
    --------
    >>> import keras
    >>> from simbench_tf.dna import one_hot
    >>> inputs = keras.Input((6, 4))
    >>> model = keras.Model(inputs, inputs[:, 2, :1])  # whether the third base is A
    >>> change = shuffle_site(model, one_hot("CCACCC"), 2, 4, 1000, kind="mononucleotide", output="probability")
    >>> change.round(1).tolist()
    [-0.5]
    """
    bases = bases_of_one_hot(np.asarray(one_hot))
    length = bases.shape[1]
    if not 0 <= start < end <= length:
        raise ValueError(f"the site {start} to {end} is not within {length} bases")
    shuffles = {"dinucleotide": dinucleotide_shuffle, "mononucleotide": mononucleotide_shuffle}
    if kind not in shuffles:
        raise ValueError(f"kind must be one of {', '.join(shuffles)}, not {kind!r}")
    network = open_network(model, length, target, output, batch_size)
    sites = shuffles[kind](np.ascontiguousarray(bases[:, start:end]), n_shuffles, random_state, content_index(bases))
    change = np.empty((len(network.targets), len(bases)), np.float32)
    for row, shuffled in enumerate(sites):
        mutants = np.repeat(bases[row : row + 1], n_shuffles, axis=0)
        mutants[:, start:end] = shuffled
        change[:, row] = network.outputs(_one_hot(mutants)).mean(axis=1)
    change -= network.outputs(_one_hot(bases))
    return change[0] if np.ndim(target) == 0 else change
