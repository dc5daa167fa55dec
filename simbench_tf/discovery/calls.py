"""Tables of called instances and true sites: their columns, and one form for all that scores them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

#: Columns that may name the sequence, and the motif; the first that both tables have, or a table has, is taken.
SEQUENCE_COLUMNS = ("row", "seq_id")
MOTIF_COLUMNS = ("motif", "name")
#: What stands for an unknown strand.
NO_STRAND = "."


def checked_tables(called: pd.DataFrame, sites: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Calls and sites in one form, in an order that their rows alone decide.

    Parameters
    ----------
    called, sites : DataFrame
        Columns row or seq_id, the same in both; start and end, 0-based and half-open. The rest may be missing:
        strand ("+", "-", "." where it is not known), motif (or name), score; pvalue, qvalue, bits and element.

    Returns
    -------
    called, sites : DataFrame
        Columns row (int64, a number for each sequence), start, end (int64), strand (text, "." where it is not known),
        motif (text, or None without names), score (float, NaN without), and those of pvalue, qvalue, bits and element
        that there are.

    Raises
    ------
    ValueError
        A column is missing, or a row has no base, a negative start, or another strand.

    Examples
    --------
    >>> site = pd.DataFrame({"seq_id": ["s1"], "start": [3], "end": [9], "strand": ["-"], "motif": ["GATA1"]})
    >>> called, sites = checked_tables(site[["seq_id", "start", "end"]], site)
    >>> sites.drop(columns="score").values.tolist()
    [[0, 3, 9, '-', 'GATA1']]
    """
    column = next((name for name in SEQUENCE_COLUMNS if name in called and name in sites), None)
    if column is None:
        raise ValueError(f"called and sites must both have a column {' or '.join(SEQUENCE_COLUMNS)}")
    codes, _ = pd.factorize(pd.concat([called[column], sites[column]], ignore_index=True), sort=True)
    if (codes < 0).any():
        raise ValueError(f"the column {column} has missing values")
    numbers = codes.astype(np.int64)
    return _checked(called, numbers[: len(called)], "called"), _checked(sites, numbers[len(called) :], "sites")


def _checked(table: pd.DataFrame, rows: np.ndarray, what: str) -> pd.DataFrame:
    lacking = [name for name in ("start", "end") if name not in table]
    if lacking:
        raise ValueError(f"{what} has no column {lacking[0]}")
    strand = table["strand"].astype(object) if "strand" in table else pd.Series(NO_STRAND, table.index, dtype=object)
    motif = next((table[name].astype(object) for name in MOTIF_COLUMNS if name in table), None)
    checked = pd.DataFrame(
        {
            "row": rows,
            "start": table["start"].to_numpy(np.int64),
            "end": table["end"].to_numpy(np.int64),
            "strand": strand.where(strand.notna(), NO_STRAND).to_numpy(),
            "motif": np.full(len(table), None) if motif is None else motif.where(motif.notna(), None).to_numpy(),
            "score": table["score"].to_numpy(np.float64) if "score" in table else np.full(len(table), np.nan),
        }
    ).astype({"strand": object, "motif": object})
    for name in ("pvalue", "qvalue", "bits", "element"):
        if name in table:
            checked[name] = table[name].to_numpy()
    _check_places(checked, what)
    # equal rows are alike in all that is scored, so their order among themselves is no matter
    order = checked.assign(motif=checked["motif"].fillna("")).sort_values(list(checked), kind="stable").index
    return checked.loc[order].reset_index(drop=True)


def _check_places(checked: pd.DataFrame, what: str) -> None:
    faulty = checked[(checked["start"] < 0) | (checked["start"] >= checked["end"])]
    if len(faulty):
        raise ValueError(
            f"{what} has a row from {faulty['start'].iloc[0]} to {faulty['end'].iloc[0]}, which is no place"
        )
    strands: Sequence[str] = checked["strand"].unique().tolist()
    other = [each for each in strands if each not in ("+", "-", NO_STRAND)]
    if other:
        raise ValueError(f'{what} has the strand {other[0]!r}; it must be "+", "-" or "{NO_STRAND}"')
