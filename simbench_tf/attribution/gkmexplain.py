"""gkmexplain: what each base adds to the decision value of a gkm-SVM, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.attribution.network import Network
from simbench_tf.attribution.registry import Parts, register_method
from simbench_tf.errors import InputError

Array = npt.NDArray[np.float32]


@register_method("gkmexplain", title="gkmexplain", source="Shrikumar et al. 2019", needs="gapped_kmers")
def gkmexplain(network: Network, one_hot: Array) -> Parts:
    """gkmexplain, for gkm-SVMs alone: each pair of words shares its part of the kernel among its matching bases.

    Summed over bases this is the decision value less its bias, for which `convergence_delta` is given. `hypothetical`
    is what base c would have been given had it stood there, with the sequence's norm as it is and, as in the authors'
    program, without pairs of words that now have d mismatches.
    """
    layer = _layer(network)
    explained = np.stack([layer.gapped_kmer_contributions(one_hot, target) for target in network.targets])
    contributions = explained * one_hot
    decided = network.outputs(one_hot) - layer.biases(network.targets)[:, None]
    delta = contributions.sum(axis=(2, 3)) - decided
    return Parts(contributions.astype(np.float32), explained.astype(np.float32), None, None, delta.astype(np.float32))


def _layer(network: Network) -> Any:
    """The layer of the gkm-SVM, at which the model must end: it has `gapped_kmer_contributions` and `biases`."""
    last = network.graph.layers[-1]
    if not hasattr(last, "gapped_kmer_contributions"):
        mend = 'explain it with output="logit"'
        raise InputError("gkmexplain", "explains the decision value of a gkm-SVM, no sigmoid of it", mend)
    return last
