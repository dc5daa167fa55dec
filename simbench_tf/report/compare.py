"""Comparison of runs: in what settings, models and scores they differ.

Two runs are compared sequence by sequence where they attributed the same ones: the same seq_id and the same letters,
all that the smaller of the two attributed. Otherwise their means are compared as those of independent samples. A row
of two networks speaks of these alone; where a model has several seeds in both runs, a row of all its trainings follows.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from scipy.special import ndtr
from scipy.stats import ttest_ind

from simbench_tf.dataset import open_dataset
from simbench_tf.dna import decode
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.report.compare_figures import drawn
from simbench_tf.report.compare_text import Shown, differences_shown, models_shown, scores_shown, settings_shown
from simbench_tf.report.jinja import page_template
from simbench_tf.report.text import method_labels
from simbench_tf.run.folder import config_of
from simbench_tf.run.results import read_results
from simbench_tf.score import holm, mean_over_models, paired_comparisons
from simbench_tf.score.ranking import models_of_seeds, without_nulls

#: What one score belongs to in every run.
KEYS = ["model", "task", "key"]


#: Columns of summary.csv that are set side by side, where a run has them.
SCORES = ["n_sequences", "auprc", "auprc_low", "auprc_high", "auprc_se", "auroc", "chance_auprc", "oracle_auprc"]
_MODEL_METRICS = ["auroc", "auprc", "oracle_auroc", "oracle_auprc"]


#: Standard errors on either side of a difference of means, for 95%.
_REACH = 1.96


class ScoredRun(NamedTuple):
    """What a comparison needs of a run.

    Attributes
    ----------
    name : str
        What tables call it.
    settings : dict of str to str
        The resolved configuration in dotted keys.
    scores : DataFrame
        `KEYS` and `SCORES`.
    models : DataFrame
        model, task, auroc, auprc and, for a grammar, their ceilings: on the test split.
    per_sequence : DataFrame
        model, task, key, seq_id, auprc.
    letters : Series
        Sequences attributed, by seq_id.
    title : str
        The name that its configuration gives.
    report : Path or None
        Its page, where it has one.
    labels : dict
        What to call each key.
    """

    name: str
    settings: dict[str, str]
    scores: pd.DataFrame
    models: pd.DataFrame
    per_sequence: pd.DataFrame
    letters: pd.Series
    title: str
    report: Path | None
    labels: dict[str, str]


class Comparison(NamedTuple):
    """Tables of a comparison of runs.

    Attributes
    ----------
    runs : list of str
    settings : DataFrame
        One row per setting that differs, by dotted key, one column per run; NaN where a run has no such setting.
    models : DataFrame
        run, model, task, auroc, auprc, oracle_auroc, oracle_auprc: on the test split.
    scores : DataFrame
        run, then `KEYS` and `SCORES`.
    differences : DataFrame
        A row for every two runs that share a model, task and key: `KEYS`, first, second (runs), n_models (networks, of
        the run that has fewer), paired, n_sequences (shared, or of the smaller run), difference (auPRC of first -
        second), se, low, high (95%), p_value (Wilcoxon's signed-rank test where paired, else the normal test of the
        means), p_holm (corrected for the number of rows) and p_welch (Welch's t-test of the trainings' means, for
        these sequences; NaN of one training). Where n_models is over 1, model is a name without its seed, and
        errors, intervals and the other tests are of `mean_over_models`: for other trainings and sequences.
    titles : dict of str to str
        The name that each run's configuration gives.
    reports : dict of str to Path
        The pages of runs that have one.
    labels : dict of str to str
        What to call each key.
    """

    runs: list[str]
    settings: pd.DataFrame
    models: pd.DataFrame
    scores: pd.DataFrame
    differences: pd.DataFrame
    titles: Mapping[str, str]
    reports: Mapping[str, Path]
    labels: Mapping[str, str]


def compare_runs(folders: Sequence[str | PathLike[str]]) -> Comparison:
    """Set scored runs side by side.

    Parameters
    ----------
    folders : sequence of path
        Two run directories or more.

    Raises
    ------
    InputError
        There are fewer than two, one is given twice, is no run or not scored; or no two have a model, task and method
        in common.
    """
    paths = [Path(folder) for folder in folders]
    if len(paths) < 2:
        raise InputError("compare", "needs two runs or more", "name the folders of scored runs")
    repeated = [path for path, count in Counter(path.resolve() for path in paths).items() if count > 1]
    if repeated:
        raise InputError(repeated[0], "is given twice", "name each run once")
    runs = [_read_run(path, name) for path, name in zip(paths, _names(paths), strict=True)]
    differences = pd.DataFrame([line for pair in itertools.combinations(runs, 2) for line in _differences(*pair)])
    if differences.empty:
        listed = "; ".join(f"{run.name} has {_first(run)}" for run in runs)
        what = f"have no model, task and method in common: {listed}"
        raise InputError(", ".join(run.name for run in runs), what, "give models the same names in both configurations")
    tested = differences["p_value"].notna()
    differences.loc[tested, "p_holm"] = holm(differences.loc[tested, "p_value"])
    differences = differences.assign(p_welch=differences.get("p_welch", np.nan))  # which comes last
    settings = pd.DataFrame({run.name: run.settings for run in runs}, dtype=object)
    values = settings.astype(str)  # a setting that is missing is a value, too
    different = values.ne(values.iloc[:, 0], axis=0).any(axis=1)
    return Comparison(
        [run.name for run in runs],
        settings[different].rename_axis("setting"),
        pd.concat([run.models.assign(run=run.name) for run in runs], ignore_index=True),
        pd.concat([run.scores.assign(run=run.name) for run in runs], ignore_index=True),
        differences,
        {run.name: run.title for run in runs},
        {run.name: run.report for run in runs if run.report is not None},
        {key: label for run in reversed(runs) for key, label in run.labels.items()},
    )


# reading


def _names(paths: Sequence[Path]) -> list[str]:
    """Folders' own names where these differ, else the shortest ends of their paths that do."""
    whole = [path.resolve() for path in paths]
    depth = next(n for n in itertools.count(1) if len({path.parts[-n:] for path in whole}) == len(whole))
    return ["/".join(path.parts[-depth:]) for path in whole]


def _read_run(folder: Path, name: str) -> ScoredRun:
    config = config_of(folder)
    results = read_results(config, folder, sequences=False)
    dataset, split = open_dataset(folder / "dataset"), config.attribution.split
    seq_ids = results.per_sequence["seq_id"].unique()
    rows = pd.Index(dataset.seq_ids(split)).get_indexer(seq_ids)
    letters = pd.Series(decode(dataset.bases(split)[rows]), index=seq_ids)
    lines = [
        {"model": model, "task": task, **metrics}
        for model, tasks in results.metrics.items()
        for task, metrics in tasks.items()
    ]
    return ScoredRun(
        name,
        dict(_dotted(results.config)),
        without_nulls(results.summary).reindex(columns=[*KEYS, *SCORES]),
        pd.DataFrame(lines).reindex(columns=["model", "task", *_MODEL_METRICS]),
        without_nulls(results.per_sequence)[[*KEYS, "seq_id", "auprc"]],
        letters,
        str(results.config.get("name", name)),
        page if (page := folder / "report.html").is_file() else None,
        method_labels(results.summary),
    )


def _dotted(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Leaves of a configuration, as ``training.max_batches``; items of a list by their name where they have one.

    One of `attribution.methods` is one leaf, keyed by all that it is, so that an added one does not shift the others.
    """
    if isinstance(value, Mapping) and value:
        for part, item in value.items():
            yield from _dotted(item, f"{key}.{part}" if key else str(part))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for number, item in enumerate(value):
            if "method" in item:
                name = " ".join(str(item[part]) if part == "method" else f"{part}={item[part]}" for part in item)
                yield f"{key}.{name}", "yes"
            else:
                yield from _dotted(item, f"{key}.{item.get('name', number)}")
    else:
        yield key, value if isinstance(value, str) else json.dumps(value)


def _first(run: ScoredRun) -> str:
    line = run.scores.iloc[0]
    return f"{line['model']} {line['task']} {line['key']}" + (", ..." if len(run.scores) > 1 else "")


# comparing


def _differences(first: ScoredRun, second: ScoredRun) -> Iterator[dict[str, Any]]:
    """Return a row for each model, task and key of both runs, then for each model of several seeds."""
    groups = [dict(iter(run.per_sequence.groupby(KEYS, sort=False))) for run in (first, second)]
    trained = [dict(iter(_of_seeds(run.per_sequence).groupby(KEYS, sort=False))) for run in (first, second)]
    for (ones, twos), over_trainings in ((groups, False), (trained, True)):
        for key in [key for key in ones if key in twos]:
            one, two = (rows[key].set_index("seq_id") for rows in (ones, twos))
            shared = one.index.unique().intersection(two.index.unique())
            same = shared[(first.letters.loc[shared] == second.letters.loc[shared]).to_numpy()]
            paired = len(same) == min(one.index.nunique(), two.index.nunique())
            if paired:
                one, two = (rows[rows.index.isin(same)] for rows in (one, two))
            test = _over_trainings if over_trainings else _of_networks
            yield {
                **dict(zip(KEYS, key, strict=True)),
                "first": first.name,
                "second": second.name,
                "n_models": min(rows["network"].nunique() for rows in (one, two)) if over_trainings else 1,
                "paired": paired,
                **test(one, two, paired),
            }


def _of_seeds(per_sequence: pd.DataFrame) -> pd.DataFrame:
    """Rows of models of several seeds, by their name without it; the network is a column of its own."""
    seeds = models_of_seeds(per_sequence["model"].unique())
    rows = per_sequence[per_sequence["model"].isin(seeds)]
    return rows.assign(network=rows["model"], model=rows["model"].map(seeds))


def _of_networks(one: pd.DataFrame, two: pd.DataFrame, paired: bool) -> dict[str, float]:
    return (_paired if paired else _unpaired)(one["auprc"], two["auprc"])


def _over_trainings(one: pd.DataFrame, two: pd.DataFrame, paired: bool) -> dict[str, float]:
    """The difference of two sets of trainings: twice the mean of the first's values and the second's with minus."""
    lacking = {name for rows in (one, two) for name in rows.index[rows["auprc"].isna()]}
    if paired:  # what one side lacks, neither has
        one, two = (rows[~rows.index.isin(lacking)] for rows in (one, two))
    given = (one, two)
    rows = pd.concat([one, two.assign(auprc=-two["auprc"])])
    side = np.repeat(["one", "two"], [len(one), len(two)])
    network = side + " " + rows["network"].to_numpy(str)
    sequence = rows.index.to_numpy(str) if paired else side + " " + rows.index.to_numpy(str)
    found = mean_over_models(rows["auprc"].to_numpy(np.float64), network, sequence, side)
    low, high = found.interval()
    n = min(each.index[each["auprc"].notna()].nunique() for each in (one, two))
    return {
        "se": 2 * found.error,
        "n_sequences": n,
        "difference": 2 * found.mean,
        "low": 2 * low,
        "high": 2 * high,
        "p_value": found.p_value,
        "p_welch": welch(*(each.groupby("network")["auprc"].mean() for each in given)),
    }


def welch(one: pd.Series, two: pd.Series) -> float:
    """The p-value of Welch's t-test, which does not suppose equal variances; NaN where one side has less than two.

    Examples
    --------
    >>> round(welch(pd.Series([.61, .63, .6]), pd.Series([.52, .55, .5])), 4)
    0.0103
    """
    if min(one.count(), two.count()) < 2 or one.var() + two.var() == 0:
        return np.nan
    return float(ttest_ind(one.dropna(), two.dropna(), equal_var=False).pvalue)


def _paired(one: pd.Series, two: pd.Series) -> dict[str, float]:
    (line,) = paired_comparisons(pd.DataFrame({"one": one, "two": two})).to_dict("records")
    se = (one - two).sem()
    return {"se": se, **{name: line[name] for name in ("n_sequences", "difference", "low", "high", "p_value")}}


def _unpaired(one: pd.Series, two: pd.Series) -> dict[str, float]:
    difference, se = one.mean() - two.mean(), np.hypot(one.sem(), two.sem())
    return {
        "se": se,
        "n_sequences": min(one.count(), two.count()),
        "difference": difference,
        "low": difference - _REACH * se,
        "high": difference + _REACH * se,
        "p_value": 2 * ndtr(-abs(difference / se)) if se > 0 else np.nan,
    }


# showing


def shown(comparison: Comparison) -> list[Shown]:
    """Tables of a comparison as text: settings, models, scores, differences; without those that have no row."""
    tables = [
        settings_shown(comparison.settings),
        models_shown(comparison.models),
        scores_shown(comparison.scores, comparison.runs, comparison.labels),
        differences_shown(comparison.differences, comparison.labels),
    ]
    return [each for each in tables if each.table.rows]


def runs_told(comparison: Comparison, folder: Path) -> list[dict[str, str]]:
    """Each run's name, the name that its configuration gives, and the way from a folder to its report, if any."""
    told = []
    for run in comparison.runs:
        report = comparison.reports.get(run)
        way = "" if report is None else quote(os.path.relpath(report.resolve(), folder.resolve()).replace(os.sep, "/"))
        told.append({"name": run, "title": comparison.titles[run], "report": way})
    return told


def write_comparison(comparison: Comparison, path: Path) -> list[Path]:
    """Write a comparison as one self-contained page, or as CSV; returns the files.

    Parameters
    ----------
    comparison : Comparison
    path : Path
        FILE.html; or FILE.csv for the scores, beside which FILE.differences.csv, FILE.models.csv and FILE.settings.csv
        are written.

    Raises
    ------
    InputError
        The name ends otherwise, or the file cannot be written.
    """
    if path.suffix == ".html":
        page = page_template("compare.html.j2").render(
            runs=runs_told(comparison, path.parent), tables=shown(comparison), places=drawn(comparison)
        )
        with whole_file(path) as partial:
            partial.write_text(page, encoding="utf-8", errors="replace", newline="\n")
        return [path]
    if path.suffix != ".csv":
        raise InputError(path, "is neither .html nor .csv", "name the file so")
    tables = {
        path: comparison.scores[["run", *KEYS, *SCORES]],
        path.with_suffix(".differences.csv"): comparison.differences,
        path.with_suffix(".models.csv"): comparison.models[["run", "model", "task", *_MODEL_METRICS]],
        path.with_suffix(".settings.csv"): comparison.settings.reset_index(),
    }
    for file, table in tables.items():
        with whole_file(file) as partial:
            table.to_csv(partial, index=False)
    return list(tables)
