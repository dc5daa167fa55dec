"""Train a Keras model on a data set with the default recipe, and measure it on the test split.

The recipe: Adam, binary cross-entropy, at most `max_batches` batches, early stopping. Initial weights (`build_model`),
the order of the sequences and the dropout masks all follow from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import keras
import pandas as pd

from simbench_tf import config
from simbench_tf.dataset import Dataset
from simbench_tf.devices import Computation, is_chief
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.models import basset, beluga
from simbench_tf.models.custom import build_own_model, load_own_model
from simbench_tf.training.checkpoints import Checkpoint
from simbench_tf.training.evaluate import Metrics, predict, split_metrics, write_metrics
from simbench_tf.training.logs import training_logs, write_history
from simbench_tf.training.loop import fit


class Trained(NamedTuple):
    """The results of training: metrics, history, and the device that was used.

    Attributes
    ----------
    metrics : dict
        For each task auroc, auprc (average precision) and positive_fraction, on the test split; nan where undefined.
    history : DataFrame
        One row per round: batch (how many were trained on by then), loss (mean over the round) and, where there is
        a validation split, valid_loss, valid_auroc, valid_auprc (means over tasks) and valid_auprc_TASK; with a
        `schedule` or a warm-up also learning_rate, that of the next batch. The loss includes the class weights but not
        the penalty on weights; valid_loss includes neither.
    computation : Computation
        The device, precision and compilation of training.
    """

    metrics: Metrics
    history: pd.DataFrame
    computation: Computation


def train(
    model: keras.Model,
    dataset: Dataset,
    training: config.Training | None = None,
    seed: int = 0,
    folder: str | PathLike[str] | None = None,
    progress: Callable[[int], None] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train a model in place, keep the weights of its best round, and measure it on the test split.

    A round is `training.validate_every` batches, or an epoch, or 1,000 batches of a longer one. After each the model is
    measured on at most `training.validation_sequences` of the validation split, always the same, by its auPRC (mean
    over the tasks that have both classes there): of the reported metrics it responds best to rare positives and, unlike
    the loss, it does not get worse while the network merely becomes overconfident. After `training.patience`
    rounds without a better one training stops, and the best round's weights are put back. Without a validation split,
    or one class in it alone, it runs to `max_batches`.

    All GPUs of this machine share each batch, or those of all hosts that TF_CONFIG names (`devices.strategy`); of these
    hosts only the chief writes files.

    Parameters
    ----------
    model : keras.Model
        Input float32 (N, L, 4), output probabilities (N, T). Its weights change; how it is compiled does not.
    dataset : Dataset
        From `open_dataset`; its tasks are the model's outputs, in order.
    training : config.Training, optional
        Default: the default recipe. Whatever the precision of training, weights and later predictions are float32.
    seed : int
        Of the order of the sequences and of every dropout layer of the model.
    folder : path, optional
        Where to write history.csv after each round, then model.keras and, last, metrics.json (an undefined metric is
        null); and tensorboard/ where `training` requests it.
    progress : callable, optional
        Called with the number of batches done since the last call.
    callbacks : sequence of keras.callbacks.Callback
        Called after ours; a round is an epoch to them. They see each batch, unless
        `training.steps_per_execution` is set.
    checkpoint : Checkpoint, optional
        Where to write, every `training.checkpoint_interval` batches and after each round, everything the next batch
        depends on. Training resumes from there if its `key` is the same, and ends as if it had not been interrupted.
        On Ctrl-C, SIGTERM or SIGHUP one is written
        first, then SystemExit is raised. The caller deletes it.

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        The train split is empty, the loss becomes infinite or nan, `folder` cannot be written, or the model must be
        copied (for bfloat16, several devices, `max_norm` or `l2`) and cannot be.
    ValueError
        The model's output does not fit the tasks.
    """
    training = training or config.Training()
    if model.output_shape != (None, len(dataset.tasks)):
        raise ValueError(f"the model's output is {model.output_shape}, the data set has {len(dataset.tasks)} tasks")
    if not dataset.counts["train"]:
        raise InputError(dataset.path, "has no sequence in its train split", "make it larger, or hold out less")
    target = None if folder is None or not is_chief() else Path(folder)
    with training_logs(target, training.tensorboard) as log:
        history, chosen = fit(model, dataset, training, seed, progress or (lambda _n: None), callbacks, checkpoint, log)
    probabilities = predict(model, dataset.bases("test"))
    trained = Trained(split_metrics(dataset.labels("test"), probabilities, dataset.tasks), history, chosen)
    if target is not None:
        _write(target, model, trained)
    return trained


def build_model(model: config.Model, seq_length: int, n_tasks: int, seed: int) -> keras.Model:
    """Build the network that a configuration names: one of ours, a user's function's, or a file's.

    Parameters
    ----------
    model : config.Model
    seq_length, n_tasks : int
        Of the data set.
    seed : int
        Of the initial weights; a loaded model keeps those it holds.

    Raises
    ------
    InputError
        The sequences are too short for the architecture; the file is no Keras model; the function cannot be called; or
        the model's input, output or last activation does not fit.

    Examples
    --------
    >>> network = build_model(config.Model(architecture="basset", width=0.1), seq_length=400, n_tasks=2, seed=0)
    >>> network.input_shape, network.output_shape
    ((None, 400, 4), (None, 2))
    """
    if model.keras is not None:
        return load_own_model(model.keras, seq_length, n_tasks)
    if model.python is not None:
        return build_own_model(model.python, model.settings, seq_length, n_tasks, seed, f"models.{model.name}.python")
    architecture = basset if model.architecture == "basset" else beluga
    kernel: dict[str, Any] = {} if model.kernel_size is None else {"kernel_size": model.kernel_size}
    try:
        return architecture(seq_length, n_tasks, model.width, seed=seed, **kernel)
    except ValueError as error:
        mend = "simulate longer sequences or choose another architecture"
        raise InputError(f"models.{model.name}", str(error), mend) from error


def _write(folder: Path, model: keras.Model, trained: Trained) -> None:
    with whole_file(folder / "model.keras") as partial:
        # the presence of metrics.json says that training is finished: delete that of an earlier one
        (folder / "metrics.json").unlink(missing_ok=True)
        model.save(partial)
    write_history(folder, trained.history)
    write_metrics(folder / "metrics.json", trained.metrics)
