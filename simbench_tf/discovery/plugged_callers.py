"""Motif callers of other packages (plug-ins): run on arrays, and the instances that they return checked.

A caller is a function ``(bases, scores, hypothetical, *, setting=default, ...) -> DataFrame`` with `bases` uint8
(N, L), 0-3 and 4 for N, `scores` float32 (N, L), the attributions, and `hypothetical` float32 (N, L, 4), hypothetical
contributions (the scores of the observed bases, of methods without). The table has a row for each call: `row` (of the
N sequences), `start`, `end` (0-based, half-open), and any of `strand`, `motif` (a name; equal names are one motif) and
`score` (higher is surer).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.errors import InputError
from simbench_tf.plugins import checked_settings, find_plugin, load_named


def call_plugged(
    caller: str,
    settings: Mapping[str, Any],
    bases: npt.NDArray[np.uint8],
    scores: npt.NDArray[np.float32],
    hypothetical: npt.NDArray[np.float32],
) -> pd.DataFrame:
    """Run a caller of another package.

    Parameters
    ----------
    caller : str
        Name of an entry point of the group `simbench_tf.callers`.
    settings : mapping
        Of its function.
    bases : uint8 array, shape (N, L)
    scores : float32 array, shape (N, L)
    hypothetical : float32 array, shape (N, L, 4)

    Returns
    -------
    DataFrame
        Columns row, start, end (int64), strand (. where it is not told), motif, score (NaN where it is not told); in
        the order of sequence and place.

    Raises
    ------
    InputError
        There is no such caller, a setting is wrong, it fails, or what it returns are no calls.
    """
    function = load_named("caller", caller)
    arguments = checked_settings(function, settings, f"discovery.settings.{caller}")
    plugin = find_plugin("caller", caller)
    where = plugin.package if plugin is not None else caller
    try:
        return _checked(function(bases, scores, hypothetical, **arguments), scores.shape, caller)
    except Exception as error:
        what = f"its caller {caller!r} failed: {type(error).__name__}: {error}"
        raise InputError(where, what, "mend the package, or take it out of discovery.callers") from error


def _checked(called: Any, shape: tuple[int, ...], caller: str) -> pd.DataFrame:
    missing = [name for name in ("row", "start", "end") if name not in called]
    if missing:
        raise ValueError(f"its table lacks {missing[0]}")
    table = pd.DataFrame({name: called[name].to_numpy(np.int64) for name in ("row", "start", "end")})
    others = {"strand": ".", "motif": caller, "score": np.nan}
    table = table.assign(**{name: called[name].to_numpy() if name in called else each for name, each in others.items()})
    outside = (table["row"] < 0) | (table["row"] >= shape[0]) | (table["start"] < 0) | (table["end"] > shape[1])
    wrong = table[outside | (table["start"] >= table["end"])]
    if len(wrong):
        first = wrong.iloc[0]
        raise ValueError(f"row {first['row']}, {first['start']} to {first['end']}, is no place in {shape}")
    if not table["strand"].isin(["+", "-", "."]).all():
        raise ValueError("strand must be +, - or .")
    return table.sort_values(["row", "start", "end"], kind="stable", ignore_index=True)
