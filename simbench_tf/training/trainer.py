"""Train a Keras model on a data set with the default recipe, and measure it on the test split.

The recipe: Adam, binary cross-entropy, at most `max_batches` batches, early stopping. Initial weights (`build_model`),
the order of the sequences and the dropout masks all follow from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import keras
import pandas as pd

from simbench_tf import config
from simbench_tf.attribution.form_settings import Form
from simbench_tf.dataset import Dataset
from simbench_tf.devices import Computation, is_chief
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.models import basset, beluga
from simbench_tf.models.custom import build_own_model, build_plugged_model, check_form, load_own_model
from simbench_tf.training.checkpoints import Checkpoint
from simbench_tf.training.evaluate import Metrics, predict, split_metrics, write_metrics
from simbench_tf.training.fresh_batches import source_of
from simbench_tf.training.logs import progress_bar, training_logs, write_history
from simbench_tf.training.loop import fit


class Trained(NamedTuple):
    """The results of training: metrics, history, and the device that was used.

    Attributes
    ----------
    metrics : dict
        For each task auroc, auprc (average precision) and positive_fraction, on the test split; nan where undefined.
    history : DataFrame
        One row per round: batch (how many were trained on by then), n_sequences_seen (sequences in these, each time
        that it was shown), loss (mean over the round) and, where there is a validation split, valid_loss, valid_auroc,
        valid_auprc (means over tasks) and valid_auprc_TASK; with a `schedule` or a warm-up also learning_rate, that of
        the next batch. The loss includes the class weights but not the penalty on weights; valid_loss includes neither.
    computation : Computation
        The device, precision and compilation of training.
    """

    metrics: Metrics
    history: pd.DataFrame
    computation: Computation


def train(
    model: keras.Model,
    dataset: Dataset,
    training: config.Training | Mapping[str, Any] | None = None,
    seed: int = 0,
    folder: str | PathLike[str] | None = None,
    progress: Callable[[int], None] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    checkpoint: Checkpoint | None = None,
    drawn_by: config.Config | None = None,
    **settings: Any,
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
        Input float32 (N, L, 4), output probabilities (N, T). Its weights change; how it is compiled does not. Compiled
        or not, it is trained by Adam; a loss other than binary cross-entropy is refused. One that computes in float16
        is trained as a float32 copy.
    dataset : Dataset
        From `open_dataset`; its tasks are the model's outputs, in order.
    training : config.Training or mapping, optional
        Settings of the recipe. Whatever the precision of training, weights and later predictions are float32.
    seed : int
        Of the order of the sequences and of every dropout layer of the model.
    folder : path, optional
        Where to write history.csv after each round, then model.keras and, last, metrics.json (an undefined metric is
        null); and tensorboard/ where `training` requests it.
    progress : callable, optional
        Called with the number of batches done since the last call. Without it a terminal shows a progress bar.
    callbacks : sequence of keras.callbacks.Callback
        Called after ours; a round is an epoch to them. They see each batch, unless
        `training.steps_per_execution` is set. At a round's end the logs have the columns of the history, and Keras'
        names beside them: val_loss is valid_loss. Their `model` is a wrapper that takes base codes; what it saves
        is `model`, so ModelCheckpoint writes files that Keras loads.
    checkpoint : Checkpoint, optional
        Where to write, every `training.checkpoint_interval` batches and after each round, everything the next batch
        depends on. Training resumes from there if its `key` is the same, and ends as if it had not been interrupted.
        On Ctrl-C, SIGTERM or SIGHUP one is written
        first, then SystemExit is raised. The caller deletes it.
    drawn_by : config.Config, optional
        The configuration that drew the data set, from whose grammar `training.fresh` draws batches. Default: that of
        the run in which the data set lies.
    **settings
        Settings of `training`, which take precedence: ``train(model, dataset, max_batches=500, patience=2)``.

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        A setting is unknown or out of range; the model does not fit the data set, ends in logits or is compiled with
        another loss; the train split is empty; `fresh` is asked for, and the data cannot be drawn anew (text, peaks
        with `clean_background`), or were not drawn by the configuration of their run; sequences are to be shifted by
        their length; the loss becomes infinite or nan, `folder` cannot be written, or the model must be copied (for
        bfloat16, several devices, `max_norm` or `l2`) and cannot be.
    """
    training = config.training_of(training, **settings)
    if model.output_shape != (None, len(dataset.tasks)):
        what = f"has the output {model.output_shape}, the data set has {len(dataset.tasks)} tasks"
        raise InputError(f"model {model.name}", what, "give the model one output for each task")
    check_form(model, f"model {model.name}", dataset.seq_length, len(dataset.tasks))
    _check_loss(model)
    if not dataset.counts["train"]:
        raise InputError(dataset.path, "has no sequence in its train split", "make it larger, or hold out less")
    if training.augment.shift >= dataset.seq_length:
        what = f"{training.augment.shift} bases are no less than the {dataset.seq_length} of a sequence"
        raise InputError("training.augment.shift", what, "make it smaller")
    grammar = source_of(dataset, drawn_by) if training.fresh else None
    target = None if folder is None or not is_chief() else Path(folder)
    shown = progress_bar(f"train {model.name}", training.max_batches) if progress is None else nullcontext(progress)
    with training_logs(target, training.tensorboard) as log, shown as advance:
        history, chosen = fit(model, dataset, training, seed, advance, callbacks, checkpoint, log, grammar)
    probabilities = predict(model, dataset.bases("test"))
    trained = Trained(split_metrics(dataset.labels("test"), probabilities, dataset.tasks), history, chosen)
    if target is not None:
        _write(target, model, trained)
    return trained


def _check_loss(model: keras.Model) -> None:
    """Refuse a model that is compiled with another loss than that of the recipe."""
    loss = model.loss if model.compiled else None
    if isinstance(loss, list | tuple | dict):  # of the one output
        loss = next(iter(loss.values() if isinstance(loss, dict) else loss), None)
    if loss is None:
        return
    loss = keras.losses.get(loss)
    if loss is keras.losses.binary_crossentropy:
        return
    name = getattr(loss, "__name__", None) or loss.name
    if isinstance(loss, keras.losses.BinaryCrossentropy):
        changed = {key: loss.get_config()[key] for key in ("from_logits", "label_smoothing") if loss.get_config()[key]}
        if not changed:
            return
        name += f" with {', '.join(f'{key}={value}' for key, value in changed.items())}"
    what = f"is compiled with the loss {name}, but is trained on binary cross-entropy of probabilities"
    raise InputError(
        f"model {model.name}", what, "compile it with binary_crossentropy, or not at all, or use its own fit"
    )


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
        return load_own_model(model.keras, seq_length, n_tasks, form_of(model))
    if model.python is not None:
        where = f"models.{model.name}.python"
        return build_own_model(model.python, model.settings, seq_length, n_tasks, seed, where, form_of(model))
    if model.is_plugged:
        name = str(model.architecture)
        return build_plugged_model(name, model.settings, seq_length, n_tasks, seed, f"models.{model.name}")
    architecture = basset if model.architecture == "basset" else beluga
    kernel: dict[str, Any] = {} if model.kernel_size is None else {"kernel_size": model.kernel_size}
    try:
        return architecture(seq_length, n_tasks, model.width, seed=seed, padding=model.padding, **kernel)
    except ValueError as error:
        mend = "simulate longer sequences or choose another architecture"
        raise InputError(f"models.{model.name}", str(error), mend) from error


def form_of(model: config.Model) -> Form:
    """How a configuration says that a model's inputs and outputs are to be read."""
    return Form(model.output, model.layout, model.held, is_configured=True)


def _write(folder: Path, model: keras.Model, trained: Trained) -> None:
    with whole_file(folder / "model.keras") as partial:
        # the presence of metrics.json says that training is finished: delete that of an earlier one
        (folder / "metrics.json").unlink(missing_ok=True)
        model.save(partial)
    write_history(folder, trained.history)
    write_metrics(folder / "metrics.json", trained.metrics)
