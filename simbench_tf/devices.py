"""Devices that train a model, and its precision: one device, this machine's GPUs, or the hosts of TF_CONFIG."""

from __future__ import annotations

import functools
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from simbench_tf.config import Training
from simbench_tf.errors import InputError

# TensorFlow is imported where it is needed: a caller that asks only who writes does not wait for it
if TYPE_CHECKING:
    import tensorflow as tf


#: Batches in one call of a GPU, where that divides the length of a round and the interval of checkpoints.
_BATCHES_PER_CALL = 20


class Computation(NamedTuple):
    """The device, precision and compilation that were chosen for training.

    Attributes
    ----------
    device : str
        Name of the first GPU, or "cpu".
    n_replicas : int
        Devices that share each batch, over all hosts.
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
    """How batches are shared, the same object at each call: over hosts, over the GPUs of this machine, or not at all.

    TF_CONFIG, which names the hosts, must be read before TensorFlow computes anything: a script that runs on several
    hosts calls this before it builds its model; `simbench train` does.

    Returns
    -------
    tf.distribute.Strategy
        MultiWorkerMirroredStrategy where TF_CONFIG names more than one host, MirroredStrategy where there is more
        than one GPU, else TensorFlow's default.

    Raises
    ------
    InputError
        TF_CONFIG cannot be read, or TensorFlow has computed something before.
    """
    import tensorflow as tf

    if n_hosts() > 1:
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except (RuntimeError, ValueError) as error:
            mend = "call simbench_tf.devices.strategy() before any model is built"
            raise InputError("TF_CONFIG", f"cannot be followed: {' '.join(str(error).split())}", mend) from error
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def n_hosts() -> int:
    """Hosts that TF_CONFIG names, the chief included; 1 without it."""
    cluster = _tf_config().get("cluster", {})
    return max(1, len(cluster.get("chief", [])) + len(cluster.get("worker", [])))


def is_chief() -> bool:
    """Whether this process writes what all hosts have made: the chief or, where there is none, the first worker."""
    config = _tf_config()
    task = config.get("task", {})
    first = "chief" if config.get("cluster", {}).get("chief") else "worker"
    return n_hosts() == 1 or (task.get("type"), task.get("index")) == (first, 0)


def agreed(values: Sequence[float]) -> list[float]:
    """The mean over all hosts of numbers that each has computed for itself, so that all continue with the same ones."""
    if n_hosts() == 1:
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
    """Choose precision, XLA and the batches in one call, where the configuration does not.

    Parameters
    ----------
    training : Training
    n_replicas : int
        Devices that share a batch.
    divisible : list of int
        Numbers of batches that must be whole numbers of calls, such as the length of a round.

    Raises
    ------
    InputError
        XLA is requested on several devices, or a batch holds fewer sequences than there are devices.

    Examples
    --------
    >>> chosen = computation(Training(precision="float32", xla=False, steps_per_execution=16), 1, [1000, 500])
    >>> chosen.precision, chosen.steps_per_execution
    ('float32', 10)
    """
    import tensorflow as tf

    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    if n_replicas > 1 and training.xla is True:
        raise InputError("training.xla", f"cannot compile a step that {n_replicas} devices share", "leave it at auto")
    if training.batch_size < n_replicas:
        what = f"{training.batch_size} is less than one sequence for each of {n_replicas} devices"
        raise InputError("training.batch_size", what, "make it larger")
    batches_per_call = training.steps_per_execution
    if batches_per_call == "auto":
        batches_per_call = _BATCHES_PER_CALL if has_gpu else 1
    if n_hosts() > 1:
        batches_per_call = 1  # TensorFlow's loop over batches holds no sums over hosts
    common = math.gcd(*divisible)
    return Computation(
        device=device(),
        n_replicas=n_replicas,
        precision=_precision(training.precision),
        # on CPUs XLA takes half as long again for each batch of a small Basset, and seconds to compile
        xla=has_gpu and n_replicas == 1 if training.xla == "auto" else training.xla,
        steps_per_execution=max(n for n in range(1, min(batches_per_call, common) + 1) if common % n == 0),
    )


def device() -> str:
    """The name of the first GPU, or "cpu"."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu") if gpus else "cpu"


def _precision(requested: str) -> str:
    """The precision; of "auto" bfloat16 where the GPU has it (compute capability 8 or more), or the processor."""
    if requested != "auto":
        return requested
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "bfloat16" if _cpu_has_bfloat16() else "float32"
    details = tf.config.experimental.get_device_details(gpus[0])
    return "bfloat16" if details.get("compute_capability", (0, 0)) >= (8, 0) else "float32"


#: What Linux calls the instructions of x86 processors that multiply in bfloat16, of vectors or of tiles.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
_CPU_INFO = Path("/proc/cpuinfo")


def _cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16, and TensorFlow is left the library (oneDNN) that makes use of it.

    Where nothing says so, as on macOS and Windows, it does not: to imitate bfloat16 takes several times as long.
    """
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") == "0" or not _CPU_INFO.is_file():
        return False
    flags = (line.partition(":")[2].split() for line in _CPU_INFO.read_text().splitlines() if line.startswith("flags"))
    return not _BFLOAT16_FLAGS.isdisjoint(next(flags, []))
