"""The train stage: RUN/models, every model trained, or taken as it is: trained ones, of Kipoi, perfect ones.

One folder per model, or per model and seed (`Config.replicates`): model.keras, history.csv and metrics.json;
python.json where a function of the user's built it, the grammar of the data did, or it is a gkm-SVM (`gkmsvm`);
architecture.json where another package did; trained.json, kipoi.json, torch.json or onnx.json where it was taken as it
is; snapshots/ where the run asks for learning dynamics.
"""

from __future__ import annotations

import functools
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simbench_tf.architectures import LACKING
from simbench_tf.config import Config, Model, Replicate, Training
from simbench_tf.dataset import Dataset, open_dataset
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import checksum, whole_file
from simbench_tf.parallel import Track, silent
from simbench_tf.plugins import version_of
from simbench_tf.run.jobs import Job, replicates_of
from simbench_tf.run.manifest import checksum_named, fingerprint, fresh_files
from simbench_tf.run.models import outputs_of_tasks, snapshots_of
from simbench_tf.stages import ensembles, gkmsvm
from simbench_tf.stages.from_data import build_before_data, make_from_data, write_empty_history
from simbench_tf.stages.method_checks import asked_methods, check_methods, say_unseen
from simbench_tf.stages.outside_models import load_given_outside, outside_inputs, take_outside
from simbench_tf.stages.simulate import by_content
from simbench_tf.stages.step import Made, dataset_checksums, step

if TYPE_CHECKING:  # TensorFlow waits until a model is trained
    from simbench_tf.attribution.network import Output
    from simbench_tf.models.custom import GivenModel
    from simbench_tf.models.kipoi import KipoiModel

_log = logging.getLogger(__name__)
#: In RUN/models/MODEL, while it is trained.
CHECKPOINT = "checkpoint.npz"
_ALL = Job()
#: Settings of a model that its replicates do not depend on, or that `inputs` writes in its own way.
_NOT_OF_EACH = {
    "seeds", "ensemble", "python", "settings", "trained", "outputs", "training", "torch", "weights", "onnx", "output",
    "layout", "held"
}  # fmt: skip


def train(config: Config, folder: Path, track: Track = silent, job: Job = _ALL) -> None:
    """Write RUN/models/MODEL for every model of the configuration, or model and seed; of a `job`, for its own.

    With `dynamics` also the snapshots of its weights, which are that stage's: without it, none is missed. An ensemble
    is measured once all its members are there, by whichever job finds them so.

    Raises
    ------
    InputError
        There is no data set, a model cannot be built or does not fit it, or the run has no such job.
    """
    data = dataset_checksums(folder)
    asked = replicates_of(config, job)
    replicates = [each for each in asked if not each.members]
    keys = {replicate.name: _keys(config, replicate, data) for replicate in replicates}
    stale = [each for each in replicates if not all(fresh_files(folder, key) for key in keys[each.name].values())]
    _check_before_training(config, folder, stale)
    for replicate in stale:
        mine = keys[replicate.name]
        step(folder, mine, functools.partial(write, config, folder, replicate, "+".join(mine.values()), track))
    _remove_checkpoints(replicates, folder)
    for ensemble in (each for each in config.replicates if each.members):
        if ensemble in asked or (set(keys) & set(ensemble.members) and _are_there(config, folder, ensemble, data)):
            key = ensemble_key(config, folder, ensemble, data)
            step(folder, {"train": key}, functools.partial(ensembles.write, config, folder, ensemble))


def _are_there(config: Config, folder: Path, ensemble: Replicate, data: dict[str, str]) -> bool:
    """Whether all members of an ensemble are trained as the configuration says."""
    members = [each for each in config.replicates if each.name in ensemble.members]
    return all(fresh_files(folder, _keys(config, each, data)["train"]) for each in members)


def ensemble_key(config: Config, folder: Path, ensemble: Replicate, data: dict[str, str]) -> str:
    """Fingerprint of an ensemble's files; an InputError where a member is missing."""
    return fingerprint("train", {"dataset": data, **ensembles.inputs(config, folder, ensemble)})


def _remove_checkpoints(replicates: list[Replicate], folder: Path) -> None:
    """Delete the checkpoints of models that are recorded: only now, so that a kill before the record loses nothing."""
    there = [path for each in replicates for path in (folder / "models" / each.name).glob("checkpoint*.npz")]
    if there:
        from simbench_tf.devices import is_chief
        from simbench_tf.training.checkpoints import Checkpoint, remove_checkpoints

        for target in {path.parent for path in there} if is_chief() else ():
            remove_checkpoints(Checkpoint(target / CHECKPOINT, ""))


def _check_before_training(config: Config, folder: Path, stale: list[Replicate]) -> None:
    """See that models after the first can be trained, and, where `check_ahead` had no data yet, what it would see."""
    at_last = config.simulation.length is None  # the data now say how long sequences are
    if not stale or (len(stale) == 1 and not at_last):
        return
    dataset = open_dataset(folder / "dataset")
    networks = check_models(config, stale, dataset.seq_length, dataset.tasks)
    models = {model.name: model for model in config.models}
    for name, network in networks.items() if at_last else ():
        check_methods(config, network, dataset.seq_length, asked_methods(config, models[name]))
        say_unseen(models[name], network, dataset.seq_length)


def _keys(config: Config, replicate: Replicate, data: dict[str, str]) -> dict[str, str]:
    """Fingerprints of a model's files, and of the snapshots on the way where they are asked for."""
    made_from = {"dataset": data, **inputs(config, replicate)}
    keys = {"train": fingerprint("train", made_from)}
    if config.dynamics is not None and replicate in config.watched:
        keys["dynamics"] = fingerprint("snapshots", {**made_from, "checkpoints": config.dynamics.checkpoints})
    return keys


def check_models(config: Config, replicates: Sequence[Replicate], seq_length: int, tasks: list[str]) -> dict[str, Any]:
    """Build or load each model once, without training it; return those that can be explained ahead, by name.

    Of a trained Keras model also see that the output asked for, the logit or what it returns, can be attributed. The
    exact posterior fits the grammar that makes it, and is not built, nor is a gkm-SVM, of which settings are checked.

    Raises
    ------
    InputError
        A model cannot be built or loaded, or its input or outputs do not fit the data.
    """
    from simbench_tf.devices import strategy
    from simbench_tf.training import build_model

    strategy()  # before TensorFlow computes anything
    networks: dict[str, Any] = {}
    for replicate in {each.model.name: each for each in replicates}.values():
        model, seed = replicate.model, replicate.seed
        if model.is_gkmsvm:
            gkmsvm.check_settings(replicate, seq_length)
        elif model.kipoi is not None:
            entry, _ = _load_entry(model.kipoi, seq_length, tasks)
            networks |= {model.name: entry.model} if entry.is_keras else {}
        elif model.trained:
            networks[model.name] = _load_given(model, seq_length, tasks, config.attribution.output).model
        elif model.is_outside:
            networks[model.name] = load_given_outside(model, seq_length, tasks, seed, config.attribution.output)
        elif model.is_from_data:
            networks |= {} if model.architecture in LACKING else {model.name: build_before_data(model, config)}
        else:
            networks[model.name] = build_model(model, seq_length, len(tasks), seed)
    return networks


def inputs(config: Config, replicate: Replicate) -> dict[str, Any]:
    """What a trained model depends on beside the data set, as plain values; files by their checksums.

    Raises
    ------
    InputError
        A file or function that the configuration names is missing.
    """
    model, key = replicate.model, f"models.{replicate.model.name}"
    # another number of seeds leaves each of them as it is
    settings = {**model.model_dump(mode="json", exclude=_NOT_OF_EACH), **_form(model, key)}
    settings["name"] = replicate.name
    if model.padding == "valid":  # as runs had it before there was a choice
        del settings["padding"]
    if model.trained:  # how models are trained, and from which seed, is nothing to it
        assert model.keras is not None
        file = files_of(str(model.keras)) or checksum_named(model.keras, f"{key}.keras")
        return {"model": {"name": replicate.name, "trained": file, "outputs": model.outputs, **_form(model, key)}}
    if model.is_outside:
        return outside_inputs(replicate)
    if model.is_from_data:
        made_by = {"architecture": model.architecture, "settings": model.settings}
        return {"model": {"name": replicate.name, **made_by}, "simulation": by_content(config)}
    if model.is_gkmsvm:
        return gkmsvm.inputs(replicate)
    if model.keras is not None:
        settings["keras"] = files_of(str(model.keras)) or checksum_named(model.keras, f"{key}.keras")
    if model.python is not None:
        from simbench_tf.models.user_functions import source_file

        source = source_file(model.python, f"{key}.python")
        function = model.python.rpartition(":")[2] if model.python.rpartition(":")[0].endswith(".py") else model.python
        settings |= {"python": [function, source and checksum(source)], "settings": model.settings}
    if model.is_plugged:
        settings |= {"settings": model.settings, **version_of("architecture", str(model.architecture))}
    if model.kipoi is not None:
        settings["kipoi"] = files_of(model.kipoi) or model.kipoi
    # what is left out changes how training is stored and logged, not the model
    chosen = config.training_for(model)
    training = chosen.model_dump(mode="json", exclude={"checkpoint_interval", "tensorboard", "recipe"})
    # models trained before there were these settings stay fresh
    for later in ("fresh", "augment", "ema_momentum", "shuffled_labels"):
        if getattr(chosen, later) == getattr(Training(), later):
            del training[later]
    return {
        "training": training,
        "model": settings,
        "seed": replicate.seed,
    }


def _form(model: Model, key: str) -> dict[str, Any]:
    """What is said of a model's inputs and outputs, files by their checksums; nothing of a plain model."""
    held = {
        name: checksum_named(value, f"{key}.held.{name}") if isinstance(value, Path) else value
        for name, value in model.held.items()
    }
    form = {"output": model.output, "layout": model.layout, "held": held or None}
    return {name: value for name, value in form.items() if value is not None}


def write(config: Config, folder: Path, replicate: Replicate, key: str, track: Track) -> Made:
    """Train a model, or take it as it is, and write RUN/models/MODEL; of several hosts the chief alone writes.

    Training that was killed under the same `key`, the fingerprint of all that is made here, is resumed from its
    checkpoint.
    """
    from simbench_tf.devices import device, is_chief, strategy
    from simbench_tf.models.custom import write_architecture, write_function
    from simbench_tf.training import Snapshots, build_model, log_spaced_batches, read_snapshots, train
    from simbench_tf.training.checkpoints import Checkpoint

    strategy()  # before TensorFlow computes anything
    dataset = open_dataset(folder / "dataset")
    target = folder / "models" / replicate.name
    model, training = replicate.model, config.training_for(replicate.model)
    if model.kipoi is not None:
        return Made({"train": adopt(model.kipoi, dataset, target)} if is_chief() else {}, device())
    if model.trained:
        taken = {"train": take_trained(model, dataset, target, config.attribution.output)} if is_chief() else {}
        return Made(taken, device())
    if model.is_outside:
        output = config.attribution.output
        return Made({"train": take_outside(replicate, dataset, target, output)} if is_chief() else {}, device())
    if model.is_from_data:
        made = {"train": make_from_data(model, dataset, target, config)} if is_chief() else {}
        return Made(made, device())
    if model.is_gkmsvm:
        return Made({"train": gkmsvm.train_machines(replicate, dataset, target, track)} if is_chief() else {})
    network = build_model(model, dataset.seq_length, len(dataset.tasks), replicate.seed)
    callbacks = []
    if config.dynamics is not None and replicate in config.watched and is_chief():
        batches = log_spaced_batches(config.dynamics.checkpoints, training.max_batches)
        callbacks.append(Snapshots(snapshots_of(folder, replicate.name), batches))
    checkpoint = Checkpoint(target / CHECKPOINT, key)
    with track(f"train {replicate.name}", training.max_batches) as advance:
        trained = train(network, dataset, training, replicate.seed, target, advance, callbacks, checkpoint, config)
    if not is_chief():
        return Made({}, trained.computation.device)
    files = {"train": [target / name for name in ("model.keras", "history.csv", "metrics.json")]}
    if model.python is not None:
        files["train"].append(write_function(target, model.python))
    if model.is_plugged:
        files["train"].append(write_architecture(target, str(model.architecture)))
    if callbacks:
        files["dynamics"] = [snapshot.path for snapshot in read_snapshots(snapshots_of(folder, replicate.name))]
    details = trained.computation._asdict()
    return Made(files, details.pop("device"), details)


#: Sequences that a model of Kipoi predicts in one call.
_PREDICTED_SEQUENCES = 500


def adopt(source: str, dataset: Dataset, folder: Path) -> list[Path]:
    """Write RUN/models/MODEL of a Kipoi model; returns its files.

    Parameters
    ----------
    source : str
        The folder of an entry, or SOURCE/NAME.
    dataset : Dataset
        Its tasks are looked for among the names of the model's outputs; with as many outputs as tasks, and none of
        them named so, they are taken in order.
    folder : path
        RUN/models/MODEL.

    Raises
    ------
    InputError
        There is no such model, it cannot be loaded, or its input or outputs do not fit the data set.
    """
    from simbench_tf.training import split_metrics, write_metrics

    entry, outputs = _load_entry(source, dataset.seq_length, dataset.tasks)
    bases = dataset.bases("test")
    parts = [
        np.asarray(entry.model(one_hot(bases[first : first + _PREDICTED_SEQUENCES])), np.float32)[
            :, list(outputs.values())
        ]
        for first in range(0, len(bases), _PREDICTED_SEQUENCES)
    ]
    probabilities = np.concatenate([np.empty((0, len(outputs)), np.float32), *parts])
    record = {"source": source, "files": files_of(source), "is_keras": entry.is_keras, "outputs": outputs}

    files = [folder / name for name in ("kipoi.json", "history.csv", "metrics.json")]
    _write_record(files[0], record)
    write_empty_history(files[1])
    if entry.is_keras:
        files.append(folder / "model.keras")
        with whole_file(files[-1]) as partial:
            entry.model.save(partial)
    write_metrics(files[2], split_metrics(dataset.labels("test"), probabilities, dataset.tasks))
    return files


def take_trained(model: Model, dataset: Dataset, folder: Path, output: Output) -> list[Path]:
    """Write RUN/models/MODEL of a trained Keras model, a copy of its file, or made plain; returns its files.

    Raises
    ------
    InputError
        It cannot be loaded, its input or outputs do not fit the data set, its `output` cannot be attributed, or it
        predicts something not finite.
    """
    from simbench_tf.models.custom import write_saved_model
    from simbench_tf.training import split_metrics, write_metrics
    from simbench_tf.training.evaluate import predict

    assert model.keras is not None
    network, is_file = _load_given(model, dataset.seq_length, dataset.tasks, output)
    outputs = outputs_of_tasks(model, dataset.tasks)
    predicted = predict(network, dataset.bases("test"))[:, list(outputs.values())]
    if not np.isfinite(predicted).all():
        what = "predicts values that are not finite for sequences of the test split"
        raise InputError(model.keras, what, "give a model whose outputs are numbers")
    labels = dataset.labels("test")[:, [dataset.tasks.index(task) for task in outputs]]

    # measures last: where they are, the model is whole
    files = [folder / name for name in ("model.keras", "trained.json", "history.csv", "metrics.json")]
    with whole_file(files[0]) as partial:
        if is_file:
            shutil.copyfile(model.keras, partial)
        else:
            network.save(partial)
    if model.is_saved_model:
        files.insert(1, write_saved_model(folder, model.keras))
    _write_record(folder / "trained.json", {"outputs": outputs})
    write_empty_history(folder / "history.csv")
    write_metrics(folder / "metrics.json", split_metrics(labels, predicted, list(outputs)))
    return files


def _load_given(model: Model, seq_length: int, tasks: list[str], output: Output) -> GivenModel:
    from simbench_tf.attribution.network import open_network
    from simbench_tf.models.custom import load_given_model
    from simbench_tf.training import form_of

    assert model.keras is not None
    where = f"models.{model.name}"
    given = load_given_model(model.keras, seq_length, tasks, model.outputs, where, form_of(model))
    try:
        open_network(given.model, seq_length, list(outputs_of_tasks(model, tasks).values()), output)
    except InputError as error:
        mend = "set attribution.output=probability to explain what it returns, as it is"
        raise InputError(model.keras, error.what, mend) from error
    return given


def _write_record(path: Path, record: dict[str, Any]) -> None:
    with whole_file(path) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def files_of(source: str) -> dict[str, str]:
    """Checksums of an entry's own files, by path; of a model in a source of Kipoi nothing is known but its name."""
    folder = Path(source)
    paths = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    made = {"__pycache__", "downloaded"}
    return {
        path.relative_to(folder).as_posix(): checksum(path)
        for path in paths
        if not made.intersection(path.parts) and path.suffix != ".fai"
    }


def _load_entry(source: str, seq_length: int, tasks: list[str]) -> tuple[KipoiModel, dict[str, int]]:
    """Load a model of Kipoi that fits the data, with the number of the output that predicts each task."""
    from simbench_tf.models.kipoi import load_kipoi_model

    entry = load_kipoi_model(source)
    if entry.seq_length != seq_length:
        what = f"takes {entry.seq_length} bases, the data set has {seq_length}"
        raise InputError(source, what, "simulate sequences of the model's length")
    return entry, _outputs_of_tasks(source, entry.task_names, tasks)


def _outputs_of_tasks(source: str, names: list[str], tasks: list[str]) -> dict[str, int]:
    if set(tasks) <= set(names):
        return {task: names.index(task) for task in tasks}
    if len(tasks) == len(names) and not set(tasks) & set(names):
        return {task: number for number, task in enumerate(tasks)}
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    raise InputError(
        source, f"has the outputs {shown}, the data set the tasks {', '.join(tasks)}", "name the tasks as the outputs"
    )
