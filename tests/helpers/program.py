"""The `simbench` program, run within the test's own process."""

import sys

import pytest

from simbench_tf.cli import program as cli


def simbench(monkeypatch, capsys, *arguments):
    """Exit code, what was printed, and what was said of errors."""
    monkeypatch.setattr(sys, "argv", ["simbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    return stop.value.code, out, err
