"""How many sequences may go through a model together: as many as a share of the device's memory holds.

The share is taken of all the memory there is, not of what happens to be free, so that a machine chooses the same each
time and a run that is resumed after a kill ends with the same bytes.
"""

from __future__ import annotations

import contextlib
import functools
import math
from pathlib import Path
from typing import Any

#: Batches beyond this no longer make a GPU busier, and leave the caches of a CPU.
LARGEST_BATCH = 256


#: Share of the memory that a model's tensors may take; the rest is for weights, other programs and other workers.
_SHARE = 0.25


#: Files in which Linux says how much memory the processes of a container share, at most.
_LIMITS = [
    Path("/sys/fs/cgroup", name)
    for name in ("memory.max", "memory.high", "memory/memory.limit_in_bytes", "memory/memory.soft_limit_in_bytes")
]
#: Bytes held for each byte of all layers' outputs: these, and as many in the backward pass.
_HELD = 2


def fitting_batch_size(graph: Any, seq_length: int, memory: int | None = None, n_bytes: int | None = None) -> int:
    """The power of two, at most 256, of sequences whose tensors fit.

    Parameters
    ----------
    graph : keras.Model or None
        Functional; None for a model whose layers can't be seen, which gets 256.
    seq_length : int
        L.
    memory : int, optional
        Bytes of the device; looked up where left out.
    n_bytes : int, optional
        Bytes of all layers' outputs for one sequence, of a model that has no graph.

    Returns
    -------
    int
        At least 1.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([keras.Input((1000, 4)), keras.layers.Conv1D(300, 1)])
    >>> fitting_batch_size(model, 1000, memory=2**29), fitting_batch_size(model, 1000, memory=2**40)
    (32, 256)
    """
    if graph is None and not n_bytes:
        return LARGEST_BATCH
    held = _HELD * (n_bytes or bytes_of_outputs(graph, seq_length))
    fitting = _SHARE * (device_memory() if memory is None else memory) / held
    return min(LARGEST_BATCH, 1 << max(0, int(fitting).bit_length() - 1))


def bytes_of_outputs(graph: Any, seq_length: int) -> int:
    """Bytes of all layers' outputs for one sequence, in float32; an axis of unknown length counts as the sequence's."""
    from simbench_tf.attribution.model_graph import read_calls

    shapes = [tensor.shape[1:] for call in read_calls(graph).calls for tensor in call.node.output_tensors]
    sizes = [math.prod(seq_length if axis is None else axis for axis in shape) for shape in [(seq_length, 4), *shapes]]
    return 4 * sum(sizes)


@functools.cache
def device_memory() -> int:
    """Bytes of the first GPU's memory that TensorFlow may use; without one, of this machine's, or of its share."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        from tensorflow.python.client import device_lib

        return next(device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU")
    return machine_memory()


def machine_memory() -> int:
    """Bytes of this machine's memory, or of the share that a container or a limit leaves this process."""
    import psutil

    limits = [psutil.virtual_memory().total]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # it is not there, or says "max"
            limits.append(int(path.read_text()))
    with contextlib.suppress(ImportError, OSError):  # Windows has no such limits
        import resource

        limits.append(resource.getrlimit(resource.RLIMIT_RSS)[1])
    return int(min(limit for limit in limits if limit > 0))
