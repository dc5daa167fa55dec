"""Motifs of a network's first filters, from the windows of sequences that activate them most.

As in Basset (Kelley, Snoek and Rinn 2016): of each filter the windows whose activation is above half of the largest
over all sequences are aligned, and their bases counted. Here each window counts by its activation, unless asked not to.

The activation of a filter is the output of its unit before pooling: the convolution with the batch normalisation and
the nonlinearity that follow it, as ``layer="first"`` means in attribution. Only there is a threshold as a share of the
largest value the same for all filters: the sum alone has a bias in it, and batch normalisation may turn its sign. After
an exponential in place of a ReLU half of the largest activation is only .7 below in the sum, and few windows are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif, information_content
from simbench_tf.motifs.files import whole_sites

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: Activations, and windows, held at once, however many sequences there are.
_BATCH_VALUES = 2**22
_WINDOWS = 2**18
_MEND = "give a Keras model whose first convolution reads one-hot DNA, (N, L, 4)"


class FilterMotifs(NamedTuple):
    """The motifs of a network's first filters.

    Attributes
    ----------
    motifs : list of Motif
        One of each filter that activates, in their order; the id is "filter" and its number. As wide as the kernel,
        taps that a dilated one leaves out among them. n_sites is the number of windows.
    table : DataFrame
        A row for each filter: filter (its number from 0), motif (its id; None where it never activates), largest (its
        largest activation), n_windows (those above the threshold), information (bits of the motif against the base
        frequencies of the sequences; 0 without one).
    """

    motifs: list[Motif]
    table: pd.DataFrame


class _Unit(NamedTuple):
    """The first convolution: what computes its activations, and how its outputs lie over the bases."""

    activations: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]  # (B, L, 4) -> (B, P, F)
    stride: int
    padding: tuple[int, int]
    span: int
    n_values: int  # P x F


def filter_motifs(
    model: Any, bases: Bases, *, threshold: float = 0.5, weighted: bool = True, pseudocount: float = 1.0
) -> FilterMotifs:
    """Make the motif of each filter of a network's first convolution.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential; input (N, L, 4), read by its first convolution.
    bases : uint8, shape (N, L)
        0-3 for A, C, G, T and 4 for N; they are read twice, a batch at a time.
    threshold : float, default .5
        A window is aligned where its activation is above this share of the filter's largest. In [0, 1).
    weighted : bool, default True
        Count each window by its activation; False: count all windows alike, as Basset does.
    pseudocount : float, default 1
        Windows' worth of bases that are added at each position, spread as the bases of the sequences are. Above 0.

    Returns
    -------
    FilterMotifs
        Of a window that reaches out of its sequence, or holds an N, the known bases are counted.

    Raises
    ------
    InputError
        The model has no convolution of its input, or no graph that can be read; there are no bases, or they have
        another length than it takes; or a setting is out of range.

    Examples
    --------
    >>> import keras
    >>> layers = [keras.layers.Conv1D(2, 4, activation="relu", use_bias=False), keras.layers.GlobalMaxPooling1D()]
    >>> model = keras.Sequential([keras.Input((30, 4)), *layers])
    >>> kernel = np.stack([np.eye(4)[[2, 0, 3, 0]], -np.ones((4, 4))], axis=2)  # GATA, and one that nothing activates
    >>> model.layers[0].set_weights([kernel])
    >>> bases = np.random.default_rng(0).integers(0, 4, (200, 30)).astype(np.uint8)
    >>> found = filter_motifs(model, bases, threshold=0.9)
    >>> found.motifs[0].ppm.argmax(axis=1).tolist(), found.table["motif"].tolist()
    ([2, 0, 3, 0], ['filter0', None])
    """
    if not 0 <= threshold < 1:
        raise InputError("threshold", f"is {threshold}, no share below 1 of the largest", "give .5, as Basset")
    if not pseudocount > 0:
        raise InputError("pseudocount", f"is {pseudocount}", "give a number above 0: bases never seen need one")
    if bases.dtype != np.uint8 or bases.ndim != 2 or not (bases < 4).any():
        raise InputError("bases", f"are {bases.dtype} {bases.shape}, or hold no base", "give codes 0-4, uint8 (N, L)")
    unit = _first_unit(model, bases.shape[1])
    largest = np.max([values.max(axis=(0, 1)) for _, values in _batches(unit, bases)], axis=0).astype(np.float64)
    if not np.isfinite(largest).all():
        raise InputError("model", "its first filters give activations that are no finite numbers", _MEND)
    counts, n_windows, weight = _counted(unit, bases, largest, threshold, weighted)
    frequencies = np.bincount(bases[bases < 4], minlength=4) / np.count_nonzero(bases < 4)
    motifs: list[Motif] = []
    rows = []
    for number in range(len(largest)):
        motif = None
        if n_windows[number]:
            # in windows, whatever the scale of the filter
            windows = counts[number] * (n_windows[number] / weight[number]) + pseudocount * frequencies
            name = f"filter{number}"
            ppm = windows / windows.sum(axis=1, keepdims=True)
            motif = Motif(name, name, ppm, whole_sites(float(n_windows[number])))
            motifs.append(motif)
        information = 0.0 if motif is None else _information(motif, frequencies)
        rows.append((number, motif and motif.motif_id, largest[number], n_windows[number], information))
    table = pd.DataFrame(rows, columns=["filter", "motif", "largest", "n_windows", "information"], dtype=object)
    numbers = {"filter": int, "largest": float, "n_windows": int, "information": float}
    return FilterMotifs(motifs, table.astype(numbers))


def _information(motif: Motif, frequencies: Floats) -> float:
    """Bits against the base frequencies; a base that the sequences lack counts as next to none."""
    background = np.maximum(frequencies, 1e-9)
    return float(information_content(motif, background / background.sum()).sum())


def _counted(
    unit: _Unit, bases: Bases, largest: Floats, threshold: float, weighted: bool
) -> tuple[Floats, npt.NDArray[np.int64], Floats]:
    """Weight of each base at each position of the windows above the threshold (F, W, 4), their number and weight (F,).

    Filters whose largest activation is not above 0 have no window.
    """
    n_filters, offsets = len(largest), np.arange(unit.span)
    counts, weight = np.zeros((n_filters, unit.span, 5)), np.zeros(n_filters)
    n_windows = np.zeros(n_filters, np.int64)
    for part, values in _batches(unit, bases):
        padded = np.pad(part, ((0, 0), unit.padding), constant_values=4)
        row, position, number = np.nonzero((values > threshold * largest) & (values > 0))
        worth = values[row, position, number].astype(np.float64) if weighted else np.ones(len(row))
        n_windows += np.bincount(number, minlength=n_filters)
        weight += np.bincount(number, worth, n_filters)
        for first in range(0, len(row), _WINDOWS):
            some = slice(first, first + _WINDOWS)
            letters = padded[row[some, None], position[some, None] * unit.stride + offsets]
            cell = (number[some, None] * unit.span + offsets) * 5 + letters
            counts += np.bincount(cell.ravel(), np.repeat(worth[some], unit.span), counts.size).reshape(counts.shape)
    return counts[:, :, :4], n_windows, weight


def _batches(unit: _Unit, bases: Bases) -> Iterator[tuple[Bases, npt.NDArray[np.float32]]]:
    """Bases (B, L) and the activations of each filter at each position (B, P, F)."""
    size = max(1, _BATCH_VALUES // unit.n_values)
    for first in range(0, len(bases), size):
        part = bases[first : first + size]
        yield part, unit.activations(one_hot(part))


def _first_unit(model: Any, seq_length: int) -> _Unit:
    import tensorflow as tf

    from simbench_tf.attribution.layer_geometry import DOING_NOTHING, UnsupportedModelError, geometry_of
    from simbench_tf.attribution.model_graph import (
        CONVOLUTIONS,
        find_output,
        is_graph,
        leading_to,
        read_calls,
        run_calls,
    )

    if not is_graph(model) or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise InputError("model", "has no graph of Keras layers from one input to one output", _MEND)
    takes = tuple(model.inputs[0].shape[1:])
    if len(takes) != 2 or takes[1] != 4 or takes[0] not in (None, seq_length):
        raise InputError("model", f"takes {takes}, not {(seq_length, 4)} as the bases are", _MEND)
    calls = read_calls(model).calls
    try:
        end = find_output(calls, "first")
    except InputError as error:
        raise InputError("model", error.what, _MEND) from error
    needed = leading_to(calls, end.outputs[0])
    place = next(number for number, call in enumerate(needed) if call.kind in CONVOLUTIONS)
    before = next((call for call in needed[:place] if call.kind not in DOING_NOTHING), None)
    if before is not None:
        raise InputError("model", f"its first convolution reads what {before.name!r} makes of the bases", _MEND)
    try:
        geometry = geometry_of(needed[place].node.operation, seq_length)
    except UnsupportedModelError as error:
        raise InputError("model", str(error), _MEND) from error
    if geometry.length < 1:
        raise InputError("model", f"its first kernel is longer than the {seq_length} bases", "give longer sequences")

    @tf.function(autograph=False, reduce_retracing=True)
    def activations(x: Any) -> Any:
        return tf.cast(run_calls(needed, x)[end.outputs[0]], tf.float32)

    n_filters = int(end.node.output_tensors[0].shape[-1])
    return _Unit(
        activations=lambda x: np.asarray(activations(tf.constant(x))),
        stride=geometry.stride,
        padding=geometry.padding,
        span=geometry.reach + 1,
        n_values=geometry.length * n_filters,
    )
