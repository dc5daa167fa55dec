"""RUN/knockouts: what models and methods say of sequences in which parts of a rule were knocked out.

A file a model, task and method: its attributions of three variants of each probe (as it is, without the first part,
without the second), and the model's own answers to all four. See `simulate.knockouts`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from simbench_tf.config import Config, GrammarSimulation
from simbench_tf.dataset import Dataset
from simbench_tf.files import whole_file
from simbench_tf.motifs import load_motifs
from simbench_tf.parallel import MapInOrder
from simbench_tf.random_streams import choose_rows
from simbench_tf.run.attributions import Explained
from simbench_tf.run.parts import parts_of, read_scores
from simbench_tf.simulate.grammar import build_grammar
from simbench_tf.simulate.grammar.knockouts import Interaction, interactions, knock_out, part_mask
from simbench_tf.stages.attribute_chunks import answers_of, explain_bases

Booleans = npt.NDArray[np.bool_]


#: Fewer probes than this say nothing of an interaction, which is then left out.
FEWEST = 5


class Probes(NamedTuple):
    """The probes of an interaction: N sequences that hold both of its parts.

    Attributes
    ----------
    interaction : Interaction
    rows : int64 (N,)
        Rows of the explained split.
    variants : uint8 (N, 4, L)
        As `simulate.grammar.knockouts.KNOCK_OUTS`.
    first, second : bool (N, L)
        Where the parts lie.
    """

    interaction: Interaction
    rows: npt.NDArray[np.int64]
    variants: npt.NDArray[np.uint8]
    first: Booleans
    second: Booleans


def probes_of(config: Config, dataset: Dataset, folder: Path) -> list[Probes]:
    """Draw the probes of every interaction of the explained tasks, at most `n_sequences` each; none for peaks."""
    if not isinstance(config.simulation, GrammarSimulation):
        return []
    grammar = build_grammar(config.simulation, load_motifs(config.simulation.motifs), folder / "genome")
    wanted = config.attribution.tasks or config.tasks
    found = [each for each in interactions(grammar) if each.task in wanted]
    if not found:
        return []
    split = config.attribution.split
    bases, seq_ids = dataset.bases(split), dataset.seq_ids(split)
    probes = []
    for each in found:
        first, second = (part_mask(grammar, dataset.sites, seq_ids, part) for part in (each.first, each.second))
        rows = np.flatnonzero(first.any(axis=1) & second.any(axis=1))
        purpose = f"probes {each.task} {each.first.name} {each.second.name}"
        rows = choose_rows(config.seed, purpose, rows, config.attribution.n_sequences)
        if len(rows) >= FEWEST:
            variants = knock_out(grammar, bases[rows], first[rows], second[rows], config.seed, rows)
            probes.append(Probes(each, rows, variants, first[rows], second[rows]))
    return probes


def probed_file(file: Explained, folder: Path) -> Path:
    """Where the knock-outs of a method stand."""
    return folder / "knockouts" / file.model / file.task / f"{file.key}.h5"


def write_probed(
    file: Explained,
    config: Config,
    folder: Path,
    probes: list[Probes],
    key: str,
    map_in_order: MapInOrder,
    advance: Callable[[int], None],
) -> Path:
    """Attribute the variants of a task's probes, and write them with the model's answers; returns the file.

    Parts, as of `stages.attribute.write_explained`, stay until the caller has recorded the file.
    """
    path = probed_file(file, folder)
    with whole_file(path) as partial, h5py.File(partial, "w") as h5:
        for number, (_, _, variants, _, _) in enumerate(probes):
            n, _, length = variants.shape
            bases, parts = variants[:, :3].reshape(-1, length), parts_of(path) / str(number)
            done = explain_bases(file, config, bases, None, ["scores"], parts, key, map_in_order, advance)
            group = h5.create_group(str(number))
            group.create_dataset("scores", data=read_scores(done).reshape(n, 3, length), compression="gzip")
            group.create_dataset("answers", data=answers_of(file, config, variants.reshape(-1, length)).reshape(n, 4))
    return path


def read_probed(path: Path) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Scores (N, 3, L) and answers (N, 4) of each of the task's probes, in their order."""
    with h5py.File(path) as h5:
        return [(h5[str(number)]["scores"][:], h5[str(number)]["answers"][:]) for number in range(len(h5))]
