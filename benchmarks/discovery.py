"""Do motif callers find the motifs? TF-MoDISco by its input, and the false calls of our own caller by its null.

    python benchmarks/discovery.py                                  # trains the preset's network first
    python benchmarks/discovery.py --run runs/discovery             # a run's network, or another: --model FILE.keras
    python benchmarks/discovery.py --questions rates number --most 10000

Sequences are drawn afresh from the run's grammar: positives of one task. A motif is found where a pattern of the
caller's correlates with it by .9; a call is false where it stands on no site that the task's label puts in. Patterns
are those of TF-MoDISco on attributions, with all bases' hypothetical contributions or the observed bases' alone. Rows
are added to the table as they are done, and rows that are there are not made again.
A null is of 1,000 sequences (`N_NULL`), the rest of 2,000 where their number is not the question.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.console import Console

from simbench_tf.config import Config, GrammarSimulation, load_config
from simbench_tf.discovery import Found, Sequences, call_seqlets, read_found, score_instances, score_motifs
from simbench_tf.discovery.callers import NoMotifs, as_hypothetical, caller_versions, run_modisco
from simbench_tf.discovery.calls import checked_tables
from simbench_tf.discovery.clusters import stand_on
from simbench_tf.discovery.null_sequences import NullSequences, shuffled_sequences, shuffled_stretches
from simbench_tf.dna import one_hot
from simbench_tf.dna.arrow import bases_of
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif
from simbench_tf.report.text import ratio
from simbench_tf.run.folder import begin, config_of
from simbench_tf.score.significance import mean_and_error
from simbench_tf.simulate.grammar import (
    Grammar,
    draw,
    draw_background,
    element_tasks,
    used_motifs,
    zero_order_background,
)

Bases = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Methods by their keys, with their settings.
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "integrated_gradients@zeros": ("integrated_gradients", {"references": "zeros", "n_steps": 10}),
    "grad_x_input@none": ("grad_x_input", {}),
    "deeplift_genomics@shuffle5": ("deeplift_genomics", {"references": "shuffle:5"}),
    "deeplift_rescale@shuffle5": ("deeplift_rescale", {"references": "shuffle:5"}),
}
DEEPLIFT, INTEGRATED = "deeplift_rescale@shuffle5", "integrated_gradients@zeros"
NULLS = ("stretches", "shuffles", "background", "negatives")
STATED = (0.05, 0.1, 0.2)
TRAINED, PLANTED = "trained", "planted"
#: Sequences where their number is not the question, and sequences of a null.
N_SEQUENCES, N_NULL = 2_000, 1_000
NUMBERS = (500, 1_000, 2_000, 5_000, 10_000, 20_000)
WINDOWS = (100, 200)
#: Sequences that are drawn at a time, and those that say how near the ceiling the network is.
CHUNK, N_TESTED = 4_000, 5_000


class Setting(NamedTuple):
    """What names a row, but for the stated rate; `input` and `window` are modisco's, `null` that of our own caller."""

    caller: str
    network: str
    method: str
    input: str
    n_sequences: int
    window: int
    null: str


class Drawn(NamedTuple):
    """Positives of a task (N, L), sites in them, and negatives (M, L).

    Sites have row, start, end, strand, motif and element; `others` are of elements that the label does not change.
    """

    positives: Bases
    sites: pd.DataFrame
    others: pd.DataFrame
    negatives: Bases


class Study:
    """The grammar, task and networks of a study; sequences and attributions are made once, as many as are asked for."""

    def __init__(self, config: Config, grammar: Grammar, task: str, model: Any) -> None:
        from simbench_tf.perfect import planted_network

        self.grammar, self.task, self.seed = grammar, task, config.seed + 1
        self.models = {TRAINED: model, PLANTED: planted_network(grammar)}
        self._drawn: Drawn | None = None
        self._explained: dict[tuple[str, str], Floats] = {}

    def drawn(self, n: int) -> Drawn:
        """At least n positives of the task, and their sites; the first are the same whatever their number."""
        if self._drawn is None or len(self._drawn.positives) < n:
            self._drawn = draw_positives(self.grammar, self.seed, self.task, n)
        return self._drawn

    def hypothetical(self, network: str, method: str, n: int) -> Floats:
        """Hypothetical contributions (n, L, 4) of the first n positives."""
        known = self._explained.get((network, method))
        there = 0 if known is None else len(known)
        if there < n:
            more = self.explain(network, method, self.drawn(n).positives[there:n])
            self._explained[network, method] = more if known is None else np.concatenate([known, more])
        return self._explained[network, method][:n]

    def explain(self, network: str, method: str, bases: Bases) -> Floats:
        """Hypothetical contributions (N, L, 4) of some sequences; at the observed base they are the scores."""
        import simbench_tf as sb

        name, settings = METHODS[method]
        target = list(self.grammar.tasks).index(self.task)
        model, encoded = self.models[network], one_hot(bases)
        found = sb.attribute(model, encoded, name, target=target, random_state=self.seed, **settings)
        assert found.hypothetical is not None
        return found.hypothetical

    def first(self, n: int) -> Drawn:
        """The first n positives, their sites, and all negatives."""
        drawn = self.drawn(n)
        sites, others = (table[table["row"] < n] for table in (drawn.sites, drawn.others))
        return Drawn(drawn.positives[:n], sites, others, drawn.negatives)

    def motifs_of(self, sites: pd.DataFrame) -> list[Motif]:
        """The grammar's motifs that have a site in a table."""
        bearing = set(sites["motif"])
        return [motif for motif in used_motifs(self.grammar) if motif.motif_id in bearing]

    def null(self, kind: str, n: int) -> NullSequences:
        """Null sequences of a kind, of the first n positives or as many."""
        drawn = self.drawn(n)
        positives, negatives = drawn.positives, drawn.negatives
        if kind == "stretches":
            return shuffled_stretches(positives[:n], self.seed)
        if kind == "shuffles":
            return shuffled_sequences(positives[:n], self.seed)
        if kind == "background":
            negatives = draw_background(self.grammar, self.seed, "null background", np.arange(n))
        return NullSequences(negatives[:n], np.ones(negatives[:n].shape, bool))

    def reached(self, network: str) -> float:
        """The share of (oracle auROC - .5) that a network reaches of the task, on sequences of its own."""
        from sklearn.metrics import roc_auc_score

        from simbench_tf.simulate.grammar import draw_bases
        from simbench_tf.simulate.oracle import label_log_odds, log_likelihood

        bases, labels = draw_bases(self.grammar, self.seed, 0, N_TESTED, "reached")
        target = list(self.grammar.tasks).index(self.task)
        exact = label_log_odds(self.grammar, log_likelihood(self.grammar, bases))[:, target]
        told = self.models[network].predict(one_hot(bases), batch_size=250, verbose=0)[:, target]
        mine, ceiling = (roc_auc_score(labels[:, target], each) for each in (told, exact))
        return ratio(mine - 0.5, ceiling - 0.5)


def draw_positives(grammar: Grammar, seed: int, task: str, n: int) -> Drawn:
    """Draw sequences until there are n positives of a task: these, the sites in them, and the negatives."""
    bears = {element for element, tasks in element_tasks(grammar).items() if task in tasks}
    positives: list[Bases] = []
    negatives: list[Bases] = []
    sites: list[pd.DataFrame] = []
    start = found = 0
    while found < n:
        drawn = draw(grammar, seed, start, start + CHUNK)
        bases, label = bases_of(drawn.sequences["sequence"]), drawn.sequences[task].to_numpy() == 1
        table = drawn.sites.to_pandas()
        number = table["seq_id"].str[3:].astype(np.int64) - start
        rows = np.where(label, np.cumsum(label) - 1 + found, -1)
        sites.append(table.assign(row=rows[number])[label[number]])
        positives.append(bases[label])
        negatives.append(bases[~label])
        start, found = start + CHUNK, found + int(label.sum())
    every = pd.concat(sites)[["row", "start", "end", "strand", "motif", "element"]]
    counted = every["element"].isin(bears)
    return Drawn(np.concatenate(positives), every[counted], every[~counted], np.concatenate(negatives))


def settings_of(questions: list[str], most: int) -> Iterator[Setting]:
    """The settings of some questions, in their order; those that two of them ask come twice."""
    modisco = Setting("modisco", TRAINED, DEEPLIFT, "hypothetical", N_SEQUENCES, 0, "")
    for question in questions:
        if question == "rates":
            for network in (TRAINED, PLANTED):
                for method in (DEEPLIFT, INTEGRATED):
                    for null in NULLS:
                        yield Setting("seqlets", network, method, "scores", N_SEQUENCES, 0, null)
        elif question == "number":
            yield from (modisco._replace(n_sequences=n) for n in NUMBERS if n <= most)
        elif question == "input":
            yield from (modisco._replace(input=each) for each in ("hypothetical", "scores"))
        elif question == "method":
            yield from (modisco._replace(method=method) for method in METHODS)
        elif question == "window":
            yield from (modisco._replace(window=window) for window in (0, *WINDOWS))


QUESTIONS = ("rates", "number", "input", "method", "window")


def share_off(called: pd.DataFrame, sites: pd.DataFrame) -> tuple[float, float]:
    """The share of calls that stand on no site, half of the shorter's bases shared, and its error over sequences.

    Examples
    --------
    >>> sites = pd.DataFrame({"row": [0, 1], "start": 5, "end": 15, "motif": "M", "element": "M"})
    >>> share_off(pd.DataFrame({"row": [0, 0, 1, 1], "start": [6, 40, 4, 60], "end": [14, 50, 13, 70]}), sites)
    (0.5, 0.0)
    """
    checked, true = checked_tables(called, sites)
    wrong = np.ones(len(checked))
    wrong[stand_on(checked, true).call] = 0
    return mean_and_error(wrong, checked["row"].to_numpy()) if len(checked) else (np.nan, np.nan)


def scored_calls(called: pd.DataFrame, drawn: Drawn, window: tuple[int, int] | None = None) -> dict[str, Any]:
    """What is kept of the scores of calls: their number, true rate of false ones, precision, recall, F1 and AP.

    Of the false ones `on_other` is the part that stands on a site that the task's label does not change: the network
    took it for one, and no caller can know.
    """
    rate, error = share_off(called, drawn.sites)
    on_other = rate - share_off(called, pd.concat([drawn.sites, drawn.others]))[0]
    length = drawn.positives.shape[1]
    scored = score_instances(called, drawn.sites, length=length, window=window, n_shuffles=0).iloc[0]
    kept = {name: float(scored[name]) for name in ("precision", "recall", "recall_cap", "f1", "ap")}
    return {"n_called": len(called), "true_fdr": rate, "true_fdr_se": error, "on_other": on_other} | kept


def motif_counts(true: pd.DataFrame, every: pd.DataFrame) -> dict[str, int]:
    """How many of the true motifs are found (split ones among them), and what the patterns are.

    Parameters
    ----------
    true, every : DataFrame
        Of `score_motifs`, against the task's motifs, and against all that have a site in the sequences: a pattern that
        is like none of the first is another's where it is like one of the second, and false where it is not.

    Examples
    --------
    >>> kinds, status = ["true", "true", "found", "found", "found"], ["split", "missed", "false", "merged", "false"]
    >>> table = pd.DataFrame({"kind": kinds, "motif": list("ABpqr"), "status": status})
    >>> motif_counts(table, table.assign(status=["split", "missed", "true", "merged", "false"]))
    {'n_found': 1, 'n_true': 2, 'n_patterns': 3, 'n_other': 1, 'n_false': 1, 'n_merged': 1, 'n_split': 1}
    """
    of_task, found = (true["status"][true["kind"] == kind] for kind in ("true", "found"))
    n_false = (every["status"][every["kind"] == "found"] == "false").sum()
    counts = {"n_found": of_task.isin(["found", "split"]).sum(), "n_true": len(of_task), "n_patterns": len(found)}
    counts |= {"n_other": (found == "false").sum() - n_false, "n_false": n_false}
    counts |= {"n_merged": (found == "merged").sum(), "n_split": (of_task == "split").sum()}
    return {name: int(value) for name, value in counts.items()}


def measured_modisco(bases: Bases, hypothetical: Floats, out: Path, window: int | None) -> dict[str, float]:
    """Run TF-MoDISco in a process that has no other child; seconds by the clock and the processor, and peak memory."""
    clock = time.perf_counter()
    run_modisco(bases, hypothetical, out, window=window)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = {"processor_seconds": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}
    return {"seconds": time.perf_counter() - clock} | processor


def patterns_of(study: Study, setting: Setting) -> list[dict[str, Any]]:
    """One row: what TF-MoDISco finds."""
    n = setting.n_sequences
    drawn = study.first(n)
    bases = drawn.positives
    given = study.hypothetical(setting.network, setting.method, n)
    if setting.input == "scores":
        given = as_hypothetical((given * one_hot(bases)).sum(axis=2), one_hot(bases))
    window = setting.window or None
    with tempfile.TemporaryDirectory() as folder:
        out, spawn = Path(folder) / "modisco.h5", multiprocessing.get_context("spawn")
        try:
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                cost = pool.submit(measured_modisco, bases, given, out, window).result()
            sequences = Sequences(np.arange(n).astype(str), bases, np.arange(n))
            found = read_found(out, sequences, window=window)
        except NoMotifs:
            cost, found = {}, Found(drawn.sites.iloc[:0].assign(score=0.0), [])
    assert found.instances is not None
    assert found.motifs is not None
    background = zero_order_background(study.grammar)
    true, every = (
        score_motifs(found.motifs, study.motifs_of(sites), background=background, n_shuffles=0)
        for sites in (drawn.sites, pd.concat([drawn.sites, drawn.others]))
    )
    return [motif_counts(true, every) | scored_calls(found.instances, drawn, found.window) | cost]


def rates_of(study: Study, setting: Setting) -> list[dict[str, Any]]:
    """A row for each stated rate: what our own caller calls at it, and how many of these calls are false."""
    n = setting.n_sequences
    drawn = study.first(n)
    bases = drawn.positives
    scores = (study.hypothetical(setting.network, setting.method, n) * one_hot(bases)).sum(axis=2)
    null = study.null(setting.null, N_NULL)
    of_null = (study.explain(setting.network, setting.method, null.bases) * one_hot(null.bases)).sum(axis=2)
    called = call_seqlets(scores, np.where(null.counts, of_null, np.float32(np.nan)), fdr=1)
    kept = ((rate, called[called["qvalue"] <= rate].drop(columns=["qvalue", "pvalue"])) for rate in STATED)
    return [{"stated": rate} | scored_calls(each, drawn) for rate, each in kept]


#: Columns after those of `Setting`.
RESULTS = (
    *("task", "reached", "stated", "n_called", "true_fdr", "true_fdr_se", "on_other", "n_found", "n_true"),
    *("n_patterns", "n_other", "n_false", "n_merged", "n_split", "precision", "recall", "recall_cap", "f1", "ap"),
    *("seconds", "processor_seconds", "peak_mb", "versions"),
)


def add_rows(out: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows below those of a table that is there; two processes may write to one."""
    table = pd.DataFrame(rows).reindex(columns=[*Setting._fields, *RESULTS])
    out.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(out, mode="a", header=not out.is_file(), index=False, float_format="%.4g")


def is_done(out: Path, setting: Setting) -> bool:
    """Whether a table has the rows of a setting."""
    if not out.is_file():
        return False
    done = pd.read_csv(out, keep_default_na=False)
    return bool((done[list(Setting._fields)].astype(str) == [str(each) for each in setting]).all(axis=1).any())


def study_of(config: Config, folder: Path, model: Path | None, task: str) -> Study:
    """A study of a run's grammar and network; a network that is not there is trained."""
    from simbench_tf import pipeline
    from simbench_tf.dataset_grammar import grammar_of_run
    from simbench_tf.run.models import load_model

    if not isinstance(config.simulation, GrammarSimulation) or task not in config.simulation.tasks:
        raise InputError("--task", f"{task!r} is no task of a grammar", "give a grammar's run, and one of its tasks")
    model = folder / "models" / config.replicates[0].name / "model.keras" if model is None else model
    if not model.is_file():
        begin(config, folder)
        pipeline.simulate(config, folder)
        pipeline.train(config, folder)
    return Study(config, grammar_of_run(config.simulation, folder), task, load_model(model))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="discovery", help="a preset or a configuration file, where no run is given")
    parser.add_argument("--run", type=Path, help="a run, whose grammar and first network are taken")
    parser.add_argument("--model", type=Path, help="another network, FILE.keras")
    parser.add_argument("--task", default="K562")
    parser.add_argument("--questions", nargs="+", default=list(QUESTIONS), choices=QUESTIONS)
    parser.add_argument("--networks", nargs="+", default=[TRAINED, PLANTED], choices=(TRAINED, PLANTED))
    parser.add_argument("--most", type=int, default=20_000, help="the most sequences that TF-MoDISco is given")
    parser.add_argument("--out", type=Path, default=Path("results/discovery.csv"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        config = load_config(args.preset) if args.run is None else config_of(args.run)
        study = study_of(config, args.run or Path(temporary), args.model, args.task)
        reached: dict[str, float] = {}
        for setting in settings_of(args.questions, args.most):
            if setting.network not in args.networks or is_done(args.out, setting):
                continue
            reached.setdefault(setting.network, study.reached(setting.network))
            rows = (patterns_of if setting.caller == "modisco" else rates_of)(study, setting)
            known = {"task": args.task, "reached": reached[setting.network]}
            known["versions"] = " ".join(f"{name}={version}" for name, version in caller_versions().items())
            add_rows(args.out, [setting._asdict() | known | row for row in rows])
    Console(width=200).print(pd.read_csv(args.out).drop(columns="versions").to_string())


if __name__ == "__main__":
    main()
