"""Fuzzing of readers: mutated copies of whole files, each read in a process of its own kind, and what came of it.

A reader may take a mutant or refuse it by an InputError. Anything else is a fault: another exception, a crash, over
`MOST_SECONDS` of the processor (or four times as much by the clock) or over `MOST_BYTES` of memory.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import resource
import signal
import struct
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from helpers.mutants import mutants
from simbench_tf.errors import InputError

MOST_SECONDS = 5
MOST_BYTES = 2 << 30
#: Words that are put into texts: ends of numbers, signs, and what programs stumble over.
_WORDS = (
    b"-1", b"0", b"1e309", b"nan", b"inf", b"-inf", b"9" * 30, b"9" * 5000, b"1e-400", b"0x1F", b"1_0", b"\xc2\xb2",
    b"\xff\xfe", b"\x00", b"\x1b[31m", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"", b"\t", b"\t" * 40, b" " * 3000,
    b"\r", b"\n", b"\n\n", b"a" * 9000, b"ACGTN" * 900, b"../x", b"=1+1", b'"', b"'", b"[", b"]", b"{", b"}", b":",
    b"*", b"&a ", b"#", b">", b"@", b"%", b"null", b"true", b"[" * 2000,
)  # fmt: skip


class Reader(NamedTuple):
    """A reader that is fuzzed.

    Attributes
    ----------
    write : callable
        Given a folder, writes a whole file (and what must be beside it) and returns its path.
    read : callable
        Given the path, reads all of the file that the program ever reads.
    is_text : bool
        Whether words and lines are mutated, too.
    """

    write: Callable[[Path], Path]
    read: Callable[[Path], object]
    is_text: bool = False


class Outcome(NamedTuple):
    """What came of the mutants of one reader.

    Attributes
    ----------
    n_taken, n_refused : int
        Read, and refused in a line.
    faults : Counter of str
        What else there was, and how often.
    examples : dict of str to bytes
        A mutant for each fault.
    slowest : float
        Seconds.
    """

    n_taken: int
    n_refused: int
    faults: Counter[str]
    examples: dict[str, bytes]
    slowest: float


def fuzz(reader: Reader, folder: Path, n: int, random_state: int) -> Outcome:
    """Read `n` mutants of a reader's file, in children that are begun anew after each fault."""
    path = reader.write(folder)
    whole = path.read_bytes()
    reader.read(path)  # what is whole is taken
    made = text_mutants(whole, n, random_state) if reader.is_text else mutants(whole, n, random_state, header=256)
    counted: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    examples: dict[str, bytes] = {}
    slowest, left = 0.0, list(made)
    while left:
        results = _in_child(reader, path, left)
        for mutant, (said, seconds) in zip(left, results, strict=False):
            slowest = max(slowest, seconds)
            said = said if seconds <= MOST_SECONDS or said.startswith("takes") else f"takes over {MOST_SECONDS} s"
            if said in ("taken", "refused"):
                counted[said] += 1
            else:
                faults[said] += 1
                examples.setdefault(said, mutant)
        left = left[len(results) :]
    path.write_bytes(whole)
    return Outcome(counted["taken"], counted["refused"], faults, examples, slowest)


def text_mutants(content: bytes, n: int, random_state: int) -> Iterator[bytes]:
    """Yield `n` damaged copies of a text: half of their bytes as of any file, half of words and lines."""
    rng = np.random.default_rng([random_state, 1])
    of_bytes = mutants(content, n, random_state)
    for number in range(n):
        yield next(of_bytes) if number % 2 else _text_mutant(content, rng)


def _text_mutant(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(lines)))
        match rng.integers(6):
            case 0:
                lines[at] = lines[at] + lines[at]
            case 1:
                lines.insert(at, lines[int(rng.integers(len(lines)))])
            case 2 if len(lines) > 1:
                del lines[at]
            case 3:
                place = int(rng.integers(len(lines[at]) + 1))
                lines[at] = lines[at][:place] + _word(rng) + lines[at][place:]
            case _:
                words = lines[at].replace(b"\t", b" \t ").split(b" ")
                words[int(rng.integers(len(words)))] = _word(rng)
                lines[at] = b" ".join(words).replace(b" \t ", b"\t")
    return b"\n".join(lines)


def _word(rng: np.random.Generator) -> bytes:
    return _WORDS[int(rng.integers(len(_WORDS)))]


def _in_child(reader: Reader, path: Path, left: list[bytes]) -> list[tuple[str, float]]:
    """What came of the first mutants, up to and with the first whose reader crashes or does not end."""
    into, out = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(into)
        _read_all(reader, path, left, out)
        os._exit(0)
    os.close(out)
    results: list[tuple[str, float]] = []
    with os.fdopen(into, "rb") as pipe:
        while (head := pipe.read(4)) and len(head) == 4:
            results.append(pickle.loads(pipe.read(struct.unpack("<I", head)[0])))
    _, status = os.waitpid(child, 0)
    if len(results) < len(left):
        name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status >> 8}"
        said = f"takes over {MOST_SECONDS} s" if name == "SIGALRM" else f"crash: {name}"
        results.append((said, MOST_SECONDS if name == "SIGALRM" else 0.0))
    return results


def _read_all(reader: Reader, path: Path, left: list[bytes], out: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    faulthandler.disable()  # pytest's, which would print where a mutant crashes
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process, whatever native code it is in
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, used + MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    for mutant in left:
        path.write_bytes(mutant)
        signal.alarm(4 * MOST_SECONDS)
        start = time.process_time()  # of the processor: other work on the machine is no fault of the reader's
        said = _said(reader, path)
        result = pickle.dumps((said, time.process_time() - start))
        signal.alarm(0)
        os.write(out, struct.pack("<I", len(result)) + result)


def _said(reader: Reader, path: Path) -> str:
    try:
        reader.read(path)
    except InputError as error:
        text = str(error)
        return "refused" if text.isprintable() else f"a line that a terminal cannot show: {text[:80]!r}"
    except BaseException as error:  # a reader's fault, whatever it is
        last = traceback.extract_tb(sys.exc_info()[2])
        ours = [each for each in last if "/simbench_tf/" in each.filename]
        place = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "?"
        return f"{type(error).__name__} in {place}"
    return "taken"
