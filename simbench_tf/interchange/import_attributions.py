"""Import of other tools' attributions into RUN/attributions/others, to be scored with ours.

others/MODEL/TASK/NAME.h5 holds scores (N, L) and seq_id of exactly the sequences that the run explains, whatever else
the imported file held. A name has no ``@``, so that it is never the key of one of our methods. Files imported for an
earlier data set, or for other sequences than those explained now, are skipped with a warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config
from simbench_tf.dataset import open_dataset
from simbench_tf.dataset.files import read_loci
from simbench_tf.errors import InputError, nearest
from simbench_tf.files import safe_name
from simbench_tf.hdf5 import whole_h5
from simbench_tf.interchange.attribution_readers import OtherArray, read_attribution_file, read_seq_ids, scores_of
from simbench_tf.run.attributions import (
    UNKNOWN_REFERENCES,
    AttributionFile,
    attributed_rows,
    model_tasks,
    other_file,
    other_fingerprint,
    seq_id_bytes,
    unknown_model,
)
from simbench_tf.run.lock import locked
from simbench_tf.run.manifest import write_records

_THE_RUNS_OWN = "explain the run's own: `simbench export-data RUN --out DIR --explained`"


def take_attributions(
    config: Config,
    folder: Path,
    file: Path,
    *,
    name: str | None = None,
    model: str | None = None,
    model_name: str | None = None,
    task: str | None = None,
    references: str = UNKNOWN_REFERENCES,
    seq_ids: Path | None = None,
) -> AttributionFile:
    """Take attributions of another tool into a run; from then on `score` and `report` list them with ours.

    Parameters
    ----------
    config : Config
        Of the run.
    folder : path
        RUN.
    file : path
        A file of a suffix in `attribution_readers.READERS`: .npz or .h5 with an array scores (N, L), contributions or
        hypothetical (N, L, 4), or arr_0 of any of these shapes, (N, 4, L) as well; .npy, like arr_0; or a bigWig (.bw)
        with a value at each base of the explained regions (peaks data). A .h5 of ChromBPNet (`chrombpnet`) has its
        sequences, by which its rows are found; it may hold them in any order, and others of the same split.
        Of hypothetical values (N, L, 4) the observed base's is taken; contributions are summed over channels.
    name : str, optional
        The method's name in tables and report; by default the file's name.
    model, task : str, optional
        The model and task that were explained; needed where the run has several.
    model_name : str, optional
        The name of the model that was explained, in a run without models, where it is needed.
    references : str
        Shown in the tables, not used otherwise.
    seq_ids : path, optional
        The ids of the rows (`read_seq_ids`); by default those in the file, as ``seq_id``, ``seq_ids``, ``ids`` or
        ``names``. Without any, rows must be the explained sequences in their order, that of our own files in
        RUN/attributions. With ids, rows may have any order, and sequences of the same split that are not explained are
        skipped.

    Returns
    -------
    AttributionFile
        The imported file; an earlier one of that name is replaced.

    Raises
    ------
    InputError
        The run has no data set; the name is taken or unsafe; the model or task is unknown or not given; the file cannot
        be read; it has other sequences, another length, or values that are missing or not finite.
    """
    name = file.stem if name is None else name
    if not safe_name(name):
        raise InputError("--name", f"{name!r} cannot be a file's name", "give one of letters, digits, . _ -")
    task = one_of("--task", task, config.attributed_tasks)
    target = other_file(folder, name, explained_place(config, folder, model, model_name, task), references)
    dataset = open_dataset(folder / "dataset")
    split, rows = config.attribution.split, attributed_rows(dataset, config, target.task)
    ids = np.asarray(dataset.seq_ids(split))
    loci = read_loci(dataset.path, len(dataset.parts))
    array = read_attribution_file(file, None if loci is None else loci.loc[ids[rows]])
    scores = scores_of_rows(file, array, seq_ids, ids, dataset.bases(split), rows)
    faulty = np.argwhere(~np.isfinite(scores))
    if len(faulty):
        row, base = faulty[0]
        what = f"has no finite value at base {base} of {ids[rows][row]}, and at {len(faulty) - 1} more bases"
        raise InputError(file, what, "give every base of the explained sequences a number")
    with locked(folder):
        with whole_h5(target.path) as h5:
            h5.create_dataset("scores", data=scores, compression="gzip")
            h5.create_dataset("seq_id", data=seq_id_bytes(ids[rows]))
            h5.attrs.update(model=target.model, task=target.task, key=target.key, method=name, references=references)
        write_records(
            folder, [target.path], "attribute", other_fingerprint(config, folder, target), 0.0, "another tool"
        )
    return target


def explained_place(
    config: Config, folder: Path, model: str | None, model_name: str | None, task: str
) -> AttributionFile:
    """What was explained: a model of the run, or one that a run without models knows by name alone."""
    if config.models:
        places = model_tasks(config, folder)
        models = list(dict.fromkeys(model for model, _ in places))
        if model_name is not None:
            what = f"is of runs without models, this one has {', '.join(models)}"
            raise InputError("--model-name", what, f"add --model {models[0]}, or another, instead")
        return places[one_of("--model", model, models), task]
    if model is not None:
        raise InputError("--model", f"{model!r} is none of the run's, which has none", "give --model-name NAME")
    return unknown_model(config, folder, check_model_name(model_name), task)


def check_model_name(name: str | None) -> str:
    """Return what a model is called that a run without models knows by name alone.

    Raises
    ------
    InputError
        The name is not given, or cannot be a folder's.
    """
    if name is None:
        what = "is needed, the run has no models"
        raise InputError("--model-name", what, "add --model-name NAME, what to call the model that was explained")
    if not safe_name(name):
        raise InputError("--model-name", f"{name!r} cannot be a folder's name", "give one of letters, digits, . _ -")
    return name


def one_of(option: str, chosen: str | None, names: Iterable[str]) -> str:
    """Return the name that an option chose, or the only one there is; an InputError where it is none of these."""
    known = list(dict.fromkeys(names))
    if chosen is None and len(known) == 1:
        return known[0]
    if chosen is None:
        raise InputError(option, f"is needed, the run has {', '.join(known)}", f"add {option} {known[0]}, or another")
    if chosen not in known:
        raise InputError(option, f"{chosen!r} is none of the run's{nearest(chosen, known)}")
    return chosen


def scores_of_rows(
    file: Path,
    array: OtherArray,
    seq_ids: Path | None,
    known: npt.NDArray[np.str_],
    bases: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Scores of the explained sequences, float32 (N, L), whatever the order and number of the rows of a file.

    Parameters
    ----------
    file : Path
    array : OtherArray
        As `read_attribution_file` gives it.
    seq_ids : Path or None
        The ids of the file's rows, where it has none.
    known, bases : array of str, shape (M,), and uint8 array, shape (M, L)
        The sequences of a split.
    rows : int array, shape (N,)
        Those of them that are explained.

    Raises
    ------
    InputError
        A row is of no known sequence, or an explained one has none.
    """
    if array.is_ordered:
        return scores_of(file, array, bases[rows])
    given = read_seq_ids(seq_ids) if seq_ids is not None else array.seq_ids
    n = len(array.values) if array.values.ndim else 0
    if given is None and array.bases is not None:
        return _matched_by_sequence(file, array, array.bases, known, bases, rows)
    if given is None:
        if n != len(rows):
            mend = "add their ids, as seq_id in the file or with --seq-ids FILE"
            raise InputError(file, f"has {n} sequences without ids, the run explains {len(rows)}", mend)
        return scores_of(file, array, bases[rows])
    source = seq_ids or file
    if len(given) != n:
        raise InputError(source, f"names {len(given)} sequences, {array.name} has {n}", "give one id per row")
    index = pd.Index(given)
    if index.has_duplicates:
        raise InputError(source, f"names {index[index.duplicated()][0]!r} twice", "give each sequence once")
    at = pd.Index(known).get_indexer(index)
    if (at < 0).any():
        raise InputError(source, f"names {given[int(np.argmin(at))]!r}, which is no sequence of the explained split")
    order = index.get_indexer(pd.Index(known[rows]))
    if (order < 0).any():
        first = str(known[rows][order < 0][0])
        what = f"lacks {(order < 0).sum()} of the {len(rows)} explained sequences, {first!r} the first"
        raise InputError(source, what, "explain all that the run's own files explain")
    if array.bases is not None and (differing := _differing_rows(array.bases, bases[at])).size:
        what = f"names {given[differing[0]]!r} where {file} holds another sequence"
        raise InputError(source, what, "give one id per row, in its order")
    return scores_of(file, array, bases[at])[order]


def _differing_rows(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Rows in which two arrays of bases differ; all, where their lengths do."""
    if first.shape != second.shape:
        return np.arange(len(first))
    return np.flatnonzero((first != second).any(axis=1))


def _matched_by_sequence(
    file: Path,
    array: OtherArray,
    given: npt.NDArray[np.uint8],
    known: npt.NDArray[np.str_],
    bases: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Scores of the explained `rows` of a split, whose bases are `bases`, from rows found by their own sequences."""
    if given.shape[1] != bases.shape[1]:
        what = f"explains sequences of {given.shape[1]} bases, those of the data set have {bases.shape[1]}"
        raise InputError(file, what, _THE_RUNS_OWN)
    of_split = {each.tobytes() for each in bases}
    foreign = next((row for row, each in enumerate(given) if each.tobytes() not in of_split), None)
    if foreign is not None:
        raise InputError(file, f"explains in row {foreign} a sequence that the explained split lacks", _THE_RUNS_OWN)
    places = {each.tobytes(): row for row, each in enumerate(given)}
    lacking = [row for row in rows if bases[row].tobytes() not in places]
    if lacking:
        what = f"lacks {len(lacking)} of the {len(rows)} explained sequences, {str(known[lacking[0]])!r} the first"
        raise InputError(file, what, "explain all that the run's own files explain")
    at = [places[bases[row].tobytes()] for row in rows]
    return scores_of(file, array._replace(values=array.values[at]), bases[rows])
