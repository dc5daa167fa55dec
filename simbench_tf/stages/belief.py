"""What may be believed of a model on real peaks: probabilities of bases and called sites, from a twin run (`believe`).

On the twin, whose sites are known, each method's scores are calibrated (`discovery.belief`) for the model that is as
good as the one to explain, of all its trainings together; the same method explains the real peaks by the real model,
and its scores are read so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config, MethodSettings, versions
from simbench_tf.dataset import covered, open_dataset
from simbench_tf.discovery.belief import Belief, Crossed, believed_calls, crossed, fit_belief, pooled, scaled
from simbench_tf.dna import Bases, one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.interchange.attribute_sequences import Sequences
from simbench_tf.interchange.export_attributions import genome_stretches, write_bigwig
from simbench_tf.parallel import Track, silent
from simbench_tf.run.attributions import AttributionFile, attribution_files, read_attributions, read_seq_ids
from simbench_tf.run.results import read_table
from simbench_tf.score import score_attributions
from simbench_tf.score.calibration import share_interval
from simbench_tf.score.significance import mean_and_error
from simbench_tf.stages.model_quality import Training, nearest, qualities
from simbench_tf.stages.score_files import Against, against
from simbench_tf.stages.truths import scored_bases, truths_of

#: Sequences that are one-hot encoded and explained at a time.
_CHUNK_SEQUENCES = 256
#: A site is called from this probability on.
LEAST = 0.5
#: Columns of belief.csv.
COLUMNS = (
    "key", "auprc", "auprc_se", "chance_auprc", "site_share", "n_calls", "expected_precision", "twin_n_calls",
    "twin_precision", "twin_precision_low", "twin_precision_high", "twin_precision_worst", "size_ratio",
)  # fmt: skip


class RealModel(NamedTuple):
    """A model of real peaks.

    Attributes
    ----------
    model : callable
        Over (N, L, 4), as `attribute` takes it.
    name : str
        What it is called in belief.json.
    target : int
        Number of the output to explain.
    auroc : float, optional
        What it reaches on held-out regions.
    """

    model: Any
    name: str
    target: int = 0
    auroc: float | None = None


class _Found(NamedTuple):
    """What came of a method: on the twin its belief and what that is worth, of the real peaks the probabilities."""

    file: AttributionFile
    line: dict[str, Any]
    belief: Belief
    probabilities: npt.NDArray[np.float64]
    calls: pd.DataFrame


def believe(
    config: Config,
    run: Path,
    real: RealModel,
    peaks: Sequences,
    out: Path,
    *,
    task: str | None = None,
    method: str | None = None,
    least: float = LEAST,
    track: Track = silent,
) -> pd.DataFrame:
    """Write, for each method, the probability that a base, and a called site, of real peaks is a true one.

    OUT/KEY.bw has the probability of each base, OUT/KEY.bed the called sites (BED6: score is 1,000 times the
    probability; then the probability, and the score in units of the mean |attribution|), OUT/belief.csv the methods,
    best first, and OUT/belief.json what all of it rests on: run, model, calibration curves, likeness.

    Parameters
    ----------
    config : Config
        Of the run.
    run : path
        A finished twin, or another run whose true sites are known.
    real : RealModel
    peaks : Sequences
        With their places in a genome, as long as the run's.
    out : path
        A folder, made where it is missing.
    task : str, optional
        Of the run; needed where it has several.
    method : str, optional
        By this alone: its name, or its key.
    least : float, default .5
        Sites are called from this probability on.
    track : callable, optional
        ``track(description, total)`` is a context manager that yields ``advance(n)``.

    Returns
    -------
    DataFrame
        belief.csv, with `COLUMNS`.

    Raises
    ------
    InputError
        The run has no such task or method, or is not finished; the peaks have another length; the model's auROC is not
        known and the run has several to choose from; `attribute` or `write_bigwig` raises one.
    """
    dataset = open_dataset(run / "dataset")
    task = _task(config, task)
    if peaks.bases.shape[1] != dataset.seq_length:
        what = f"takes {peaks.bases.shape[1]} bases, and the sequences of {run} have {dataset.seq_length}"
        raise InputError(real.name, what, "make a twin with this region_size")
    if not 0 < least <= 1:
        raise InputError("--least", f"is {least}", "give a probability above 0, and at most 1")
    quality = nearest(qualities(config, run, dataset, task), real.auroc)
    by_training = [(each, _files(config, run, task, each, method)) for each in quality.trainings]
    files = by_training[0][1]
    truth = truths_of(config, dataset, task, files)[0]
    found = []
    with track("believe", len(files)) as advance:
        for number, file in enumerate(files):
            seq_ids = read_seq_ids(file.path)
            rows = pd.Index(dataset.seq_ids(config.attribution.split)).get_indexer(pd.Index(seq_ids))
            bases = dataset.bases(config.attribution.split)[rows]
            twin = [_scores_of_twin(config, own[number], training, bases) for training, own in by_training]
            counted = scored_bases(config, file, dataset.seq_length)
            mine = _explain(real.model, peaks.bases, file.method, real.target, config)
            mine = np.where(_seen(config, real.model, dataset.seq_length), mine, np.nan)
            of_twin = [np.where(counted, each, np.nan) for each in twin]
            found.append(_believed(file, of_twin, against(truth, seq_ids), mine, least))
            advance(1)
    found.sort(key=lambda each: -each.line["auprc"])
    for each in found:
        _write_tracks(out, each, peaks)
    table = pd.DataFrame([each.line for each in found], columns=list(COLUMNS))
    with whole_file(out / "belief.csv") as partial:
        table.to_csv(partial, index=False)
    rests_on = {
        "model": real.name,
        "model_auroc": real.auroc,
        "target": real.target,
        "n_regions": len(peaks.bases),
        "run": str(run),
        "task": task,
        "twin_model": quality.name,
        "n_trainings": len(quality.trainings),
        "twin_auroc": quality.auroc,
        "n_twin_sequences": len(read_seq_ids(files[0].path)),
        "truth": truth.name,
        "sign": truth.sign,
        "least": least,
        "likeness": _likeness(run),
        "methods": [_curves(each) | each.line for each in found],
        "versions": versions(),
    }
    with whole_file(out / "belief.json") as partial:
        partial.write_text(json.dumps(_plain(rests_on), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return table


def _task(config: Config, task: str | None) -> str:
    tasks = config.attributed_tasks
    if task is None and len(tasks) == 1:
        return tasks[0]
    if task not in tasks:
        what = "is missing, and the run has several" if task is None else f"{task!r} is not explained by the run"
        raise InputError("--task", what, f"give one of {', '.join(tasks)}")
    return task


def _files(config: Config, run: Path, task: str, training: Training, method: str | None) -> list[AttributionFile]:
    """Attribution files of the twin's model and the task, by a method where one is asked for."""
    files = [each for each in attribution_files(config, run) if (each.model, each.task) == (training.model, task)]
    chosen = [each for each in files if method is None or method in (each.key, each.method.method)]
    if not chosen:
        raise InputError(
            "--method", f"{method!r} is none of the run's", f"give one of {', '.join(f.key for f in files)}"
        )
    for file in chosen:
        if not file.path.is_file():
            raise InputError(file.path, "is missing", "finish the run with `simbench run`")
    return chosen


def _scores_of_twin(config: Config, file: AttributionFile, training: Training, bases: Bases) -> npt.NDArray[np.float32]:
    """The run's own attributions or, of a snapshot, new ones of the same sequences."""
    if training.weights is None:
        return read_attributions(file.path)[0]
    return _explain(training.load(), bases, file.method, training.target, config)


def _explain(model: Any, bases: Bases, method: MethodSettings, target: int, config: Config) -> npt.NDArray[np.float32]:
    """Attributions, float32 (N, L), of any sequences with the settings of a run."""
    from simbench_tf.attribution import attribute

    chunks = [bases[first : first + _CHUNK_SEQUENCES] for first in range(0, len(bases), _CHUNK_SEQUENCES)]
    how = {"references": method.references, "random_state": config.seed, "output": config.attribution.output}
    made = [attribute(model, one_hot(each), method.method, target, **how, **method.settings) for each in chunks]  # type: ignore[arg-type]
    return np.concatenate([np.asarray(each.scores) for each in made])


def _seen(config: Config, model: Any, seq_length: int) -> npt.NDArray[np.bool_]:
    """Bases that count, as `scored_bases` has them of the run's own models."""
    from simbench_tf.attribution.receptive_field import visible_bases

    if config.scoring.bases == "all":
        return np.ones(seq_length, np.bool_)
    try:
        return visible_bases(model, seq_length)
    except InputError:  # a model of another form may see any base
        return np.ones(seq_length, np.bool_)


def _believed(
    file: AttributionFile,
    twin: list[npt.NDArray[np.floating]],
    truth: Against,
    mine: npt.NDArray[np.floating],
    least: float,
) -> _Found:
    """Fit a method's belief on the twin's trainings, and read the scores of the real peaks by it."""
    of_twin, of_mine = pooled(twin, truth.sites), scaled(mine)
    belief = fit_belief(of_twin.scores, of_twin.sites, truth.sign)
    probabilities, calls = belief.bases.predict(of_mine), believed_calls(belief, of_mine, least)
    line = {
        "key": file.key,
        **_areas(twin, truth),
        "n_calls": len(calls),
        "expected_precision": calls["probability"].mean(),
        **_held_out(crossed(of_twin, truth.sign), len(twin[0]), least),
        "size_ratio": np.nanmean(np.abs(mine)) / np.mean([np.nanmean(np.abs(each)) for each in twin]),
    }
    return _Found(file, line, belief, probabilities, calls)


def _areas(twin: list[npt.NDArray[np.floating]], truth: Against) -> dict[str, float]:
    """Average precision of a method on the twin, as summary.csv has it; of several trainings the mean.

    Areas, and what is had by chance, are those of sequences with a site; the share of bases in sites is of all, as
    probabilities are.
    """
    known = ~np.isnan(twin[0]).any(axis=0)
    mask = covered(truth.sites, twin[0].shape)[:, known]
    tables = [score_attributions(each[:, known], mask, truth.sign) for each in twin]
    values = np.concatenate([table["auprc"].to_numpy(np.float64) for table in tables])
    mean, error = mean_and_error(values, np.arange(len(values)) % len(mask))
    chance = float(tables[0]["chance_auprc"].mean())
    return {"auprc": mean, "auprc_se": error, "chance_auprc": chance, "site_share": float(mask.mean())}


def _held_out(found: Crossed, n_sequences: int, least: float) -> dict[str, float]:
    """How many of the twin's calls are right, each believed by what was fitted to other sequences and trainings."""
    calls = found.calls[found.calls["probability"] >= least]
    low, high = share_interval(calls["right"], calls["row"] % n_sequences)
    of_trainings = calls["right"].groupby(calls["row"] // n_sequences).mean()
    return {
        "twin_n_calls": len(calls),
        "twin_precision": calls["right"].mean(),
        "twin_precision_low": low,
        "twin_precision_high": high,
        "twin_precision_worst": of_trainings.min(),
    }


def _write_tracks(out: Path, found: _Found, peaks: Sequences) -> None:
    """Write KEY.bw and KEY.bed."""
    assert peaks.loci is not None
    assert peaks.lengths is not None
    chrom, start = peaks.loci["chrom"].to_numpy(object), peaks.loci["start"].to_numpy(np.int64)
    stretches = genome_stretches(chrom, start, found.probabilities)
    write_bigwig(out / f"{found.file.key}.bw", {name: int(n) for name, n in peaks.lengths.items()}, stretches)
    rows = found.calls["row"].to_numpy()
    placed = found.calls.assign(
        chrom=chrom[rows], start=start[rows] + found.calls["start"], end=start[rows] + found.calls["end"]
    )
    placed = best_apart(placed).sort_values(["chrom", "start"], kind="stable", ignore_index=True)
    table = pd.DataFrame(
        {
            "#chrom": placed["chrom"],
            "start": placed["start"],
            "end": placed["end"],
            "name": [f"site{number}" for number in range(1, len(placed) + 1)],
            "score": (1000 * placed["probability"]).round().astype(int),
            "strand": ".",
            "probability": placed["probability"].round(4),
            "attribution": placed["score"].round(4),
        }
    )
    with whole_file(out / f"{found.file.key}.bed") as partial:
        table.to_csv(partial, sep="\t", index=False, lineterminator="\n")


def best_apart(calls: pd.DataFrame) -> pd.DataFrame:
    """Of calls that share bases, as those of overlapping regions, the likelier one.

    Parameters
    ----------
    calls : DataFrame
        Columns chrom, start, end, probability, score.

    Examples
    --------
    >>> calls = pd.DataFrame({"chrom": "chr1", "start": [0, 5, 12], "end": [10, 15, 20], "probability": [.6, .9, .7]})
    >>> best_apart(calls.assign(score=1.0))["start"].tolist()
    [5]
    """
    kept = []
    for _, own in calls.sort_values(["probability", "score"], ascending=False, kind="stable").groupby("chrom"):
        taken = np.zeros(int(own["end"].max()), np.bool_)
        for index, start, end in zip(own.index, own["start"], own["end"], strict=True):
            if not taken[start:end].any():
                taken[start:end] = True
                kept.append(index)
    return calls.loc[sorted(kept)]


def _likeness(run: Path) -> list[dict[str, Any]] | None:
    path = run / "likeness.csv"
    return read_table(path).to_dict("records") if path.is_file() else None


def _curves(found: _Found) -> dict[str, Any]:
    """A method and its settings, and its calibration curves."""
    method = found.file.method
    of = {
        name: {"scores": curve.scores.tolist(), "probabilities": curve.probabilities.tolist()}
        for name, curve in (("bases", found.belief.bases), ("calls", found.belief.calls))
    }
    return {"method": method.method, "references": method.references, "settings": method.settings, **of}


def _plain(value: Any) -> Any:
    """As strict JSON has it: null for what is not a number."""
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
