"""A motif caller: islands, stretches of a sequence whose mean |attribution| stands out from the rest of it."""

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field


def islands(
    bases,
    scores,
    hypothetical,
    *,
    width: Annotated[int, Field(ge=1, le=50)] = 8,
    share: Annotated[float, Field(gt=0, lt=1)] = 0.1,
):
    """Windows among the highest `share` of all windows, those that overlap joined; an island's score is its highest."""
    kernel = np.ones(width) / width
    means = np.array([np.convolve(row, kernel, mode="valid") for row in np.abs(scores)])
    high = means >= np.quantile(means, 1 - share)
    found = []
    for row, (mean, is_high) in enumerate(zip(means, high, strict=True)):
        starts = np.flatnonzero(is_high)
        # windows whose starts are less than a width apart overlap
        joined = np.split(starts, np.flatnonzero(np.diff(starts) >= width) + 1) if len(starts) else []
        found += [(row, island[0], island[-1] + width, mean[island].max()) for island in joined]
    return pd.DataFrame(found, columns=["row", "start", "end", "score"]).assign(motif="island")
