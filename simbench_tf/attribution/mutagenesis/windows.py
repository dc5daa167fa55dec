"""Which positions of each tensor one substitution can change, worked out from the layers' shapes alone.

A substitution at position p changes one window of each tensor, whose place depends on p and whose width does not.
Positions that are a whole period (the product of all strides) apart have the same windows, moved on, so that the
tables made here for one block of positions hold for every block. A window may hang over the ends of its tensor, and may
be wider than what truly changes: there the change is zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.layer_geometry import Geometry, named
from simbench_tf.attribution.mutagenesis.graph import Graph, Move, Stage, Unit

Places = npt.NDArray[np.int64]

# what is gained below this does not pay for cutting out and putting in
_LEAST_SPEED_UP = 1.5
# a window of more than this share of its tensor is no longer followed through a kernel
_WIDEST = 0.75
# numbers of the widest windows of a block: what leaves the caches of a CPU is slow
_LARGEST_TENSOR = 1 << 23


class RowClass(NamedTuple):
    """Positions whose windows lie alike over the outputs of a stage.

    Attributes
    ----------
    rows : int array
        Which of the block's positions, in the order of the stage's input.
    before, after : int
        Changed inputs are filled up by so many zeros (cut, where negative), so that the linear layer without padding
        gives the window `convolved` of the step.
    """

    rows: Places
    before: int
    after: int


class Window(NamedTuple):
    """Changed positions of one tensor: `width` from `start` on, for each position of the first block.

    Attributes
    ----------
    start : int array, shape (P,)
    width : int
    moves : int
        How much further the windows are where the block begins a period later.
    length : int
        Positions of the tensor.
    order : int array, shape (P,)
        Which position of the block each row is.
    """

    start: Places
    width: int
    moves: int
    length: int
    order: Places

    def rows(self, rows: Places) -> Window:
        """The windows of some rows, in their order."""
        return self._replace(start=self.start[rows], order=self.order[rows])


class Flat(NamedTuple):
    """A flattened tensor with windows."""

    window: Window


#: What is known of a tensor's changes: windows, (N, units) without positions, all of it, or that there are none.
State = Window | Flat | Literal["joined", "whole", "constant"]


class WindowStep(NamedTuple):
    """What becomes of a substitution's changes in one unit.

    Attributes
    ----------
    unit : Unit
    how : str
        "bases": the changes of a kernel that sees the bases; "windows": windows are turned into windows; "joined":
        (N, units); "gated": a gate's change at all positions and a window, through a convolution, to whole tensors;
        "whole": tensors are put together and the call is made on them; "same", "constant".
    inputs : tuple of State
    convolved : Window or None
        Outputs of a stage's linear layer, as many as the pooling needs.
    changed : Window or None
        Windows of the output, where it has any.
    classes : tuple of RowClass
        Of a stage, in the order of the outgoing positions.
    multiplications : float
        Of one substitution.
    """

    unit: Unit
    how: Literal["bases", "windows", "joined", "gated", "whole", "same", "constant"]
    inputs: tuple[State, ...] = ()
    convolved: Window | None = None
    changed: Window | None = None
    classes: tuple[RowClass, ...] = ()
    multiplications: float = 0.0


class WindowPlan(NamedTuple):
    """How to follow the substitutions of a block of positions.

    Attributes
    ----------
    steps : tuple of WindowStep
    bases : Window
        Of the input.
    output : int
        Number of the model's output.
    n_periods : int
        Of the sequence.
    block : int
        P, positions of a block, which may begin at any period.
    period : int
        Positions.
    whole_mutants : int
        How many are held together once they are whole.
    multiplications : tuple of float
        Of one substitution: of a whole pass, and by this plan.
    """

    steps: tuple[WindowStep, ...]
    bases: Window
    output: int
    n_periods: int
    block: int
    period: int
    whole_mutants: int
    multiplications: tuple[float, float]

    @property
    def saves(self) -> bool:
        """Whether windows save enough to pay for cutting them out and putting them in."""
        whole, windows = self.multiplications
        followed = [step for step in self.steps if any(isinstance(state, Window | Flat) for state in step.inputs)]
        followed = [step for step in followed if step.how not in ("whole", "same")]
        return bool(followed) and whole >= _LEAST_SPEED_UP * windows

    @property
    def parts(self) -> tuple[list[WindowStep], list[WindowStep]]:
        """The steps before any mutant is put together, and those that depend on whole mutants."""
        return _parts(self.steps)

    @property
    def reasons(self) -> list[str]:
        """Why calls that windows come to are run on whole tensors."""
        return [step.unit.reason for step in self.steps if step.unit.reason and _puts_together(step)]


def _parts(steps: Sequence[WindowStep]) -> tuple[list[WindowStep], list[WindowStep]]:
    whole: set[int] = set()
    parts: tuple[list[WindowStep], list[WindowStep]] = ([], [])
    for step in steps:
        depends = _puts_together(step) or not whole.isdisjoint(step.unit.inputs)
        parts[depends].append(step)
        whole.update(step.unit.outputs if depends else ())
    return parts


def _puts_together(step: WindowStep) -> bool:
    whole = step.how == "whole" and any(state not in ("joined", "constant") for state in step.inputs)
    return whole or step.how == "gated"


def plan_windows(graph: Graph, batch_size: int) -> WindowPlan:
    """Plan the windows of a graph for blocks of about `batch_size` positions, fewer where windows are large."""
    length = graph.seq_length
    period = _period(graph)
    first = _steps(graph, min(period, length), period)
    whole_mutants = _whole_mutants(first, batch_size)
    largest = min(batch_size, _fitting(first, whole_mutants))
    block = _block_size(length, period, largest)
    steps = _steps(graph, block, period)
    whole = float(sum(whole_multiplications(step.unit) for step in steps if step.how != "constant"))
    windows = sum(step.multiplications for step in steps)
    bases, n_periods = _bases(graph, block, period), -(-length // period)
    return WindowPlan(steps, bases, graph.output, n_periods, block, period, whole_mutants, (whole, windows))


def _bases(graph: Graph, block: int, period: int) -> Window:
    return Window(np.arange(block), 1, period, graph.seq_length, np.arange(block))


def _period(graph: Graph) -> int:
    """The fewest bases after which all windows have moved on by whole positions."""
    rates: dict[int, Fraction] = {0: Fraction(1)}
    period = 1
    for unit in graph.units:
        before = [rates[number] for number in unit.inputs if number in rates]
        if not before or unit.kind not in ("stage", "merge", "move", "same"):
            continue
        stride = Fraction(1 if unit.stage is None else unit.stage.stride)
        rate = before[0] * stride / (1 if unit.move is None else unit.move.size)
        rates[unit.output] = rate
        period = math.lcm(period, rate.numerator)
        if unit.stage is not None:
            period = math.lcm(period, (before[0] * unit.stage.geometry.stride).numerator)
    return period


def _whole_mutants(steps: Sequence[WindowStep], batch_size: int) -> int:
    """How many mutants take no more room once they are whole than a batch does in whole passes.

    What a call that is not known holds inside is not known, either: then a batch.
    """
    _, after = _parts(steps)
    if any(step.unit.kind == "other" for step in after):
        return batch_size
    whole = {number for step in after for number in step.unit.outputs}
    whole.update(number for step in after if step.how == "whole" for number in step.unit.inputs)
    held = [_numbers(step.unit) for step in steps if not whole.isdisjoint(step.unit.outputs)]
    return batch_size * max(_numbers(step.unit) for step in steps) // max(held, default=1)


def _numbers(unit: Unit) -> int:
    """Of a unit's largest tensor, for one sequence; of a stage that is the one before it is pooled."""
    shape = unit.call.node.output_tensors[0].shape[1:]
    if unit.stage is not None:
        shape = (unit.stage.geometry.length, shape[-1])
    return math.prod(size or 1 for size in shape)


def _fitting(steps: Sequence[WindowStep], whole_mutants: int) -> int:
    """Positions of a block whose tensors are of a bearable size, and whose whole mutants are a batch."""
    largest = 1
    for step in steps:
        for window in (step.convolved, step.changed):
            if window is not None:
                channels = step.unit.call.node.output_tensors[0].shape[-1] or 1
                largest = max(largest, 3 * window.width * channels)
    fitting = _LARGEST_TENSOR // largest
    if any(_puts_together(step) for step in steps):
        fitting = min(fitting, whole_mutants // 3)
    return max(1, fitting)


def _block_size(length: int, period: int, largest: int) -> int:
    """The largest multiple of the period up to `largest` whose blocks hold few positions beyond the sequence."""
    if period >= length:
        return length
    total = {size: -(-length // size) * size for size in range(period, max(largest, period) + 1, period)}
    allowed = 1.03 * min(total.values())
    return max(size for size in total if total[size] <= allowed)


def _steps(graph: Graph, block: int, period: int) -> tuple[WindowStep, ...]:
    """Follow the windows of a block through all units."""
    states: dict[int, State] = {0: _bases(graph, block, period)}
    steps = []
    for unit in graph.units:
        step = _step(unit, tuple(states[number] for number in unit.inputs))
        steps.append(step)
        for tensor, number in zip(unit.call.node.output_tensors, unit.outputs, strict=True):
            states[number] = _state_after(step, len(tensor.shape))
    return tuple(steps)


def _state_after(step: WindowStep, rank: int) -> State:
    if step.how == "same":
        before = step.inputs[0]
        return Flat(before) if step.unit.kind == "flatten" and isinstance(before, Window) else before
    if step.how == "constant":
        return "constant"
    if step.changed is not None:
        return step.changed
    return "joined" if rank == 2 else "whole"


def _step(unit: Unit, states: tuple[State, ...]) -> WindowStep:
    if unit.kind == "constant" or (states and all(state == "constant" for state in states)):
        return WindowStep(unit, "constant", states)
    windows = [state for state in states if isinstance(state, Window)]
    if unit.kind == "same":
        return WindowStep(unit, "same", states)
    if unit.kind == "merge" and all(
        state in ("joined", "constant") for state in states if not isinstance(state, Window)
    ):
        if not windows:
            return WindowStep(unit, "joined", states)
        if len({window.moves for window in windows}) > 1:
            unit = unit._replace(reason=f"{named(unit.call.node.operation)} joins tensors of unlike strides")
        elif "joined" not in states:
            return WindowStep(unit, "windows", states, changed=_union(windows))
    elif unit.kind == "dense" and (isinstance(states[0], Flat) or states[0] == "joined"):
        share = min(1.0, states[0].window.width / states[0].window.length) if isinstance(states[0], Flat) else 1.0
        return WindowStep(unit, "joined", states, multiplications=unit.multiplications * share)
    elif unit.kind == "gated":
        if unit.stage is not None and windows and states[1] == "whole" and _gate_pays(unit.stage, windows[0]):
            return WindowStep(unit, "gated", states, multiplications=_of_gated(unit.stage, windows[0]))
    elif len(windows) == 1 == len(states):
        if unit.stage is not None and _pays(unit.stage, windows[0]):
            return _stage_step(unit, unit.stage, windows[0])
        if unit.move is not None:
            return WindowStep(unit, "windows", states, changed=_moved(unit.move, windows[0]))
        if unit.kind in ("average", "max"):
            return WindowStep(unit, "joined", states)
        if unit.kind == "flatten":
            return WindowStep(unit, "same", states)
    return WindowStep(unit, "whole", states, multiplications=whole_multiplications(unit))


def whole_multiplications(unit: Unit) -> float:
    """Multiplications of a unit for one sequence."""
    stage = unit.stage
    return unit.multiplications if stage is None else stage.multiplications * stage.geometry.length


def _pays(stage: Stage, window: Window) -> bool:
    """Whether following a window through a stage is cheaper than the stage as a whole."""
    return stage.multiplications == 0 or window.width <= _WIDEST * window.length


def _of_gated(stage: Stage, window: Window) -> float:
    """Multiplications of a gated convolution: each weight once for all taps together, and those of the window."""
    return stage.multiplications * (stage.geometry.length / stage.geometry.size + window.width)


def _gate_pays(stage: Stage, window: Window) -> bool:
    """Whether sums over taps of each channel are of a bearable size, and cheaper than the convolution."""
    geometry = stage.geometry
    sums = stage.multiplications // geometry.size * geometry.length
    fits = sums <= 2 * _LARGEST_TENSOR and window.width + geometry.reach <= geometry.length
    return fits and _of_gated(stage, window) < stage.multiplications * geometry.length


def _union(windows: Sequence[Window]) -> Window:
    """The windows that hold those of all tensors, in the order of the first."""
    first = windows[0]
    same = [window.rows(in_order_of(window, first)) for window in windows]
    start = np.min([window.start for window in same], axis=0)
    end = np.max([window.start + window.width for window in same], axis=0)
    return first._replace(start=start, width=int((end - start).max()))


def in_order_of(window: Window, other: Window) -> Places:
    """The rows of one window in the order of another."""
    rows: Places = np.argsort(window.order)[other.order]
    return rows


def _moved(move: Move, window: Window) -> Window:
    start, moves = window.start * move.size + move.before, window.moves * move.size
    return window._replace(start=start, width=window.width * move.size, moves=moves, length=move.length(window.length))


def _outputs(window: Window, geometry: Geometry) -> Window:
    """Outputs of a convolution or pooling that read a window."""
    first = -((geometry.reach - geometry.left - window.start) // geometry.stride)
    last = (window.start + window.width - 1 + geometry.left) // geometry.stride
    width = max(1, int((last - first).max()) + 1)
    return Window(first, width, window.moves // geometry.stride, geometry.length, window.order)


def _stage_step(unit: Unit, stage: Stage, window: Window) -> WindowStep:
    geometry = stage.geometry
    convolved = changed = _outputs(window, geometry)
    if stage.pooling is not None:
        pool = stage.pooling.geometry
        changed = _outputs(convolved, pool)
        width = (changed.width - 1) * pool.stride + pool.size
        convolved = convolved._replace(start=changed.start * pool.stride - pool.left, width=width)
    if unit.inputs[0] == 0 and stage.sees_bases:
        # windows of the first stage are made in their places
        return WindowStep(unit, "bases", (window,), convolved, changed)
    needed = (convolved.width - 1) * geometry.stride + geometry.reach + 1
    # strides may skip all that changed: then it is cut off whole
    before = np.clip(window.start - (convolved.start * geometry.stride - geometry.left), -window.width, needed)
    classes = [
        RowClass(np.flatnonzero(before == shift), int(shift), int(needed - shift - window.width))
        for shift in np.unique(before)
    ]
    rows = np.concatenate([group.rows for group in classes])
    # a change of one input is spread over size / stride outputs, whatever the window's width is
    cost = stage.multiplications * window.width / geometry.stride
    return WindowStep(unit, "windows", (window,), convolved.rows(rows), changed.rows(rows), tuple(classes), cost)


def taps_of(step: WindowStep) -> tuple[Places, Places]:
    """Which row of a kernel over the bases meets the substituted base.

    Returns
    -------
    taps : int array, shape (F, width)
        For each of F kinds of positions; the kernel's size where none does.
    kinds : int array, shape (P,)
        Of the block's positions.
    """
    assert step.unit.stage is not None
    assert step.convolved is not None
    geometry, window = step.unit.stage.geometry, step.convolved
    position = np.arange(len(window.start))[:, None]
    output = window.start[:, None] + np.arange(window.width)
    offset = position - (output * geometry.stride - geometry.left)
    met = (offset >= 0) & (offset <= geometry.reach) & (offset % geometry.dilation == 0)
    taps = np.where(met, offset // geometry.dilation, geometry.size)
    unique, kinds = np.unique(taps, axis=0, return_inverse=True)
    return unique, kinds.reshape(-1)
