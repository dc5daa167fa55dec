"""``python -m simbench_tf.cli``: the program `simbench`."""

from simbench_tf.cli import main

main()
