"""What goes wrong because of the input, said in one line: where, what, and how to mend it."""

from __future__ import annotations

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
        What to do about it.

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
        return " ".join(line.split())
