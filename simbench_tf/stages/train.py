"""RUN/models: what a model is trained from, the training itself, and the weights kept on the way.

A folder a model, or a model and seed (`Config.replicates`): model.keras, history.csv and metrics.json; python.json
where a function of the user's built it; snapshots/ where the run asks for learning dynamics.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from simbench_tf.adopted import adopt, files_of
from simbench_tf.config import Config, Replicate
from simbench_tf.dataset import open_dataset
from simbench_tf.files import checksum
from simbench_tf.simulated import checksum_named
from simbench_tf.workers import Track


def trained_from(config: Config, replicate: Replicate) -> dict[str, Any]:
    """What a trained model depends on beside the data set, as plain values; files by their checksums.

    Raises
    ------
    InputError
        A file or function that the configuration names is missing.
    """
    model, key = replicate.model, f"models.{replicate.model.name}"
    # another number of seeds leaves each of them as it is
    settings = model.model_dump(mode="json", exclude={"seeds", "python", "settings"})
    settings["name"] = replicate.name
    if model.keras is not None:
        settings["keras"] = checksum_named(model.keras, f"{key}.keras")
    if model.python is not None:
        from simbench_tf.own_models import source_file

        source = source_file(model.python, f"{key}.python")
        function = model.python.rpartition(":")[2] if model.python.rpartition(":")[0].endswith(".py") else model.python
        settings |= {"python": [function, source and checksum(source)], "settings": model.settings}
    if model.kipoi is not None:
        settings["kipoi"] = files_of(model.kipoi) or model.kipoi
    return {
        # what is left out changes when training is kept or told of, not what comes of it
        "training": config.training.model_dump(mode="json", exclude={"checkpoint_interval", "tensorboard"}),
        "model": settings,
        "seed": replicate.seed,
    }


class Written(NamedTuple):
    """Files by the stage that needs them ("train", and "dynamics" for the snapshots), and how they came about."""

    files: dict[str, list[Path]]
    device: str
    how: dict[str, Any]


def write_trained(config: Config, folder: Path, replicate: Replicate, key: str, track: Track) -> Written:
    """Train a model, or take it from Kipoi, and write RUN/models/MODEL; of several workers the chief alone writes.

    Training that was killed under the same `key`, the fingerprint of all that is made here, goes on from its
    checkpoint.
    """
    from simbench_tf._checkpoints import Checkpoint
    from simbench_tf.devices import device, is_chief, strategy
    from simbench_tf.own_models import write_entry
    from simbench_tf.snapshots import Snapshots, log_spaced_batches, read_snapshots
    from simbench_tf.train import build_model, train

    strategy()  # before TensorFlow computes anything
    dataset = open_dataset(folder / "dataset")
    target = folder / "models" / replicate.name
    model, training = replicate.model, config.training
    if model.kipoi is not None:
        return Written({"train": adopt(model.kipoi, dataset, target)} if is_chief() else {}, device(), {})
    network = build_model(model, dataset.seq_length, len(dataset.tasks), replicate.seed)
    callbacks = []
    if config.dynamics is not None and is_chief():
        batches = log_spaced_batches(config.dynamics.checkpoints, training.max_batches)
        callbacks.append(Snapshots(snapshots_of(folder, replicate.name), batches))
    checkpoint = Checkpoint(target / "checkpoint.npz", key)
    with track(f"train {replicate.name}", training.max_batches) as advance:
        trained = train(network, dataset, training, replicate.seed, target, advance, callbacks, checkpoint)
    if not is_chief():
        return Written({}, trained.computation.device, {})
    checkpoint.path.unlink(missing_ok=True)
    files = [target / name for name in ("model.keras", "history.csv", "metrics.json")]
    if model.python is not None:
        files.append(write_entry(target, model.python))
    kept = read_snapshots(snapshots_of(folder, replicate.name)) if callbacks else []
    how = trained.computation._asdict()
    return Written({"train": files, "dynamics": [snapshot.path for snapshot in kept]}, how.pop("device"), how)


def snapshots_of(folder: Path, model: str) -> Path:
    """Where a run keeps the snapshots of a model."""
    return folder / "models" / model / "snapshots"
