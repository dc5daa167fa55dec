"""Checks ahead: what can be known to be wrong with a run is said before anything is computed."""

from __future__ import annotations

from pathlib import Path

from simbench_tf.architectures import LACKING
from simbench_tf.config import Config, MethodSettings, Replicate
from simbench_tf.dataset import open_dataset
from simbench_tf.run.attributions import taken_methods
from simbench_tf.run.folder import check_requests
from simbench_tf.run.manifest import fingerprint, fresh_files
from simbench_tf.run.models import find_model, is_held, load_model
from simbench_tf.stages.method_checks import asked_methods, check_methods, say_unseen
from simbench_tf.stages.motif_callers import check_callers
from simbench_tf.stages.room import check_room
from simbench_tf.stages.simulate import PART_SEQUENCES, check_files
from simbench_tf.stages.step import dataset_checksums
from simbench_tf.stages.train import check_models, inputs


def check_ahead(config: Config, folder: Path) -> None:
    """Check the files, functions and entries that a configuration names, every model against the data, and
    every method against the models.

    Models that the run holds already are not built again, and loaded only for methods that they were not explained by
    yet. Where only the data say how long the sequences are, models and methods are checked when the data are there,
    before the first is trained.

    Raises
    ------
    InputError
        A method or setting is unknown; the data would fit neither disk nor memory; a motif caller is not installed; a
        file, function or entry is missing; a model cannot be built, or its input or outputs do not fit; a method has no
        rule for one of its layers.
    """
    check_requests(config)
    check_files(config)
    check_room(config, folder, PART_SEQUENCES)
    if config.discovery is not None:
        check_callers(config.discovery)
    models_alone = [each for each in config.replicates if not each.members]  # an ensemble takes what its members take
    for replicate in models_alone:
        inputs(config, replicate)
    held = _held(config, folder)
    for replicate in held:
        _check_new_methods(config, folder, replicate)
    missing, length = [each for each in models_alone if each not in held], config.simulation.length
    if missing and length is not None:
        models = {model.name: model for model in config.models}
        for name, network in check_models(config, missing, length, config.tasks).items():
            check_methods(config, network, length, asked_methods(config, models[name]))
            say_unseen(models[name], network, length)


def _held(config: Config, folder: Path) -> list[Replicate]:
    """Models that the run holds as they are configured now."""
    if not (folder / "dataset" / "dataset.json").is_file():
        return []
    data = dataset_checksums(folder)
    return [
        each
        for each in config.replicates
        if not each.members and fresh_files(folder, fingerprint("train", {"dataset": data, **inputs(config, each)}))
    ]


def _check_new_methods(config: Config, folder: Path, replicate: Replicate) -> None:
    """Check the methods by which a model that the run holds was not explained yet."""
    if replicate.model.architecture in LACKING:
        return  # what it takes is known without it
    new = _new_methods(config, folder, replicate)
    file = find_model(replicate, config.tasks, folder).file
    if new and is_held(file):
        from simbench_tf.devices import strategy

        strategy()  # before TensorFlow computes anything
        check_methods(config, load_model(file), open_dataset(folder / "dataset").seq_length, new)


def _new_methods(config: Config, folder: Path, replicate: Replicate) -> list[MethodSettings]:
    from simbench_tf.attribution import method_key

    def is_there(method: MethodSettings, task: str) -> bool:
        key = method_key(method.method, method.references, method.settings)
        return (folder / "attributions" / replicate.name / task / f"{key}.h5").is_file()

    new = [
        method
        for method in taken_methods(config, replicate.model)
        if not all(is_there(method, task) for task in config.attributed_tasks)
    ]
    watched = config.dynamics is not None and replicate in config.watched
    if watched and not (folder / "dynamics" / replicate.name / "dynamics.csv").is_file():
        assert config.dynamics is not None
        new.append(config.dynamics.method)
    return new
