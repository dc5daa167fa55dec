"""Cards of the report's methods: formula, settings, cost, when to trust it and when not, and the paper.

The texts are those of `attribution.facts`; a method of another package has what its registration says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd
from markupsafe import Markup

from simbench_tf import plot
from simbench_tf.attribution import Method
from simbench_tf.attribution import methods as registered_methods
from simbench_tf.attribution.averaged import Copies
from simbench_tf.attribution.facts import FACTS, meaning
from simbench_tf.plot.numbers import fixed
from simbench_tf.report import text


class MethodCard(NamedTuple):
    """What the page tells of one method; empty text where it is not known.

    Attributes
    ----------
    name, title, line : str
        As the configuration calls it, as the page does, and what it is.
    formula : Markup
        An svg element.
    used : list of str
        Each of the run's settings of it, with what it reached and took.
    settings : list of (str, str)
        Those it has, and what they mean.
    cost, trust, doubt, paper : str
    """

    name: str
    title: str
    line: str
    formula: Markup
    used: list[str]
    settings: list[tuple[str, str]]
    cost: str
    trust: str
    doubt: str
    paper: str


def method_cards(summary: pd.DataFrame, labels: Mapping[str, str]) -> list[MethodCard]:
    """One card for each method of a run, in the order of the labels.

    Parameters
    ----------
    summary : DataFrame
        RUN/scores/summary.csv without null methods.
    labels : dict
        What to call each key, in the order of the page.
    """
    ordered = plot.in_order(summary, list(labels))
    known = registered_methods()
    cards = []
    for name, rows in ordered.groupby("method", sort=False):
        name = str(name)
        if name not in known:
            continue
        method, facts = known[name], FACTS.get(name)
        cards.append(
            MethodCard(
                name,
                text.method_title(name),
                plain(method.description),
                Markup("") if facts is None else _formula(facts.formula, name),
                [_reached(str(key), mine, labels) for key, mine in rows.groupby("key", sort=False)],
                []
                if facts is None
                else [(setting, plain(meaning(name, setting))) for setting in _settings(method, rows)],
                "" if facts is None else plain(facts.cost),
                "" if facts is None else plain(facts.trust),
                "" if facts is None else plain(facts.doubt),
                method.source if facts is None else plain(facts.paper),
            )
        )
    return cards


def _settings(method: Method, rows: pd.DataFrame) -> list[str]:
    """A method's own settings, and of those that every method takes the ones that the run has."""
    given = {name for each in rows["settings"] if isinstance(each, str) and each for name in json.loads(each)}
    return [*method.settings, *(name for name in Copies._fields if name in given)]


def _reached(key: str, rows: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """One setting of a method, with its means over the models and tasks of the run."""
    told = f"{labels.get(key, key)}: auPRC {fixed(rows['auprc'].mean(), 2)}"
    took = text.seconds(rows["seconds_per_sequence"].mean())
    return told if took == "–" else f"{told}, {took} s a sequence"


def _formula(latex: str, name: str) -> Markup:
    # svg escapes all text, so the whole is markup
    figure = plot.formula(latex)
    width = 1.6 * 72 * figure.get_size_inches()[0]
    drawn = plot.svg(figure, latex, f"formula-{name}-")
    return Markup(drawn.replace("<svg ", f'<svg style="width: {width:.0f}px" ', 1))


def plain(told: str) -> str:
    """Text without the marks of code and of addresses.

    Examples
    --------
    >>> plain("`n_steps` passes, <https://arxiv.org/abs/1703.01365>")
    'n_steps passes, https://arxiv.org/abs/1703.01365'
    """
    return told.replace("`", "").replace("<http", "http").replace(">", "")
