"""Train a Keras model on a data set with the talk's recipe, and tell how well it does on the test split.

Adam, binary cross-entropy, at most `max_batches` batches, early stopping. Initial weights (`build_model`), the order of
the sequences and the dropout all follow from the seed.
"""

from __future__ import annotations

import json
import math
import signal
import sys
import types
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd
import tensorflow as tf
from sklearn.metrics import average_precision_score, roc_auc_score

from simbench_tf import config
from simbench_tf._checkpoints import Checkpoint, Progress, asked_to_stop, read_checkpoint, write_checkpoint
from simbench_tf.dataset import Dataset
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.models import basset, beluga
from simbench_tf.own_models import build_own_model, load_own_model
from simbench_tf.random_streams import stream_key

Metrics = dict[str, dict[str, float]]

#: Batches after which a long epoch is interrupted for a look at the validation split.
VALIDATE_EVERY = 1_000
#: Sequences of the validation split looked at: enough for an auPRC known to about .01.
MAX_VALIDATION = 20_000


class Trained(NamedTuple):
    """What came of training.

    Attributes
    ----------
    metrics : dict
        For each task auroc, auprc (average precision) and positive_fraction, on the test split; nan where undefined.
    history : DataFrame
        A row a round: batch (how many were trained on by then), loss (mean of the round's batches) and, where there
        is a validation split, valid_loss, valid_auroc, valid_auprc (means over tasks) and valid_auprc_TASK.
    """

    metrics: Metrics
    history: pd.DataFrame


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

    A round is an epoch, or 1,000 batches of a longer one. After each the model is measured on at most 20,000 sequences
    of the validation split, always the same, by its auPRC (mean over the tasks that have both classes there): of what
    is reported it answers best to rare positives, and, unlike the loss, it does not turn worse while the network
    merely grows too sure of itself. After `training.patience` rounds without a better one training stops, and the
    best round's weights are put back. Without a validation split, or one class in it alone, it runs to `max_batches`.

    Parameters
    ----------
    model : keras.Model
        Input float32 (N, L, 4), output probabilities (N, T). Its weights change; how it is compiled does not.
    dataset : Dataset
        From `open_dataset`; its tasks are the model's outputs, in order.
    training : config.Training, optional
        batch_size, learning_rate, max_batches, patience, precision, xla; default: the talk's. Weights and what the
        model computes afterwards are float32 at any precision of training.
    seed : int
        Of the order of the sequences and of every dropout layer of the model.
    folder : path, optional
        Where to write model.keras, history.csv and, last, metrics.json (an undefined metric is null).
    progress : callable, optional
        Called with the number of batches done since the last call.
    callbacks : sequence of keras.callbacks.Callback
        Further ones, called after ours; a round is Keras' epoch.
    checkpoint : Checkpoint, optional
        Where to keep, every `training.checkpoint_interval` batches and after each round, all that the next batch
        depends on. Training goes on from there if its `key` is the same, and ends as if it had not been cut off. On
        SIGTERM one is written first. The caller deletes it.

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        The train split is empty, the loss becomes infinite or nan, or `folder` cannot be written.
    ValueError
        The model's output does not fit the tasks.
    """
    training = training or config.Training()
    if model.output_shape != (None, len(dataset.tasks)):
        raise ValueError(f"the model's output is {model.output_shape}, the data set has {len(dataset.tasks)} tasks")
    if not dataset.counts["train"]:
        raise InputError(dataset.path, "has no sequence in its train split", "make it larger, or hold out less")
    history = _fit(model, dataset, training, seed, progress, callbacks, checkpoint)
    probabilities = predict(model, dataset.bases("test"))
    trained = Trained(split_metrics(dataset.labels("test"), probabilities, dataset.tasks), history)
    if folder is not None:
        _write(Path(folder), model, trained)
    return trained


def build_model(model: config.Model, seq_length: int, n_tasks: int, seed: int) -> keras.Model:
    """Build the network that a configuration names, by the user's function where it names one, or load it.

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


def predict(model: keras.Model, bases: npt.NDArray[np.uint8], batch_size: int = 500) -> npt.NDArray[np.float32]:
    """A model's output, float32 (N, T), for bases, uint8 (N, L); one-hot is made a batch at a time."""
    batch_size = max(1, min(batch_size, len(bases)))
    outputs = [np.empty((0, model.output_shape[-1]), np.float32)]
    for first in range(0, len(bases), batch_size):
        # the last batch is filled up, with copies, since TensorFlow compiles anew for another size
        rows = np.arange(first, first + batch_size).clip(max=len(bases) - 1)
        outputs.append(model.predict_on_batch(one_hot(bases[rows]))[: len(bases) - first].astype(np.float32))
    return np.concatenate(outputs)


def split_metrics(
    labels: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.float32], tasks: Sequence[str]
) -> Metrics:
    """auROC, auPRC (average precision) and positive fraction of each task.

    Parameters
    ----------
    labels : uint8, shape (N, T)
    probabilities : float32, shape (N, T)
    tasks : sequence of T str

    Returns
    -------
    dict
        task -> {auroc, auprc, positive_fraction}; auroc and auprc are nan where one class is absent.

    Examples
    --------
    >>> labels, probabilities = np.array([[0, 1], [1, 1], [0, 1]], np.uint8), np.array([[0.1, 0], [0.2, 0], [0.3, 0]])
    >>> split_metrics(labels, probabilities, ["K562", "H1"])["K562"]["auprc"]
    0.5
    """
    return {task: _metrics(labels[:, number], probabilities[:, number]) for number, task in enumerate(tasks)}


def _metrics(labels: npt.NDArray[np.uint8], probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
    both = len(np.unique(labels)) == 2
    return {
        "auroc": float(roc_auc_score(labels, probabilities)) if both else math.nan,
        "auprc": float(average_precision_score(labels, probabilities)) if both else math.nan,
        "positive_fraction": float(labels.mean()) if len(labels) else math.nan,
    }


def _fit(
    model: keras.Model,
    dataset: Dataset,
    training: config.Training,
    seed: int,
    progress_of: Callable[[int], None] | None,
    callbacks: Sequence[keras.callbacks.Callback],
    checkpoint: Checkpoint | None,
) -> pd.DataFrame:
    """Train in rounds, from the checkpoint where there is one of this training; returns the history."""
    advance = progress_of or (lambda _n: None)
    in_half = _in_half_precision(training.precision)
    trainee = _in_bfloat16(model) if in_half else model
    _seed_dropout(trainee, seed)
    # a shell round the model is compiled in its place: the caller's optimizer stays, and ours is not saved
    shell = keras.Sequential([keras.Input((dataset.seq_length, 4)), trainee])
    shell.compile(
        optimizer=keras.optimizers.Adam(training.learning_rate),
        loss="binary_crossentropy",
        # XLA on processors: half as long again for each batch of a small Basset, and seconds to compile
        jit_compile=bool(tf.config.list_physical_devices("GPU")) if training.xla == "auto" else training.xla,
    )
    shell.optimizer.build(shell.trainable_variables)
    resumed = None if checkpoint is None else read_checkpoint(checkpoint, shell)
    progress = resumed or Progress()
    batches_per_epoch = -(-dataset.counts["train"] // training.batch_size)
    steps = min(batches_per_epoch, VALIDATE_EVERY, training.max_batches)
    validation = _validation_set(dataset)
    stops_early = validation is not None and bool(_both_classes(validation[1]).any())
    carried = 0.0  # the losses of a round that was cut off, which Keras does not know
    advance(progress.done)

    def n_seen(batches: int) -> int:
        """Sequences in so many batches; the last of an epoch may be smaller."""
        epochs, rest = divmod(batches, batches_per_epoch)
        return epochs * dataset.counts["train"] + rest * training.batch_size

    def waited_enough() -> bool:
        return progress.best is not None and progress.waited >= max(training.patience, 1)

    def after_batch(batch: int, logs: dict[str, float]) -> None:
        nonlocal progress
        # Keras' loss is the mean over the sequences since the round began, or since training went on within it
        done = progress.done + 1
        loss_total = carried + float(logs["loss"]) * (n_seen(done) - n_seen(done - batch - 1))
        progress = progress._replace(done=done, loss_total=loss_total)
        advance(1)
        if progress.done == training.max_batches:
            shell.stop_training = True

    def keep_batch(_batch: int, **_logs: Any) -> None:
        # the last batch of a round is kept with what the round's end tells of it
        ends_round = progress.done % steps == 0 or progress.done == training.max_batches
        if checkpoint is None or ends_round or not math.isfinite(progress.loss_total):
            return
        if progress.done % training.checkpoint_interval == 0 or told_to_stop():
            keep()

    def keep(*_round: Any, **_logs: Any) -> None:
        if checkpoint is not None:
            write_checkpoint(checkpoint, shell, progress)
        if told_to_stop():
            raise SystemExit(128 + signal.SIGTERM)

    def after_round(_round: int, logs: dict[str, float]) -> None:
        nonlocal progress, carried
        n_round = n_seen(progress.done) - n_seen((progress.done - 1) // steps * steps)
        row = {"batch": progress.done, "loss": progress.loss_total / n_round}
        if not math.isfinite(row["loss"]):
            raise _diverged(row["loss"], progress.done, training, checkpoint)
        if validation is not None:
            row |= _validation_metrics(trainee, *validation, dataset.tasks)
            logs["valid_auprc"] = row["valid_auprc"]
        progress, carried = progress._replace(history=(*progress.history, row), loss_total=0.0), 0.0
        if stops_early:
            better = progress.best is None or row["valid_auprc"] > progress.best
            if better:
                progress = progress._replace(best=row["valid_auprc"], waited=0, best_weights=trainee.get_weights())
            else:
                progress = progress._replace(waited=progress.waited + 1)
                shell.stop_training |= waited_enough()

    ours = keras.callbacks.LambdaCallback(on_train_batch_end=after_batch, on_epoch_end=after_round)
    # last, so that whatever others do at a batch is done before it counts as done
    keeper = keras.callbacks.LambdaCallback(on_train_batch_end=keep_batch, on_epoch_end=keep)
    with asked_to_stop(checkpoint is not None) as told_to_stop:
        while progress.done < training.max_batches and not waited_enough():
            # a round that was cut off is finished first
            in_round = progress.done % steps
            carried = progress.loss_total
            shell.fit(
                dataset.tf_data("train", training.batch_size, seed, repeat=True, first_batch=progress.done),
                steps_per_epoch=steps - in_round,
                epochs=1 if in_round else -(-(training.max_batches - progress.done) // steps),
                shuffle=False,  # tf_data has done it
                callbacks=[ours, *callbacks, keeper],
                verbose=0,
            )
    if progress.best_weights is not None:
        trainee.set_weights(progress.best_weights)
    if in_half:
        model.set_weights(trainee.get_weights())
    return pd.DataFrame(list(progress.history))


def _diverged(loss: float, done: int, training: config.Training, checkpoint: Checkpoint | None) -> InputError:
    what = f"the loss became {loss} within {done} batches at {training.learning_rate}"
    if checkpoint is not None and checkpoint.path.is_file():
        what += f" ({checkpoint.path} holds the last good weights)"
    return InputError("training.learning_rate", what, "lower it")


def _in_half_precision(precision: str) -> bool:
    """Whether layers are trained in bfloat16; "auto": where the GPU has it (compute capability 8 or more)."""
    if precision != "auto":
        return precision == "bfloat16"
    gpus = tf.config.list_physical_devices("GPU")
    capability = (
        tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0)) if gpus else (0, 0)
    )
    return capability >= (8, 0)


def _in_bfloat16(model: keras.Model) -> keras.Model:
    """Copy a model; the copy's layers compute in bfloat16, its weights (the same values) and its output are float32."""
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]

    def copied(operation: Any) -> Any:
        settings = operation.get_config()
        # `a + b` and the like are no layers: they compute in what they are given
        if isinstance(operation, keras.layers.Layer):
            settings["dtype"] = "float32" if operation is last else "mixed_bfloat16"
        return type(operation).from_config(settings)

    copy = keras.models.clone_model(model, clone_function=copied, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _seed_dropout(model: keras.Model, seed: int) -> None:
    """Set every random state in the model, however deep the layer that holds it."""
    states = [variable for variable in model.non_trainable_variables if variable.path.endswith("seed_generator_state")]
    for number, state in enumerate(states):
        state.assign([int(stream_key(seed, f"dropout {number}")) % 2**32, 0])


def _validation_set(dataset: Dataset) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """Bases and labels of the validation split, or of evenly spaced rows of a large one."""
    n = dataset.counts["valid"]
    if not n:
        return None
    rows = np.linspace(0, n - 1, min(n, MAX_VALIDATION)).round().astype(np.int64)
    return dataset.bases("valid")[rows], dataset.labels("valid")[rows]


def _both_classes(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """For each task, whether it has positives and negatives."""
    return labels.min(axis=0) != labels.max(axis=0)


def _validation_metrics(
    model: keras.Model, bases: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], tasks: Sequence[str]
) -> dict[str, float]:
    probabilities = predict(model, bases)
    metrics = split_metrics(labels, probabilities, tasks)
    defined = [metrics[task] for task, both in zip(tasks, _both_classes(labels), strict=True) if both]
    # clipped as Keras clips, so that the two losses compare
    clipped = probabilities.astype(np.float64).clip(1e-7, 1 - 1e-7)
    return {
        "valid_loss": -float(np.where(labels == 1, np.log(clipped), np.log1p(-clipped)).mean()),
        "valid_auroc": float(np.mean([task["auroc"] for task in defined])) if defined else math.nan,
        "valid_auprc": float(np.mean([task["auprc"] for task in defined])) if defined else math.nan,
        **{f"valid_auprc_{task}": metrics[task]["auprc"] for task in tasks},
    }


def _write(folder: Path, model: keras.Model, trained: Trained) -> None:
    with whole_file(folder / "model.keras") as partial:
        # metrics.json says that the rest is there: not the one of an earlier training
        (folder / "metrics.json").unlink(missing_ok=True)
        model.save(partial)
    with whole_file(folder / "history.csv") as partial:
        trained.history.to_csv(partial, index=False)
    write_metrics(folder / "metrics.json", trained.metrics)


def write_metrics(path: Path, metrics: Metrics) -> None:
    """Write a model's metrics as JSON, which knows no nan: null stands for it."""
    plain = {
        task: {metric: None if math.isnan(value) else value for metric, value in values.items()}
        for task, values in metrics.items()
    }
    with whole_file(path) as partial:
        partial.write_text(json.dumps(plain, indent=1, allow_nan=False) + "\n", encoding="utf-8")


class _CallableModule(types.ModuleType):
    """Importing this module puts it in the place of the function `simbench_tf.train`; so it is both."""

    def __call__(self, *args: Any, **kwargs: Any) -> Trained:
        """Call the function `train`."""
        return train(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableModule
