"""Pairs of motifs that stand at a spacing more often than chance: hits in real regions, over the gaps between them.

Where two motifs' hits know nothing of each other beyond lying in the same regions, every small gap between them is as
frequent as the others. That holds however clustered hits are, so the test asks nothing of the regions' composition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binom, false_discovery_control

from simbench_tf.motifs import Motif, scan

#: Gaps that are compared, bases.
LARGEST_GAP = 30
#: False discovery rate over all pairs of motifs and gaps (Benjamini & Hochberg 1995).
FDR = 0.01
#: Pairs that are kept at most, and how much more frequent their gap is at least than the others of the same pair.
MOST_PAIRS, LEAST_RATIO = 6, 2.0
# fewer pairs of hits over all gaps say nothing of one
_LEAST_TOTAL = 30


class Spacing(NamedTuple):
    """Two motifs, by id, at a gap.

    Attributes
    ----------
    first, second : str
        As they stand where `first` lies on the + strand.
    orientation : {"same", "opposite"}
        Of the second's strand to the first's.
    gap : int
        Bases between them.
    seen : int
        Pairs of hits at this gap.
    expected : float
        As many as at any gap, by the mean over gaps.
    q : float
        The p-value of the count, corrected over all pairs and gaps.
    """

    first: str
    second: str
    orientation: Literal["same", "opposite"]
    gap: int
    seen: int
    expected: float
    q: float


def enriched_spacings(
    bases: npt.NDArray[np.uint8],
    motifs: Sequence[Motif],
    pvalue: float,
    background: npt.NDArray[np.float64],
    most: int = MOST_PAIRS,
) -> list[Spacing]:
    """Spacings at which hits of two motifs stand more often than at others, the most significant first.

    Parameters
    ----------
    bases : uint8 (N, L)
    motifs : sequence of Motif
    pvalue : float
        Of a hit.
    background : float64 (4,)
        Base frequencies for the scan.
    most : int
        How many to return at most. A spacing most of whose hits are in pairs of one before it is left out: motifs that
        look alike find the same.

    Returns
    -------
    list of Spacing

    Notes
    -----
    Given how many pairs of hits lie at any gap up to 30, those at one gap are binomial; p-values are corrected over
    all pairs of motifs, orientations and gaps (Benjamini & Hochberg 1995). Motifs that point away from each other are
    not looked at: a pair of a grammar begins with its first motif on the + strand or is the reverse complement of that.
    """
    pairs = _pairs_of_hits(scan(bases, motifs, pvalue, background))
    if pairs.empty:
        return []
    keys = ["first", "second", "orientation"]
    counts = pairs.groupby([*keys, "gap"], observed=True).size().rename("seen").reset_index()
    counts["total"] = counts.groupby(keys)["seen"].transform("sum")
    # a gap that no pair has is no candidate, but counts among those that are compared
    tested = counts[counts["total"] >= _LEAST_TOTAL].reset_index(drop=True)
    if tested.empty:
        return []
    n_gaps = LARGEST_GAP + 1
    n_tests = len(tested[keys].drop_duplicates()) * n_gaps
    p = np.ones(n_tests)
    p[: len(tested)] = binom.sf(tested["seen"] - 1, tested["total"], 1 / n_gaps)
    tested["q"] = false_discovery_control(p)[: len(tested)]
    tested["expected"] = tested["total"] / n_gaps
    enriched = tested[(tested["q"] <= FDR) & (tested["seen"] >= LEAST_RATIO * tested["expected"])]
    found: list[Spacing] = []
    taken: set[tuple[int, int]] = set()
    for row in enriched.sort_values(["q", *keys, "gap"], kind="stable").to_dict("records"):
        own = pairs[(pairs[[*keys, "gap"]] == [row[name] for name in (*keys, "gap")]).all(axis=1)]
        places = [(int(n), int(middle) // 4) for n, middle in zip(own["row"], own["middle"], strict=True)]
        near = [any((n, middle + shift) in taken for shift in (-1, 0, 1)) for n, middle in places]
        if np.mean(near) <= 0.5:
            found.append(Spacing(**{str(name): row[name] for name in Spacing._fields}))
            taken.update(places)
        if len(found) == most:
            break
    return found


def _pairs_of_hits(hits: pd.DataFrame) -> pd.DataFrame:
    """Every two hits of a sequence with a gap of 0 to 30 between them: first, second, orientation, gap, row, middle."""
    hits = hits[["row", "start", "end", "strand", "motif"]].sort_values(["row", "start", "end"], kind="stable")
    both = hits.merge(hits, on="row", suffixes=("_left", "_right"))
    both["gap"] = both["start_right"] - both["end_left"]
    both = both[(both["gap"] >= 0) & (both["gap"] <= LARGEST_GAP)]
    away = (both["strand_left"] == "-") & (both["strand_right"] == "+")
    both = both[~away]
    # both on the - strand: the reverse complement of a pair whose first motif is the right one
    turned = (both["strand_left"] == "-").to_numpy()
    same = (both["strand_left"] == both["strand_right"]).to_numpy()
    left, right = (both[f"motif_{side}"].to_numpy(object) for side in ("left", "right"))
    # motifs that face each other are the same from either strand: the one that sorts first is named first
    swapped = turned | (~same & (left > right))
    return pd.DataFrame(
        {
            "first": np.where(swapped, right, left),
            "second": np.where(swapped, left, right),
            "orientation": np.where(same, "same", "opposite"),
            "gap": both["gap"].to_numpy(),
            "row": both["row"].to_numpy(),
            "middle": ((both["end_left"] + both["start_right"]) // 2).to_numpy(),
        }
    )
