"""On what a model is trained, and how: one device, the GPUs of this machine, or the workers that TF_CONFIG names."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from simbench_tf.config import Training
from simbench_tf.errors import InputError

# TensorFlow where it is needed: who asks only whether to write does not wait for it
if TYPE_CHECKING:
    import tensorflow as tf


#: Batches in one call of a GPU, where they divide all that happens between two of them.
_AT_ONCE = 20


class Computation(NamedTuple):
    """What was chosen to train on, and how.

    Attributes
    ----------
    device : str
        Name of the first GPU, or "cpu".
    n_replicas : int
        Devices that share each batch, over all workers.
    precision : {"float32", "bfloat16"}
        Of the layers while they are trained.
    xla : bool
        Whether the training step is compiled by XLA.
    steps_per_execution : int
        Batches in one call of the device.
    """

    device: str
    n_replicas: int
    precision: str
    xla: bool
    steps_per_execution: int

    def __str__(self) -> str:
        devices = self.device if self.n_replicas == 1 else f"{self.n_replicas} x {self.device}"
        batches = f", {self.steps_per_execution} batches a call" if self.steps_per_execution > 1 else ""
        return f"{devices}, {self.precision}{', XLA' if self.xla else ''}{batches}"


@functools.cache
def strategy() -> tf.distribute.Strategy:
    """How batches are shared, the same object at each call: over workers, over the GPUs of this machine, or not at all.

    TF_CONFIG, which names the workers, must be met before TensorFlow computes anything: a script that is one of several
    workers calls this before it builds its model; `simbench train` does.

    Returns
    -------
    tf.distribute.Strategy
        MultiWorkerMirroredStrategy where TF_CONFIG names more than one worker, MirroredStrategy where there is more
        than one GPU, else TensorFlow's default.

    Raises
    ------
    InputError
        TF_CONFIG cannot be read, or TensorFlow has computed something before.
    """
    import tensorflow as tf

    if n_workers() > 1:
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (RuntimeError, ValueError) as error:
            mend = "call simbench_tf.devices.strategy() before any model is built"
            raise InputError("TF_CONFIG", f"cannot be followed: {' '.join(str(error).split())}", mend) from error
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def n_workers() -> int:
    """Workers that TF_CONFIG names, its chief among them; 1 without it."""
    cluster = _tf_config().get("cluster", {})
    return max(1, len(cluster.get("chief", [])) + len(cluster.get("worker", [])))


def is_chief() -> bool:
    """Whether this process writes what all workers have made: the chief, or where there is none the first worker."""
    config = _tf_config()
    task = config.get("task", {})
    first = "chief" if config.get("cluster", {}).get("chief") else "worker"
    return n_workers() == 1 or (task.get("type"), task.get("index")) == (first, 0)


def agreed(values: Sequence[float]) -> list[float]:
    """The mean over all workers of numbers that each has computed for itself, so that all go on alike."""
    if n_workers() == 1:
        return list(values)
    import tensorflow as tf

    devices = strategy()
    mine = devices.run(lambda: tf.constant(values, tf.float64))
    return [float(value) for value in devices.reduce(tf.distribute.ReduceOp.MEAN, mine, axis=None)]


def _tf_config() -> dict[str, Any]:
    text = os.environ.get("TF_CONFIG") or "{}"
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    if not isinstance(config, dict) or not isinstance(config.get("cluster", {}), dict):
        mend = 'write {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
        raise InputError("TF_CONFIG", "is no description of a cluster in JSON", mend)
    return config


def computation(training: Training, n_replicas: int, divisible: list[int]) -> Computation:
    """Choose precision, XLA and the batches in one call, where the configuration leaves them to us.

    Parameters
    ----------
    training : Training
    n_replicas : int
        Devices that share a batch.
    divisible : list of int
        Numbers of batches that must be whole numbers of calls, as the length of a round.

    Raises
    ------
    InputError
        XLA is asked for on several devices, or a batch holds fewer sequences than there are devices.

    Examples
    --------
    >>> how = computation(Training(precision="float32", xla=False, steps_per_execution=16), 1, [1000, 500])
    >>> how.precision, how.steps_per_execution
    ('float32', 10)
    """
    import tensorflow as tf

    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    if n_replicas > 1 and training.xla is True:
        raise InputError("training.xla", f"cannot compile a step that {n_replicas} devices share", "leave it at auto")
    if training.batch_size < n_replicas:
        what = f"{training.batch_size} is less than one sequence for each of {n_replicas} devices"
        raise InputError("training.batch_size", what, "make it larger")
    at_once = training.steps_per_execution
    if at_once == "auto":
        at_once = _AT_ONCE if has_gpu else 1
    if n_workers() > 1:
        at_once = 1  # TensorFlow's loop over batches holds no sums over workers
    common = math.gcd(*divisible)
    return Computation(
        device=device(),
        n_replicas=n_replicas,
        precision=_precision(training.precision),
        # on processors: half as long again for each batch of a small Basset, and seconds to compile
        xla=has_gpu and n_replicas == 1 if training.xla == "auto" else training.xla,
        steps_per_execution=max(n for n in range(1, min(at_once, common) + 1) if common % n == 0),
    )


def device() -> str:
    """The name of the first GPU, or "cpu"."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu") if gpus else "cpu"


def _precision(asked: str) -> str:
    """What "auto" means: bfloat16 where the GPU has it (compute capability 8 or more)."""
    if asked != "auto":
        return asked
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return "bfloat16" if details.get("compute_capability", (0, 0)) >= (8, 0) else "float32"
