"""PyTorch modules and ONNX files in the train stage: checked, measured and kept as they are, with nothing trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simbench_tf.config import Model, Replicate
from simbench_tf.dataset import Dataset
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.run.manifest import checksum_named
from simbench_tf.run.models import outputs_of_tasks
from simbench_tf.stages.from_data import write_empty_history

if TYPE_CHECKING:
    from simbench_tf.attribution.network import Output

#: Sequences that are made one-hot together.
_TOGETHER = 4096


def outside_inputs(replicate: Replicate) -> dict[str, Any]:
    """What a model of another framework depends on beside the data set, as plain values; files by their checksums.

    Raises
    ------
    InputError
        A file or function that the configuration names is missing.
    """
    model, where = replicate.model, f"models.{replicate.model.name}"
    kept = {"name": replicate.name, "layout": model.layout, "outputs": model.outputs}
    if model.onnx is not None:
        from simbench_tf.attribution.onnx_model import onnx_files

        checksum_named(model.onnx, f"{where}.onnx")  # that it is there
        return {"model": {**kept, "onnx": [checksum(path) for path in onnx_files(model.onnx)]}}
    from simbench_tf.models.user_functions import source_file

    assert model.torch is not None
    source = source_file(model.torch, f"{where}.torch")
    named, _, function = model.torch.rpartition(":")
    made_by = {
        "torch": [function if named.endswith(".py") else model.torch, source and checksum(source)],
        "settings": model.settings,
        "weights": model.weights and checksum_named(model.weights, f"{where}.weights"),
    }
    return {"model": {**kept, **made_by}, "seed": replicate.seed}


def load_given_outside(model: Model, seq_length: int, tasks: Sequence[str], seed: int, output: Output) -> Any:
    """Load a model of another framework as the configuration gives it, and see that it can be explained.

    Returns
    -------
    torch.nn.Module or OnnxModel

    Raises
    ------
    InputError
        It cannot be loaded, does not take the data set's sequences, its outputs do not fit, or its `output` cannot be
        told.
    """
    from simbench_tf.attribution.network import open_network
    from simbench_tf.models.outside import check_outputs

    where = f"models.{model.name}"
    named, loaded = _loaded(model, seq_length, len(tasks), seed, where)
    try:
        n_outputs = open_network(loaded, seq_length, output="probability").n_outputs
        check_outputs(n_outputs, tasks, model.outputs, named, where)
        open_network(loaded, seq_length, list(outputs_of_tasks(model, list(tasks)).values()), output)
    except InputError as error:
        if error.where != "model":
            raise
        of_ending = str(error.mend).endswith('output="probability"')
        mend = "set attribution.output=probability to explain what it returns, as it is" if of_ending else error.mend
        raise InputError(named, error.what, mend) from error
    return loaded


def _loaded(model: Model, seq_length: int, n_tasks: int, seed: int, where: str) -> tuple[str, Any]:
    """What errors call the model, and the model."""
    if model.onnx is not None:
        from simbench_tf.attribution.onnx_model import load_onnx

        return str(model.onnx), load_onnx(model.onnx, model.layout)
    from simbench_tf.models.outside import TorchModule, build_torch

    assert model.torch is not None
    given = TorchModule(model.torch, model.settings, model.weights, model.layout, seq_length, n_tasks, seed)
    return f"{where}.torch", build_torch(given, where)


def take_outside(replicate: Replicate, dataset: Dataset, folder: Path, output: Output) -> list[Path]:
    """Write RUN/models/MODEL of a PyTorch module or an ONNX file: what it is, a copy of its file; returns the files.

    Raises
    ------
    InputError
        As `load_given_outside`; or it predicts something not finite.
    """
    from simbench_tf.training import split_metrics, write_metrics

    model, tasks = replicate.model, dataset.tasks
    loaded = load_given_outside(model, dataset.seq_length, tasks, replicate.seed, output)
    outputs = outputs_of_tasks(model, tasks)
    predicted = _predict(loaded, dataset, list(outputs.values()))
    if not np.isfinite(predicted).all():
        what = "predicts values that are not finite for sequences of the test split"
        raise InputError(f"models.{model.name}", what, "give a model whose outputs are numbers")
    labels = dataset.labels("test")[:, [tasks.index(task) for task in outputs]]

    # measures last: where they are, the model is whole
    files = [*_write_model(model, replicate.seed, dataset, folder), folder / "history.csv", folder / "metrics.json"]
    write_empty_history(files[-2])
    write_metrics(files[-1], split_metrics(labels, predicted, list(outputs)))
    return files


def _predict(loaded: Any, dataset: Dataset, targets: list[int]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the model returns for the test split, float32 (N, T)."""
    from simbench_tf.attribution.network import open_network

    network, bases = open_network(loaded, dataset.seq_length, targets, output="probability"), dataset.bases("test")
    starts = range(0, len(bases), _TOGETHER)
    parts = [network.outputs(one_hot(bases[first : first + _TOGETHER])).T for first in starts]
    return np.concatenate([np.empty((0, len(targets)), np.float32), *parts])


def _write_model(model: Model, seed: int, dataset: Dataset, folder: Path) -> list[Path]:
    record: dict[str, Any] = {"outputs": outputs_of_tasks(model, dataset.tasks)}
    if model.onnx is not None:
        from simbench_tf.attribution.onnx_model import copy_onnx

        files = [folder / "model.onnx", folder / "onnx.json"]
        with whole_file(files[0]) as partial:
            copy_onnx(model.onnx, partial)
        record = {"layout": model.layout, "files": {"model.onnx": checksum(files[0])}, **record}
    else:
        from simbench_tf.models.user_functions import source_file

        assert model.torch is not None
        source = source_file(model.torch, f"models.{model.name}.torch")
        files = [*([folder / "weights.pt"] if model.weights is not None else []), folder / "torch.json"]
        if model.weights is not None:
            with whole_file(files[0]) as partial:
                shutil.copyfile(model.weights, partial)
        record = {
            "torch": model.torch,
            "settings": model.settings,
            "weights": model.weights is not None and checksum(files[0]),
            "source": source and checksum(source),
            "layout": model.layout,
            "seq_length": dataset.seq_length,
            "n_tasks": len(dataset.tasks),
            "seed": seed,
            **record,
        }
    with whole_file(files[-1]) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return files
