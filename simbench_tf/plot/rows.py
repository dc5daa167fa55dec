"""Rows of a table of scores that a plot draws: those of one model and one task, where the table holds several."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from simbench_tf.errors import nearest


def choose_rows(table: pd.DataFrame, model: str | None, task: str | None, unique: Sequence[str] = ()) -> pd.DataFrame:
    """Choose the rows of a model and a task, where these are asked for.

    Parameters
    ----------
    table : DataFrame
        With columns model and task where one of them is chosen.
    model, task : str or None
        None for those that the table holds.
    unique : sequence of str, default ()
        Columns that tell the rows of one model and task apart.

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        The table has no such model or task, or holds rows of several; the message names them.

    Examples
    --------
    >>> table = pd.DataFrame({"model": ["a", "b"], "task": "K562", "key": "ism@none", "auprc": [.4, .5]})
    >>> choose_rows(table, "b", None, ["key"])["auprc"].tolist()
    [0.5]
    >>> choose_rows(table, None, None, ["key"])
    Traceback (most recent call last):
    ValueError: the table holds several models, a and b: choose one with model=
    """
    for column, wanted in (("model", model), ("task", task)):
        if wanted is not None:
            known = list(dict.fromkeys(table[column].astype(str))) if column in table else []
            if wanted not in known:
                raise ValueError(f"the table has no {column} {wanted!r}{nearest(wanted, known)}")
            table = table[table[column].astype(str) == wanted]
    if unique and table.duplicated(list(unique)).any():
        raise ValueError(_several(table, unique))
    return table


def _several(table: pd.DataFrame, unique: Sequence[str]) -> str:
    for column, end in (("model", "model="), ("task", "task="), ("truth", 'table[table["truth"] == ...]')):
        names = list(dict.fromkeys(table[column].astype(str))) if column in table else []
        if len(names) > 1:
            return f"the table holds several {column}s, {', '.join(names[:-1])} and {names[-1]}: choose one with {end}"
    return f"a {unique[0]} occurs twice in the table: choose the rows of one model and task"
