"""The command line `simbench`: one thin command a stage, errors in one line, progress bars on a terminal only."""

from simbench_tf.cli.program import main as main
