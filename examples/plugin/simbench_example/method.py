"""An attribution method: occlusion, how much the output falls where a window of bases is hidden."""

from typing import Annotated

import numpy as np
from pydantic import Field

from simbench_tf.attribution import Parts, register_method


@register_method("occlusion", title="occlusion of windows", source="Zeiler & Fergus 2014")
def occlusion(network, one_hot, *, width: Annotated[int, Field(ge=1)] = 8) -> Parts:
    """The fall of the output where a window is hidden, shared by its bases; mean over the windows that hold a base.

    A hidden base is the mixture of all four, .25 each, which every model takes.
    """
    length = one_hot.shape[1]
    before = network.outputs(one_hot)
    total, times = np.zeros((len(network.targets), *one_hot.shape[:2])), np.zeros(length)
    for start in range(1 - width, length):
        window = slice(max(start, 0), min(start + width, length))
        hidden = one_hot.copy()
        hidden[:, window] = 0.25
        fall = (before - network.outputs(hidden)) / (window.stop - window.start)
        total[:, :, window] += fall[:, :, None]
        times[window] += 1
    scores = (total / times).astype(np.float32)
    return Parts(scores[..., None] * one_hot)
