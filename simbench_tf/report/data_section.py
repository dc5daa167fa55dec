"""What the report says of the data: how they were made, in a story, and tables of tasks, elements, motifs, regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from simbench_tf.config import HUMAN_BACKGROUND
from simbench_tf.plot.numbers import fixed
from simbench_tf.report import sections
from simbench_tf.report.text import Table
from simbench_tf.run.results import RunResults
from simbench_tf.simulate.grammar.background import order_of, with_lower_orders


def data_section(results: RunResults) -> dict[str, Any]:
    """What the page says of the data: names in the template, and their values."""
    info, config = results.dataset_info, results.config
    simulation, log = config.get("simulation", {}), results.motif_log
    return {
        "name": config.get("name", info.get("name", "run")),
        "story": data_story(info, simulation),
        "info": info,
        "tasks": task_table(info, simulation),
        "elements": element_table(simulation) if simulation.get("elements") else None,
        "classes": class_table(simulation) if simulation.get("classes") else None,
        "likeness": None if results.likeness is None else sections.likeness(results.likeness),
        "motif_story": None if log is None else motif_story(log, simulation),
        "motifs": None if log is None else motif_table(log),
        "lost": lost_table(info["lost"]) if info.get("lost") else None,
        "composition": composition_table(info["composition"]) if info.get("composition") else None,
        "leakage": leakage_table(info["leakage"]) if info.get("leakage") else None,
        "split": config.get("attribution", {}).get("split", "test"),
        "output": config.get("attribution", {}).get("output", "logit"),
    }


def data_story(info: Mapping[str, Any], simulation: Mapping[str, Any]) -> str:
    """What the sequences are, in a few sentences."""
    return _STORIES.get(info["kind"], _plugged_story)(info, simulation)


def _grammar_story(info: Mapping[str, Any], simulation: Mapping[str, Any]) -> str:
    return (
        f"{_n_sequences(info)} artificial sequences of {info['seq_length']} bases, drawn from a generative model: "
        f"{_background_story(simulation)}, and motifs drawn from their matrices "
        f"({motif_source(str(simulation.get('motifs', 'default')))}). A label changes how often some of the motifs "
        f"occur{_rules_story(simulation)}, {_composition_story(simulation)}"
    )


def _composition_story(simulation: Mapping[str, Any]) -> str:
    """Whether a label changes composition, too."""
    if any(each.get("odds_ratio") for each in simulation.get("classes") or []):
        return (
            "and how often a sequence is of a class. So composition says something of the label, too, in no base more "
            "than in another; the motifs are the only truth to find."
        )
    return "and nothing else, so those motifs are the only truth to find."


def _background_story(simulation: Mapping[str, Any]) -> str:
    """What the background is: how many bases a base depends on, and whether there are several kinds of it."""
    classes = simulation.get("classes") or []
    own = [each for each in classes if each.get("background") is not None or each.get("stretches")]
    backgrounds = own if classes and len(own) == len(classes) else [simulation, *own]
    along = [each["stretches"] for each in backgrounds if each.get("stretches")]
    order = max(map(_order, [kind for each in backgrounds for kind in each.get("stretches") or [each]]))
    depends = {0: "is drawn by itself", 1: "depends on the one before"}.get(order, f"depends on the {order} before")
    kinds = f", in {len(classes)} classes of sequences that differ in it and in how many sites they have"
    stretches = f", in stretches of {max(map(len, along))} kinds that differ in it" if along else ""
    return f"a random background in which each base {depends}{stretches}{kinds if len(classes) > 1 else ''}"


def _order(settings: Mapping[str, Any]) -> int:
    """How many bases before it a base of a background depends on: a table's, else as set, one by default."""
    background = settings.get("background")
    if isinstance(background, list):
        return order_of(np.array(background))
    given = settings.get("background_order")
    return 1 if given is None else int(given)


def _peaks_story(info: Mapping[str, Any], simulation: Mapping[str, Any]) -> str:
    negatives = "the hits of a background region" if simulation.get("negative_implants", True) else "no hits"
    return (
        f"{_n_sequences(info)} regions of {info['seq_length']} bases from {PurePath(str(simulation['genome'])).name}. "
        "Each positive is a peak's region, shuffled so that its dinucleotides stay and all else is lost; then its hits "
        f"of the motifs kept ({motif_source(str(simulation.get('motifs', 'default')))}) are put back, base for base, "
        "where they stood. Negatives are shuffles of positives too, so that composition cannot give the label away, "
        f"with {negatives} put in. So the motifs are the only truth to find.{_drawn_negatives(simulation)}"
    )


def _drawn_negatives(simulation: Mapping[str, Any]) -> str:
    background = simulation.get("background")
    if not isinstance(background, Mapping):
        return ""
    what = {"gc": "GC content", "repeats": "share of repeats"}
    matched = " and ".join(what[each] for each in background["matched"])
    n = background.get("ratio", 1)
    return f" Background regions were drawn from the genome, {n} for each positive, to match its {matched}."


def _text_story(info: Mapping[str, Any], simulation: Mapping[str, Any]) -> str:
    ways = dict.fromkeys(file["coordinates"] for file in info["files"] if file["coordinates"])
    motifs = simulation.get("motifs")
    matrices = "were counted from the sites" if motifs is None else f"are {motif_source(str(motifs))}"
    return (
        f"{_n_sequences(info)} sequences of {info['seq_length']} bases, simulated elsewhere and read from text files "
        f"that tell where their motifs stand (places counted {' and '.join(ways)}). Each site reads what its file says "
        f"it does. Every site of a sequence counts as truth, for every task. The motifs' matrices {matrices}."
    )


#: What is said of the data, by the kind of simulation.
_STORIES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    "grammar": _grammar_story,
    "peaks": _peaks_story,
    "text": _text_story,
}


def _plugged_story(info: Mapping[str, Any], _simulation: Mapping[str, Any]) -> str:
    return (
        f"{_n_sequences(info)} artificial sequences of {info['seq_length']} bases, drawn by a simulator that another "
        f"package brings ({info['kind']}); it says where the motifs stand."
    )


def _n_sequences(info: Mapping[str, Any]) -> str:
    return f"{sum(info['counts'].values()):,}"


def _rules_story(simulation: Mapping[str, Any]) -> str:
    rules = [
        f"{rule['when']} holds in {100 * rule['with_label']:g}% of the sequences with the label {rule['task']} and in "
        f"{100 * rule['without_label']:g}% of the others"
        for rule in simulation.get("rules", [])
    ]
    return f" or stand together ({'; '.join(rules)})" if rules else ""


def motif_source(motifs: str) -> str:
    """Where motifs come from, in words.

    Examples
    --------
    >>> motif_source("jaspar:2022"), motif_source("/data/homer.motifs")
    ('JASPAR 2022', 'from homer.motifs')
    """
    if motifs == "default":
        return "the package's compendium, from JASPAR 2022 CORE vertebrates, CC BY 4.0"
    if motifs.startswith("jaspar:"):
        return f"JASPAR {motifs.removeprefix('jaspar:')}"
    return f"from {PurePath(motifs).name}"


def task_table(info: Mapping[str, Any], simulation: Mapping[str, Any]) -> Table:
    """Tasks, their share of positives and, for peaks and text, their files."""
    columns = [column for column in ("peaks", "positives", "negatives") if column in simulation]
    rows = []
    for task in info["tasks"]:
        files = [PurePath(str(simulation[column][task])).name for column in columns]
        rows.append([task, fixed(100 * info["positive_fraction"][task], 1) + "%", *files])
    titles = [column if column == "peaks" else f"file of {column}" for column in columns]
    return Table(["task", "positives", *titles], rows, (1, 2))


def element_table(simulation: Mapping[str, Any]) -> Table:
    """The elements of a grammar: how often each starts, and what a label adds."""
    rows = []
    for element in simulation.get("elements", []):
        pair = element.get("pair")
        name = str(element.get("motif")) if pair is None else f"{pair[0]} + {pair[1]}"
        own = element.get("name")
        name = name if own in (None, name, name.replace(" ", "")) else f"{own}: {name}"
        gap = element.get("gap") or [0, 0]
        apart = f"{gap[0]}" if gap[0] == gap[1] else f"{gap[0]} to {gap[1]}"
        spacing = "" if pair is None else f", gap {apart}, {element.get('orientation', 'same')} orientation"
        added = ", ".join(f"{task} +{_rate(rate)}" for task, rate in (element.get("enriched") or {}).items())
        position = element.get("position") or {}
        where = "anywhere"
        if position.get("sd") is not None:
            middle = position.get("centre")
            where = f"around {'the middle' if middle is None else f'{middle:g}'}, sd {position['sd']:g}"
        strand = element.get("strand", "both")
        rows.append([name + spacing, _rate(element.get("rate", 0)), added or "no task", where, strand])
    return Table(["element", "a sequence", "more with the label", "where", "strand"], rows, (1, 2))


def class_table(simulation: Mapping[str, Any]) -> Table:
    """The classes of a grammar's sequences: their composition, how many are of each, with a label and without, sites.

    Examples
    --------
    >>> rich, rest = {"weight": 1, "background": [[0.2, 0.3, 0.3, 0.2]], "odds_ratio": {"K562": 3}}, {"weight": 2}
    >>> class_table({"tasks": {"K562": {}}, "classes": [rich, rest]}).rows
    [['1', '60%', '33.3%', '60.0%', '1'], ['2', 'as of all', '66.7%', '40.0%', '1']]
    """
    classes, tasks = simulation["classes"], list(simulation["tasks"])
    weights = np.array([each.get("weight", 1.0) for each in classes])
    ratios = np.array([[(each.get("odds_ratio") or {}).get(task, 1.0) for task in tasks] for each in classes])
    told = [task for task, column in zip(tasks, ratios.T, strict=True) if (column != 1).any()]
    of_label = [weights, *(weights * ratios[:, tasks.index(task)] for task in told)]
    shares = np.stack([each / each.sum() for each in of_label], axis=1)
    rows = [
        [
            str(number + 1),
            _gc(each),
            *(fixed(100 * share, 1) + "%" for share in shares[number]),
            _rate(each.get("rate", 1.0)),
        ]
        for number, each in enumerate(classes)
    ]
    first = "without a label" if told else "of all sequences"
    alone = " alone" if len(tasks) > 1 else ""
    titles = ["class of sequences", "GC", first, *(f"with {task}{alone}" for task in told), "sites, times"]
    return Table(titles, rows)


def _gc(settings: Mapping[str, Any]) -> str:
    """GC content of a class's background, over its kinds of stretches, where the configuration has their tables."""
    kinds = settings.get("stretches") or [settings]
    given = [HUMAN_BACKGROUND if each.get("background") == "human" else each.get("background") for each in kinds]
    if all(each is None for each in given):
        return "as of all"
    if any(isinstance(each, str) for each in given):
        return "of a file"
    reached = np.array([each.get("weight", 1.0) * each.get("length", 1.0) for each in kinds])
    of_kinds = [with_lower_orders(np.array(each))[0, 1:3].sum() for each in given]
    return f"{100 * float(reached @ of_kinds) / reached.sum():.0f}%"


def _rate(rate: float) -> str:
    """Starts a sequence; of a fitted rate that came near 0 no more than that.

    Examples
    --------
    >>> _rate(0.08), _rate(0.0), _rate(1.7e-13)
    ('0.08', '0', '< 0.0001')
    """
    return f"{rate:g}" if rate >= 1e-4 or rate == 0 else "< 0.0001"


def motif_story(log: pd.DataFrame, simulation: Mapping[str, Any]) -> str:
    """How many motifs were tried, kept, and dropped for which reason."""
    least, ratio = simulation.get("min_pos_hits", 0), simulation.get("min_enrichment", 0)
    kept = log.groupby("motif", sort=False)["kept"].any()
    dropped = log[~log["motif"].map(kept)]
    rare = dropped.groupby("motif")["pos_hits"].max() < least
    return (
        f"{len(kept)} motifs were tried at p < {simulation.get('scan_pvalue', 1e-4):g}; {int(kept.sum())} were kept. "
        f"Of the others, {int(rare.sum())} had fewer than {least} hits in the positives of any task, and "
        f"{int((~rare).sum())} were not {ratio:g} times denser in positives than in negatives."
    )


def motif_table(log: pd.DataFrame, most: int = 20) -> Table:
    """The motifs that passed, most enriched first, at most so many rows."""
    passed = log[log["passes"]].sort_values("ratio", ascending=False, kind="stable").head(most)
    rows = []
    for row in passed.to_dict("records"):
        ratio = "only in positives" if np.isposinf(row["ratio"]) else fixed(row["ratio"], 2)
        hits = [fixed(row[name], 0) for name in ("pos_hits", "neg_hits")]
        rows.append([str(row["tf"]), str(row["motif"]), str(row["task"]), *hits, ratio])
    return Table(["factor", "motif", "task", "hits in positives", "hits in negatives", "density ratio"], rows, (3, 99))


def lost_table(lost: list[Mapping[str, Any]]) -> Table:
    """Regions lost at each step: records of step, positives, background, positives_left, background_left."""
    columns = ("positives", "positives_left", "background", "background_left")
    rows = [[str(step["step"]), *(fixed(step.get(name), 0) for name in columns)] for step in lost]
    return Table(["step", "positives lost", "positives left", "background lost", "background left"], rows)


def composition_table(compared: list[Mapping[str, Any]]) -> Table:
    """Positives against negatives, before the shuffle: records of measure, positives, negatives, ks and ks_chance."""
    titles = {"gc": "GC content", "repeats": "share of repeats"}
    columns = ("positives", "negatives", "ks", "ks_chance")
    rows = [
        [titles.get(each["measure"], str(each["measure"])), *(fixed(each.get(name), 3) for name in columns)]
        for each in compared
    ]
    return Table(["measure", "positives", "negatives", "KS distance", "by chance below"], rows)


def leakage_table(compared: list[Mapping[str, Any]]) -> Table:
    """Split against split: records of first, second, n, overlapping, sharing and near_duplicates."""
    columns = ("n", "overlapping", "sharing", "near_duplicates")
    rows = [
        [f"{each['second']} against {each['first']}", *(fixed(each.get(name), 0) for name in columns)]
        for each in compared
    ]
    return Table(["regions of", "in all", "overlap one", "share a 30-mer", "near-duplicates"], rows)
