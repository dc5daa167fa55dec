"""Data of the sequence browser in the report: sequences and attributions of every method, packed small, as JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from markupsafe import Markup

from simbench_tf.plot.logos import letter_path
from simbench_tf.run.results import AttributedSequences
from simbench_tf.score.motif_recall import found_sites

#: Bytes that the attributions of the sequence browser may take in the page; a base of a method takes 4/3.
BROWSER_BYTES = 9_000_000


#: A byte holds -127 to 127.
_STEPS = 127


def browser_data(
    places: Sequence[AttributedSequences],
    per_sequence: pd.DataFrame,
    labels: Mapping[str, str],
    budget: int = BROWSER_BYTES,
    quantile: float = 0.95,
) -> dict[str, Any]:
    """Plain values for the sequence browser; of each place the first sequences, as many as the budget holds.

    Attributions are kept to 1/127 of the largest of their sequence: finer than a screen shows. Which sites a method
    finds is told by `score.motif_recall.found_sites` at the quantile.
    """
    a_sequence = sum(place.bases.shape[1] * len(place.scores) * 4 / 3 for place in places)
    most = max(1, int(budget / max(a_sequence, 1)))
    return {
        "letters": {base: letter_path(base) for base in "ACGT"},
        "places": [_place(place, min(most, len(place.seq_ids)), per_sequence, labels, quantile) for place in places],
    }


def _place(
    place: AttributedSequences, n: int, per_sequence: pd.DataFrame, labels: Mapping[str, str], quantile: float
) -> dict[str, Any]:
    here = per_sequence[(per_sequence["model"] == place.model) & (per_sequence["task"] == place.task)]
    ids = list(place.seq_ids[:n])
    sites: list[list[list[Any]]] = [[] for _ in ids]
    table = place.sites[place.sites["row"] < n].sort_values(["row", "start"], kind="stable")
    for site in table.itertuples():
        sites[site.row].append([str(site.tf), int(site.start), int(site.end), site.strand, bool(site.counted)])
    methods = []
    for key in sorted(place.scores, key=_place_in(labels)):
        scores = place.scores[key]
        auprc = here[here["key"] == key].set_index("seq_id")["auprc"].reindex(ids)
        packed, scale = packed_scores(np.asarray(scores[:n], np.float64))
        methods.append(
            {
                "label": labels.get(key, key),
                "scores": packed,
                "found": found_marks(np.asarray(scores[:n], np.float64), table, quantile),
                "scale": [float(f"{value:.4g}") for value in scale],
                "auprc": [None if np.isnan(value) else round(float(value), 3) for value in auprc],
            }
        )
    letters = np.frombuffer(b"ACGTN", np.uint8)[place.bases[:n]]
    return {
        "model": place.model,
        "task": place.task,
        "of": len(place.seq_ids),
        "length": int(place.bases.shape[1]),
        "ids": ids,
        "bases": [row.tobytes().decode("ascii") for row in letters],
        "sites": sites,
        "methods": methods,
    }


def found_marks(scores: npt.NDArray[np.float64], sites: pd.DataFrame, quantile: float) -> list[str]:
    """For each sequence a letter a site: 1 found, 0 missed, - neither, as of sites that are not counted.

    Examples
    --------
    >>> scores = np.array([[.1, .2, .9, -.8, .1, .0, .2, .3], [.4, .1, .0, .1, .2, .1, .3, .2]])
    >>> sites = pd.DataFrame({"row": [0, 0, 1], "start": [2, 5, 2], "end": [4, 7, 4], "counted": [True, False, True]})
    >>> found_marks(scores, sites, .95)
    ['1-', '0']
    """
    marks = np.full(len(sites), "-")
    counted = sites["counted"].to_numpy(np.bool_)
    found = found_sites(scores, sites[counted], quantile)
    marks[counted] = np.where(np.isnan(found), "-", np.where(found > 0, "1", "0"))
    rows = sites["row"].to_numpy(np.int64)
    return ["".join(marks[rows == row]) for row in range(len(scores))]


def _place_in(labels: Mapping[str, str]) -> Callable[[str], int]:
    places = {key: place for place, key in enumerate(labels)}
    return lambda key: places.get(key, len(places))


def packed_scores(scores: npt.NDArray[np.float64]) -> tuple[str, npt.NDArray[np.float64]]:
    """Each row as bytes of -127 to 127, all in base64, and the value of 127 in each row.

    Examples
    --------
    >>> text, scale = packed_scores(np.array([[0.5, -1.0, 0.0]]))
    >>> np.frombuffer(base64.b64decode(text), np.int8).tolist(), scale.tolist()
    ([64, -127, 0], [1.0])
    """
    scale = np.abs(scores).max(axis=1, initial=0)
    steps = np.rint(scores * (_STEPS / np.where(scale > 0, scale, 1))[:, None]).astype(np.int8)
    return base64.b64encode(steps.tobytes()).decode("ascii"), scale


def embedded(value: Any) -> Markup:
    r"""JSON that may stand in a ``<script type="application/json">``: nothing in it can end the element.

    Examples
    --------
    >>> embedded({"name": "</script>"})
    Markup('{"name":"\\u003c/script\\u003e"}')
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)  # pure ASCII
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
