"""Snapshots: the weights of a network after chosen batches of its training, for the analysis of learning dynamics."""

from __future__ import annotations

import re
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from simbench_tf.files import whole_file

_NAME = re.compile(r"batch-(\d+)\.weights\.h5")


class Snapshot(NamedTuple):
    """Weights after so many batches, and their file, for `keras.Model.load_weights`."""

    batch: int
    path: Path


class Snapshots(keras.callbacks.Callback):
    """Write the weights of the network that `simbench_tf.train` trains, after given numbers of batches.

    Files ``batch-0000037.weights.h5`` appear whole or not at all. Batches are counted by the optimizer, so that a
    training that resumes from a checkpoint keeps the files of earlier batches and writes the later ones. When it
    begins, files of batches that it has not reached are deleted: they are from another training, or will be written
    again.
    Where several batches are one call (`steps_per_execution`), a file is written after the call and named by its last
    batch.

    Parameters
    ----------
    folder : path
        Made where it is missing.
    batches : iterable of int
        0 means the initial weights.

    Examples
    --------
    >>> import tempfile
    >>> callback = Snapshots(tempfile.mkdtemp(), log_spaced_batches(12, 30_000))  # train(..., callbacks=[callback])
    """

    def __init__(self, folder: str | PathLike[str], batches: Iterable[int]) -> None:
        super().__init__()
        self._folder = Path(folder)
        self._batches = sorted(set(batches))
        self._done = self._before_round = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Keep the files of batches already done, delete later ones; write the initial weights of a new training."""
        self._done = int(self.model.optimizer.iterations)
        for snapshot in read_snapshots(self._folder):
            if snapshot.batch > self._done:
                snapshot.path.unlink()
        if self._done == 0 and 0 in self._batches:
            self._write()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Note how many batches were done before this round, since Keras counts batches within a round."""
        self._before_round = self._done

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Write the weights where one of the batches was reached."""
        # counted here, since reading the optimizer's counter waits for the device
        before, self._done = self._done, self._before_round + batch + 1
        if any(before < wanted <= self._done for wanted in self._batches):
            self._write()

    def _write(self) -> None:
        path = self._folder / f"batch-{int(self.model.optimizer.iterations):07d}.weights.h5"
        with whole_file(path) as partial:
            # Keras accepts weights only under this ending
            named = partial.with_suffix(".weights.h5")
            # the network is the wrapper's last layer, and may be a copy that computes in another precision
            self.model.layers[-1].save_weights(named)
            named.replace(partial)


def log_spaced_batches(n: int, max_batches: int) -> list[int]:
    """At most n batch counts: 0, and from 1 to `max_batches` evenly spaced in the logarithm, rounded.

    Raises
    ------
    ValueError
        n is below 2, or max_batches below 1.

    Examples
    --------
    >>> log_spaced_batches(8, 600)
    [0, 1, 3, 8, 24, 71, 207, 600]
    >>> log_spaced_batches(5, 2)
    [0, 1, 2]
    """
    if n < 2 or max_batches < 1:
        raise ValueError(f"need two numbers of batches or more and one batch, not {n} and {max_batches}")
    spaced = np.geomspace(1, max_batches, n - 1).round().astype(int) if n > 2 else [max_batches]
    return sorted({0, *map(int, spaced)})


def read_snapshots(folder: Path) -> list[Snapshot]:
    """The snapshots in a folder, by batch; none where there is no folder."""
    matches = ((_NAME.fullmatch(path.name), path) for path in folder.glob("batch-*"))
    return sorted(Snapshot(int(match[1]), path) for match, path in matches if match)
