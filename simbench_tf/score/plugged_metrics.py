"""Metrics of other packages (plug-ins): computed where there is something to find, and their values checked.

A metric is a function ``(scores, mask, *, setting=default, ...) -> values`` with `scores` float64 (n, L), attributions
with their sign, `mask` bool (n, L), true where a base lies in a site, and a value for each of the n sequences: higher
is better, NaN where it says nothing. It is given only sequences that have a true base and another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.errors import InputError
from simbench_tf.plugins import checked_settings, find_plugin, load_named

#: For each metric of other packages by name, its settings.
Asked = Mapping[str, Mapping[str, Any]]


def plugged_metric(
    name: str, settings: Mapping[str, Any], scores: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Compute a metric of another package.

    Parameters
    ----------
    name : str
        Of an entry point of the group `simbench_tf.metrics`.
    settings : mapping
        Of its function.
    scores : float64 array, shape (N, L)
    mask : bool array, shape (N, L)

    Returns
    -------
    float64 array, shape (N,)
        NaN where all or none of the bases are true.

    Raises
    ------
    InputError
        There is no such metric, it cannot be loaded, a setting is wrong, it fails, or it returns something else.
    """
    function = load_named("metric", name)
    arguments = checked_settings(function, settings, f"metric {name}")
    share = mask.mean(axis=1)
    some = (share > 0) & (share < 1)
    values = np.full(len(scores), np.nan)
    if not some.any():
        return values
    plugin = find_plugin("metric", name)
    where = plugin.package if plugin is not None else name
    try:
        found = np.asarray(function(scores[some], mask[some], **arguments), np.float64)
    except Exception as error:
        what = f"its metric {name!r} failed: {type(error).__name__}: {error}"
        raise InputError(where, what, "mend the package, or leave the metric out") from error
    if found.shape != (int(some.sum()),) or np.isinf(found).any():
        what = f"its metric {name!r} gave {found.shape} values for {int(some.sum())} sequences, or an infinite one"
        raise InputError(where, what, "let it return one number a sequence")
    values[some] = found
    return values
