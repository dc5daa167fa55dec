"""A program that runs another and ends it, with all that it began, when its own standard input closes.

So a motif caller ends with the process that started it, even where that is killed: the system closes its end of the
pipe. It is run by its path and needs nothing but Python: ``python keeper.py PROGRAM ARGUMENT...``.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading


def keep(command: list[str]) -> int:
    """Run a command until it or the standard input ends; its exit code, 128 and the number where a signal ended it."""
    # a session of its own: what the command forks is in one group with it
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_with_input, args=(program,), daemon=True).start()
    code = program.wait()
    return code if code >= 0 else 128 - code


def _end_with_input(program: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1024):  # a plain read: a buffered one would hold a lock when Python ends
        pass
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
    else:
        program.kill()


if __name__ == "__main__":
    sys.exit(keep(sys.argv[1:]))
