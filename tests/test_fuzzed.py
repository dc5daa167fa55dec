"""Readers of files of others take a damaged one or refuse it in a line: a drawn part of `python tests/fuzz.py`."""

import functools
import os
import signal
import time

import numpy as np
import pytest

from helpers.fuzzed_readers import BINARIES, READERS, file_of
from helpers.fuzzing import Reader, fuzz
from simbench_tf.errors import InputError


@pytest.mark.parametrize("name", READERS)
def test_every_mutant_is_taken_or_refused_in_a_line(name, tmp_path):
    n = 20 if name in ("keras", "checkpoint", "bigWig") else 100 if name in BINARIES else 300
    outcome = fuzz(READERS[name], tmp_path, n, random_state=20)
    assert not outcome.faults, {said: outcome.examples[said][:300] for said in outcome.faults}
    assert outcome.n_taken + outcome.n_refused == n
    if name not in ("fai", "checkpoint"):  # which are made anew
        assert outcome.n_refused > 0


def fail(name, path):
    """A reader that is at fault with whatever is damaged."""
    if path.read_bytes() == WHOLE:
        return
    match name:
        case "exception":
            raise KeyError(name)
        case "memory":
            np.ones(1 << 33, np.uint8)
        case "control":
            raise UnescapedError("a", "b")
        case "no end":
            time.sleep(60)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)


class UnescapedError(InputError):
    def __str__(self):
        return "\x1b[31m"


WHOLE = b"ACGTACGT"
FAULTS = {
    "exception": "KeyError in ?",
    "memory": "MemoryError in ?",
    "control": "a line that a terminal cannot show: '\\x1b[31m'",
    "no end": "takes over 1 s",
    "crash": "crash: SIGSEGV",
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_reader_at_fault_is_found_out(name, tmp_path, monkeypatch):
    monkeypatch.setattr("helpers.fuzzing.MOST_SECONDS", 1)
    outcome = fuzz(Reader(file_of("a", WHOLE), functools.partial(fail, name)), tmp_path, 3, random_state=1)
    assert outcome.n_taken + outcome.faults[FAULTS[name].replace("\\\\", "\\")] == 3
    assert outcome.faults.total() >= 2
