"""Logs written while a model trains: history.csv, and TensorBoard's event files on request."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simbench_tf.errors import InputError
from simbench_tf.files import whole_file


@contextmanager
def training_logs(folder: Path | None, tensorboard: bool) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Yield a function to be called with the history after each round; without a folder it writes nothing.

    Raises
    ------
    InputError
        TensorBoard is requested and not installed.
    """
    if folder is None:
        yield lambda _history: None
        return
    with ExitStack() as stack:
        events = stack.enter_context(_events(folder / "tensorboard")) if tensorboard else lambda _history: None

        def log(history: pd.DataFrame) -> None:
            write_history(folder, history)
            events(history)

        yield log


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function of the batches done since its last call; on a terminal they move a bar on standard error."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total)
        yield lambda n: progress.advance(task, n)


def write_history(folder: Path, history: pd.DataFrame) -> None:
    """Write history.csv, and delete an earlier training's metrics.json, which would mean that training is finished."""
    with whole_file(folder / "history.csv") as partial:
        (folder / "metrics.json").unlink(missing_ok=True)
        history.to_csv(partial, index=False)


@contextmanager
def _events(folder: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Yield a function that adds a history's last row to TensorBoard's event files, with the batch as the step."""
    if find_spec("tensorboard") is None:
        mend = "install it with `pip install 'simbench_tf[tensorboard]'`, or leave the key out"
        raise InputError("training.tensorboard", "needs TensorBoard, which is not installed", mend)
    import tensorflow as tf

    with ExitStack() as stack:
        writers: list[tf.summary.SummaryWriter] = []

        def add(history: pd.DataFrame) -> None:
            if not writers:
                if len(history) == 1:  # events of an earlier training, which this one does not resume
                    shutil.rmtree(folder, ignore_errors=True)
                writers.append(tf.summary.create_file_writer(str(folder)))
                stack.callback(writers[0].close)
            row = history.iloc[-1].to_dict()
            batch = int(row.pop("batch"))
            with writers[0].as_default():
                for name, value in row.items():
                    tf.summary.scalar(name, value, step=batch)
            writers[0].flush()

        yield add
