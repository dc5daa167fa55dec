"""The entry point of the command line: exit codes, errors in one line, warnings and notes on stderr."""

from __future__ import annotations

import _thread
import io
import logging
import os
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# importing them registers the commands, in this order
from simbench_tf.cli import stages  # noqa: F401, isort: skip
from simbench_tf.cli import attribute  # noqa: F401, isort: skip
from simbench_tf.cli import belief  # noqa: F401, isort: skip
from simbench_tf.cli import scoring  # noqa: F401, isort: skip
from simbench_tf.cli import compare  # noqa: F401, isort: skip
from simbench_tf.cli import exchange  # noqa: F401, isort: skip
from simbench_tf.cli import lists  # noqa: F401, isort: skip
from simbench_tf.cli import configuration  # noqa: F401, isort: skip
from simbench_tf.cli import skill  # noqa: F401, isort: skip
from simbench_tf.cli import INTERRUPTED
from simbench_tf.cli.app import app, errors, note
from simbench_tf.cli.everywhere import file_message, show_messages, taken_out
from simbench_tf.errors import InputError, Stopped, WorkersLost


def main() -> None:
    """Entry point: bad input ends with exit code 2 and one line, a fault with 1; --debug shows the traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a letter that the terminal's encoding lacks ends no work
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    if not debug:
        _hush_native_notes()
    try:
        arguments, options = taken_out(sys.argv[1:])
        show_messages(options, note)
        file_message(logging.INFO, f"$ {shlex.join(['simbench', *arguments])}")
        with warnings.catch_warnings(), _no_ctrl_c_is_lost():
            warnings.showwarning = _show_warning
            app(args=arguments)
    except InputError as error:
        _fail(f"error: {error}", 2, debug)
    except WorkersLost as error:
        _fail(f"error: {error}", 1, debug)
    except SystemExit as stop:
        if isinstance(stop, Stopped) or stop.code == 128 + signal.SIGINT:  # typer's own end on Ctrl-C
            note(INTERRUPTED)
        raise
    except Exception as error:
        _fail(f"fault: {type(error).__name__}: {' '.join(str(error).split())}; --debug shows where", 1, debug)


@contextmanager
def _no_ctrl_c_is_lost() -> Iterator[None]:
    """Have a Ctrl-C that arrived while Python destroyed an object arrive again: there an exception ends nothing."""
    before = sys.unraisablehook

    def hook(lost: Any) -> None:
        if lost.exc_type is not KeyboardInterrupt:
            before(lost)
            return
        again = threading.Timer(0.05, _interrupt)  # a moment later, outside of what is being destroyed
        again.daemon = True
        again.start()

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _interrupt() -> None:
    main_thread = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main_thread is not None:
        signal.pthread_kill(main_thread, signal.SIGINT)  # wakes it, too
    else:
        _thread.interrupt_main()


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    text = f"warning: {' '.join(str(message).split())}"
    note(text)
    file_message(logging.WARNING, text)


def _hush_native_notes() -> None:
    """Keep the start-up notes of native libraries off the terminal; Python's own messages still get there.

    TensorFlow's advice on writing its functions is for developers, so its logger is silenced as well.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        if sys.stderr.fileno() != 2:
            return
    except (AttributeError, OSError):  # stderr was replaced by something that is not a file
        return
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def _fail(message: str, code: int, debug: bool) -> None:
    if debug:
        errors.print_exception()
    note(message)
    file_message(logging.ERROR, message)
    sys.exit(code)


if __name__ == "__main__":
    main()
