"""Tomtom's p-values of found motifs against true ones, where memelite is installed (extra `motif`)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from simbench_tf.motifs import Motif, load_motifs

Floats = npt.NDArray[np.float64]


def tomtom_p_values(found: Sequence[Motif], motifs: Sequence[Motif]) -> Floats:
    """P-value of each found motif, as Tomtom's query, with each true one, as its target.

    A p-value is the chance that a motif drawn from the columns of all targets is as like the query, at its best shift
    and strand. Of a few targets' columns that says little, so the default motifs stand beside the true ones. It is of
    one pair: that several motifs are compared is not accounted for.

    Parameters
    ----------
    found, motifs : sequence of Motif

    Returns
    -------
    float array, shape (number of true motifs, number of found ones)
        NaN where memelite is not installed.

    References
    ----------
    Gupta et al. 2007, Genome Biology 8:R24; computed by memelite.

    Examples
    --------
    >>> first, second = load_motifs()[:2]
    >>> values = tomtom_p_values([first], [first, second])[:, 0]
    >>> bool(np.isnan(values).all() or values[0] < 1e-9 < values[1])
    True
    """
    values = np.full((len(motifs), len(found)), np.nan)
    if not values.size or not is_installed():
        return values
    from memelite import tomtom

    targets = [_columns(each) for each in motifs]
    known = {each.tobytes() for each in targets}
    beside = [each for each in _default_columns() if each.tobytes() not in known]
    return tomtom([_columns(each) for each in found], [*targets, *beside], n_jobs=1)[0][:, : len(motifs)].T


def is_installed() -> bool:
    """Whether memelite, which has Tomtom, is there."""
    return find_spec("memelite") is not None


@functools.cache
def _default_columns() -> tuple[Floats, ...]:
    return tuple(_columns(motif) for motif in load_motifs())


def _columns(motif: Motif) -> Floats:
    return np.ascontiguousarray(motif.ppm.T, dtype=np.float64)
