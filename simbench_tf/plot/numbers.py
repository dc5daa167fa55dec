"""Numbers as text, in figures and tables alike: fixed decimals, means with their errors, shares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: Decimals of an error, at most: a smaller one is said to be below.
_MOST_DIGITS = 5


def fixed(value: Any, digits: int = 3) -> str:
    """Format a number with so many decimals, 0 without a sign; what is missing or not finite is a dash.

    Examples
    --------
    >>> fixed(.12345), fixed(None), fixed(float("nan")), fixed(2, 0), fixed(-.0001)
    ('0.123', '–', '–', '2', '0.000')
    """
    number = np.nan if value is None else float(value)
    return f"{number:z,.{digits}f}" if np.isfinite(number) else "–"


def with_error(value: Any, error: Any, digits: int = 3) -> str:
    """Format a mean and its standard error, with more decimals where so many would show the error as 0.

    Examples
    --------
    >>> with_error(.61, .02, 2), with_error(.61, float("nan"), 2)
    ('0.61 ± 0.02', '0.61')
    >>> with_error(.61, .0031, 2), with_error(.61, 0, 2), with_error(.61, 1e-9, 2)
    ('0.610 ± 0.003', '0.61 ± 0', '0.61 ± under 0.00001')
    """
    if fixed(error) == "–":
        return fixed(value, digits)
    spread = abs(float(error))
    if spread == 0:
        return f"{fixed(value, digits)} ± 0"
    if round(spread, _MOST_DIGITS) == 0:
        return f"{fixed(value, digits)} ± under {10**-_MOST_DIGITS:.{_MOST_DIGITS}f}"
    while round(spread, digits) == 0:
        digits += 1
    return f"{fixed(value, digits)} ± {fixed(spread, digits)}"


def percent(share: float) -> str:
    """Format a share; one below nothing is none.

    Examples
    --------
    >>> percent(.7512), percent(-.05), percent(float("nan"))
    ('75%', 'none', '–')
    """
    if not math.isfinite(share):
        return "–"
    return f"{100 * share:.0f}%" if share >= 0 else "none"
