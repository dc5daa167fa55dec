"""RUN/knockouts: predictions and attributions for sequences in which the sites of a rule were knocked out.

One file per model, task and method: its attributions of each sequence as it is, without the first part of the rule, and
without the second, and the model's own predictions for these and for the sequence without both. Part of the attribute
stage. See `simulate.grammar.knockouts`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simbench_tf.config import Config
from simbench_tf.dataset import Dataset
from simbench_tf.devices import device
from simbench_tf.hdf5 import read_h5, whole_h5
from simbench_tf.parallel import MapInOrder, Track
from simbench_tf.random_streams import choose_rows
from simbench_tf.run.attributions import AttributionFile
from simbench_tf.run.parts import PartsFolder, parts_of, read_scores
from simbench_tf.simulate.grammar.knockouts import Interaction, interactions, knock_out, part_mask
from simbench_tf.stages.attribute_chunks import attribute_bases, job_of, predictions_of
from simbench_tf.stages.simulate import by_content, grammar_of
from simbench_tf.stages.step import Made

Booleans = npt.NDArray[np.bool_]


#: Fewer sequences than this say nothing of an interaction, which is then left out.
MIN_SEQUENCES = 5


class KnockOuts(NamedTuple):
    """The knock-outs of an interaction: N sequences that hold both of its parts, and what is left of them without.

    Attributes
    ----------
    interaction : Interaction
    rows : int64 (N,)
        Rows of the attributed split.
    sequences : uint8 (N, 4, L)
        As `simulate.grammar.knockouts.KNOCK_OUTS`.
    first, second : bool (N, L)
        Where the parts lie.
    """

    interaction: Interaction
    rows: npt.NDArray[np.int64]
    sequences: npt.NDArray[np.uint8]
    first: Booleans
    second: Booleans


def knock_outs_of(config: Config, dataset: Dataset, folder: Path) -> list[KnockOuts]:
    """Knock out the parts of each interaction of the attributed tasks, in `n_sequences` at most; none for peaks."""
    if not config.simulation.has_oracle:
        return []
    grammar = grammar_of(config, folder)
    wanted = config.attribution.tasks or config.tasks
    found = [each for each in interactions(grammar) if each.task in wanted]
    if not found:
        return []
    split = config.attribution.split
    bases, seq_ids = dataset.bases(split), dataset.seq_ids(split)
    knock_outs = []
    for each in found:
        first, second = (part_mask(grammar, dataset.sites, seq_ids, part) for part in (each.first, each.second))
        rows = np.flatnonzero(first.any(axis=1) & second.any(axis=1))
        purpose = f"probes {each.task} {each.first.name} {each.second.name}"
        rows = choose_rows(config.seed, purpose, rows, config.attribution.n_sequences)
        if len(rows) >= MIN_SEQUENCES:
            sequences = knock_out(grammar, bases[rows], first[rows], second[rows], config.seed, rows)
            knock_outs.append(KnockOuts(each, rows, sequences, first[rows], second[rows]))
    return knock_outs


def knock_outs_file(file: AttributionFile, folder: Path) -> Path:
    """Path of the knock-outs of a model, task and method."""
    return folder / "knockouts" / file.model / file.task / f"{file.key}.h5"


def inputs(config: Config, attribution_inputs: dict[str, Any]) -> dict[str, Any]:
    """What a file of knock-outs depends on: all that the attribution file beside it does, and the grammar."""
    return {**attribution_inputs, "simulation": by_content(config), "probes": "knocked out"}


def write(
    file: AttributionFile,
    config: Config,
    folder: Path,
    knock_outs: list[KnockOuts],
    key: str,
    map_in_order: MapInOrder,
    track: Track,
) -> Made:
    """Attribute the knocked-out sequences of a task, and write them with the model's predictions.

    Parts, as of `stages.attribute.write`, stay until the caller has recorded the file.
    """
    path, job = knock_outs_file(file, folder), job_of(file, config)
    total = 3 * sum(len(each.rows) for each in knock_outs)
    with (
        track(f"{file.model} {file.task} {file.key} knock-outs", total) as advance,
        whole_h5(path) as h5,
    ):
        for number, each in enumerate(knock_outs):
            n, _, length = each.sequences.shape
            bases, parts = each.sequences[:, :3].reshape(-1, length), PartsFolder(parts_of(path) / str(number), key)
            done = attribute_bases(job, bases, None, ["scores"], parts, map_in_order, advance)
            group = h5.create_group(str(number))
            group.create_dataset("scores", data=read_scores(done).reshape(n, 3, length), compression="gzip")
            group.create_dataset("answers", data=predictions_of(job, each.sequences.reshape(-1, length)).reshape(n, 4))
    return Made({"attribute": [path]}, device())


def read_knock_outs(path: Path) -> list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
    """Read scores (N, 3, L) and predictions (N, 4) of each of the task's knock-outs, in their order."""
    with read_h5(path) as h5:
        return [(h5[str(number)]["scores"][:], h5[str(number)]["answers"][:]) for number in range(len(h5))]
