"""TF-MoDISco's results, the HDF5 file of tfmodisco-lite: patterns as motifs, their seqlets as instances.

Groups pos_patterns and neg_patterns hold pattern_0, pattern_1, ..., each with sequence (base frequencies, (W, 4)),
contrib_scores (W, 4), seqlets (start, end, example_idx, is_revcomp; sequence and contrib_scores, (n, W, 4), as the
pattern reads them), and sub-patterns of the same form. Starts count from the central window that it cuts out; its
width is the attribute window_size, which older files lack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.discovery.sequences import Sequences, central_window
from simbench_tf.errors import InputError
from simbench_tf.hdf5 import read_array
from simbench_tf.motifs import Motif

#: Positions at either end of a pattern whose contribution is below this share of the highest are cut off, from the
#: motif and its seqlets: the usual cut of modisco's reports and of Fi-NeMo's hits.
TRIM = 0.3
#: Seqlets that are compared with the sequences to find out where their starts count from.
_N_COMPARED = 200
_GROUPS = ("pos_patterns", "neg_patterns")
_MEND = "give the .h5 that `modisco motifs -o` writes"

Floats = npt.NDArray[np.float64]


class Patterns(NamedTuple):
    """Patterns of a file: motifs cut to their core; instances (None without places); the window that was looked at."""

    instances: pd.DataFrame | None
    motifs: list[Motif]
    window: tuple[int, int] | None


class _Pattern(NamedTuple):
    """A pattern as it is read: its name, motif, and a table of its seqlets."""

    motif: Motif
    seqlets: pd.DataFrame | None
    read: list[npt.NDArray[np.uint8]]


def read_modisco(
    path: Path, sequences: Sequences, window: tuple[int, int] | None = None, *, subpatterns: bool = False
) -> Patterns:
    """Read patterns and seqlets.

    Parameters
    ----------
    path : Path
    sequences : Sequences
        Which example_idx counts.
    window : (int, int), optional
        Where starts count from. By default it follows from the seqlets' own sequences, or window_size.
    subpatterns : bool, default False
        Take the sub-patterns of a pattern, where it has any, in its place.

    Returns
    -------
    Patterns
        Instances have the columns at (of the split's sequences), start, end, strand ("-" where the pattern is read on
        the other strand), motif (as pos_patterns.pattern_0) and score, the sum of a seqlet's |contributions|. Motifs
        and instances are cut to the pattern's core (`TRIM`).

    Raises
    ------
    InputError
        The file is missing, damaged, of another form or without patterns; seqlets do not read as the sequences do, or
        lie beyond them.
    """
    try:
        with h5py.File(path) as h5:
            size = h5.attrs.get("window_size")
            patterns = [_pattern(path, name, group) for name, group in _groups(path, h5, subpatterns)]
    except FileNotFoundError as error:
        raise InputError(path, "is missing", "name a file that exists") from error
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(path, f"cannot be read: {error}", "write it again, it may be cut short") from error
    motifs = [pattern.motif for pattern in patterns]
    if any(pattern.seqlets is None for pattern in patterns):
        return Patterns(None, motifs, window)
    table = pd.concat([pattern.seqlets for pattern in patterns], ignore_index=True)
    table["at"] = sequences.numbered(path, "example_idx", table.pop("example_idx").to_numpy(np.int64))
    if window is None and size is not None and int(size) <= sequences.length:
        window = central_window(sequences.length, int(size))
    read = [each for pattern in patterns for each in pattern.read]
    first = _first_base(path, table, read, sequences, window)
    if first != (window or (0,))[0]:  # the sequences know better; a window is about the middle
        half = sequences.length // 2 - first
        window = (first, first + 2 * half) if half > 0 else None
    return Patterns(_cut_out(path, table, first, sequences), motifs, window)


def _groups(path: Path, h5: h5py.File, subpatterns: bool) -> Iterator[tuple[str, h5py.Group]]:
    """Each pattern with its name, or its sub-patterns."""
    if "metacluster_idx_to_submetacluster_results" in h5:
        raise InputError(path, "has the layout of the first TF-MoDISco", "convert it with `modisco convert`")
    kinds = [kind for kind in _GROUPS if kind in h5]
    for each in kinds:
        _check_group(path, h5[each])
    groups = [(kind, name) for kind in kinds for name in sorted(h5[kind], key=_number)]
    if not groups and ("window_size" in h5.attrs or any(kind in h5 for kind in _GROUPS)):
        raise InputError(path, "holds no pattern: TF-MoDISco found none", "give it more sequences, some 1,000")
    if not groups:
        raise InputError(path, f"holds no patterns (it holds {', '.join(map(str, h5)) or 'nothing'})", _MEND)
    for kind, name in groups:
        group = h5[kind][name]
        _check_group(path, group)
        below = sorted((each for each in group if each.startswith("subpattern_")), key=_number) if subpatterns else []
        yield from ((f"{kind}.{name}.{each}", group[each]) for each in below)
        if not below:
            yield f"{kind}.{name}", group


def _check_group(path: Path, group: Any) -> None:
    if not isinstance(group, h5py.Group):
        raise InputError(path, f"has an array {group.name.strip('/')}, where patterns should be", _MEND)
    if not all(isinstance(name, str) for name in group):  # h5py has None for one that is damaged
        raise InputError(path, f"has no readable names in {group.name.strip('/')}", "write it again")


def _number(name: str) -> tuple[int, str]:
    digits = re.search(r"\d+$", name)
    return int(digits[0]) if digits else -1, name


def _pattern(path: Path, name: str, group: h5py.Group) -> _Pattern:
    counts, contributions = (_array(path, group, each) for each in ("sequence", "contrib_scores"))
    if counts.ndim != 2 or counts.shape[1] != 4 or counts.shape != contributions.shape or not len(counts):
        what = f"{name} has sequence {counts.shape} and contrib_scores {contributions.shape}, which should be (W, 4)"
        raise InputError(path, what, _MEND)
    if not (np.isfinite(counts).all() and np.isfinite(contributions).all()):
        raise InputError(path, f"{name} holds numbers that are none", "write it again")
    first, last = core(contributions)
    totals = counts[first:last].sum(axis=1, keepdims=True)
    ppm = np.where(totals > 0, counts[first:last] / np.where(totals > 0, totals, 1), 0.25)
    if "example_idx" not in group.get("seqlets", {}):
        return _Pattern(Motif(name, name, ppm, 20.0), None, [])
    columns = {each: _array(path, group, f"seqlets/{each}") for each in ("start", "end", "example_idx", "is_revcomp")}
    sizes = {each: values.shape for each, values in columns.items()}
    if len(set(sizes.values())) > 1:
        raise InputError(path, f"{name} has seqlets of different numbers: {sizes}", "write it again")
    seqlets = pd.DataFrame(columns).astype({"start": int, "end": int, "example_idx": int, "is_revcomp": bool})
    scores = _array(path, group, "seqlets/contrib_scores") if "contrib_scores" in group["seqlets"] else None
    seqlets["score"] = np.nan if scores is None or not len(seqlets) else np.abs(scores).sum(axis=(1, 2))
    seqlets = seqlets.assign(motif=name, core_first=first, core_last=last)
    return _Pattern(Motif(name, name, ppm, float(max(1, len(seqlets)))), seqlets, _codes(path, group, len(seqlets)))


def _array(path: Path, group: h5py.Group, name: str) -> npt.NDArray[Any]:
    if name not in group:
        raise InputError(path, f"has no {group.name.strip('/')}/{name}", _MEND)
    return read_array(group, name)


def core(contributions: Floats) -> tuple[int, int]:
    """First and last end of what is left when both ends are cut off whose contribution is low (`TRIM`).

    Examples
    --------
    >>> core(np.array([[.1, 0, 0, 0], [0, .9, 0, .1], [0, 0, .1, 0], [0, -.3, 0, 0], [0, 0, 0, 0]]))
    (1, 4)
    """
    size = np.abs(contributions).sum(axis=1)
    high = np.flatnonzero(size >= TRIM * size.max())
    return int(high[0]), int(high[-1]) + 1


def _codes(path: Path, group: h5py.Group, n: int) -> list[npt.NDArray[np.uint8]]:
    """What each seqlet reads, as the pattern does: 0-3 for A, C, G, T and 4 for N; nothing where the file has none."""
    if "sequence" not in group["seqlets"] or not n:
        return []
    values = _array(path, group, "seqlets/sequence")
    if values.ndim != 3 or values.shape[2] != 4 or len(values) != n:
        raise InputError(path, f"has {group.name.strip('/')}/seqlets/sequence {values.shape}, not ({n}, W, 4)", _MEND)
    return list(np.where(values.sum(axis=2) > 0, values.argmax(axis=2), 4).astype(np.uint8))


def _first_base(
    path: Path,
    table: pd.DataFrame,
    read: list[npt.NDArray[np.uint8]],
    sequences: Sequences,
    window: tuple[int, int] | None,
) -> int:
    """The base that starts count from: where seqlets read as the sequences do, the window's first, or 0."""
    guess = 0 if window is None else window[0]
    if len(read) != len(table):
        return guess
    chosen = np.linspace(0, len(table) - 1, min(_N_COMPARED, len(table))).astype(int)
    turned = table["is_revcomp"].to_numpy()
    # N (4) stays N on the other strand
    words = [np.where(read[i] < 4, 3 - read[i], 4)[::-1] if turned[i] else read[i] for i in chosen]
    starts, at = table["start"].to_numpy()[chosen], table["at"].to_numpy()[chosen]
    span = sequences.length - int(table["end"].max())
    for first in sorted(range(span + 1), key=lambda base: (base != guess, base)):
        if all(
            np.array_equal(sequences.bases[row, start + first : start + first + len(word)], word)
            for row, start, word in zip(at, starts, words, strict=True)
        ):
            return first
    mend = "say with --seq-ids FILE which sequences it was given, in order"
    raise InputError(path, "has seqlets that do not read as the explained sequences do", mend)


def _cut_out(path: Path, table: pd.DataFrame, first: int, sequences: Sequences) -> pd.DataFrame:
    """Instances from seqlets: places in the whole sequence, cut to the core of the pattern."""
    beyond = table[
        (table["start"] + first < 0) | (table["end"] + first > sequences.length) | (table["start"] >= table["end"])
    ]
    if len(beyond):
        seqlet = beyond.iloc[0]
        what = f"{seqlet['motif']} has a seqlet from {seqlet['start']} to {seqlet['end']}, beyond the sequences' "
        raise InputError(path, what + f"{sequences.length} bases", "give the results for the run's own sequences")
    turned = table["is_revcomp"]
    start = (table["start"] + table["core_first"]).where(~turned, table["end"] - table["core_last"]) + first
    width = table["core_last"] - table["core_first"]
    return pd.DataFrame(
        {
            "at": table["at"],
            "start": start,
            "end": start + width,
            "strand": np.where(turned, "-", "+"),
            "motif": table["motif"],
            "score": table["score"],
        }
    )
