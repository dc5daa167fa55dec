"""TFRecord files of a data set: a tf.train.Example for each sequence, and features.json, which says how to read it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from simbench_tf import tables
from simbench_tf.dataset import Dataset
from simbench_tf.dataset.files import part_path, read_loci, read_table
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file

if TYPE_CHECKING:
    import tensorflow as tf

#: Columns of the sites that an example lists, each as a feature ``site_COLUMN`` with a value for each site.
SITE_FEATURES = {"motif": "bytes", "start": "int64", "end": "int64", "strand": "bytes", "element": "bytes"}


def write_tfrecord(dataset: Dataset, out: Path, suffix: str, advance: Callable[[int], None]) -> list[Path]:
    """SPLIT.tfrecord and features.json; advances by one for each part.

    An example has ``seq_id`` and ``sequence`` (bytes), ``labels`` (int64, one for each task: 1, 0, or
    `tables.UNLABELLED`), where sequences have a place in a genome ``chrom`` (bytes), ``start`` and ``end`` (int64), and
    of its true sites `SITE_FEATURES`, each a list in the order of the sites.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    import tensorflow as tf

    with_loci = read_loci(dataset.path, len(dataset.parts)) is not None
    paths = {split: out / f"{split}.tfrecord{suffix}" for split in tables.SPLITS if dataset.counts[split]}
    options = tf.io.TFRecordOptions(compression_type="GZIP" if suffix else "")
    with ExitStack() as stack:
        partial = {split: stack.enter_context(whole_file(path)) for split, path in paths.items()}
        try:
            with ExitStack() as writers:
                open_ = {
                    split: writers.enter_context(tf.io.TFRecordWriter(str(path), options))
                    for split, path in partial.items()
                }
                for number in range(len(dataset.parts)):
                    table = read_table(part_path(dataset.path, number))
                    listed = _listed_sites(dataset.sites, table["seq_id"].to_pylist())
                    for row, sites in zip(table.to_pylist(), listed, strict=True):
                        example = _example(row, dataset.tasks, sites, with_loci=with_loci)
                        # protobuf orders the features by chance otherwise
                        open_[row["split"]].write(example.SerializeToString(deterministic=True))
                    advance(1)
        except tf.errors.OpError as error:
            what = f"cannot be written: {error.message.splitlines()[0]}"
            raise InputError(out, what, "choose another output folder or free some space") from error
    with whole_file(out / "features.json") as written:
        written.write_text(json.dumps(_description(dataset, with_loci=with_loci), indent=1) + "\n", encoding="utf-8")
    return [*paths.values(), out / "features.json"]


def _listed_sites(sites: pd.DataFrame, seq_ids: list[str]) -> Iterator[dict[str, list[Any]]]:
    """The sites of each sequence, a list for each of `SITE_FEATURES`."""
    rows = pd.Index(seq_ids).get_indexer(sites["seq_id"])
    order = np.flatnonzero(rows >= 0)
    order = order[np.argsort(rows[order], kind="stable")]
    columns = {name: sites[name].iloc[order].tolist() for name in SITE_FEATURES}
    bounds = np.searchsorted(rows[order], np.arange(len(seq_ids) + 1)).tolist()
    for first, stop in itertools.pairwise(bounds):
        yield {name: column[first:stop] for name, column in columns.items()}


def _example(
    row: Mapping[str, Any], tasks: list[str], sites: Mapping[str, list[Any]], *, with_loci: bool
) -> tf.train.Example:
    values: dict[str, list[Any]] = {name: [row[name]] for name in ("seq_id", "sequence")}
    values["labels"] = [row[task] for task in tasks]
    if with_loci:
        values |= {name: [row[name]] for name in ("chrom", "start", "end")}
    values |= {f"site_{name}": listed for name, listed in sites.items()}
    types = _types(with_loci=with_loci)
    return _as_example({name: (types[name], value) for name, value in values.items()})


def _as_example(values: Mapping[str, tuple[str, list[Any]]]) -> tf.train.Example:
    from tensorflow.train import BytesList, Example, Feature, Features, Int64List

    features = {
        name: Feature(int64_list=Int64List(value=value))
        if kind == "int64"
        else Feature(bytes_list=BytesList(value=[each.encode() for each in value]))
        for name, (kind, value) in values.items()
    }
    return Example(features=Features(feature=features))


def _types(*, with_loci: bool) -> dict[str, str]:
    """bytes or int64 for each feature."""
    loci = {"chrom": "bytes", "start": "int64", "end": "int64"} if with_loci else {}
    of_sites = {f"site_{name}": kind for name, kind in SITE_FEATURES.items()}
    return {"seq_id": "bytes", "sequence": "bytes", "labels": "int64"} | loci | of_sites


def _description(dataset: Dataset, *, with_loci: bool) -> dict[str, Any]:
    """What a reader has to know: tasks in the order of the labels, the length, and each feature's type and number."""
    numbers: dict[str, int | None] = {"labels": len(dataset.tasks)}
    features = {
        name: {"type": kind, "values": None if name.startswith("site_") else numbers.get(name, 1)}
        for name, kind in _types(with_loci=with_loci).items()
    }
    counts = {split: count for split, count in dataset.counts.items() if count}
    return {
        "name": dataset.name,
        "tasks": dataset.tasks,
        "seq_length": dataset.seq_length,
        "unlabelled": tables.UNLABELLED,
        "counts": counts,
        "features": features,
    }
