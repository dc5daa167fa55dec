"""Programs of others run as they are: in a process of their own, with few threads, ended with us, told in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from simbench_tf.discovery import keeper
from simbench_tf.errors import InputError

#: What numba, OpenMP and the linear algebra libraries read the number of their threads from.
_THREADS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")


class ProgramFailed(InputError):  # noqa: N818 - as `NoMotifs`, a result that a stage may tell
    """A program of others failed; what it was given may suit another one."""


def run_program(command: Sequence[str], folder: Path, threads: int = 1) -> None:
    """Run a program in a folder; it ends with this process.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    folder : Path
        Where it works; what it prints goes to its file log.txt.
    threads : int, default 1
        The most that it may use at a time. It sees no GPU, and its order of sets is fixed.

    Raises
    ------
    ProgramFailed
        With the last line that it printed.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> run_program([sys.executable, "-c", "print('done')"], folder)
    >>> (folder / "log.txt").read_text().strip()
    'done'
    """
    environment = os.environ | dict.fromkeys(_THREADS, str(threads))
    environment |= {"PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg"}
    log = folder / "log.txt"
    with log.open("wb") as printed:
        kept = subprocess.Popen(
            [sys.executable, "-I", keeper.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=printed,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,  # Ctrl-C reaches us alone; we end it by its standard input
        )
        assert kept.stdin is not None
        try:
            code = kept.wait()
        finally:
            kept.stdin.close()
            kept.wait()
    if code:
        raise ProgramFailed(_name(command), *_failure(log, code))


def program_of(package: str, name: str) -> list[str]:
    """How to start a program that a package brings, with this Python.

    Raises
    ------
    InputError
        The package brings none.
    """
    files = metadata.distribution(package).files or ()
    own = [file.locate() for file in files if file.stem == name and file.parent.name in ("bin", "Scripts")]
    path = next((str(each) for each in own if Path(str(each)).is_file()), None) or shutil.which(name)
    if path is None:
        raise InputError(name, f"is no program of the installed {package}", f"pip install --force-reinstall {package}")
    return [path] if path.endswith(".exe") else [sys.executable, path]


def _name(command: Sequence[str]) -> str:
    """The program's name: of a Python program that of its file."""
    return Path(command[1] if command[0] == sys.executable and len(command) > 1 else command[0]).stem


def _failure(log: Path, code: int) -> tuple[str, str]:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    what = f"failed with exit code {code}" + (f": {lines[-1]}" if lines else "")
    if code == 128 + 9:
        return what + " (it was killed)", "it may want more memory: give it fewer sequences"
    return what, "it may not take such attributions"
