"""Interactions of bases: what two substitutions do together beyond what each does alone; dependency maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.form_settings import Layout
from simbench_tf.attribution.mutagenesis.methods import substitution_changes
from simbench_tf.attribution.network import Network, Output, open_network
from simbench_tf.dna import bases_of_one_hot
from simbench_tf.errors import InputError

Array = npt.NDArray[np.float32]

#: First positions whose mutants are explained together: bounds the memory, and of a window's pairs, each first position
#: meets only those right of it, so that by blocks little is computed twice.
_FIRSTS_TOGETHER = 32


class Interactions(NamedTuple):
    """Interactions of pairs of bases in N sequences.

    Attributes
    ----------
    pairs : int64 (P, 2)
        Positions i and j of each pair.
    effects : float32 (N, P, 4, 4)
        At [a, b] ``f(a at i, b at j) - f(a at i) - f(b at j) + f(sequence)``; 0 where a or b is the base that is there,
        and where either is N.
    """

    pairs: npt.NDArray[np.int64]
    effects: Array

    @property
    def strength(self) -> Array:
        """The largest |effect| of each pair, (N, P), as in dependency maps (Tomaz da Silva et al. 2025)."""
        return np.abs(self.effects).max(axis=(2, 3))

    def dependency_map(self, start: int, end: int) -> Array:
        """The strength of pairs within a window, (N, W, W), symmetric; 0 where a pair was not looked at."""
        found = np.zeros((len(self.effects), end - start, end - start), np.float32)
        inside = ((self.pairs >= start) & (self.pairs < end)).all(axis=1)
        one, other = (self.pairs[inside] - start).T
        found[:, one, other] = found[:, other, one] = self.strength[:, inside]
        return found


def window_pairs(start: int, end: int) -> npt.NDArray[np.int64]:
    """All pairs of positions from `start` up to `end`, int64 (W (W - 1) / 2, 2), the left one first.

    Examples
    --------
    >>> window_pairs(3, 6).tolist()
    [[3, 4], [3, 5], [4, 5]]
    """
    return np.stack(np.triu_indices(end - start, 1), axis=1) + start


def interactions(
    model: Any,
    one_hot: Array,
    pairs: npt.ArrayLike | None = None,
    *,
    target: int = 0,
    output: Output = "logit",
    batch_size: int | None = None,
    fast: bool = True,
    progress: Callable[[int], None] | None = None,
    layout: Layout | None = None,
) -> Interactions:
    """Compute what two substitutions do together beyond what each does alone, for pairs of bases.

    For each substitution at the first base of a pair, the mutant is explained by in-silico mutagenesis, which computes
    only what a substitution changes where the model allows that, and is exact on an exact posterior.

    Parameters
    ----------
    model : keras.Model, torch.nn.Module or callable
        As `attribute` takes it.
    one_hot : float array, shape (N, L, 4)
        Channels A, C, G, T; rows of zeros for N.
    pairs : int array, shape (P, 2), optional
        Pairs of different positions, as from `window_pairs`; by default all of the sequence, of which there are many.
    target : int, default 0
    output : {"logit", "probability"}, default "logit"
    batch_size : int, optional
        Sequences that go through the model together.
    fast : bool, default True
        As of in-silico mutagenesis.
    progress : callable, optional
        Called with the number of sequences just done.
    layout : {"NCL", "NLC"}, optional
        As of `attribute`.

    Returns
    -------
    Interactions

    Raises
    ------
    InputError
        As `attribute`; or a pair that is not of two positions of the sequence.

    Examples
    --------
    >>> import keras
    >>> from simbench_tf.dna import one_hot
    >>> both = keras.layers.Dense(1, "relu")  # of A at the first and A at the second position
    >>> model = keras.Sequential([keras.Input((3, 4)), keras.layers.Flatten(), both])
    >>> both.set_weights([np.eye(12)[:, [0]] + np.eye(12)[:, [4]], np.array([-1.0])])
    >>> found = interactions(model, one_hot("AAG"), output="probability")
    >>> found.pairs.tolist(), found.strength.tolist()
    ([[0, 1], [0, 2], [1, 2]], [[1.0, 0.0, 0.0]])
    """
    bases = bases_of_one_hot(np.asarray(one_hot))
    n, length = bases.shape
    chosen = window_pairs(0, length) if pairs is None else np.asarray(pairs, np.int64).reshape(-1, 2)
    _check(chosen, length)
    network = open_network(model, length, target, output, batch_size, layout=layout)
    effects = np.zeros((n, len(chosen), 4, 4), np.float32)
    x = np.ascontiguousarray(one_hot, np.float32)
    for row in range(n):
        effects[row] = pair_effects(network, x[row], chosen, fast)[0]
        if progress is not None:
            progress(1)
    return Interactions(chosen, effects)


def pair_effects(network: Network, one_hot: Array, pairs: npt.NDArray[np.int64], fast: bool) -> Array:
    """Effects of pairs in one sequence, (L, 4), for all targets of a network: (T, P, 4, 4), as of `Interactions`."""
    effects = np.zeros((len(network.targets), len(pairs), 4, 4), np.float32)
    if not len(pairs):
        return effects
    firsts, which = np.unique(pairs[:, 0], return_inverse=True)
    alone = substitution_changes(network, one_hot[None], *_window(pairs), fast)[:, 0]
    for begin in range(0, len(firsts), _FIRSTS_TOGETHER):
        mine = np.flatnonzero((which >= begin) & (which < begin + _FIRSTS_TOGETHER))
        first, second = which[mine] - begin, pairs[mine, 1]
        beside = _beside(network, one_hot, firsts[begin : begin + _FIRSTS_TOGETHER], _window(pairs[mine]), fast)
        effects[:, mine] = beside[:, first, :, second].transpose(1, 0, 2, 3) - alone[:, second][:, :, None]
    # at N nothing is replaced, and the base that is there changes nothing, but for rounding
    replaced = (one_hot == 0) & _is_known(one_hot)[:, None]
    effects *= replaced[pairs[:, 0], :, None] & replaced[pairs[:, 1], None, :]
    return effects


def _beside(
    network: Network, one_hot: Array, firsts: npt.NDArray[np.int64], window: tuple[int, int], fast: bool
) -> Array:
    """Change by each substitution of the window beside each at `firsts`, (T, F, 4, L, 4); 0 where none is made."""
    place, letter = np.nonzero((one_hot[firsts] == 0) & _is_known(one_hot[firsts])[:, None])
    mutants = np.repeat(one_hot[None], len(place), axis=0)
    mutants[np.arange(len(place)), firsts[place]] = np.eye(4, dtype=np.float32)[letter]
    found = np.zeros((len(network.targets), len(firsts), 4, *one_hot.shape), np.float32)
    found[:, place, letter] = substitution_changes(network, mutants, *window, fast)
    return found


def _is_known(rows: Array) -> npt.NDArray[np.bool_]:
    return np.asarray(rows.any(axis=-1))


def _window(pairs: npt.NDArray[np.int64]) -> tuple[int, int]:
    """The first of the pairs' second positions, and the one after the last."""
    return int(pairs[:, 1].min()), int(pairs[:, 1].max()) + 1


def _check(pairs: npt.NDArray[np.int64], length: int) -> None:
    wrong = (pairs < 0).any(axis=1) | (pairs >= length).any(axis=1) | (pairs[:, 0] == pairs[:, 1])
    if wrong.any():
        pair = tuple(pairs[wrong][0].tolist())
        raise InputError("pairs", f"{pair} are not two of {length} positions", f"choose from 0 to {length - 1}")
