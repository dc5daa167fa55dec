"""Run the `kipoi` program many times without importing TensorFlow each time: a process that forks one child a command.

Reads a JSON object a line, {"arguments": [...], "folder": ..., "output": PREFIX}, and answers with the exit code; what
the command prints is in PREFIX.out and PREFIX.err. Each child runs the installed script itself, as a process of its
own, from the state in which everything is imported and TensorFlow has not computed anything yet.
"""

import importlib
import json
import os
import runpy
import sys
import traceback
from pathlib import Path

# imported here, so that the children need not
for package in ("kipoi.__main__", "keras", "h5py", "pandas", "pyarrow.parquet", "pyfaidx"):
    importlib.import_module(package)

SCRIPT = Path(sys.executable).with_name("kipoi")


def run_script(arguments: list[str]) -> int:
    """Run the script; the exit code a shell would see."""
    sys.argv = [str(SCRIPT), *arguments]
    # as when Python runs the script: no folder of the tests on the path
    sys.path[0] = str(SCRIPT.parent)
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def run_forked(arguments: list[str], folder: str, output: str) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.chdir(folder)
    for stream, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{output}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    code = run_script(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        answers.write(f"{run_forked(**json.loads(line))}\n")
        answers.flush()


if __name__ == "__main__":
    main()
