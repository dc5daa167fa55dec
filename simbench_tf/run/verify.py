"""Verification of a run, a data set or a Kipoi entry: checksums, schemas and cross-references, one line a problem.

Nothing is written, and nothing trusted: a bit that was flipped since a file was made, a site that does not read as it
says, an attribution of a sequence that is not there.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import yaml

from simbench_tf import tables
from simbench_tf.dataset import open_dataset
from simbench_tf.dataset.files import part_path, read_description, read_table
from simbench_tf.errors import InputError
from simbench_tf.genome.leakage import overlaps_of
from simbench_tf.motifs import read_motifs
from simbench_tf.run.folder import config_of, is_run
from simbench_tf.run.manifest import damaged_files, is_relative, read_manifest
from simbench_tf.run.results import read_table as read_csv
from simbench_tf.run.verify_results import DAMAGED, Known, array_problems, table_problems

#: What mends a file of a run.
AGAIN = "make it again: `simbench run RUN/config.yaml --out RUN`"


def problems(path: Path) -> Iterator[str]:
    """Look through a run, a data set or a Kipoi entry.

    Parameters
    ----------
    path : Path
        RUN, RUN/dataset, or the folder of an entry.

    Yields
    ------
    str
        A line for each problem: the file, what is wrong, and how to mend it. None where all is as it was made.

    Raises
    ------
    InputError
        The folder is none of the three.
    """
    if is_run(path) or (path / "manifest.json").is_file():
        yield from _of_run(path)
    elif (path / "dataset.json").is_file():
        yield from _of_dataset(path)
    elif (path / "model.yaml").is_file():
        yield from _of_entry(path)
    else:
        raise InputError(path, "is no run, data set or Kipoi entry", "give RUN, RUN/dataset or the folder of an entry")


def _of_run(run: Path) -> Iterator[str]:
    try:
        records = read_manifest(run)
    except InputError as error:
        yield str(error)
        return
    damaged = damaged_files(run, records)
    for name, wrong in damaged.items():
        yield f"{run / name}: {wrong}; {AGAIN}"
    try:
        config_of(run)
    except InputError as error:
        if "config.yaml" not in damaged:
            yield str(error)
        return
    if not (run / "dataset" / "dataset.json").is_file():
        return  # nothing was simulated yet, or the record above says so
    yield from _of_dataset(run / "dataset")
    if any(name.startswith("dataset/") for name in damaged):
        return  # what refers to a damaged data set says nothing more
    whole = [name for name in records if name not in damaged]
    known = _known(run / "dataset")
    files = [run / name for name in whole if name.startswith(("attributions/", "nulls/")) and name.endswith(".h5")]
    for file in files:
        yield from _of_attributions(file, known)
    yield from _of_scores(run, [name for name in whole if name.startswith("scores/")])
    yield from (f"{line}; {AGAIN}" for line in table_problems(run, whole, known))
    yield from (f"{line}; {AGAIN}" for line in array_problems(run, whole, known))


def _of_dataset(folder: Path) -> Iterator[str]:
    """Tables against their schemas, sites against the sequences that they lie in, and motifs."""
    try:
        description = read_description(folder)
        open_dataset(folder)
        motifs = {motif.motif_id for motif in read_motifs(folder / "motifs.meme")}
        sites = read_table(folder / "sites.parquet").to_pandas()
    except InputError as error:
        yield str(error)
        return
    unknown = sorted(set(sites["motif"]) - motifs)
    if unknown:
        yield f"{folder / 'sites.parquet'}: holds the motif {unknown[0]!r}, which motifs.meme has not; {AGAIN}"
    seen: set[str] = set()
    places: list[pd.DataFrame] = []
    by_sequence = sites.groupby("seq_id", sort=False).indices
    for number in range(len(description["parts"])):
        path = part_path(folder, number)
        try:
            table = read_table(path)
            tables.check_sequences(table, description["tasks"])
        except (InputError, ValueError) as error:
            yield str(error) if isinstance(error, InputError) else f"{path}: {error}; {AGAIN}"
            continue
        texts = table.select(["seq_id", "sequence"]).to_pandas().set_index("seq_id")["sequence"]
        lengths = texts.str.len()
        if (lengths != description["seq_length"]).any():
            yield f"{path}: {lengths.index[lengths != description['seq_length']][0]} has another length; {AGAIN}"
        twice = seen.intersection(texts.index)
        if twice:
            yield f"{path}: {min(twice)} is in another part, too; {AGAIN}"
        seen.update(texts.index)
        places.append(table.select(["seq_id", "chrom", "start", "end", "split"]).to_pandas())
        mine = [row for name in texts.index if name in by_sequence for row in by_sequence[name]]
        try:
            tables.check_sites(sites.iloc[mine], texts)
        except (ValueError, KeyError) as error:
            yield f"{folder / 'sites.parquet'}: {error}; {AGAIN}"
    if places:
        yield from _overlaps(folder, pd.concat(places, ignore_index=True))
    lost = [name for name in by_sequence if name not in seen]
    if lost:
        yield f"{folder / 'sites.parquet'}: a site lies in {lost[0]}, which is no sequence; {AGAIN}"


def _overlaps(folder: Path, places: pd.DataFrame) -> Iterator[str]:
    """Regions of one split over those of another."""
    by_split = dict(iter(places.groupby("split", sort=False)))
    for first, second in itertools.combinations([name for name in tables.SPLITS if name in by_split], 2):
        overlapping = overlaps_of(by_split[second], by_split[first])
        if overlapping is not None and overlapping.any():
            name = by_split[second]["seq_id"].to_numpy()[overlapping][0]
            what = f"{int(overlapping.sum())} regions of {second} overlap one of {first}, first {name}"
            yield f"{folder}: {what}; hold out whole chromosomes, or overlapping regions together"


def _known(folder: Path) -> Known:
    description = read_description(folder)
    parts = (read_table(part_path(folder, number), ["seq_id"]) for number in range(len(description["parts"])))
    seq_ids = frozenset(name for part in parts for name in part["seq_id"].to_pylist())
    motifs = frozenset(motif.motif_id for motif in read_motifs(folder / "motifs.meme"))
    return Known(seq_ids, frozenset(description["tasks"]), motifs, description["seq_length"])


def _of_attributions(file: Path, known: Known) -> Iterator[str]:
    try:
        with h5py.File(file) as h5:
            shape = h5["scores"].shape
            seq_ids = h5["seq_id"].asstr()[:].tolist()
            whole = bool(np.isfinite(h5["scores"][:]).all())
    except DAMAGED as error:
        yield f"{file}: cannot be read: {error}; {AGAIN}"
        return
    if shape != (len(seq_ids), known.seq_length):
        yield f"{file}: holds scores {shape} of {len(seq_ids)} sequences of {known.seq_length} bases; {AGAIN}"
    if not whole:
        yield f"{file}: holds scores that are no numbers; {AGAIN}"
    strange = [name for name in seq_ids if name not in known.seq_ids]
    if strange:
        yield f"{file}: explains {strange[0]!r}, which is no sequence of the data set; {AGAIN}"


def _of_scores(run: Path, names: list[str]) -> Iterator[str]:
    """Rows of the tables of scores against the attribution files that they are of."""
    attributions = run / "attributions"
    # keys hold dots, which are no suffix
    there = {path.relative_to(attributions).as_posix().removesuffix(".h5") for path in attributions.glob("**/*.h5")}
    for name in ("scores/summary.csv", "scores/per_sequence.parquet"):
        if name not in names:
            continue
        file = run / name
        try:
            table = read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
            scored = table[~table["method"].str.startswith("null_")]
            keys = scored[["model", "task", "key"]].drop_duplicates().itertuples(index=False)
        except DAMAGED:
            continue  # table_problems says so
        for place in ("/".join(each) for each in keys):
            if not {place, f"others/{place}"} & there:
                yield f"{file}: scores {place}, of which there are no attributions; {AGAIN}"


def _of_entry(folder: Path) -> Iterator[str]:
    """Files that an entry's descriptions name, and the md5 of those that have one."""
    own_loader = True
    for name in ("model.yaml", "dataloader.yaml"):
        path = folder / name
        if not path.is_file() and name == "dataloader.yaml" and not own_loader:
            continue
        if not path.is_file():
            yield f"{path}: is missing; export the entry again"
            continue
        try:
            described = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            yield f"{path}: cannot be read: {' '.join(str(error).split())}; export the entry again"
            continue
        if not isinstance(described, dict):
            yield f"{path}: describes nothing; export the entry again"
            continue
        if name == "model.yaml":  # a mapping names a loader of a package
            own_loader = not isinstance(described.get("default_dataloader"), dict)
        for file, md5 in _named_files(described):
            if not is_relative(file):
                yield f"{path}: names {file!r}, which lies outside the entry; take it out"
            elif not (folder / file).is_file():
                yield f"{folder / file}: is missing, {name} names it; export the entry again"
            elif md5 and hashlib.md5((folder / file).read_bytes(), usedforsecurity=False).hexdigest() != md5:
                yield f"{folder / file}: has another md5 than {name} says; export the entry again"


def _named_files(described: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Relative files of an entry's description with their md5 where it has one: its arguments, code and predictions."""
    code = described.get("defined_as")
    if isinstance(code, str) and "::" in code:
        yield code.partition("::")[0], None
    elif isinstance(code, str) and "." in code and not code.startswith(("kipoi.", "kipoiseq.")):
        yield f"{code.rpartition('.')[0].replace('.', '/')}.py", None
    args = described.get("args")
    for value in (args or {}).values() if isinstance(args, dict) else ():
        if isinstance(value, str) and "/" in value:
            yield value, None
        elif isinstance(value, dict):
            example = value.get("example")
            yield from [(example, value.get("md5"))] if isinstance(example, str) and "/" in example else []
    expected = (described.get("test") or {}).get("expect") if isinstance(described.get("test"), dict) else None
    if isinstance(expected, str):
        yield expected, None
