"""Correlated labels: a Gaussian copula whose pattern probabilities are known to about ten digits.

Task t carries its label when a latent standard normal lies below ``Phi^-1(fraction_t)``; the latent normals of two
tasks have correlation rho, the same for every pair. A *pattern* is one label of every task, coded as
``sum_t y_t << t``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

from simbench_tf.errors import InputError
from simbench_tf.random_streams import uniforms

Floats = npt.NDArray[np.float64]
Patterns = npt.NDArray[np.int64]


# 2 ** n_tasks patterns each have a table of hazards
MAX_TASKS = 10


# how far out a standard normal is integrated: the density beyond is below 1e-20
_REACH = 9.5
_PANEL = 0.5
_NODES_AT_ONCE = 2048


def check_labels(n_tasks: int, correlation: float) -> None:
    """Check that the copula can have this number of tasks and this correlation of their latent normals.

    Raises
    ------
    InputError
        Too many tasks, or a correlation so negative that no such normals exist.
    """
    if n_tasks > MAX_TASKS:
        raise InputError(
            "simulation.tasks", f"{n_tasks} tasks are more than a grammar takes", f"name {MAX_TASKS} or fewer"
        )
    if n_tasks > 1 and 1 + (n_tasks - 1) * correlation < 1e-6:
        raise InputError(
            "simulation.label_correlation",
            f"{n_tasks} labels cannot all have correlation {correlation:g} with each other",
            f"keep it above {-1 / (n_tasks - 1):.4g}",
        )


def draw_patterns(
    fractions: Floats, correlation: float, seed: int, indices: npt.NDArray[np.int64], purpose: str = "grammar labels"
) -> Patterns:
    """Draw the label pattern of each sequence in `indices`, int64 (N,), from the random numbers of a `purpose`."""
    n_tasks = len(fractions)
    # 0, which has no finite quantile, represents the half-interval above it
    normals = special.ndtri(np.maximum(uniforms(seed, purpose, indices, n_tasks), 2.0**-54))
    mixing = np.linalg.cholesky(np.full((n_tasks, n_tasks), correlation) + (1 - correlation) * np.eye(n_tasks))
    patterns = np.zeros(len(indices), np.int64)
    for task, fraction in enumerate(fractions):
        latent = np.zeros(len(indices))
        # term by term, since the rounding of a matrix product depends on the number of rows
        for other in range(task + 1):
            latent += mixing[task, other] * normals[:, other]
        patterns |= (latent < special.ndtri(fraction)).astype(np.int64) << task
    return patterns


def labels_of(patterns: Patterns, n_tasks: int) -> npt.NDArray[np.uint8]:
    """The labels of pattern codes, uint8 (N, n_tasks).

    Examples
    --------
    >>> labels_of(np.array([0, 1, 2]), 2).tolist()
    [[0, 0], [1, 0], [0, 1]]
    """
    return (patterns[:, None] >> np.arange(n_tasks) & 1).astype(np.uint8)


def pattern_probabilities(fractions: Floats, correlation: float) -> Floats:
    """Probability of every label pattern, float64 (2 ** n_tasks,), to about 1e-10.

    With one common factor f of the latent normals, ``latent_t = sqrt(rho) f + sqrt(1 - rho) e_t``, labels are
    independent given f, which leaves one integral over f (Dunnett & Sobel 1955). For negative rho the square root is
    imaginary and the same integral holds by analytic continuation, as long as rho > -1 / (n_tasks - 1).
    """
    if correlation == 0 or len(fractions) == 1:
        return _pattern_products(np.asarray(fractions)[None], 1 - np.asarray(fractions)[None])[0]
    nodes, weights = _factor_quadrature(fractions, correlation)
    total = np.zeros(2 ** len(fractions))
    for first in range(0, len(nodes), _NODES_AT_ONCE):
        block = slice(first, first + _NODES_AT_ONCE)
        positive, negative = _conditional(nodes[block], fractions, correlation)
        total += weights[block] @ _pattern_products(positive, negative)
    return np.clip(total, 0, None) / total.sum()


def _conditional(factor: Floats, fractions: Floats, correlation: float) -> tuple[Floats, Floats]:
    """P(label | factor) and its complement, each times a T-th part of the factor's density (so none overflows)."""
    share = -(factor[:, None] ** 2) / (2 * len(fractions))
    loading = np.sqrt(correlation) if correlation > 0 else 1j * np.sqrt(-correlation)
    z = (special.ndtri(fractions) - loading * factor[:, None]) / np.sqrt(1 - correlation)
    return np.exp(special.log_ndtr(z) + share), np.exp(special.log_ndtr(-z) + share)


def _pattern_products(positive: Floats, negative: Floats) -> Floats:
    """Products over tasks for every pattern: (n, T) twice -> real part, (n, 2 ** T)."""
    products = np.ones((len(positive), 1), positive.dtype)
    for task in range(positive.shape[1]):
        products = np.concatenate([products * negative[:, task, None], products * positive[:, task, None]], axis=1)
    return products.real


def _factor_quadrature(fractions: Floats, correlation: float) -> tuple[Floats, Floats]:
    """Nodes of the common factor and their weights: 10-point Gauss-Legendre on panels as fine as the integrand."""
    n_tasks = len(fractions)
    if correlation > 0:
        # P(label | factor) rises within this width of its threshold, however close to 1 the correlation is
        width = np.sqrt((1 - correlation) / correlation)
        steps = np.arange(-_REACH, _REACH + _PANEL, _PANEL)
        rises = special.ndtri(fractions)[:, None] / np.sqrt(correlation) + width * steps
        edges = np.unique(np.concatenate([steps, rises.ravel().clip(-_REACH, _REACH)]))
    else:
        reach = _REACH * np.sqrt((1 - correlation) / (1 + (n_tasks - 1) * correlation))
        edges = np.linspace(-reach, reach, int(np.ceil(2 * reach / _PANEL)) + 1)
    nodes, weights = np.polynomial.legendre.leggauss(10)
    half = np.diff(edges)[:, None] / 2
    factor = (edges[:-1, None] + half) + half * nodes
    return factor.ravel(), (half * weights).ravel() / np.sqrt(2 * np.pi)
