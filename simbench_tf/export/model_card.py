"""Model cards: the README.md of a shared model, and the YAML header by which Hugging Face finds and lists it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from simbench_tf.export.describe_run import DescribedModel, number, share
from simbench_tf.export.entry import EntryInfo
from simbench_tf.export.entry_files import template
from simbench_tf.export.people import spoken_name
from simbench_tf.export.shared_files import INPUT, OUTPUT, packages

#: What a model of each kind of data does not know.
_LIMITS = {
    "grammar": "It knows the motifs of its grammar and nothing of any genome.",
    "peaks": "Its sequences are shuffles of real ones in which nothing but hits of known motifs was put back.",
    "text": "Its sequences are those of a simulation that was made elsewhere.",
}
#: Measures as Hugging Face names them, and as we do.
_MEASURES = {"roc_auc": ("auroc", "auROC"), "average_precision": ("auprc", "auPRC")}


def model_card(
    described: DescribedModel,
    info: EntryInfo,
    *,
    model_file: str,
    get_it: Sequence[str],
    contents: Mapping[str, str],
) -> str:
    """The text of a card, without a header.

    Parameters
    ----------
    described : DescribedModel
    info : EntryInfo
        Its description with who made it; `info.doc` opens the card.
    model_file : str
        Name of the .keras file beside it.
    get_it : sequence of str
        Lines of Markdown: how it is downloaded.
    contents : mapping of str to str
        What each file of the folder is.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False
    )
    return environment.from_string(template("model_card.md.j2")).render(
        title=title_of(described),
        about=info.doc,
        rows=_rows(described),
        get_it=get_it,
        model_file=model_file,
        packages=packages(),
        input=f"{described.sequences.shape[1]} bases as {INPUT}",
        output=OUTPUT,
        trained_on=described.trained_on,
        training_procedure=described.training_procedure,
        files=_files(described.configuration["simulation"]),
        limits=_LIMITS[described.kind],
        contents=contents.items(),
        license=info.license,
        authors=[spoken_name(person) for person in info.authors],
        contributors=[spoken_name(person) for person in info.contributors],
        cite_as=info.cite_as,
        papers=[f"{paper.short}, {paper.title}, {paper.journal}, {paper.url}" for paper in described.papers],
    )


def title_of(described: DescribedModel) -> str:
    """What a shared model is called: its data set and its architecture."""
    return f"{described.dataset_name}: {described.architecture}"


def _rows(described: DescribedModel) -> list[list[str]]:
    rows = []
    for task, one in described.metrics.items():
        reached = share(one)
        ceilings = [number(one[name]) if name in one else "not known" for name in ("oracle_auroc", "oracle_auprc")]
        rows.append(
            [
                task,
                number(one["auroc"]),
                ceilings[0],
                "" if reached is None else f"{round(reached, 2) + 0:.0%}",  # no minus before a zero
                number(one["auprc"]),
                ceilings[1],
                number(one["positive_fraction"]),
            ]
        )
    return rows


def _files(simulation: Mapping[str, Any]) -> list[str]:
    """Files that the simulation reads: of peaks the genome and the peaks, of text the sequences."""
    named = [simulation.get(key) for key in ("genome", "peaks", "background", "positives", "negatives")]
    found: list[str] = []
    for each in named if simulation["kind"] != "grammar" else ():
        values = each.values() if isinstance(each, Mapping) else each if isinstance(each, list) else [each]
        found += [f"`{value}`" for value in values if value is not None]
    return list(dict.fromkeys(found))


def card_header(described: DescribedModel, info: EntryInfo) -> str:
    """The YAML header of a card on Hugging Face, with the metrics of each task as model-index."""
    architecture = described.architecture.partition(",")[0].lower()
    known = ["basset", "beluga"]
    header = {
        "license": info.license.lower(),
        "library_name": "keras",
        "tags": ["biology", "genomics", "dna", "regulatory-genomics", "simulated-data"]
        + [each for each in known if each in architecture],
        "metrics": list(_MEASURES),
        "model-index": [{"name": title_of(described), "results": _results(described)}],
    }
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=100)}---\n\n"


def _results(described: DescribedModel) -> list[dict[str, Any]]:
    """A result a task; of its measures those that are defined."""
    results = []
    for task, one in described.metrics.items():
        measured = [
            {"type": kind, "value": one[key], "name": f"{name}, {task}"}
            for kind, (key, name) in _MEASURES.items()
            if one[key] is not None
        ]
        data = {
            "type": described.dataset_name,
            "name": f"{described.dataset_name} (simulated DNA), {task}",
            "config": task,
            "split": "test",
        }
        named = {"type": "other", "name": f"Label {task} of {described.sequences.shape[1]} bases of DNA"}
        if measured:
            results.append({"task": named, "dataset": data, "metrics": measured})
    return results
