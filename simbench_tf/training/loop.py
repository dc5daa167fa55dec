"""Training in rounds: some batches, a look at the validation split, a checkpoint; until no round is better any more."""

from __future__ import annotations

import functools
import logging
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import keras
import pandas as pd
import tensorflow as tf

from simbench_tf.config import Training
from simbench_tf.dataset import Dataset
from simbench_tf.devices import Computation, agreed, computation, is_chief, n_workers, strategy
from simbench_tf.errors import InputError
from simbench_tf.training.checkpoints import Checkpoint, Progress, asked_to_stop, read_checkpoint, write_checkpoint
from simbench_tf.training.evaluate import validation_metrics, validation_set
from simbench_tf.training.wrapper import Shell, label_weights, make_shell, seed_dropout, shared

#: Batches after which a long epoch is interrupted for a look at the validation split, unless told otherwise.
_LONG_EPOCH = 1_000
_log = logging.getLogger(__name__)


class Plan(NamedTuple):
    """How many sequences an epoch has and a batch, how many batches a round, and when to stop."""

    n_sequences: int
    batch_size: int
    round_batches: int
    max_batches: int
    patience: int

    def sequences_in(self, batches: int) -> int:
        """Sequences in the first so many batches; the last of an epoch may be smaller."""
        epochs, rest = divmod(batches, -(-self.n_sequences // self.batch_size))
        return epochs * self.n_sequences + rest * self.batch_size

    def ends_round(self, done: int) -> bool:
        """Whether a round ends after so many batches."""
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
) -> tuple[pd.DataFrame, Computation]:
    """Train a model in place, from the checkpoint where there is one of this training.

    Returns
    -------
    DataFrame
        A row a round, as `log` was given it after each.
    Computation
    """
    devices, plan = strategy(), _plan(dataset, training)
    if callbacks and training.steps_per_execution == "auto":
        training = training.model_copy(update={"steps_per_execution": 1})  # they are to see each batch
    shell, how, progress = _made_ready(model, dataset, training, seed, devices, plan, checkpoint)
    network: keras.Model = shell.layers[-1]
    _log.info("training %s on %s", model.name, how)
    advance(progress.done)
    rounds = _Rounds(plan, progress, checkpoint, _validator(model, shell, dataset, training), advance, log)
    with asked_to_stop(checkpoint is not None) as told_to_stop, _another_worker_may_end():
        # last, so that whatever others do at a batch is done before it counts as done
        keeper = _Keeper(rounds, checkpoint, training.checkpoint_interval, told_to_stop)
        while not plan.is_over(rounds.progress):
            done = rounds.progress.done
            # a round that was cut off is finished first
            in_round = done % plan.round_batches
            shell.fit(
                shared(functools.partial(_batches, dataset, training, seed, done), devices),
                steps_per_epoch=min(plan.round_batches - in_round, plan.max_batches - done),
                epochs=1 if in_round else -(-(plan.max_batches - done) // plan.round_batches),
                shuffle=False,  # tf_data has done it
                callbacks=[rounds, *callbacks, keeper],
                verbose=0,
            )
    if rounds.progress.best_weights is not None:
        network.set_weights(rounds.progress.best_weights)
    if network is not model:
        model.set_weights(network.get_weights())
    return rounds.history, how


def _made_ready(
    model: keras.Model,
    dataset: Dataset,
    training: Training,
    seed: int,
    devices: tf.distribute.Strategy,
    plan: Plan,
    checkpoint: Checkpoint | None,
) -> tuple[Shell, Computation, Progress]:
    """The shell as the next batch needs it, how it computes, and how far training had come."""
    whole_calls = [plan.round_batches, plan.max_batches, training.checkpoint_interval]
    how = computation(training, devices.num_replicas_in_sync, whole_calls)
    shell = make_shell(model, dataset.seq_length, training, how, devices, label_weights(training.class_weight, dataset))
    seed_dropout(shell.layers[-1], seed, devices)
    progress = (checkpoint and read_checkpoint(checkpoint, shell)) or Progress()
    seed_dropout(shell.layers[-1], seed, devices, go_on=True)
    if agreed([progress.done])[0] != progress.done:
        raise InputError("TF_CONFIG", "its workers go on from different checkpoints", "let all see the same RUN folder")
    if progress.done % how.steps_per_execution:
        # it was written where fewer batches were a call
        how = computation(training, devices.num_replicas_in_sync, [*whole_calls, progress.done])
        shell.steps_per_execution = how.steps_per_execution
    return shell, how, progress


@contextmanager
def _another_worker_may_end() -> Iterator[None]:
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        if n_workers() == 1:
            raise
        what = f"another of the {n_workers()} workers has ended"
        raise RuntimeError(f"{what}; start all again, and training goes on from its last checkpoint") from error


def _batches(dataset: Dataset, training: Training, seed: int, done: int) -> tf.data.Dataset:
    """The batches after the first so many, without end."""
    both = training.reverse_complement
    return dataset.tf_data(
        "train", training.batch_size, seed, repeat=True, first_batch=done, reverse_complement=both, as_bases=True
    )


class _Rounds(keras.callbacks.Callback):
    """Counts batches, and after each round measures the model, logs it, and ends training where it is no better."""

    def __init__(
        self,
        plan: Plan,
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
        # the losses of a round that was cut off, which Keras does not know
        self._begun_at, self._carried = self.progress.done, self.progress.loss_total

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        logs = {} if logs is None else logs
        logs["loss"] = logs["total"] / logs["count"]  # as further callbacks know it from Keras
        done, self._logs = self._begun_at + batch + 1, logs
        self._advance(done - self.progress.done)
        self.progress = self.progress._replace(done=done)
        if done == self.plan.max_batches:
            self.model.stop_training = True

    def up_to_date(self) -> Progress:
        """How far training has come, with the losses of the round's sequences, which come as means over devices."""
        n_replicas = self.model.distribute_strategy.num_replicas_in_sync
        self.progress = self.progress._replace(loss_total=self._carried + n_replicas * self._logs["total"])
        return self.progress

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        logs = {} if logs is None else logs
        logs.clear()  # sums, of no use to further callbacks
        logs |= self._row()
        if self._validate is not None:
            logs |= self._validate()
        if "valid_auprc" in logs and not math.isnan(logs["valid_auprc"]):
            self._compare(logs["valid_auprc"])
        self.progress = self.progress._replace(history=(*self.progress.history, dict(logs)), loss_total=0.0)
        self._write_log(self.history)
        self.model.stop_training |= self.plan.is_over(self.progress)

    def _row(self) -> dict[str, float]:
        done, total = self.progress.done, self.up_to_date().loss_total
        before = (done - 1) // self.plan.round_batches * self.plan.round_batches
        loss = total / (self.plan.sequences_in(done) - self.plan.sequences_in(before))
        optimizer = self.model.optimizer
        if not math.isfinite(loss):
            raise _diverged(loss, done, float(optimizer.learning_rate), self._checkpoint)
        row = {"batch": done, "loss": loss}
        if isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            row["learning_rate"] = float(optimizer.learning_rate)
        return row

    def _compare(self, auprc: float) -> None:
        if self.progress.best is None or auprc > self.progress.best:
            weights = self.model.layers[-1].get_weights()
            self.progress = self.progress._replace(best=auprc, waited=0, best_weights=weights)
        else:
            self.progress = self.progress._replace(waited=self.progress.waited + 1)


class _Keeper(keras.callbacks.Callback):
    """Writes checkpoints, and one more before it ends the process that is asked to stop."""

    def __init__(
        self, rounds: _Rounds, checkpoint: Checkpoint | None, interval: int, told_to_stop: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._rounds, self._checkpoint, self._interval, self._told_to_stop = rounds, checkpoint, interval, told_to_stop

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        # the last batch of a round is kept with what the round's end tells of it
        done = self._rounds.progress.done
        if self._rounds.plan.ends_round(done) or not (done % self._interval == 0 or self._told_to_stop()):
            return
        if math.isfinite(self._rounds.up_to_date().loss_total):
            self._keep()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        self._keep()

    def _keep(self) -> None:
        if self._checkpoint is not None and is_chief():
            write_checkpoint(self._checkpoint, self.model, self._rounds.progress)
        if self._told_to_stop():
            raise SystemExit(128 + signal.SIGTERM)


def _plan(dataset: Dataset, training: Training) -> Plan:
    n = dataset.counts["train"]
    round_batches = training.validate_every or min(-(-n // training.batch_size), _LONG_EPOCH)
    return Plan(
        n_sequences=n,
        batch_size=training.batch_size,
        round_batches=min(round_batches, training.max_batches),
        max_batches=training.max_batches,
        patience=training.patience,
    )


def _validator(
    model: keras.Model, shell: Shell, dataset: Dataset, training: Training
) -> Callable[[], dict[str, float]] | None:
    """A function that measures the model on the validation split, with one result for all workers."""
    validation = validation_set(dataset, training.validation_sequences)
    if validation is None:
        return None

    def validate() -> dict[str, float]:
        measured: keras.Model = shell
        if shell.distribute_strategy.num_replicas_in_sync > 1:
            # Keras would predict each batch once a device
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
