"""The files of a Kipoi entry: example data with expected predictions, descriptions; and folders that are shared."""

from __future__ import annotations

import json
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import yaml

from simbench_tf import dna
from simbench_tf.errors import InputError
from simbench_tf.files import temporary_prefix
from simbench_tf.hdf5 import whole_h5

Bases = npt.NDArray[np.uint8]
Array = npt.NDArray[np.float32]


#: Packages that an entry imports; `kipoi test` warns where keras is not among them.
MODEL_PACKAGES = ("tensorflow", "keras", "numpy", "h5py", "kipoi")
DATALOADER_PACKAGES = ("pyfaidx", "numpy", "kipoi")
#: Kipoi imports pkg_resources, which later setuptools no longer carry, and six, which it does not declare.
_OF_KIPOI = ("setuptools", "six")
#: Versions that entries are made for, where another or none is installed here.
_VERSIONS = {"kipoi": "0.8.6", "setuptools": "80.9.0", "six": "1.17.0"}


#: Predictions must agree with the expected ones to 1.5e-3: TensorFloat-32, a GPU's default, keeps 10 bits.
PRECISION_DECIMAL = 3
#: Files by which a folder is known that an export may replace: of Kipoi entries and groups, any; of others, all.
ENTRY = (("model.yaml",), ("model-template.yaml",))
_EXAMPLE_MAX_BASES = 4000
_EXAMPLE_MAX_SEQUENCES = 8
_FASTA_LINE_BASES = 60


def template(name: str) -> str:
    """Text of a file that entries are made from."""
    return (resources.files("simbench_tf.export") / "templates" / name).read_text(encoding="utf-8")


def pinned(packages: Sequence[str]) -> dict[str, list[str]]:
    """Dependencies as Kipoi writes them, each pinned to the version installed here."""
    pip = [f"{package}=={_version(package)}" for package in (*packages, *_OF_KIPOI)]
    # conda warns of, and later refuses, packages of pip without pip among its own
    return {"conda": [f"python={'.'.join(platform.python_version_tuple()[:2])}", "pip"], "pip": pip}


def _version(package: str) -> str:
    try:
        installed = metadata.version(package)
    except metadata.PackageNotFoundError:
        return _VERSIONS[package]
    too_new = package == "setuptools" and int(installed.split(".")[0]) > 80
    return _VERSIONS[package] if too_new else installed


def write_json(path: Path, content: Any) -> None:
    """Write strict JSON in the order given."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_yaml(path: Path, description: dict[str, Any]) -> None:
    """Write a description in the order given."""
    path.write_text(yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=100), encoding="utf-8")


# examples


def example_of(bases: Bases) -> Bases:
    """The first 2 to 8 sequences, so that the example stays at a few kB."""
    return bases[: max(2, min(_EXAMPLE_MAX_SEQUENCES, _EXAMPLE_MAX_BASES // bases.shape[1]))]


def example_one_hot(example: Bases) -> Array:
    """The data loader's output for the example's intervals, (n, L, 4): every second one is on the minus strand."""
    one_hot = dna.one_hot(example)
    one_hot[1::2] = one_hot[1::2, ::-1, ::-1]
    return one_hot


def write_example(folder: Path, example: Bases) -> None:
    """Write genome.fa, the sequences one after another as a contig, and intervals.bed, one interval per sequence."""
    folder.mkdir(parents=True, exist_ok=True)
    contig = "".join(dna.decode(example))
    lines = [contig[first : first + _FASTA_LINE_BASES] for first in range(0, len(contig), _FASTA_LINE_BASES)]
    (folder / "genome.fa").write_text("\n".join([">example", *lines]) + "\n", encoding="ascii")
    rows = ["\t".join(map(str, (*interval[:4], 0, interval[4]))) for interval in _intervals(example)]
    (folder / "intervals.bed").write_text("\n".join(rows) + "\n", encoding="ascii")


def write_predictions(path: Path, example: Bases, predictions: Array) -> None:
    """Write the file that ``kipoi predict -k -m -o FILE.h5`` writes for the example, for ``kipoi test -e FILE.h5``."""
    columns = zip(*_intervals(example), strict=True)
    with whole_h5(path) as h5:
        # small chunks, as each is compressed alone and the reader takes batches
        h5.create_dataset("inputs", data=example_one_hot(example), compression="gzip")
        h5.create_dataset("preds", data=predictions)
        for name, values in zip(("chr", "start", "end", "id", "strand"), columns, strict=True):
            text = isinstance(values[0], str)
            h5.create_dataset(f"metadata/ranges/{name}", data=values, dtype=h5py.string_dtype() if text else np.int64)


def _intervals(example: Bases) -> list[tuple[str, int, int, str, str]]:
    n, length = example.shape
    return [("example", i * length, (i + 1) * length, f"sequence{i + 1}", "+-"[i % 2]) for i in range(n)]


# descriptions


def schema_inputs(seq_length: int) -> dict[str, Any]:
    """The model's input as Kipoi describes it."""
    return {
        "name": "seq",
        "special_type": "DNASeq",
        "shape": f"({seq_length}, 4)",
        "doc": f"One-hot DNA of {seq_length} bases, channels A, C, G, T; zeros for N.",
        "associated_metadata": ["ranges"],
    }


def dataloader_description(seq_length: int, authors: list[dict[str, str]], licence: str) -> dict[str, Any]:
    """Content of dataloader.yaml. The file is named by path: two entries in one process must not share a class."""
    return {
        "defined_as": "dataloader.py::SequenceIntervals",
        "args": {
            "fasta_file": {
                "doc": "Genome, FASTA (plain or bgzip). It is indexed beside the file where that can be written.",
                "example": "example_files/genome.fa",
                "type": "str",
            },
            "intervals_file": {
                "doc": f"Intervals of {seq_length} bases, BED of 3 to 6 columns; the strand is heeded.",
                "example": "example_files/intervals.bed",
                "type": "str",
            },
            "resize": {
                "doc": f"true: take {seq_length} bases around the middle of each interval, whatever its size.",
                "type": "bool",
                "optional": True,
            },
            "targets_file": {
                "doc": "Labels to train on, a row per interval and a column per task, with tabs; else no targets.",
                "type": "str",
                "optional": True,
            },
        },
        "info": {
            "authors": authors,
            "doc": "Intervals of a genome as one-hot DNA, channels A, C, G, T.",
            "license": licence,
        },
        "dependencies": pinned(DATALOADER_PACKAGES),
        "output_schema": {
            "inputs": schema_inputs(seq_length),
            # of a group each member has its own number of tasks, and all share the data loader
            "targets": {"shape": "(None,)", "doc": "The row of targets_file; absent without one."},
            "metadata": {"ranges": {"type": "GenomicRanges", "doc": "The interval that was read."}},
        },
    }


# the folder


@contextmanager
def whole_folder(
    folder: Path, overwrite: bool, known_by: Sequence[Sequence[str]], kind: str = "Kipoi entry"
) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`; on success it takes its place, else it is removed.

    A folder is replaced if it is of the kind: holds all files of one of the lists `known_by`.
    """
    if folder.exists() and not overwrite:
        raise InputError(folder, "exists already", "choose another folder, or overwrite it")
    if folder.exists() and not any(all((folder / name).is_file() for name in names) for names in known_by):
        raise InputError(folder, f"is no {kind}, so it is not overwritten", "choose another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=temporary_prefix(), dir=folder.parent))
    except OSError as error:
        raise InputError(folder, f"cannot be written: {error.strerror}", "choose another folder") from error
    try:
        new, old = work / "new", work / "old"
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
    except OSError as error:
        raise InputError(folder, f"cannot be written: {error.strerror or error}", "choose another folder") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
