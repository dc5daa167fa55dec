"""A program that prints the values of a bigWig file at loci: in a process of its own, as damaged files crash pyBigWig.

It is run by its path and needs NumPy and pyBigWig alone: ``python bigwig_values.py FILE``. The loci come as JSON by the
standard input, ``[[chrom, start, end], ...]``; float32 numbers go to the standard output, NaN where the file has none.
"""

import contextlib
import json
import sys

import numpy as np

#: Exit codes: the file is no bigWig; it has not all loci, and the first that it lacks is the last line printed.
NO_BIGWIG, NO_LOCUS = 3, 4
#: The most memory, in bytes: some header fields of a damaged file ask for any amount.
_MEMORY = 4 << 30


def print_values(path: str, loci: list[tuple[str, int, int]]) -> int:
    """Print the values at loci, and return the exit code."""
    import pyBigWig

    try:
        bigwig = pyBigWig.open(path)
    except RuntimeError:
        return NO_BIGWIG
    sizes = bigwig.chroms() or {}
    for chrom, start, end in loci:
        if end > sizes.get(chrom, 0):
            print(f"{chrom}:{start}-{end}", file=sys.stderr)  # noqa: T201
            return NO_LOCUS
        sys.stdout.buffer.write(np.asarray(bigwig.values(chrom, start, end), np.float32).tobytes())
    return 0


def _bound_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):  # Windows has no such limits, macOS refuses some
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file behind
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


if __name__ == "__main__":
    _bound_memory()
    sys.exit(print_values(sys.argv[1], json.load(sys.stdin)))
