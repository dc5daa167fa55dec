"""The command line `simbench`: one thin command per stage, errors in one line, progress bars only on a terminal."""

import sys

from simbench_tf.caches import use_writable_caches

INTERRUPTED = "interrupted; the same command resumes where it stopped"


def main() -> None:
    """Entry point of `simbench`; Ctrl-C ends it with one line and exit code 130, also while it still loads."""
    try:
        use_writable_caches()  # before the libraries are loaded that keep them
        from simbench_tf.cli import program

        program.main()
    except KeyboardInterrupt:
        print(INTERRUPTED, file=sys.stderr)  # noqa: T201
        sys.exit(130)
