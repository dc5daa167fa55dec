"""Bootstrap over trainings and sequences: how far the t of a mean goes where both are drawn anew."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Networks that every model has where the bootstrap takes the place of Student's t: fewer make too few resamples.
ENOUGH_MODELS = 10
#: Its p is a multiple of 1 / (this + 1), small enough for the Holm's correction of all pairs of 30 methods.
N_RESAMPLES = 9_999
#: Resamples worked on at once.
_PIECE = 1_000


def resampled_t(bases: list[Floats], n_resamples: int = N_RESAMPLES, random_state: int = 0) -> Floats:
    """Sizes of t of the sum of means of tables, over resamples of their networks and their sequences.

    Rows of each table and columns of all are drawn with replacement, each resample's mean less the tables' own, over
    its own error (`between_models`): the studentised two-way bootstrap.

    Parameters
    ----------
    bases : list of float array, shape (M, N)
        A table of networks x the same sequences for each base model; their M may differ, each at least two.
    n_resamples : int
    random_state : int, default 0
        The same seed and tables give the same values.

    Returns
    -------
    float array, shape (n_resamples,)
        From the largest down.

    References
    ----------
    Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1:386 (2007); Hall & Wilson, Two guidelines for
    bootstrap hypothesis testing, Biometrics 47:757 (1991).

    Examples
    --------
    >>> table = np.random.default_rng(0).normal(size=(12, 40))
    >>> sizes = resampled_t([table], 999)
    >>> bool(1.8 < sizes[49] < 2.8)  # Student's with 11 degrees of freedom or more has 2.2 or less there
    True
    """
    centred = [table - table.mean() for table in bases]
    sequences, *networks = _draws(
        centred[0].shape[1], tuple(len(table) for table in centred), n_resamples, random_state
    )
    found = np.empty(n_resamples)
    for first in range(0, n_resamples, _PIECE):
        part = slice(first, first + _PIECE)
        found[part] = _sizes(centred, sequences[part].astype(np.float64), [each[part] for each in networks])
    return np.sort(found)[::-1]


@functools.lru_cache(maxsize=1)
def _draws(n: int, models: tuple[int, ...], n_resamples: int, random_state: int) -> list[npt.NDArray[np.uint16]]:
    """How often each resample has each sequence, and each network of each base: the same for every pair of methods."""
    rng = np.random.default_rng(random_state)
    return [_counts(rng, size, n_resamples) for size in (n, *models)]


def _counts(rng: np.random.Generator, size: int, n_resamples: int) -> npt.NDArray[np.uint16]:
    counts = np.empty((n_resamples, size), np.uint16)
    for line in counts:
        line[:] = np.bincount(rng.integers(size, size=size), minlength=size)
    return counts


def _sizes(bases: list[Floats], sequences: Floats, networks: list[npt.NDArray[np.uint16]]) -> Floats:
    """Sizes of t of some resamples, (B,), from how often each has a sequence, (B, N), and a network, (B, M)."""
    n = sequences.shape[1]
    mean, between_networks, rest = np.zeros(len(sequences)), np.zeros(len(sequences)), np.zeros(len(sequences))
    columns = []
    for table, counts in zip(bases, networks, strict=True):
        m, drawn = len(table), counts.astype(np.float64)
        rows = sequences @ table.T / n
        columns.append(drawn @ table / m)
        centre = (drawn * rows).sum(axis=1) / m
        of_networks = (drawn * (rows - centre[:, None]) ** 2).sum(axis=1)
        of_sequences = _squares(sequences, columns[-1]) - n * centre**2
        whole = (drawn * (sequences @ (table**2).T)).sum(axis=1)
        left = whole - n * of_networks - m * of_sequences - m * n * centre**2
        between_networks += of_networks / (m - 1) / m
        rest += left / ((m - 1) * (n - 1)) / (m * n)
        mean += centre
    # of one base alone it was worked out above
    of_sequences = of_sequences if len(bases) == 1 else _squares(sequences, np.sum(columns, axis=0)) - n * mean**2
    error = np.sqrt(between_networks + np.maximum(0, of_sequences / (n - 1) / n - rest))
    return np.divide(np.abs(mean), error, out=np.where(mean == 0, 0.0, math.inf), where=error > 0)


def _squares(counts: Floats, values: Floats) -> Floats:
    return np.asarray(np.einsum("ij,ij,ij->i", counts, values, values))
