"""Progress of a command: bars on a terminal, a line for what is finished; elsewhere one line per stage of `run`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from simbench_tf.parallel import Track


def duration(seconds: float) -> str:
    """A time in words.

    Examples
    --------
    >>> duration(3.21), duration(125.4), duration(7380)
    ('3.2 s', '2 min 5 s', '2 h 3 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def stage_of(description: str) -> str:
    """The stage that reports progress under a description.

    Examples
    --------
    >>> stage_of("train basset"), stage_of("basset K562 ism@none"), stage_of("score")
    ('train', 'attribute', 'score')
    """
    words = description.split()
    # attributions go by model, task and key; a model may be called like a stage
    return words[0] if len(words) < 3 else "attribute"


@contextmanager
def bars(console: Console, count: ProgressColumn | None = None, stages: Sequence[str] = ()) -> Iterator[Track]:
    """Yield a `Track`. On a terminal what runs has a bar, what is finished becomes a line, one bar counts all.

    Parameters
    ----------
    console : Console
        Where to show it.
    count : ProgressColumn, optional
        The column of the amount done, by default steps.
    stages : sequence of str
        Stages of the command, in order, if there are several; away from a terminal each then prints its time.
    """
    if not console.is_terminal:
        with _stage_lines(console) if stages else _nothing() as track:
            yield track
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        count or MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # bars of finished work would fill the screen and hide the running one
    with Progress(*columns, console=console, transient=True) as progress:
        overall = progress.add_task("all stages", total=len(stages)) if stages else None
        finished = 0

        @contextmanager
        def track(description: str, total: int) -> Iterator[Callable[[int], None]]:
            nonlocal overall, finished
            if stages and (stage := stage_of(description)) in stages:
                progress.update(_known(overall), completed=list(stages).index(stage))
            elif not stages and finished and overall is None:
                overall = progress.add_task("finished", total=None, completed=finished)
            start, task = time.perf_counter(), progress.add_task(description, total=total)
            try:
                yield lambda n: progress.advance(task, n)
            finally:
                progress.remove_task(task)
            finished += 1
            if overall is not None and not stages:
                progress.update(overall, completed=finished)
            line = f"{description}: {duration(time.perf_counter() - start)}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)

        yield track


def _known(task: TaskID | None) -> TaskID:
    assert task is not None
    return task


@contextmanager
def _nothing() -> Iterator[Track]:
    @contextmanager
    def track(_description: str, _total: int) -> Iterator[Callable[[int], None]]:
        yield lambda _n: None

    yield track


@contextmanager
def _stage_lines(console: Console) -> Iterator[Track]:
    """Yield a `Track` that prints one line per stage, with its time, when the next one begins and at the end."""
    stage, begun, ended = "", 0.0, 0.0

    def print_stage() -> None:
        if stage:
            console.print(f"{stage}: {duration(ended - begun)}", markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def track(description: str, _total: int) -> Iterator[Callable[[int], None]]:
        nonlocal stage, begun, ended
        if stage_of(description) != stage:
            print_stage()
            stage, begun = stage_of(description), time.perf_counter()
        yield lambda _n: None
        ended = time.perf_counter()

    yield track
    print_stage()
