"""Time gkm-SVM: kernels of training sequences, the table of all words, predictions, substitutions and gkmexplain.

python benchmarks/gapped_kmers.py          # about a minute; gkmsvm-lite beside it where that is installed

Sequences are random ones of 400 bases, the kernel is the default (l = 11, d = 3). Times are the processor's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from simbench_tf.dna import one_hot
from simbench_tf.models.gapped_kmers import (
    both_strands,
    decisions,
    explained_lmers,
    gram_matrix,
    mismatch_sums,
    norms,
    substituted_decisions,
)
from simbench_tf.models.gkmsvm import Kernel

#: What words with 0 to 3 mismatches are worth, of l = 11 and k = 7.
H = np.array([0.22000499, 0.06041188, 0.01331924, 0.00177483])
L, WORD, N = 400, Kernel().l, 100


def seconds(function: Callable[[], Any]) -> float:
    """Processor seconds of the second call: the first compiles."""
    function()
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> None:
    """Print a line for each part."""
    bases = np.random.default_rng(0).integers(0, 4, (N, L)).astype(np.uint8)
    weights = Kernel().weights(L)
    print(f"kernels, a training sequence with {N} others: {1000 * seconds(lambda: _gram(bases, weights)) / N:.1f} ms")
    if find_spec("gkmsvm") is not None:
        print(f"the same by gkmsvm-lite, a pair: {1000 * _theirs(bases) / N**2:.3f} ms")
    words = np.concatenate([strand.ravel() for strand in both_strands(bases, WORD)])
    coefficients = np.random.default_rng(1).normal(size=len(words))
    print(f"the table of all words, a task: {seconds(lambda: mismatch_sums(words, coefficients, WORD, 3)):.1f} s")
    sums = mismatch_sums(words, coefficients, WORD, 3)
    table, roots = (sums @ H)[None], norms(bases, weights, H, WORD)
    each = {
        "a prediction": lambda: decisions(bases, table, weights, H, WORD),
        "all substitutions of a sequence": lambda: substituted_decisions(bases, table, weights, H, WORD),
        "gkmexplain of a sequence": lambda: explained_lmers(bases, sums, weights, roots, H, WORD),
    }
    for name, function in each.items():
        print(f"{name}: {1000 * seconds(function) / N:.1f} ms")


def _gram(bases: Any, weights: Any) -> Any:
    return gram_matrix(bases, weights, H, WORD)


def _theirs(bases: Any) -> float:
    from gkmsvm.gram import compute_gram
    from gkmsvm.kernels import EstTruncGkmKernel

    encoded = np.ascontiguousarray(one_hot(bases).transpose(0, 2, 1))
    return seconds(lambda: compute_gram(EstTruncGkmKernel(WORD, 7, d=3), encoded))


if __name__ == "__main__":
    main()
