"""InputError: bad input told in one line (where, what, how to fix it), the nearest known word, and ends of the work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from os import PathLike


class InputError(ValueError):
    """Bad input from the user: the command line prints it as one line and ends with exit code 2.

    Parameters
    ----------
    where : str or path
        The file (with ``:line`` where there is one) or the configuration key at fault.
    what : str
        What is wrong.
    mend : str, optional
        How to fix it.

    Examples
    --------
    >>> str(InputError("peaks.bed:3", "start 900 is not below end 400", "swap them or drop the line"))
    'peaks.bed:3: start 900 is not below end 400; swap them or drop the line'
    """

    def __init__(self, where: str | PathLike[str], what: str, mend: str = "") -> None:
        self.where, self.what, self.mend = str(where), what, mend
        super().__init__(where, what, mend)

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" + (f"; {self.mend}" if self.mend else "")
        return printable(" ".join(line.split()))


def printable(text: str) -> str:
    r"""Text of a file as a terminal can show it: control characters and bytes that are no text are written out.

    A name in a file that others made could otherwise move the cursor or hide what follows.

    Examples
    --------
    >>> printable("\x1b[31mred \udcff é")
    '\\x1b[31mred \\udcff é'
    """
    shown = "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode() for each in text
    )
    return shown.encode("utf-8", "backslashreplace").decode()


class WorkersLost(RuntimeError):  # noqa: N818 - as `Stopped`, what has happened
    """Processes that were given work are gone: one line, and exit code 1, since the input is not at fault."""


class Stopped(SystemExit):
    """A signal ended the work after what was done had been saved; the exit code is 128 and the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the nearest known one, or all of them.

    Examples
    --------
    >>> nearest("relu6", ["relu", "gelu"]), nearest("x", ["relu", "gelu"])
    ("; did you mean 'relu'?", '; known: relu, gelu')
    """
    known = [str(key) for key in known]
    meant = close_to(word, known)
    return f"; did you mean {meant!r}?" if meant else f"; known: {', '.join(known)}"


def close_to(word: str, known: Iterable[str], least_similarity: float = 0.5) -> str | None:
    """The known word that an unknown one most likely stands for: the most similar one, or None where none is.

    `least_similarity` lies between 0 (the nearest, however far) and 1 (the same word), as in `difflib`.
    """
    close = difflib.get_close_matches(word, [str(each) for each in known], n=1, cutoff=least_similarity)
    return close[0] if close else None
