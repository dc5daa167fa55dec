"""The bound of fast in-silico mutagenesis: multiplications of whole passes, over those of what a substitution reaches.

Counted are multiplications with weights, each output that a substitution at a base can change computed once, and only
those, as by a method that reads layers one after the other and knows nothing of changes being short. A mean over all
positions of the sequence; activations and poolings count for nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.layer_geometry import Geometry
from simbench_tf.attribution.mutagenesis.graph import Graph, Unit
from simbench_tf.attribution.mutagenesis.windows import whole_multiplications

Places = npt.NDArray[np.int64]


class Reached(NamedTuple):
    """Positions of a tensor that a substitution at each base can change, from `low` up to `high`: int (L,) each."""

    low: Places
    high: Places
    length: int

    @property
    def mean_count(self) -> float:
        """How many they are, in the mean over the bases."""
        return float(np.maximum(self.high - self.low, 0).mean())


def speed_bound(graph: Graph) -> float:
    """How many times fewer multiplications the reached outputs take than whole passes do.

    Examples
    --------
    >>> import keras
    >>> from simbench_tf.attribution.mutagenesis.graph import read_graph
    >>> layers = keras.layers
    >>> stack = [layers.Conv1D(1, 1), layers.Conv1D(8, 3, padding="same"), layers.GlobalAveragePooling1D()]
    >>> model = keras.Sequential([keras.Input((100, 4)), *stack])
    >>> # 4 and 24 multiplications a position: 28 x 100 of whole passes; of one position and of three, less at the ends
    >>> round(speed_bound(read_graph(model, 100)), 1)
    37.1
    """
    every = np.arange(graph.seq_length)
    reached: dict[int, Reached] = {0: Reached(every, every + 1, graph.seq_length)}
    # of these nothing, or all, depends on the sequence
    constant: set[int] = set()
    whole = affected = 0.0
    for unit in graph.units:
        if unit.kind == "constant" or (unit.inputs and constant.issuperset(unit.inputs)):
            constant.update(unit.outputs)
            continue
        known = [reached[number] for number in unit.inputs if number in reached]
        followed = len(known) == sum(number not in constant for number in unit.inputs)
        share = _share(unit, known[0]) if followed and known else 1.0
        whole += whole_multiplications(unit)
        affected += whole_multiplications(unit) * share
        after = _after(unit, known) if followed and known else None
        if after is not None:
            reached[unit.output] = after
    return whole / max(affected, 1.0)


def _share(unit: Unit, before: Reached) -> float:
    """The share of a unit's multiplications that the reached positions of its input take."""
    if unit.stage is not None:
        return _outputs(before, unit.stage.geometry).mean_count / unit.stage.geometry.length
    return before.mean_count / before.length if unit.kind == "dense" else 1.0


def _after(unit: Unit, known: list[Reached]) -> Reached | None:
    """Positions of the output; None where these are joined, or not followed."""
    low, high, length = known[0]
    if unit.stage is not None:
        after = _outputs(known[0], unit.stage.geometry)
        pooling = unit.stage.pooling
        return after if pooling is None else _outputs(after, pooling.geometry)
    if unit.move is not None:
        move = unit.move
        new = move.length(length)
        low, high = (np.clip(place * move.size + move.before, 0, new) for place in (low, high))
        return Reached(low, high, new)
    if unit.kind in ("same", "flatten"):
        return known[0]
    if unit.kind == "merge" and len({tensor.length for tensor in known}) == 1:
        # what no substitution reaches is empty, wherever it lies
        lows = np.min([np.where(tensor.low < tensor.high, tensor.low, length) for tensor in known], axis=0)
        highs = np.max([np.where(tensor.low < tensor.high, tensor.high, 0) for tensor in known], axis=0)
        return Reached(lows, highs, length)
    return None


def _outputs(before: Reached, geometry: Geometry) -> Reached:
    """Outputs of a convolution or pooling that read reached positions."""
    low = -((geometry.reach - geometry.left - before.low) // geometry.stride)
    high = (before.high - 1 + geometry.left) // geometry.stride + 1
    nothing = before.low >= before.high
    low, high = (np.clip(place, 0, geometry.length) for place in (low, high))
    return Reached(low, np.where(nothing, low, high), geometry.length)
