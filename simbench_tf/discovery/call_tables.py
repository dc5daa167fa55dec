"""Tables of called instances: Fi-NeMo's hits.tsv, BED, narrowPeak, and any table whose columns have names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.discovery.sequences import Ints, Sequences
from simbench_tf.errors import InputError
from simbench_tf.files import is_formula, text_lines

#: Columns of BED, and of narrowPeak, by their place.
_BED = ("chrom", "start", "end", "name", "score", "strand")
_NARROW_PEAK = (*_BED, "signal", "log_pvalue", "log_qvalue", "summit")
#: What a column may be called, the first found is taken; Fi-NeMo's global coefficient is its primary score.
_NAMES = {
    "chrom": ("seq_id", "chrom", "chr"),
    "number": ("peak_id", "row"),
    "start": ("start",),
    "end": ("end",),
    "motif": ("motif", "motif_name", "name"),
    "score": ("score", "hit_coefficient_global", "hit_coefficient"),
    "strand": ("strand",),
    "qvalue": ("qvalue", "q_value", "q-value", "fdr"),
    "pvalue": ("pvalue", "p_value", "p-value"),
    "log_qvalue": ("log_qvalue",),
    "log_pvalue": ("log_pvalue",),
}
#: What stands for no value.
_MISSING = ("", ".", "NA", "nan")
_MEND = "give columns chrom, start, end, name, score and strand, between tabs (BED), or a header that names them"


def read_call_table(path: Path, sequences: Sequences, window: tuple[int, int] | None = None) -> pd.DataFrame:
    """Read called instances from a table, as BED or with a header.

    Parameters
    ----------
    path : Path
        Plain or gzip.
    sequences : Sequences
        What chrom (or seq_id) names: a seq_id, or a chromosome where the sequences have loci; with a header peak_id or
        row, the number of a sequence, which goes before.
    window : (int, int), optional
        Where positions count from, where they are told by number.

    Returns
    -------
    DataFrame
        Columns at (of the split's sequences), start, end, strand, motif, score, and any of qvalue and pvalue.

    Raises
    ------
    InputError
        A column is missing or of another kind, a sequence is unknown, or a place lies beyond its end.
    """
    table = _fields(path)
    calls = pd.DataFrame({name: _whole_numbers(path, table, name) for name in ("start", "end")}, index=table.index)
    calls["strand"] = _strands(path, table)
    calls["motif"] = table["motif"].where(~table["motif"].isin(_MISSING), None) if "motif" in table else None
    named = calls["motif"].map(lambda name: isinstance(name, str) and is_formula(name)).to_numpy(bool)
    if named.any():
        what = f"a spreadsheet would execute the name {calls['motif'][named].iloc[0]!r}"
        raise InputError(f"{path}:{calls.index[named][0]}", what, "rename the motif")
    calls["score"] = _numbers(path, table, "score", "score")
    for name in ("qvalue", "pvalue"):
        if (rates := _rates(path, table, name)) is not None:
            calls[name] = rates
    placed = _by_number(path, table, calls, sequences, window) if "number" in table else None
    placed = _by_chrom(path, table, calls, sequences) if placed is None else placed
    faulty = placed[(placed["start"] < 0) | (placed["end"] > sequences.length) | (placed["start"] >= placed["end"])]
    if len(faulty):
        line, first = faulty.index[0], faulty.iloc[0]
        what = f"{first['start']} to {first['end']} is no place in {sequences.seq_ids[first['at']]}"
        mend = f"give 0-based, half-open places within its {sequences.length} bases"
        raise InputError(f"{path}:{line}", what, mend if window is None else mend + ", or another --window")
    return placed.reset_index(drop=True)


def _fields(path: Path) -> pd.DataFrame:
    """The cells as text, columns named as in `_NAMES`, indexed by line."""
    header: list[str] | None = None
    numbers: list[int] = []
    rows: list[list[str]] = []
    for number, line in text_lines(path, _MEND):
        cells = [cell.strip() for cell in line.rstrip("\r").split("\t")]
        if header is None and not rows and {"start", "end"} <= set(cells):
            header = [cells[0].removeprefix("#").strip(), *cells[1:]]
        elif line.strip() and not line.startswith(("#", "track", "browser")):
            numbers.append(number)
            rows.append(cells)
    if not rows:
        raise InputError(path, "holds no call", _MEND)
    width = len(header or rows[0])
    short = next((i for i, cells in enumerate(rows) if len(cells) != width), None)
    if short is not None:
        what = f"has {len(rows[short])} columns, not {width} as {'the header' if header else 'the first line'}"
        raise InputError(f"{path}:{numbers[short]}", what, "put one tab between columns, and none within")
    names = header or list((_NARROW_PEAK if width == len(_NARROW_PEAK) else _BED)[:width])
    table = pd.DataFrame([cells[: len(names)] for cells in rows], columns=names, index=numbers, dtype=object)
    table = table.loc[:, ~table.columns.duplicated()]
    chosen = {key: next((name for name in known if name in table), None) for key, known in _NAMES.items()}
    found = pd.DataFrame({key: table[name] for key, name in chosen.items() if name is not None})
    for name in ("start", "end", "score"):
        if name not in found:
            raise InputError(path, f"has no {name} column (it has {', '.join(names)})", _MEND)
    if "chrom" not in found and "number" not in found:
        raise InputError(path, f"has no column that names the sequence (it has {', '.join(names)})", _MEND)
    return found


def _numbers(path: Path, table: pd.DataFrame, name: str, noun: str) -> npt.NDArray[np.float64]:
    values = pd.to_numeric(table[name].where(~table[name].isin(_MISSING)), errors="coerce")
    if values.isna().any():
        line = values.index[values.isna()][0]
        raise InputError(f"{path}:{line}", f"{table[name][line]!r} is no {noun}", "give each call a number there")
    return values.to_numpy(np.float64)


def _whole_numbers(path: Path, table: pd.DataFrame, name: str) -> Ints:
    values = _numbers(path, table, name, "whole number")
    part = values != np.floor(values)
    if part.any():
        line = table.index[part][0]
        raise InputError(f"{path}:{line}", f"{table[name][line]!r} is no whole number", f"mend the column {name}")
    return values.astype(np.int64)


def _strands(path: Path, table: pd.DataFrame) -> pd.Series:
    if "strand" not in table:
        return pd.Series(".", table.index, dtype=object)
    strands = table["strand"].where(~table["strand"].isin(_MISSING), ".")
    other = strands[~strands.isin(["+", "-", "."])]
    if len(other):
        raise InputError(f"{path}:{other.index[0]}", f"{other.iloc[0]!r} is no strand", "write +, - or .")
    return strands


def _rates(path: Path, table: pd.DataFrame, name: str) -> npt.NDArray[np.float64] | None:
    """A column of p- or q-values; of narrowPeak minus their logarithm, where -1 stands for none."""
    if name in table:
        rates = _numbers(path, table, name, name)
    elif f"log_{name}" in table:
        logs = _numbers(path, table, f"log_{name}", name)
        if (logs < 0).any():
            return None
        rates = 10.0**-logs
    else:
        return None
    outside = ~((rates >= 0) & (rates <= 1))
    if outside.any():
        what = f"{rates[outside][0]:g} is no {name}, which lies between 0 and 1"
        raise InputError(f"{path}:{table.index[outside][0]}", what, f"mend the column {name}, or leave it out")
    return rates


def _by_number(
    path: Path, table: pd.DataFrame, calls: pd.DataFrame, sequences: Sequences, window: tuple[int, int] | None
) -> pd.DataFrame:
    """Places of calls that tell their sequence by its number.

    Fi-NeMo's positions count from the sequence (or the window that it cut out), or from the chromosome where it was
    given peaks.
    """
    at = sequences.numbered(path, "number", _whole_numbers(path, table, "number"))
    chrom = table["chrom"].to_numpy(object) if "chrom" in table else np.full(len(table), "NA", object)
    inside = np.isin(chrom, _MISSING)
    shift = np.where(inside, window[0] if window else 0, 0)
    if sequences.loci is not None:
        of_genome = ~inside & (chrom == sequences.loci["chrom"].to_numpy(object)[at])
        shift = np.where(of_genome, -sequences.loci["start"].to_numpy()[at], shift)
        inside |= of_genome
    other = ~inside & (chrom != sequences.seq_ids[at].astype(object))
    if other.any():
        what = f"{chrom[other][0]!r} is not where sequence {str(sequences.seq_ids[at[other][0]])!r} of this number lies"
        raise InputError(f"{path}:{table.index[other][0]}", what, "say with --seq-ids FILE which sequences are meant")
    return calls.assign(at=at, start=calls["start"] + shift, end=calls["end"] + shift)


def _by_chrom(path: Path, table: pd.DataFrame, calls: pd.DataFrame, sequences: Sequences) -> pd.DataFrame:
    """Places of calls that tell their sequence by its id, or by where it lies in the genome."""
    known = pd.Index(sequences.seq_ids)
    at = known.get_indexer(table["chrom"]).astype(np.int64)
    loci = sequences.loci
    chroms = [] if loci is None else loci["chrom"].unique()
    unknown = table["chrom"][(at < 0) & ~table["chrom"].isin(chroms)]
    if len(unknown):
        what = f"{unknown.iloc[0]!r} is no sequence of the explained split"
        mend = "the first column must be a seq_id" + ("" if loci is None else ", or a chromosome of the data set")
        raise InputError(f"{path}:{unknown.index[0]}", what, mend)
    placed = [calls[at >= 0].assign(at=at[at >= 0])]
    if loci is not None and (at < 0).any():
        placed.append(_in_loci(calls[at < 0], table["chrom"][at < 0], loci.iloc[sequences.rows], sequences.rows))
    return pd.concat(placed)


def _in_loci(calls: pd.DataFrame, chrom: pd.Series, loci: pd.DataFrame, rows: Ints) -> pd.DataFrame:
    """Calls of the genome that lie wholly in an explained sequence, once for each such sequence."""
    by_chrom = {name: each.sort_values("start", kind="stable") for name, each in calls.groupby(chrom, sort=False)}
    found = [calls.iloc[:0].assign(at=np.empty(0, np.int64))]
    for row, locus in zip(rows, loci.itertuples(), strict=True):
        here = by_chrom.get(locus.chrom)
        if here is None:
            continue
        first, last = np.searchsorted(here["start"], [locus.start, locus.end])
        within = here.iloc[first:last]
        within = within[within["end"] <= locus.end]
        found.append(within.assign(at=row, start=within["start"] - locus.start, end=within["end"] - locus.start))
    return pd.concat(found)
