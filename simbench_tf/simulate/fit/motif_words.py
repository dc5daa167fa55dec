"""Motifs as real sites have them: PPMs estimated again from the words of expected sites, near those of the database.

A database's PPM is of the strongest sites of other cells. In the regions that are fitted sites may be weaker or more
alike, and a grammar that draws each site anew from the PPM then tells itself apart by its sites' strengths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simbench_tf.motifs import Motif
from simbench_tf.simulate.fit.expected_sites import Data, Parameters, grammar_of_group, group_rates
from simbench_tf.simulate.fit.spacings import Spacing
from simbench_tf.simulate.oracle.posterior import class_layouts
from simbench_tf.simulate.oracle.site_starts import site_kinds, site_start_rows

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

#: What the database's PPM counts for, in sites: a motif with fewer in the regions stays near it.
DATABASE_SITES = 50
# posteriors, and windows of one-hot bases, held at once
_CHUNK_VALUES = 2**24


def refitted_motifs(
    parameters: Parameters,
    motifs: Sequence[Motif],
    database: Sequence[Motif],
    data: Data,
    pairs: Sequence[Spacing] = (),
) -> tuple[Motif, ...]:
    """The motifs with the PPMs that expected sites have: one EM step, the database's PPM counting as 50 sites.

    Parameters
    ----------
    parameters : Parameters
    motifs : sequence of Motif
        One per element, with the PPMs under which sites are expected.
    database : sequence of Motif
        The same as the database has them.
    data : Data
    pairs : sequence of Spacing
        Further elements, whose sites count to their motifs.

    Returns
    -------
    tuple of Motif
        Probabilities to five decimals.
    """
    counts = site_words(parameters, motifs, data, pairs)
    found = []
    for motif, prior, words in zip(motifs, database, counts, strict=True):
        ppm = words + DATABASE_SITES * prior.ppm
        ppm = np.round(ppm / ppm.sum(axis=1, keepdims=True), 5)
        found.append(motif._replace(ppm=ppm / ppm.sum(axis=1, keepdims=True)))
    return tuple(found)


def site_words(
    parameters: Parameters, motifs: Sequence[Motif], data: Data, pairs: Sequence[Spacing] = ()
) -> list[Floats]:
    """Expected bases at each place of each motif's sites, as they read on its strand, float64 (width, 4) each."""
    counts = [np.zeros(motif.ppm.shape) for motif in motifs]
    length = data.bases.shape[1]
    for k, rates in enumerate(group_rates(data, parameters)):
        grammar = grammar_of_group(parameters, rates, data.classes[k], motifs, length, pairs)
        (layout,), kinds = class_layouts(grammar), site_kinds(grammar.hmm)
        own = data.of_group(k)
        widest = int(kinds.width.max())
        rows = max(1, _CHUNK_VALUES // ((len(kinds.width) + 4 * widest) * length))
        for first in range(0, len(own), rows):
            bases = own[first : first + rows]
            nothing = np.zeros(len(bases), np.int64)
            starts, _ = site_start_rows(layout, kinds, bases, nothing, nothing)
            words = _words_from(starts, bases, widest)
            for kind, (motif, strand, width) in enumerate(zip(kinds.motif, kinds.strand, kinds.width, strict=True)):
                forward = words[kind, :width]
                counts[motif] += forward[::-1, ::-1] if strand else forward
    return counts


def _words_from(starts: Floats, bases: Bases, width: int) -> Floats:
    """Sums over starts (N, K, L) of the bases at each offset, (K, width, 4); beyond the sequence there are none."""
    n, length = bases.shape
    one_hot = np.zeros((n, length + width - 1, 4))
    one_hot[:, :length] = np.eye(4)[bases]
    windows = np.lib.stride_tricks.sliding_window_view(one_hot, width, axis=1)
    return np.tensordot(starts, windows, ([0, 2], [0, 1])).transpose(0, 2, 1)
