"""Options that every command takes, --debug, --quiet, --verbose and --log-file, and the log messages they choose."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from simbench_tf.errors import InputError

#: What they are, for the end of the help.
HELP = (
    "Any command takes --quiet (-q): warnings and errors alone; --verbose (-v): each file that is made, too; "
    "--log-file FILE: all of it, with times; --debug: where an error comes from."
)
_FLAGS = {"--debug": "debug", "--quiet": "quiet", "-q": "quiet", "--verbose": "verbose", "-v": "verbose"}
_LOG_FILE = "--log-file"
_log = logging.getLogger("simbench_tf")


class Everywhere(NamedTuple):
    """The options of every command, as given."""

    debug: bool = False
    quiet: bool = False
    verbose: bool = False
    log_file: Path | None = None


def taken_out(arguments: Sequence[str]) -> tuple[list[str], Everywhere]:
    """The arguments of a command without these options, which may stand anywhere before ``--``; and the options.

    Raises
    ------
    InputError
        --log-file has no file after it, or --quiet and --verbose are both given.

    Examples
    --------
    >>> taken_out(["run", "demo", "-v", "--out", "a", "--log-file=a.log"])
    (['run', 'demo', '--out', 'a'], Everywhere(debug=False, quiet=False, verbose=True, log_file=PosixPath('a.log')))
    """
    left: list[str] = []
    given, file = dict.fromkeys(_FLAGS.values(), False), None
    rest = iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        if argument in _FLAGS:
            given[_FLAGS[argument]] = True
        elif name == _LOG_FILE:
            file = value or next(rest, None)
            if not file:
                raise InputError(_LOG_FILE, "names no file", "write --log-file FILE")
        else:
            left.append(argument)
            if argument == "--":
                left += rest
    if given["quiet"] and given["verbose"]:
        raise InputError("--quiet", "and --verbose cannot both be", "leave one of them out")
    return left, Everywhere(**given, log_file=None if file is None else Path(file))


def show_messages(options: Everywhere, show: Callable[[str], None]) -> None:
    """Have the log messages of our own modules shown, such as the device that a model is trained on, and filed.

    Parameters
    ----------
    options : Everywhere
    show : callable
        Prints a line.

    Raises
    ------
    InputError
        The log file cannot be written.
    """
    console = _Shown(logging.DEBUG if options.verbose else logging.WARNING if options.quiet else logging.INFO)
    console.show = show
    _log.setLevel(logging.DEBUG if options.log_file else console.level)
    for handler in _log.handlers:
        handler.close()
    _log.handlers = [console]  # replaced, so that repeated calls print once
    if options.log_file is not None:
        try:
            file = logging.FileHandler(options.log_file, encoding="utf-8")
        except OSError as error:
            raise InputError(options.log_file, f"cannot be written: {error.strerror}", "name another file") from error
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        _log.addHandler(file)


def is_quiet() -> bool:
    """Whether nothing but warnings and errors is shown."""
    return any(isinstance(each, _Shown) and each.level > logging.INFO for each in _log.handlers)


def file_message(level: int, message: str) -> None:
    """Put into the log file, where there is one, what was shown by other ways."""
    for handler in _log.handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(_log.makeRecord(_log.name, level, "", 0, message, (), None))


class _Shown(logging.Handler):
    """Prints messages as they are."""

    show: Callable[[str], None]

    def emit(self, record: logging.LogRecord) -> None:
        self.show(record.getMessage())
