"""The command line `simbench`: one thin command per stage, errors in one line, progress bars only on a terminal."""

from simbench_tf.cli.program import main as main
