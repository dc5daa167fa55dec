"""Which positions of each layer one substitution can change, worked out from the layers' shapes alone.

A substitution at position p changes one window of each stage's output, whose place depends on p and whose width does
not. Positions that are a whole period (the product of all strides) apart have the same windows, moved on, so that the
tables made here for one block of positions hold for every block. A window may hang over the ends of its layer, and may
be wider than what truly changes: there the change is zero.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.layer_geometry import Geometry
from simbench_tf.attribution.mutagenesis.chain import Chain, Stage

Places = npt.NDArray[np.int64]


# what is gained below this does not pay for cutting out and putting in
_LEAST_SPEED_UP = 1.5


class RowClass(NamedTuple):
    """Positions whose windows lie alike over the outputs of a stage.

    Attributes
    ----------
    rows : int array
        Which of the block's positions, in the order that the stage before left them in.
    before, after : int
        Changed inputs are filled up by so many zeros (cut, where negative), so that the linear layer without padding
        gives the window `convolved` of the step.
    """

    rows: Places
    before: int
    after: int


class Window(NamedTuple):
    """Changed positions of one layer: `width` from `start` on, for each position of the first block.

    Attributes
    ----------
    start : int array, shape (P,)
    width : int
    moves : int
        How much further the windows are where the block begins a period later.
    length : int
        Positions of the layer.
    """

    start: Places
    width: int
    moves: int
    length: int

    def margins(self, n_periods: int) -> tuple[int, int]:
        """How far windows hang over the left and the right end of the layer."""
        last = int(self.start.max()) + (n_periods - 1) * self.moves + self.width
        return max(0, -int(self.start.min())), max(0, last - self.length)


class WindowStep(NamedTuple):
    """What a substitution changes in one stage.

    Attributes
    ----------
    stage : Stage
    classes : tuple of RowClass
        In the order of the outgoing positions.
    convolved : Window
        Outputs of the linear layer, as many as the pooling needs.
    changed : Window
        Outputs of the stage.
    """

    stage: Stage
    classes: tuple[RowClass, ...]
    convolved: Window
    changed: Window


class WindowPlan(NamedTuple):
    """How to follow the substitutions of a block of positions.

    Attributes
    ----------
    steps : tuple of WindowStep
    order : int array, shape (P,)
        Which position of the block each outgoing row is.
    taps : int array, shape (F, width of the first window)
        Which row of the first kernel meets the substituted base, for each of F kinds of positions; the kernel's size
        where none does.
    kinds : int array, shape (P,)
        Of the block's positions.
    block : int
        P, positions of a block, which may begin at any period.
    period : int
        Positions.
    n_periods : int
        Of the sequence.
    multiplications : tuple of float
        Of one substitution, plain and by windows.
    """

    steps: tuple[WindowStep, ...]
    order: Places
    taps: Places
    kinds: Places
    block: int
    period: int
    n_periods: int
    multiplications: tuple[float, float]


def plan_windows(chain: Chain, seq_length: int, largest_block: int) -> WindowPlan | None:
    """WindowPlan the windows of a chain, or None where they would save too little.

    Windows are followed through as many stages as pay; where the rest is cheaper as a whole, the plan has fewer steps
    than the chain has stages.

    Parameters
    ----------
    chain : Chain
    seq_length : int
    largest_block : int
        Positions to be followed together; at least one period, or the whole sequence, is.
    """
    period = math.prod(_stride(stage) for stage in chain.stages)
    block = _block_size(seq_length, period, largest_block)
    window = Window(np.arange(block), 1, period, seq_length)
    order = np.arange(block)
    steps: list[WindowStep] = []
    for stage in chain.stages:
        step = _step(stage, window, first=not steps)
        rows = np.concatenate([group.rows for group in step.classes])
        steps.append(step)
        order, window = order[rows], step.changed
    n_steps, costs = _worth(chain, steps)
    if costs[0] < _LEAST_SPEED_UP * costs[1]:
        return None
    if n_steps < len(steps):
        # the order up to there
        order = np.arange(block)
        for step in steps[:n_steps]:
            order = order[np.concatenate([group.rows for group in step.classes])]
    taps, kinds = _taps(steps[0])
    return WindowPlan(tuple(steps[:n_steps]), order, taps, kinds, block, period, -(-seq_length // period), costs)


def _stride(stage: Stage) -> int:
    return stage.geometry.stride * (1 if stage.pooling is None else stage.pooling.geometry.stride)


def _block_size(length: int, period: int, largest: int) -> int:
    """The largest multiple of the period up to `largest` whose blocks hold few positions beyond the sequence."""
    if period >= length:
        return length
    total = {size: -(-length // size) * size for size in range(period, max(largest, period) + 1, period)}
    allowed = 1.03 * min(total.values())
    return max(size for size in total if total[size] <= allowed)


def _outputs(window: Window, geometry: Geometry) -> Window:
    """Outputs of a convolution or pooling that read a window."""
    first = -((geometry.reach - geometry.left - window.start) // geometry.stride)
    last = (window.start + window.width - 1 + geometry.left) // geometry.stride
    width = max(1, int((last - first).max()) + 1)
    return Window(first, width, window.moves // geometry.stride, geometry.length)


def _step(stage: Stage, window: Window, first: bool) -> WindowStep:
    geometry = stage.geometry
    convolved = changed = _outputs(window, geometry)
    if stage.pooling is not None:
        pool = stage.pooling.geometry
        changed = _outputs(convolved, pool)
        width = (changed.width - 1) * pool.stride + pool.size
        convolved = convolved._replace(start=changed.start * pool.stride - pool.left, width=width)
    if first:
        # windows of the first stage are made in their places
        return WindowStep(stage, (RowClass(np.arange(len(window.start)), 0, 0),), convolved, changed)
    needed = (convolved.width - 1) * geometry.stride + geometry.reach + 1
    # strides may skip all that changed: then it is cut off whole
    before = np.clip(window.start - (convolved.start * geometry.stride - geometry.left), -window.width, needed)
    classes = [
        RowClass(np.flatnonzero(before == shift), int(shift), int(needed - shift - window.width))
        for shift in np.unique(before)
    ]
    rows = np.concatenate([group.rows for group in classes])
    moved = (part._replace(start=part.start[rows]) for part in (convolved, changed))
    return WindowStep(stage, tuple(classes), *moved)


def _taps(step: WindowStep) -> tuple[Places, Places]:
    geometry = step.stage.geometry
    position = np.arange(len(step.convolved.start))[:, None]
    output = step.convolved.start[:, None] + np.arange(step.convolved.width)
    offset = position - (output * geometry.stride - geometry.left)
    met = (offset >= 0) & (offset <= geometry.reach) & (offset % geometry.dilation == 0)
    taps = np.where(met, offset // geometry.dilation, geometry.size)
    unique, kinds = np.unique(taps, axis=0, return_inverse=True)
    return unique, kinds.reshape(-1)


def _worth(chain: Chain, steps: Sequence[WindowStep]) -> tuple[int, tuple[float, float]]:
    """How many stages to follow by windows, and multiplications of one substitution, plain and then."""
    whole = [stage.multiplications * stage.geometry.length for stage in chain.stages]
    windows = [0.0]
    for before, step in itertools.pairwise(steps):
        # a change of one input is spread over size / stride outputs, whatever the window's width is
        windows.append(step.stage.multiplications * before.changed.width / step.stage.geometry.stride)
    head, tail = chain.multiplications
    last = steps[-1].changed
    head_window = head * min(1.0, last.width / last.length)
    plain = sum(whole) + head + tail
    costs = [sum(windows[:n]) + sum(whole[n:]) + head + tail for n in range(1, len(steps))]
    costs.append(sum(windows) + head_window + tail)
    best = int(np.argmin(costs))
    return best + 1, (float(plain), float(costs[best]))
