"""Dependency maps as a method: how strongly each two bases of a window depend on each other, and a score a base."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simbench_tf.attribution.averaged import Copy
from simbench_tf.attribution.interactions import Interactions, pair_effects, window_pairs
from simbench_tf.attribution.network import Network
from simbench_tf.attribution.registry import Parts, register_method
from simbench_tf.errors import InputError

Array = npt.NDArray[np.float32]


def _moved_centre(settings: Mapping[str, Any], length: int, copy: Copy) -> dict[str, Any]:
    """The centre by which the window of the reverse complement holds the same bases; no copy is shifted."""
    assert not copy.shift
    start, end = map_window(length, settings["window"], settings["centre"])
    return {**settings, "centre": length - end + (end - start) // 2}


@register_method(
    "dependency_map",
    title="dependency map",
    source="Tomaz da Silva et al. 2025",
    chunk=1,
    is_of_pairs=True,
    moved=_moved_centre,
)
def dependency_map(
    network: Network,
    one_hot: Array,
    *,
    window: Annotated[int, Field(ge=2)] = 100,
    centre: Annotated[int, Field(ge=0)] | None = None,
    fast: bool = True,
) -> Parts:
    """Dependency map: the total strength of a base's interactions with the other bases of a window.

    The strength of a pair is the largest |f(a at i, b at j) - f(a at i) - f(b at j) + f(sequence)| over substitutions a
    and b. `dependency_maps` holds it for each two bases of the window, symmetric, 0 on the diagonal and at N; the
    contribution of a base is the sum of its row, 0 outside the window. It has no sign, and there are no hypothetical
    contributions. Each mutant of a base is explained by in-silico mutagenesis (`fast`: as there) of the bases right of
    it, which for W bases is about 4.5 W^2 passes a sequence where every substitution is a pass of its own.
    """
    length = one_hot.shape[1]
    start, end = map_window(length, window, centre)
    pairs = window_pairs(start, end)
    n_targets, n = len(network.targets), len(one_hot)
    maps = np.zeros((n_targets, n, end - start, end - start), np.float32)
    for row in range(n):
        effects = pair_effects(network, one_hot[row], pairs, fast)
        maps[:, row] = Interactions(pairs, effects).dependency_map(start, end)
    strength = np.zeros((n_targets, n, length), np.float32)
    strength[:, :, start:end] = maps.sum(axis=-1)
    starts = np.full((n_targets, n), start, np.int64)
    return Parts(strength[..., None] * one_hot, dependency_maps=maps, window_start=starts)


def map_window(length: int, window: int, centre: int | None) -> tuple[int, int]:
    """First base of a map's window and the one after its last: `window` bases around `centre`, within the sequence.

    A window that would reach beyond an end is moved to that end; one longer than the sequence is all of it. Without
    `centre` it is in the middle.

    Raises
    ------
    InputError
        The centre is not in the sequence.

    Examples
    --------
    >>> map_window(200, 100, None), map_window(200, 100, 180), map_window(60, 100, None)
    ((50, 150), (100, 200), (0, 60))
    """
    if centre is not None and centre >= length:
        where = f"{centre} is not in a sequence of {length} bases"
        raise InputError("dependency_map.centre", where, f"give 0 to {length - 1}, or leave it out for the middle")
    width = min(window, length)
    start = (length if centre is None else 2 * centre) // 2 - width // 2
    start = min(max(start, 0), length - width)
    return start, start + width
