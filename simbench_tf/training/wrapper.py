"""A wrapper around the model: takes base codes, computes in the chosen precision, on all devices.

The wrapper takes uint8 bases, a batch of which is a sixteenth of its one-hot, and encodes them on the device. Where
several devices share a batch, each gets its share of the rows, and the gradient is that of the whole batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from simbench_tf.config import Training
from simbench_tf.dataset import Dataset
from simbench_tf.dataset.tf_data import made_ahead
from simbench_tf.devices import Computation, n_hosts
from simbench_tf.errors import InputError
from simbench_tf.models.layers import NOT_COPIED, copied_model
from simbench_tf.random_streams import stream_key
from simbench_tf.tables import UNLABELLED
from simbench_tf.training.averaging import Adam
from simbench_tf.training.schedule import learning_rates


class LabelWeights(NamedTuple):
    """Weights of each task's negatives and positives in the loss."""

    negatives: list[float]
    positives: list[float]


class Shell(keras.Model):
    """A network that takes bases, uint8 (N, L), and is trained on all devices of a strategy.

    The logs of a batch are sums over the round's sequences so far, each the mean over devices: `total`, of losses
    without the penalty on weights, and `count`. What is saved is the model that is trained, not the shell.
    """

    def __init__(
        self, network: keras.Model, seq_length: int, strategy: tf.distribute.Strategy, model: keras.Model
    ) -> None:
        bases = keras.Input((seq_length,), dtype="uint8", name="bases")
        # 4, an N, is beyond the depth: its row is zeros
        super().__init__(bases, network(keras.ops.one_hot(bases, 4, dtype="float32")), name="shell")
        self._strategy = strategy
        self._trained_model = lambda: model  # Keras would take an attribute that is a model for a layer

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save the model that is trained, with its weights of now, for callbacks such as ModelCheckpoint."""
        self._updated_model().save(filepath, *args, **kwargs)

    def save_weights(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save the weights of the model that is trained."""
        self._updated_model().save_weights(filepath, *args, **kwargs)

    def _updated_model(self) -> keras.Model:
        model, network = self._trained_model(), self.layers[-1]
        if network is not model:
            model.set_weights(network.get_weights())
        return model

    @property
    def distribute_strategy(self) -> tf.distribute.Strategy:
        """The strategy; Keras, given it by the scope, would first try a batch, which fails on several hosts."""
        return self._strategy

    def train_step(self, data: Any) -> dict[str, Any]:
        """Keras' own step, with sums that can be averaged over devices whose shares differ in size."""
        super().train_step(data)
        mean = self._losses_seen()
        # Keras averages over hosts along an axis, which a scalar lacks
        shape = [1] if isinstance(self._strategy, tf.distribute.MultiWorkerMirroredStrategy) else []
        return {name: tf.reshape(value, shape) for name, value in (("total", mean.total), ("count", mean.count))}

    def _losses_seen(self) -> keras.metrics.Mean:
        return next(metric for each in self.metrics for metric in getattr(each, "metrics", ()))


def make_shell(
    model: keras.Model,
    seq_length: int,
    training: Training,
    chosen: Computation,
    strategy: tf.distribute.Strategy,
    weights: LabelWeights | None = None,
) -> Shell:
    """Compile a shell around a model, or around a copy where the model is not to be trained as it is.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4). How it is compiled does not change; its weights are the shell's where it is not copied.
    seq_length : int
    training : Training
    chosen : Computation
    strategy : tf.distribute.Strategy
    weights : LabelWeights, optional
        Weights of each task's labels in the loss.

    Returns
    -------
    Shell
        Its last layer is the network.

    Raises
    ------
    InputError
        The model must be copied and cannot be.
    """
    regularised = training.max_norm is not None or training.l2 > 0
    # float16 would need its losses scaled
    is_half = any(layer.compute_dtype == "float16" for layer in model._flatten_layers())
    copied = chosen.precision != "float32" or chosen.n_replicas > 1 or regularised or is_half
    with _float32_policy():
        # variables are made in the scope; the shell trains outside it: only there do its updates equal one device's
        with strategy.scope():
            network = _copied(model, chosen) if copied else model
            if copied:
                _regularise(network, training)
        shell = Shell(network, seq_length, strategy, model)
        with strategy.scope():
            loss = _cross_entropy(weights)
            shell.compile(
                optimizer=_optimizer(training),
                loss=loss,
                metrics=[keras.metrics.MeanMetricWrapper(loss, name="loss_of_data")],
                jit_compile=chosen.xla,
                steps_per_execution=chosen.steps_per_execution,
            )
            shell.optimizer.build(shell.trainable_variables)
    return shell


@contextmanager
def _float32_policy() -> Iterator[None]:
    """Keep Keras' global precision, as mixed_float16, from what is not the user's: shell, loss, optimizer."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def shared(data: Callable[[], tf.data.Dataset], strategy: tf.distribute.Strategy) -> Any:
    """Batches of (bases, labels) shared among a strategy's n devices: each device gets every n-th row.

    Keras averages over the rows of each device, then over devices; a weight corrects for shares of unequal size. Where
    a batch has fewer rows than there are devices, the remaining devices get a row of weight 0.
    """
    n_replicas = strategy.num_replicas_in_sync
    if n_replicas == 1:
        return data()

    def share(replica: int, bases: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        n = tf.shape(bases)[0]
        rows = tf.range(replica, tf.maximum(n, replica + 1), n_replicas)
        n_mine = tf.where(replica < n, tf.shape(rows)[0], 0)
        weight = tf.cast(n_replicas * n_mine, tf.float32) / tf.cast(n, tf.float32)
        return tf.gather(bases, rows % n), tf.gather(labels, rows % n), tf.fill(tf.shape(rows), weight)

    def of_host(context: tf.distribute.InputContext) -> tf.data.Dataset:
        n_here = n_replicas // context.num_input_pipelines
        mine = range(context.input_pipeline_id * n_here, (context.input_pipeline_id + 1) * n_here)

        def shares(bases: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
            first, *others = [tf.data.Dataset.from_tensors(share(replica, bases, labels)) for replica in mine]
            return functools.reduce(lambda before, after: before.concatenate(after), others, first)

        return made_ahead(data().flat_map(shares))

    return strategy.distribute_datasets_from_function(of_host)


def seed_dropout(network: keras.Model, seed: int, strategy: tf.distribute.Strategy, resume: bool = False) -> None:
    """Set every random state in a network, at any depth of layers; each device has masks of its own.

    With `resume` the counts of masks drawn so far stay.
    """
    states = [
        variable for variable in network.non_trainable_variables if variable.path.endswith("seed_generator_state")
    ]
    for number, state in enumerate(states):
        on_devices = strategy.experimental_local_results(state.value)
        first = strategy.extended.worker_index * len(on_devices) if n_hosts() > 1 else 0
        for replica, on_device in enumerate(on_devices, first):
            of_replica = f" of replica {replica}" if replica else ""
            key = int(stream_key(seed, f"dropout {number}{of_replica}")) % 2**32
            on_device.assign([key, int(on_device[1]) if resume else 0])


def label_weights(class_weight: Literal["balanced"] | dict[str, float] | None, dataset: Dataset) -> LabelWeights | None:
    """The label weights that `training.class_weight` means for a data set; None where all labels count alike.

    Balanced weights are n / (2 n_label), n_label being the sequences of the train split with that label (scikit-learn's
    formula); a task whose train split holds one label alone has weights of 1. Where sequences are neither positive nor
    negative of a task (`tables.UNLABELLED`), the others weigh more, so that each task's loss is a mean over those it
    labels.
    """
    labels = dataset.labels("train")
    n_labelled = (labels != UNLABELLED).sum(axis=0)
    if class_weight is None and (n_labelled == len(labels)).all():
        return None
    negatives, positives = np.ones(len(dataset.tasks)), np.ones(len(dataset.tasks))
    if isinstance(class_weight, dict):
        positives = np.array([class_weight.get(task, 1.0) for task in dataset.tasks])
    elif class_weight == "balanced":
        positive = (labels == 1).sum(axis=0) / np.maximum(n_labelled, 1)
        fraction = np.where((positive > 0) & (positive < 1), positive, 0.5)
        negatives, positives = 0.5 / (1 - fraction), 0.5 / fraction
    share = np.maximum(n_labelled, 1) / max(len(labels), 1)
    return LabelWeights((negatives / share).tolist(), (positives / share).tolist())


def _cross_entropy(weights: LabelWeights | None) -> Callable[[Any, Any], Any]:
    """The loss of each sequence, (B,): weighted binary cross-entropy, the mean over tasks, 0 where it has no label."""

    def of_sequences(labels: Any, probabilities: Any) -> Any:
        labels = keras.ops.cast(labels, "float32")
        if weights is None:
            return keras.ops.mean(keras.ops.binary_crossentropy(labels, probabilities), axis=-1)
        of_labels = keras.ops.where(labels == 1, weights.positives, weights.negatives)
        of_labels = keras.ops.where(labels == UNLABELLED, 0.0, of_labels)
        losses = of_labels * keras.ops.binary_crossentropy(keras.ops.minimum(labels, 1.0), probabilities)
        return keras.ops.mean(losses, axis=-1)

    return of_sequences


def _optimizer(training: Training) -> keras.optimizers.Optimizer:
    averaging = {} if training.ema_momentum is None else {"use_ema": True, "ema_momentum": training.ema_momentum}
    return Adam(learning_rates(training), **averaging)


def _regularise(network: keras.Model, training: Training) -> None:
    """Bound the norm of the weights into each unit, and penalise their squares."""
    for variable in network.trainable_variables:
        if variable.name.endswith("kernel"):
            if training.max_norm is not None:
                into_a_unit = list(range(len(variable.shape) - 1))
                variable.constraint = keras.constraints.MaxNorm(training.max_norm, axis=into_a_unit)
            if training.l2:
                variable.regularizer = keras.regularizers.L2(training.l2)


def _copied(model: keras.Model, chosen: Computation) -> keras.Model:
    """Copy a model; the copy's layers compute in a precision, its weights (the same values) and its output are float32.

    Where devices share a batch, batch normalisation is over all of it.
    """
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]

    def changed(layer: keras.layers.Layer) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        if layer.compute_dtype == "float16":
            settings["dtype"] = "float32"
        if chosen.precision == "bfloat16":
            settings["dtype"] = "float32" if layer is last else "mixed_bfloat16"
        if isinstance(layer, keras.layers.BatchNormalization) and chosen.n_replicas > 1:
            settings["synchronized"] = True
        return settings

    try:
        return copied_model(model, changed)
    except NOT_COPIED as error:
        what = f"cannot be copied for training: {' '.join(str(error).split())}"
        mend = "give its layers a get_config, or build and train it in float32, on one device, without max_norm and l2"
        raise InputError(model.name, what, mend) from error
