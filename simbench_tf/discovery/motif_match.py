"""Found motifs against the true ones: for each the best partner, over shifts and both strands.

Two motifs are compared by the correlation of what their probabilities differ from the background, over all positions of
both, where a position that one of them lacks does not differ. So flanks that tell nothing cost nothing, and half a
motif does not pass for the whole. Since each position sums to 1, this is Pearson's correlation over these positions,
where the background is uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.discovery.tomtom import tomtom_p_values
from simbench_tf.motifs import Motif
from simbench_tf.motifs.files import UNIFORM, base_frequencies

#: Correlation from which on a motif counts as found.
THRESHOLD = 0.9
#: Times that the positions of found motifs are put into another order; chance is the mean.
N_SHUFFLES = 20
#: Columns of the result of `score_motifs`.
COLUMNS = (
    "kind", "motif", "best", "correlation", "strand", "start_error", "end_error", "n_matches", "status",
    "chance_correlation", "tomtom_p",
)  # fmt: skip

Floats = npt.NDArray[np.float64]


class Alignment(NamedTuple):
    """The best alignment of a second motif to a first.

    Attributes
    ----------
    correlation : float
    strand : {"+", "-"}
        Of the second, as it lies then.
    offset : int
        Where the second begins, in positions of the first; negative where it reaches out.
    """

    correlation: float
    strand: str
    offset: int


def align_motifs(first: Floats, second: Floats, background: Sequence[float] = UNIFORM) -> Alignment:
    """Find the shift and strand of a second motif at which it correlates best with a first.

    Parameters
    ----------
    first, second : float array, shape (W, 4)
        Probabilities of A, C, G and T at each position.
    background : sequence of 4 floats
        Base frequencies; both strands are taken together.

    Examples
    --------
    >>> word = np.full((4, 4), .1) + .6 * np.eye(4)[[2, 0, 3, 0]]
    >>> found = np.concatenate([np.full((2, 4), .25), word])[::-1, ::-1]  # two positions more, on the other strand
    >>> align_motifs(word, found)
    Alignment(correlation=1.0, strand='-', offset=-2)
    """
    frequencies = np.array(base_frequencies(background))
    frequencies = (frequencies + frequencies[::-1]) / 2
    one, two = first - frequencies, second - frequencies
    size = np.linalg.norm(one) * np.linalg.norm(two)
    if size == 0:
        return Alignment(0.0, "+", 0)
    found = []
    for strand, turned in (("+", two), ("-", two[::-1, ::-1])):
        sums = sum(np.correlate(one[:, base], turned[:, base], "full") for base in range(4)) / size
        # of shifts as good but for rounding, the least
        good = np.flatnonzero(sums > sums.max() - 1e-9) - (len(two) - 1)
        found.append(Alignment(float(min(1.0, sums.max())), strand, int(min(good, key=abs))))
    plus, minus = found
    return minus if minus.correlation > plus.correlation + 1e-9 else plus


def score_motifs(
    found: Sequence[Motif],
    motifs: Sequence[Motif],
    *,
    threshold: float = THRESHOLD,
    background: Sequence[float] = UNIFORM,
    n_shuffles: int = N_SHUFFLES,
    random_state: int = 0,
) -> pd.DataFrame:
    """Hold found motifs against the true ones.

    Parameters
    ----------
    found, motifs : sequence of Motif
        Those of a caller, cut to what it takes for the motif; and the true ones.
    threshold : float, default .9
        Correlation from which on a true motif counts as found.
    background : sequence of 4 floats
        Base frequencies, which say nothing.
    n_shuffles : int, default 20
        How often the positions of found motifs are shuffled.
    random_state : int, default 0
        Seed of these orders.

    Returns
    -------
    DataFrame
        A row for each true motif (kind "true"), then for each found one ("found"), in the order given. Columns:

        - kind, motif; best, its best partner of the other kind, and their correlation (`align_motifs`).
        - strand: of the found motif, as it lies on the true one; start_error and end_error: bases by which the found
          one begins, and ends, after it, on the strand of the true one (negative: before).
        - n_matches: of a true motif, the found ones whose best true one it is, at the threshold; of a found one, the
          true ones whose best found one it is.
        - status: of a true motif "missed", "found" or, with several matches, "split"; of a found one "false" (it is
          like no true one), "true" or, as the best of several true ones, "merged".
        - chance_correlation: mean of the same best correlation where the positions of each found motif are shuffled.
        - tomtom_p: Tomtom's p-value of the found motif with the true one (`tomtom.tomtom_p_values`), of the row's motif
          and `best`; NaN where memelite is not installed.

    Examples
    --------
    >>> word = np.full((6, 4), .05) + .8 * np.eye(4)[[2, 0, 3, 0, 1, 1]]
    >>> true, other = Motif("GATA1", "GATA1", word, 20.0), Motif("M", "M", word[:, [1, 0, 3, 2]], 20.0)
    >>> table = score_motifs([true._replace(motif_id="pattern_0")], [true, other])
    >>> table[["kind", "motif", "best", "n_matches", "status"]]
        kind      motif       best  n_matches  status
    0   true      GATA1  pattern_0          1   found
    1   true          M  pattern_0          0  missed
    2  found  pattern_0      GATA1          1    true
    """
    aligned = [[align_motifs(true.ppm, each.ppm, background) for each in found] for true in motifs]
    values = _correlations(aligned, len(found))
    chance = _chance(found, motifs, background, n_shuffles, random_state)
    p_values = tomtom_p_values(found, motifs)
    # how often each is the best of one of the other kind, at the threshold
    n_true, n_found = (_times_best(each, threshold) for each in (values.T, values))
    lines = []
    for kind, own, other, matrix, times in (
        ("true", motifs, found, values, n_true),
        ("found", found, motifs, values.T, n_found),
    ):
        for number, motif in enumerate(own):
            line: dict[str, object] = {"kind": kind, "motif": motif.motif_id, "n_matches": int(times[number])}
            if len(other):
                best = int(matrix[number].argmax())
                pair = (number, best) if kind == "true" else (best, number)
                line |= {"best": other[best].motif_id} | _ends(
                    aligned[pair[0]][pair[1]], motifs[pair[0]], found[pair[1]]
                )
                line["tomtom_p"] = float(p_values[pair])
            is_found = bool(len(other)) and bool(matrix[number].max() >= threshold)
            line["status"] = _status(kind, is_found, int(times[number]))
            line["chance_correlation"] = float(chance[kind][number])
            lines.append(line)
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _correlations(aligned: list[list[Alignment]], n_found: int) -> Floats:
    """Correlations, shape (true, found); rounded, so that equal motifs are equal whatever order sums are taken in."""
    values = np.array([[each.correlation for each in row] for row in aligned], np.float64)
    return values.reshape(len(aligned), n_found).round(9)


def _times_best(values: Floats, threshold: float) -> npt.NDArray[np.int64]:
    """How many rows each column is the best of, where they reach the threshold."""
    if not values.size:
        return np.zeros(values.shape[1], np.int64)
    return np.bincount(values.argmax(axis=1)[values.max(axis=1) >= threshold], minlength=values.shape[1])


def _status(kind: str, is_found: bool, n_matches: int) -> str:
    if kind == "true":
        return "missed" if not is_found else "split" if n_matches > 1 else "found"
    return "false" if not is_found else "merged" if n_matches > 1 else "true"


def _ends(alignment: Alignment, true: Motif, found: Motif) -> dict[str, object]:
    end = alignment.offset + len(found.ppm)
    return {
        "correlation": alignment.correlation,
        "strand": alignment.strand,
        "start_error": alignment.offset,
        "end_error": end - len(true.ppm),
    }


def _chance(
    found: Sequence[Motif], motifs: Sequence[Motif], background: Sequence[float], n: int, random_state: int
) -> dict[str, Floats]:
    """Best correlation of each motif with those of the other kind where found ones are shuffled, mean."""
    rng = np.random.default_rng(random_state)
    if not found or not motifs or not n:
        return {"true": np.full(len(motifs), np.nan), "found": np.full(len(found), np.nan)}
    values = []
    for _ in range(n):
        shuffled = [rng.permutation(each.ppm) for each in found]
        aligned = [[align_motifs(true.ppm, each, background) for each in shuffled] for true in motifs]
        values.append(_correlations(aligned, len(found)))
    stacked = np.array(values)
    return {"true": stacked.max(axis=2).mean(axis=0), "found": stacked.max(axis=1).mean(axis=0)}
