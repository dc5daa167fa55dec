"""A metric: average precision of windows, for methods that find a site but not each of its bases."""

from typing import Annotated

import numpy as np
from pydantic import Field

from simbench_tf.score import METRICS, sequence_metrics


def window_auprc(scores, mask, *, width: Annotated[int, Field(ge=1, le=99)] = 9):
    """The auPRC of bases after |attribution| is averaged over the bases around each."""
    kernel = np.ones(min(width, scores.shape[1]))
    smooth = np.array([np.convolve(row, kernel, mode="same") for row in np.abs(scores)])
    return sequence_metrics(smooth, mask)[:, list(METRICS).index("auprc")]
