"""The training loop, in rounds: batches, the validation split's metrics, a checkpoint; until no round is better."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import keras
import pandas as pd
import tensorflow as tf

from simbench_tf.config import Training
from simbench_tf.dataset import Dataset
from simbench_tf.dataset.batches import with_shuffled_labels
from simbench_tf.devices import Computation, agreed, computation, is_chief, n_hosts, strategy
from simbench_tf.errors import InputError, Stopped
from simbench_tf.simulate.grammar import Grammar
from simbench_tf.training.averaging import averages_in_place, statistics_as_slow_as_averages
from simbench_tf.training.checkpoints import Checkpoint, Progress, read_checkpoint, watch_for_stop, write_checkpoint
from simbench_tf.training.evaluate import validation_metrics, validation_set
from simbench_tf.training.fresh_batches import fresh_data
from simbench_tf.training.wrapper import Shell, label_weights, make_shell, seed_dropout, shared

#: Most batches in a round, unless the configuration gives `validate_every`.
_MAX_ROUND_BATCHES = 1_000
_log = logging.getLogger(__name__)


class TrainingPlan(NamedTuple):
    """The sizes of epochs, batches and rounds, and when to stop; without epochs, `n_sequences` None, all are new."""

    n_sequences: int | None
    batch_size: int
    round_batches: int
    max_batches: int
    patience: int

    def sequences_in(self, batches: int) -> int:
        """Sequences in that many first batches; the last of an epoch may be smaller."""
        if self.n_sequences is None:
            return batches * self.batch_size
        epochs, rest = divmod(batches, -(-self.n_sequences // self.batch_size))
        return epochs * self.n_sequences + rest * self.batch_size

    def ends_round(self, done: int) -> bool:
        """Whether a round ends after `done` batches."""
        return done % self.round_batches == 0 or done == self.max_batches

    def is_over(self, progress: Progress) -> bool:
        """Whether there is nothing more to train."""
        waited_enough = progress.best is not None and progress.waited >= max(self.patience, 1)
        return progress.done >= self.max_batches or waited_enough


def fit(
    model: keras.Model,
    dataset: Dataset,
    training: Training,
    seed: int,
    advance: Callable[[int], None],
    callbacks: Sequence[keras.callbacks.Callback],
    checkpoint: Checkpoint | None,
    log: Callable[[pd.DataFrame], None],
    grammar: Grammar | None = None,
) -> tuple[pd.DataFrame, Computation]:
    """Train a model in place, resuming from this training's checkpoint where there is one.

    With a grammar, on sequences that are drawn from it, not on the train split.

    Returns
    -------
    DataFrame
        One row per round, as passed to `log` after each.
    Computation
    """
    devices, plan = strategy(), _plan(dataset, training, grammar)
    if callbacks and training.steps_per_execution == "auto":
        training = training.model_copy(update={"steps_per_execution": 1})  # callbacks see each batch
    shell, chosen, progress = _prepare(model, dataset, training, seed, devices, plan, checkpoint)
    network: keras.Model = shell.layers[-1]
    _log.info("training %s on %s", model.name, chosen)
    advance(progress.done)
    rounds = _Rounds(plan, progress, checkpoint, _validator(model, shell, dataset, training, seed), advance, log)
    with (
        watch_for_stop(checkpoint is not None) as stop_requested,
        _another_host_may_end(),
        statistics_as_slow_as_averages(network, training.ema_momentum),
    ):
        # last, so that a checkpoint is written after the other callbacks have seen its batch
        writer = _CheckpointWriter(rounds, checkpoint, training.checkpoint_interval, stop_requested)
        while not plan.is_over(rounds.progress):
            done = rounds.progress.done
            # an interrupted round is finished first
            in_round = done % plan.round_batches
            shell.fit(
                shared(functools.partial(_batches, dataset, training, seed, done, grammar), devices),
                steps_per_epoch=min(plan.round_batches - in_round, plan.max_batches - done),
                epochs=1 if in_round else -(-(plan.max_batches - done) // plan.round_batches),
                shuffle=False,  # tf_data shuffles
                callbacks=[rounds, *callbacks, writer],
                verbose=0,
            )
            if shell.stop_training:
                break  # by the plan or by a callback
    if rounds.progress.best_weights is not None:
        kept = rounds.progress.best_weights
    else:
        with averages_in_place(shell):
            kept = network.get_weights()
    model.set_weights(kept)
    return rounds.history, chosen


def _prepare(
    model: keras.Model,
    dataset: Dataset,
    training: Training,
    seed: int,
    devices: tf.distribute.Strategy,
    plan: TrainingPlan,
    checkpoint: Checkpoint | None,
) -> tuple[Shell, Computation, Progress]:
    """The compiled shell, restored for the next batch, the computation chosen, and the progress restored."""
    whole_calls = [plan.round_batches, plan.max_batches, training.checkpoint_interval]
    chosen = computation(training, devices.num_replicas_in_sync, whole_calls)
    shell = make_shell(
        model, dataset.seq_length, training, chosen, devices, label_weights(training.class_weight, dataset)
    )
    seed_dropout(shell.layers[-1], seed, devices)
    progress = (checkpoint and read_checkpoint(checkpoint, shell)) or Progress()
    seed_dropout(shell.layers[-1], seed, devices, resume=True)
    if agreed([progress.done])[0] != progress.done:
        raise InputError("TF_CONFIG", "its hosts resume from different checkpoints", "let all see the same RUN folder")
    if progress.done % chosen.steps_per_execution:
        # the checkpoint was written on a device that takes fewer batches per call
        chosen = computation(training, devices.num_replicas_in_sync, [*whole_calls, progress.done])
        shell.steps_per_execution = chosen.steps_per_execution
    return shell, chosen, progress


@contextmanager
def _another_host_may_end() -> Iterator[None]:
    """Replace TensorFlow's error by one that says what to do."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        if n_hosts() == 1:
            raise
        what = f"another of the {n_hosts()} hosts has ended"
        raise RuntimeError(f"{what}; start all again, and training resumes from its last checkpoint") from error


def _batches(dataset: Dataset, training: Training, seed: int, done: int, grammar: Grammar | None) -> tf.data.Dataset:
    """Endless batches, from number `done` on."""
    both, shift = training.reverse_complement, training.augment.shift
    if grammar is not None:
        return fresh_data(grammar, training.batch_size, seed, done, both, shift, training.shuffled_labels)
    return dataset.tf_data(
        "train", training.batch_size, seed, repeat=True, first_batch=done, reverse_complement=both, as_bases=True,
        shift=shift, new_background=training.fresh, shuffled_labels=training.shuffled_labels,
    )  # fmt: skip


class _Rounds(keras.callbacks.Callback):
    """Count batches; after each round validate the model, log, and stop training where it no longer improves."""

    def __init__(
        self,
        plan: TrainingPlan,
        progress: Progress,
        checkpoint: Checkpoint | None,
        validate: Callable[[], dict[str, float]] | None,
        advance: Callable[[int], None],
        log: Callable[[pd.DataFrame], None],
    ) -> None:
        super().__init__()
        self.plan, self.progress, self._checkpoint = plan, progress, checkpoint
        self._validate, self._advance, self._write_log = validate, advance, log
        self._begun_at, self._carried, self._logs = progress.done, 0.0, dict[str, float]()

    @property
    def history(self) -> pd.DataFrame:
        return pd.DataFrame(list(self.progress.history))

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        # the losses of an interrupted round, which Keras does not know
        self._begun_at, self._carried = self.progress.done, self.progress.loss_total

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        logs = {} if logs is None else logs
        logs["loss"] = logs["total"] / logs["count"]  # further callbacks expect Keras' name
        done, self._logs = self._begun_at + batch + 1, logs
        self._advance(done - self.progress.done)
        self.progress = self.progress._replace(done=done)
        if done == self.plan.max_batches:
            self.model.stop_training = True

    def update_losses(self) -> Progress:
        """Set and return `progress` with the sum of the round's losses; the logs hold means over devices."""
        n_replicas = self.model.distribute_strategy.num_replicas_in_sync
        self.progress = self.progress._replace(loss_total=self._carried + n_replicas * self._logs["total"])
        return self.progress

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        logs = {} if logs is None else logs
        logs.clear()  # the sums mean nothing to further callbacks
        logs |= self._row()
        with averages_in_place(self.model):
            if self._validate is not None:
                logs |= self._validate()
            if "valid_auprc" in logs and not math.isnan(logs["valid_auprc"]):
                self._compare(logs["valid_auprc"])
        self.progress = self.progress._replace(history=(*self.progress.history, dict(logs)), loss_total=0.0)
        # further callbacks may look for Keras' names
        logs |= {name.replace("valid_", "val_", 1): value for name, value in logs.items() if name.startswith("valid_")}
        self._write_log(self.history)
        self.model.stop_training |= self.plan.is_over(self.progress)

    def _row(self) -> dict[str, float]:
        done, total = self.progress.done, self.update_losses().loss_total
        before = (done - 1) // self.plan.round_batches * self.plan.round_batches
        seen = self.plan.sequences_in(done)
        loss = total / (seen - self.plan.sequences_in(before))
        optimizer = self.model.optimizer
        if not math.isfinite(loss):
            raise _diverged(loss, done, float(optimizer.learning_rate), self._checkpoint)
        row = {"batch": done, "n_sequences_seen": seen, "loss": loss}
        if isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            row["learning_rate"] = float(optimizer.learning_rate)
        return row

    def _compare(self, auprc: float) -> None:
        if self.progress.best is None or auprc > self.progress.best:
            weights = self.model.layers[-1].get_weights()
            self.progress = self.progress._replace(best=auprc, waited=0, best_weights=weights)
        else:
            self.progress = self.progress._replace(waited=self.progress.waited + 1)


class _CheckpointWriter(keras.callbacks.Callback):
    """Write checkpoints; when a stop is requested, write one and end the process."""

    def __init__(
        self, rounds: _Rounds, checkpoint: Checkpoint | None, interval: int, stop_requested: Callable[[], int | None]
    ) -> None:
        super().__init__()
        self._rounds, self._checkpoint, self._interval, self._stop_requested = (
            rounds,
            checkpoint,
            interval,
            stop_requested,
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        # after the last batch of a round the checkpoint waits for the validation metrics
        done = self._rounds.progress.done
        if self._rounds.plan.ends_round(done) or not (done % self._interval == 0 or self._stop_requested() is not None):
            return
        if math.isfinite(self._rounds.update_losses().loss_total):
            self._write()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._write()

    def _write(self) -> None:
        if self._checkpoint is not None and is_chief():
            write_checkpoint(self._checkpoint, self.model, self._rounds.progress)
        if (number := self._stop_requested()) is not None:
            _log.info("stopped after batch %d, which the checkpoint holds", self._rounds.progress.done)
            raise Stopped(number)


def _plan(dataset: Dataset, training: Training, grammar: Grammar | None) -> TrainingPlan:
    n = dataset.counts["train"]
    round_batches = training.validate_every or min(-(-n // training.batch_size), _MAX_ROUND_BATCHES)
    return TrainingPlan(
        n_sequences=n if grammar is None else None,
        batch_size=training.batch_size,
        round_batches=min(round_batches, training.max_batches),
        max_batches=training.max_batches,
        patience=training.patience,
    )


def _validator(
    model: keras.Model, shell: Shell, dataset: Dataset, training: Training, seed: int
) -> Callable[[], dict[str, float]] | None:
    """A function that measures the model on the validation split, with the same result on all hosts."""
    validation = validation_set(dataset, training.validation_sequences)
    if validation is None:
        return None
    if training.shuffled_labels:
        validation = validation[0], with_shuffled_labels(validation[1], seed, "the validation split")

    def validate() -> dict[str, float]:
        measured: keras.Model = shell
        if shell.distribute_strategy.num_replicas_in_sync > 1:
            # Keras would predict each batch once per device
            model.set_weights(shell.layers[-1].get_weights())
            measured = model
        row = validation_metrics(measured, validation, dataset.tasks)
        return dict(zip(row, agreed(list(row.values())), strict=True))

    return validate


def _diverged(loss: float, done: int, learning_rate: float, checkpoint: Checkpoint | None) -> InputError:
    what = f"the loss became {loss} within {done} batches at {learning_rate:g}"
    if checkpoint is not None and checkpoint.path.is_file():
        what += f" ({checkpoint.path} holds the last good weights)"
    return InputError("training.learning_rate", what, "lower it")
