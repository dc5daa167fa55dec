"""The grammar of a data set: built again from the configuration that drew it, and held against its first sequences."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from simbench_tf.config import Config, GrammarSimulation, load_config
from simbench_tf.dataset import Dataset
from simbench_tf.errors import InputError
from simbench_tf.motifs import load_motifs
from simbench_tf.simulate.grammar import Grammar, build_grammar, draw_bases

# sequences of a data set that are drawn again, to see that they are of this grammar
_COMPARED = 8


def grammar_of_run(simulation: GrammarSimulation, folder: Path) -> Grammar:
    """The grammar of a run's settings; `folder` is the run, where the index of a background's FASTA may be."""
    return build_grammar(simulation, load_motifs(simulation.motifs), folder / "genome")


def grammar_of(
    dataset: Dataset,
    config: Config | None = None,
    asked_by: str = "training.fresh",
    mend: str = "leave it out",
) -> Grammar:
    """The grammar that a data set was drawn from.

    Parameters
    ----------
    dataset : Dataset
    config : Config, optional
        The configuration of its run; by default it is read from config.yaml beside the data set's folder.
    asked_by, mend : str
        What needs it, and what to do without: for errors.

    Raises
    ------
    InputError
        The data are of another kind, there is no configuration, or it draws other sequences.
    """
    if dataset.kind != "grammar":
        raise InputError(asked_by, f"{dataset.path} holds {dataset.kind} data, which no grammar drew", mend)
    path = dataset.path.parent / "config.yaml"
    if config is None:
        if not path.is_file():
            what = f"needs the configuration that drew {dataset.path}, and there is no {path}"
            raise InputError(asked_by, what, f"open the data set within its run, or {mend}")
        config = load_config(path)
    settings, source = config.simulation, path if path.is_file() else asked_by
    other = f"draws other sequences than {dataset.path} holds", f"simulate again, or {mend}"
    if not isinstance(settings, GrammarSimulation):
        raise InputError(source, *other)
    grammar = grammar_of_run(settings, dataset.path.parent)
    kept = dataset.first(_COMPARED)
    if kept[0].shape[1] != grammar.seq_length or dataset.tasks != list(grammar.tasks):
        raise InputError(source, *other)
    drawn = draw_bases(grammar, config.seed, 0, len(kept[0]))
    if not all(map(np.array_equal, kept, drawn)):
        raise InputError(source, *other)
    return grammar
