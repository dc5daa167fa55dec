"""Fitted parameters as settings of a grammar, to four significant digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Element, GrammarSimulation, Position, SequenceClass, Task
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif
from simbench_tf.simulate.fit.classes import class_odds
from simbench_tf.simulate.fit.expected_sites import (
    Parameters,
    background_settings,
    element_of,
    pattern_codes,
)
from simbench_tf.simulate.fit.maximise import fit_label_correlation
from simbench_tf.simulate.fit.spacings import Spacing
from simbench_tf.simulate.grammar import Grammar, build_grammar
from simbench_tf.simulate.grammar.background import Backgrounds

Integers = npt.NDArray[np.int64]


def grammar_settings(
    parameters: Parameters,
    motifs: Sequence[Motif],
    pairs: Sequence[Spacing],
    labels: npt.NDArray[np.uint8],
    classes: Integers,
    tasks: Sequence[str],
    shape: tuple[int, int],
) -> GrammarSimulation:
    """The settings of elements of one motif each, then pairs.

    Parameters
    ----------
    parameters : Parameters
    motifs : sequence of Motif
    pairs : sequence of Spacing
    labels : uint8 (N, T)
        Of all sequences: fractions, and the correlation behind the labels, are theirs.
    classes : int64 (N,)
        Of all sequences: weights and odds ratios are theirs.
    tasks : sequence of str
    shape : tuple of int
        Sequences, and bases of each.
    """
    fractions = labels.mean(axis=0)
    counts = np.bincount(pattern_codes(labels), minlength=2 ** len(tasks))
    of_elements = [
        (
            _significant(rates[0]),
            {task: _significant(rate) for task, rate in zip(tasks, rates[1:], strict=True) if rate > 0},
        )
        for rates in parameters.rates.T.tolist()
    ]
    elements = [
        Element(motif=motif.motif_id, rate=rate, enriched=enriched, position=_rounded(position))
        for motif, (rate, enriched), position in zip(motifs, of_elements, parameters.positions, strict=False)
    ]
    of_pairs = of_elements[len(motifs) :]
    elements += [element_of(pair, *rates) for pair, rates in zip(pairs, of_pairs, strict=True)]
    return GrammarSimulation(
        kind="grammar",
        seq_length=shape[1],
        n_sequences=shape[0],
        **_of_backgrounds(parameters, classes, labels, tasks),
        tasks={task: Task(fraction=_significant(f)) for task, f in zip(tasks, fractions.tolist(), strict=True)},
        label_correlation=round(fit_label_correlation(fractions, counts), 3),
        elements=elements,
    )


def _of_backgrounds(
    parameters: Parameters, classes: Integers, labels: npt.NDArray[np.uint8], tasks: Sequence[str]
) -> dict[str, Any]:
    """The background of all sequences, or their classes, which have a background each."""
    backgrounds = [background_settings(_rounded_backgrounds(each)) for each in parameters.backgrounds]
    if len(backgrounds) == 1:
        return backgrounds[0]
    weights, ratios = class_odds(classes, labels)
    of_classes = zip(weights.tolist(), ratios.tolist(), parameters.class_rates.tolist(), backgrounds, strict=True)
    return {
        "classes": [
            SequenceClass(
                weight=_significant(weight),
                odds_ratio={task: _significant(ratio) for task, ratio in zip(tasks, own, strict=True) if ratio != 1},
                rate=_significant(rate),
                **background,
            )
            for weight, own, rate, background in of_classes
        ]
    }


def _significant(value: float) -> float:
    return float(f"{value:.4g}")


def _rounded_backgrounds(backgrounds: Backgrounds) -> Backgrounds:
    lengths = np.round(1 / (1 - backgrounds.stay), 1) if len(backgrounds.stay) > 1 else np.full(1, np.inf)
    return Backgrounds(backgrounds.tables.round(5), backgrounds.weights.round(4).clip(1e-4), 1 - 1 / lengths)


def _rounded(position: Position) -> Position:
    if position.centre is None or position.sd is None:
        return position
    return Position(centre=round(position.centre, 1), sd=round(position.sd, 1), floor=round(position.floor, 4))


def built(simulation: GrammarSimulation, motifs: Sequence[Motif]) -> Grammar:
    """The grammar of fitted settings; InputError where it has no room for its sites."""
    try:
        return build_grammar(simulation, motifs)
    except InputError as error:
        raise InputError(
            "simulation.motifs", f"their rates in the peaks cannot be drawn: {error.what}", "keep fewer of them"
        ) from error
