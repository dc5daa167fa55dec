"""The log of a run, RUN/logs/*.jsonl: what each call made, in which seconds and with how much memory, what it mended.

One file a call that made anything, one JSON object a line. A call that found everything up to date leaves none.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from simbench_tf.config import versions
from simbench_tf.errors import InputError

_log = logging.getLogger(__name__)
#: The folder of the logs, in a run.
LOGS = "logs"
#: When this process began, which names its file.
_BEGUN = time.time()
#: What was found up to date and is not written yet: by run, the stages and how often.
_kept: dict[Path, dict[str, int]] = {}


def log_kept(run: Path, stage: str) -> None:
    """Note that a step was found up to date; it is written with the next that is made."""
    _log.debug("up to date: %s", stage)
    stages = _kept.setdefault(run.resolve(), {})
    stages[stage] = stages.get(stage, 0) + 1


def log_made(
    run: Path, stage: str, files: Sequence[str], seconds: float, device: str, mended: Sequence[str], **details: Any
) -> None:
    """Write a line about a step that was made.

    Parameters
    ----------
    run : path
    stage : str
    files : sequence of str
        Paths below the run.
    seconds : float
    device : str
    mended : sequence of str
        Of files, those that were damaged or gone.
    **details
        What the step's record holds beside.
    """
    _log.debug("made %s: %s in %.1f s on %s", stage, ", ".join(files), seconds, device)
    path = run / LOGS / f"{_stamp(_BEGUN).replace(':', '')}-{os.getpid()}.jsonl"
    lines = []
    if not path.exists():
        command = [Path(sys.argv[0]).name, *sys.argv[1:]]
        process = {"host": platform.node(), "pid": os.getpid(), "command": command}
        lines.append({"event": "begun", **process, "versions": versions()})
    lines += [{"event": "kept", "stage": each, "steps": n} for each, n in _kept.pop(run.resolve(), {}).items()]
    made = {"stage": stage, "files": list(files), "seconds": round(seconds, 3), "peak_memory_mb": _peak_memory()}
    lines.append({"event": "made", **made, "device": device, "mended": list(mended), **details})
    path.parent.mkdir(exist_ok=True)
    now = _stamp(time.time())
    with path.open("a", encoding="utf-8") as handle:
        handle.write("".join(json.dumps({"time": now, **line}, default=str) + "\n" for line in lines))


def read_logs(run: Path) -> Iterator[dict[str, Any]]:
    """Yield what the logs of a run hold, in the order of time.

    A line that a kill cut short is left out.

    Raises
    ------
    InputError
        The run has no log.
    """
    paths = sorted((run / LOGS).glob("*.jsonl"))
    if not paths:
        raise InputError(run, "has no log", "a run of this version writes RUN/logs while it makes anything")
    for path in paths:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict):
                yield event


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _peak_memory() -> int | None:
    """Megabytes that this process has held at most; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))
