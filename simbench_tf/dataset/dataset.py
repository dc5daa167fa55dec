"""A data set on disk, opened only when it is complete and read one split at a time: sequences, labels, sites, batches.

A data set is a folder: ``sequences/part-*.parquet``, ``sites.parquet``, ``motifs.meme`` and ``dataset.json``. The last
is written last, so a half-written folder does not open. The same tables give the same bytes, whichever process wrote
the parts and in whatever order.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from simbench_tf import tables
from simbench_tf.dataset.batches import SITE_FLAG, BatchOrder, epoch_batches, n_batches
from simbench_tf.dataset.files import (
    CHECKSUMS,
    DESCRIPTION,
    MAKE_AGAIN,
    check_files,
    label_matrix,
    part_path,
    read_description,
    read_table,
)
from simbench_tf.dataset.site_rows import covered, elements_of_motifs, sites_of_sequences
from simbench_tf.dataset.tf_data import as_tf_data
from simbench_tf.dataset.torch_data import Layout, as_torch_dataset
from simbench_tf.dna.arrow import bases_of
from simbench_tf.errors import InputError
from simbench_tf.motifs import information_content, read_motifs, scan

if TYPE_CHECKING:
    import tensorflow as tf
    import torch


_GIBIBYTE = 2**30


def open_dataset(path: str | PathLike[str]) -> Dataset:
    """Open a data set, and check once a process that its files are as they were written (a second for a gigabyte).

    Tables and sequences are read when they are used.

    Parameters
    ----------
    path : path
        RUN, or RUN/dataset.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        There is no data set, it is half-written, or its files do not fit its description or were changed since.

    Examples
    --------
    >>> import tempfile
    >>> from simbench_tf.dataset import write_dataset
    >>> from simbench_tf.motifs import Motif
    >>> folder = tempfile.mkdtemp()
    >>> row = {"seq_id": "s0", "split": "test", "sequence": "ACGT", "K562": 1}
    >>> sequences = pa.Table.from_pylist([row], tables.sequence_schema(["K562"]))
    >>> site = {"seq_id": "s0", "motif": "m", "tf": "T", "start": 1, "end": 3, "strand": "+", "score": 2.0}
    >>> site |= {"pvalue": 1e-4, "matched": "CG", "element": "m"}
    >>> sites = pa.Table.from_pylist([site], tables.SITES_SCHEMA)
    >>> motif = Motif("m", "T", np.array([[0, 1.0, 0, 0], [0, 0, 1.0, 0]]), 20.0)
    >>> _ = write_dataset(
    ...     folder, name="tiny", kind="grammar", tasks=["K562"], motifs=[motif], parts=[(sequences, sites)],
    ...     notes={"elements": {"m": ["K562"]}},
    ... )
    >>> ds = open_dataset(folder)
    >>> ds.tasks, ds.seq_length, ds.bases("test").tolist(), ds.mask("test", task="K562").tolist()
    (['K562'], 4, [[0, 1, 2, 3]], [[False, True, True, False]])
    """
    path = Path(path)
    if not (path / "dataset.json").is_file() and (path / "dataset" / "dataset.json").is_file():
        path = path / "dataset"
    description = read_description(path)
    check_files(path, description)
    known = {key: description[key] for key in DESCRIPTION}
    notes = {key: value for key, value in description.items() if key not in known and key != CHECKSUMS}
    return Dataset(path=path, notes=notes, **known)


@dataclass(frozen=True)
class Dataset:
    """A data set on disk, opened by `open_dataset`.

    Attributes
    ----------
    path : Path
        Its folder.
    name, kind : str
        Its name, and what it was made from: "peaks", "grammar" or "text".
    tasks : list of str
        Names of the label columns, in order.
    seq_length : int
        Bases in each sequence.
    counts : dict
        Sequences in each split.
    positive_fraction : dict
        Share of positives of each task, of the sequences that are positive or negative.
    parts : list of int
        Sequences in each part file.
    notes : dict
        The other entries of dataset.json: ``background``, ``scan_pvalue``, ``elements``, ...
    """

    path: Path
    name: str
    kind: str
    tasks: list[str]
    seq_length: int
    counts: dict[str, int]
    positive_fraction: dict[str, float]
    parts: list[int]
    notes: dict[str, Any]

    @cached_property
    def sequences(self) -> pd.DataFrame:
        """Every sequence, one row each, with its labels (columns of `tables.sequence_schema`); kept once read."""
        return pa.concat_tables([read_table(path) for path in self._part_paths]).to_pandas()

    @cached_property
    def sites(self) -> pd.DataFrame:
        """Every true site, one row each (columns of `tables.SITES_SCHEMA`); kept once read."""
        return read_table(self.path / "sites.parquet").to_pandas()

    @property
    def motifs(self) -> pd.DataFrame:
        """Every motif used: motif (its id), tf, width, n_sites, and bits, its information content.

        The matrices are in `motifs.meme`, for `simbench_tf.motifs.read_motifs`.
        """
        motifs = read_motifs(self.path / "motifs.meme")
        return pd.DataFrame(
            {
                "motif": [motif.motif_id for motif in motifs],
                "tf": [motif.tf for motif in motifs],
                "width": [len(motif.ppm) for motif in motifs],
                "n_sites": [motif.n_sites for motif in motifs],
                "bits": [float(information_content(motif).sum()) for motif in motifs],
            }
        )

    @cached_property
    def element_tasks(self) -> dict[str, list[str]] | None:
        """For each element of the sites, the tasks whose truth it is in; None where every site is in every truth.

        Of grammar data, and where another package's simulator says it, an element is in the truth of the tasks whose
        label changes its rate; of peaks data, whose elements are motifs, in that of the tasks for which the motif
        passed the filter (motif_log.csv).
        """
        if "elements" in self.notes:
            return dict(self.notes["elements"])
        path = self.path / "motif_log.csv"
        if self.kind != "peaks" or not path.is_file():
            return None
        # names as they are written: a task may be called NA
        log = pd.read_csv(path, dtype={"motif": str, "task": str}, keep_default_na=False)
        passing = log[log["passes"]].groupby("motif", sort=False)["task"].agg(list).to_dict()
        return {motif: passing.get(motif, []) for motif in log["motif"].unique()}

    @cached_property
    def motif_elements(self) -> dict[str, set[str]]:
        """For each motif that has a site, the elements that put its sites in."""
        return elements_of_motifs(self.path / "sites.parquet")

    def bases(self, split: str) -> npt.NDArray[np.uint8]:
        """Sequences of a split, uint8 (N, L): 0-3 for A, C, G, T and 4 for N."""
        chunks = [bases_of(table["sequence"]) for table in self._split_parts(split, ["sequence"])]
        whole = [chunk for chunk in chunks if len(chunk)]
        for chunk in whole:
            if chunk.shape[1] != self.seq_length:
                what = f"says {self.seq_length} bases, but a part has sequences of {chunk.shape[1]}"
                raise InputError(self.path / "dataset.json", what, MAKE_AGAIN)
        return np.concatenate([np.empty((0, self.seq_length), np.uint8), *whole])

    def labels(self, split: str) -> npt.NDArray[np.uint8]:
        """Labels of a split, uint8 (N, T) of 0, 1 and `tables.UNLABELLED`, one column per task."""
        chunks = [label_matrix(table, self.tasks) for table in self._split_parts(split, self.tasks)]
        return np.concatenate([np.empty((0, len(self.tasks)), np.uint8), *chunks])

    def first(self, n: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Bases and labels of the first sequences, whatever their split; fewer where the first part holds fewer."""
        table = read_table(part_path(self.path, 0), ["sequence", *self.tasks]).slice(0, n)
        return bases_of(table["sequence"]), label_matrix(table, self.tasks)

    def seq_ids(self, split: str) -> npt.NDArray[np.str_]:
        """Ids of a split's sequences, str (N,), in the order of `bases`, `labels` and `mask`."""
        ids = [seq_id for table in self._split_parts(split, ["seq_id"]) for seq_id in table["seq_id"].to_pylist()]
        return np.array(ids, dtype=np.str_)

    def mask(
        self,
        split: str,
        task: str | None = None,
        motifs: Literal["task", "all"] = "task",
        truth: Literal["embedded", "rescanned"] = "embedded",
    ) -> npt.NDArray[np.bool_]:
        """The truth: which bases of a split's sequences lie in a motif, bool (N, L).

        Parameters
        ----------
        split : {"train", "valid", "test"}
        task : str, optional
            With a task and ``motifs="task"``, only the sites that bear on the task (`element_tasks`): in grammar data
            those of elements whose rate depends on its label, in peaks data those of motifs that passed its filter.
            Without a task, and always for text data, every site.
        motifs : {"task", "all"}
            "all" counts every site whatever the task.
        truth : {"embedded", "rescanned"}
            The sites the simulator put in; or what a scan of the finished sequences finds, at the data set's own
            p-value and background, for the same motifs (which adds chance hits and loses weak sites).

        Raises
        ------
        ValueError
            An argument names nothing known.
        """
        sites = self.true_sites(split, task, motifs, truth)
        return covered(sites, (self._count(split), self.seq_length))

    def true_sites(
        self,
        split: str,
        task: str | None = None,
        motifs: Literal["task", "all"] = "task",
        truth: Literal["embedded", "rescanned"] = "embedded",
        rows: npt.NDArray[np.integer] | None = None,
    ) -> pd.DataFrame:
        """The sites that make up the truth of a split, one row each.

        Parameters
        ----------
        split, task, motifs, truth
            As in `mask`.
        rows : int array, optional
            Of these sequences of the split alone; fewer are scanned faster.

        Returns
        -------
        DataFrame
            Columns row (of `bases`, `labels` and `mask`), motif, start, end and strand.

        Raises
        ------
        ValueError
            An argument names nothing known.
        """
        if task is not None and task not in self.tasks:
            raise ValueError(f"the data set has no task {task!r}, only {self.tasks}")
        if motifs not in ("task", "all") or truth not in ("embedded", "rescanned"):
            raise ValueError(
                f'motifs is "task" or "all" and truth "embedded" or "rescanned", not {motifs!r}, {truth!r}'
            )
        elements = None
        if task is not None and motifs == "task" and self.element_tasks is not None:
            elements = {element for element, tasks in self.element_tasks.items() if task in tasks}
        if truth == "rescanned":
            sites = self._scanned_sites(split, elements, rows)
        else:
            seq_ids = self.seq_ids(split)
            chosen = np.arange(len(seq_ids)) if rows is None else np.unique(rows)
            sites = sites_of_sequences(self.path / "sites.parquet", seq_ids[chosen], elements)
            sites = sites.assign(row=chosen[sites["row"]])
        return sites[["row", "motif", "start", "end", "strand"]].reset_index(drop=True)

    def tf_data(
        self,
        split: str,
        batch_size: int = 300,
        seed: int = 0,
        shuffle: bool | None = None,
        repeat: bool = False,
        in_memory_bytes: int = 2 * _GIBIBYTE,
        first_batch: int = 0,
        reverse_complement: bool = False,
        as_bases: bool = False,
        shift: int = 0,
        new_background: bool = False,
        shuffled_labels: bool = False,
    ) -> tf.data.Dataset:
        """Batches for Keras: (one_hot float32 (B, L, 4), labels float32 (B, T)); the last of an epoch may be smaller.

        Each epoch holds every sequence of the split once. A shuffled one is in a new order each time the data set is
        read, and the orders follow from `seed` alone: two data sets of one seed give the same batches, epoch
        by epoch. Bases are passed on as uint8; one-hot is made one batch at a time. A sequence that is neither positive
        nor negative of a task (in peaks data of several tasks) has the label `tables.UNLABELLED`, 255: `training.train`
        leaves it out of that task's loss, and a loss of your own should, too.

        Parameters
        ----------
        split : {"train", "valid", "test"}
        batch_size : int
        seed : int
            Of the orders.
        shuffle : bool, optional
            Default: True for train, False for the others.
        repeat : bool
            Never end: epoch after epoch.
        in_memory_bytes : int
            A split whose bases and labels fit is kept in memory. Of a larger one, as many part files as fit, in a new
            order each epoch, are read, shuffled together and returned, then the next ones: which parts share a batch
            depends on it.
        first_batch : int
            Where to begin, counted over epochs: training that was interrupted resumes with the batches it had not seen.
        reverse_complement : bool
            Return every second sequence as its reverse complement, drawn anew each epoch from the seed.
        as_bases : bool
            Return (bases uint8 (B, L), labels uint8 (B, T)), for a model that encodes them on the device.
        shift : int
            Then move each sequence by -shift to shift bases, drawn as the strands are; what is left open is N.
        new_background : bool
            First shuffle the bases between sites, anew each epoch (`batches.with_new_background`).
        shuffled_labels : bool
            Give each sequence the labels of another one, the same in all epochs, by `seed`: then there is nothing to
            learn.

        Returns
        -------
        tf.data.Dataset
            With its cardinality set.

        Raises
        ------
        ValueError
            The split is unknown or empty, or `shift` is not below the length.
        """
        n = self._count(split)
        if not n or batch_size < 1:
            raise ValueError(f"cannot make batches of {batch_size} from the {n} sequences of {split}")
        if not 0 <= shift < self.seq_length:
            raise ValueError(f"cannot move sequences of {self.seq_length} bases by {shift}")
        one_epoch = epoch_batches(
            read_part=functools.partial(self._arrays, split, flagged=new_background),
            part_bytes=[rows * (self.seq_length + len(self.tasks)) for rows in self._part_counts(split)],
            order=BatchOrder(
                batch_size=batch_size,
                seed=seed,
                shuffle=split == "train" if shuffle is None else shuffle,
                reverse_complement=reverse_complement,
                shift=shift,
                new_background=new_background,
                shuffled_labels=shuffled_labels,
                first_batch=first_batch,
                epoch_length=n_batches(n, batch_size),
            ),
            memory=in_memory_bytes,
        )
        epoch = None if repeat else n_batches(n, batch_size)
        return as_tf_data(one_epoch, self.seq_length, len(self.tasks), epoch, as_bases)

    def torch_dataset(
        self, split: str, layout: Layout = "NCL"
    ) -> torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]:
        """A split for PyTorch's DataLoader: a map-style data set of (one-hot, labels), by the sequence's number.

        The i-th is row i of `bases`, `labels` and `mask`. Bases are kept as uint8 and encoded when asked for. It can be
        pickled, so that workers may be spawned as well as forked.

        Parameters
        ----------
        split : {"train", "valid", "test"}
        layout : {"NCL", "NLC"}
            Whether a sequence is (4, L), what PyTorch's convolutions take, or (L, 4), as everywhere else here.

        Returns
        -------
        torch.utils.data.Dataset
            Of pairs of tensors: the sequence, float32 (4, L) or (L, 4), channels A, C, G, T and zeros for N; and its
            labels, float32 (T,), in the order of `tasks`: 1, 0, or `tables.UNLABELLED`, 255, which a loss should leave
            out.

        Raises
        ------
        InputError
            torch is not installed.
        ValueError
            The split is unknown or empty, or the layout unknown.

        Examples
        --------
        >>> import simbench_tf as sb
        >>> data = sb.open_dataset("runs/demo")  # doctest: +SKIP
        >>> loader = torch.utils.data.DataLoader(data.torch_dataset("train"), batch_size=64)  # doctest: +SKIP
        """
        if not self._count(split):
            raise ValueError(f"there is no sequence in {split}")
        return as_torch_dataset(self.bases(split), self.labels(split), layout)

    @property
    def _part_paths(self) -> list[Path]:
        return [part_path(self.path, number) for number in range(len(self.parts))]

    def _count(self, split: str) -> int:
        if split not in tables.SPLITS:
            raise ValueError(f"there is no split {split!r}, only {list(tables.SPLITS)}")
        return self.counts[split]

    def _split_parts(self, split: str, columns: list[str]) -> Iterable[pa.Table]:
        self._count(split)
        return (read_table(path, columns, split) for path in self._part_paths)

    def _part_counts(self, split: str) -> list[int]:
        return [table.num_rows for table in self._split_parts(split, ["split"])]

    def _arrays(
        self, split: str, number: int, flagged: bool = False
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Bases and labels of a part; flagged, with `SITE_FLAG` added to bases of sites."""
        table = read_table(part_path(self.path, number), ["seq_id", "sequence", *self.tasks], split)
        bases = bases_of(table["sequence"])
        if flagged:
            sites = self.sites.assign(row=pd.Index(table["seq_id"].to_pylist()).get_indexer(self.sites["seq_id"]))
            bases = np.where(covered(sites[sites["row"] >= 0], bases.shape), bases + np.uint8(SITE_FLAG), bases)
        return bases, label_matrix(table, self.tasks)

    def _scanned_sites(
        self, split: str, elements: set[str] | None, rows: npt.NDArray[np.integer] | None
    ) -> pd.DataFrame:
        motifs = read_motifs(self.path / "motifs.meme")
        if elements is not None:
            of_motifs = self.motif_elements
            motifs = [motif for motif in motifs if of_motifs.get(motif.motif_id, set()) & elements]
        rows = np.arange(self._count(split)) if rows is None else rows
        sites = scan(self.bases(split)[rows], motifs, self.notes["scan_pvalue"], self.notes["background"])
        return sites.assign(row=rows[sites["row"]])
