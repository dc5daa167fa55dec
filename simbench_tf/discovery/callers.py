"""Motif callers run as they are, on arrays: TF-MoDISco (`run_modisco`) and Fi-NeMo (`run_finemo`).

Each runs its own command line in a process of its own, so a user who types the same command on the exported arrays gets
the same file. Results are written whole or not at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from simbench_tf.discovery.child import program_of, run_program
from simbench_tf.errors import InputError
from simbench_tf.files import temporary_prefix

#: Packages that bring a caller, or what is compared with it.
PACKAGES = ("modisco", "modisco-lite", "finemo", "memelite")
#: Packages that bring TF-MoDISco, both as the module modiscolite.
_MODISCO = PACKAGES[:2]
#: Fi-NeMo's sparsity, its default.
FINEMO_LAMBDA = 0.7
#: Fi-NeMo keeps attributions as 16-bit floats, of 6e-8 to 65504 and exact to a thousandth from 6e-5 on. Where the
#: highest is outside these, all are brought up, or down, to a highest of about 1; hits do not depend on the unit.
_HALF_RANGE = (0.01, 30000.0)
_MODISCO_FILE, _HITS_FILE = "modisco.h5", "hits.tsv"

Floats = npt.NDArray[np.float32]
Bases = npt.NDArray[np.uint8]


class NoMotifs(InputError):  # noqa: N818 - what was found, not a fault of the program
    """A caller ran well and found nothing: one line says so, and a stage may go on with the next."""


def caller_versions() -> dict[str, str]:
    """The versions of the installed packages that call motifs, of `PACKAGES`; nothing where there is none.

    Examples
    --------
    >>> set(caller_versions()) <= set(PACKAGES)
    True
    """
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def as_hypothetical(scores: npt.NDArray[np.floating], one_hot: npt.NDArray[np.floating]) -> Floats:
    """Scores in the form of hypothetical contributions, for methods that give none.

    The observed base gets its score, the others 0. What is lost: TF-MoDISco aligns and clusters seqlets by hypothetical
    contributions, too, which say what other bases would have been given; without these, sites of one motif that differ
    in a base are less alike, so motifs are split or missed sooner. Fi-NeMo, as run here, uses the observed bases alone
    and loses nothing.

    Parameters
    ----------
    scores : float array, shape (N, L)
    one_hot : float array, shape (N, L, 4)
        Rows of zeros for N.

    Returns
    -------
    float32 array, shape (N, L, 4)

    Examples
    --------
    >>> as_hypothetical(np.array([[2.0, -1.0]]), np.eye(4)[[[3, 0]]])[0].tolist()
    [[0.0, 0.0, 0.0, 2.0], [-1.0, 0.0, 0.0, 0.0]]
    """
    return (scores[:, :, None] * one_hot + 0.0).astype(np.float32)  # no negative zeros


def run_modisco(
    bases: Bases,
    hypothetical: Floats,
    out: Path,
    *,
    window: int | None = None,
    n_seqlets: int = 20000,
    threads: int = 1,
    options: Sequence[str] = (),
) -> Path:
    """Run TF-MoDISco, ``modisco motifs``, with its own defaults; the same input gives the same patterns.

    Parameters
    ----------
    bases : uint8 array, shape (N, L)
        0-3 for A, C, G, T and 4 for N.
    hypothetical : float32 array, shape (N, L, 4)
        Hypothetical contributions.
    out : Path
        The .h5 that is written.
    window : int, optional
        Central bases that are looked at. By default all, but for the last one where L is odd: modisco cuts out even
        widths.
    n_seqlets : int, default 20000
        The most seqlets of either sign that are clustered (-n).
    threads : int, default 1
    options : sequence of str
        Further options of ``modisco motifs``, as on its command line.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    NoMotifs
        It found no pattern, or all attributions have one sign, which it does not take; nothing is written.
    ProgramFailed
        It failed, or was killed (for want of memory).
    InputError
        It is not installed, or `out` cannot be written.
    ValueError
        The arrays do not fit each other, are empty, or not finite.

    References
    ----------
    Shrikumar et al. 2018, arXiv:1811.00416; the program is tfmodisco-lite.
    """
    _check(bases, hypothetical)
    program = program_of(_modisco_package(), "modisco")
    _check_signs(out, bases, hypothetical)
    with _folder_beside(out) as folder:
        _write_arrays(folder, bases, hypothetical)
        width = str(_width(bases.shape[1], window))
        arguments = ["-s", "ohe.npy", "-a", "hypothetical.npy", "-n", str(n_seqlets), "-w", width, "-o", _MODISCO_FILE]
        run_program([*program, "motifs", *arguments, *options], folder, threads)
        if not _n_patterns(folder / _MODISCO_FILE):
            what = f"TF-MoDISco found no motif in {len(bases)} sequences"
            raise NoMotifs(out, what, "it wants some 1,000, and more than 100 seqlets of one sign")
        (folder / _MODISCO_FILE).replace(out)
    return out


def run_finemo(
    bases: Bases,
    hypothetical: Floats,
    modisco_h5: Path,
    out: Path,
    *,
    window: int | None = None,
    sparsity: float = FINEMO_LAMBDA,
    threads: int = 1,
    options: Sequence[str] = (),
) -> Path:
    """Run Fi-NeMo on the CPU: hits of TF-MoDISco's patterns, with Fi-NeMo's own defaults.

    Parameters
    ----------
    bases, hypothetical, window, threads
        As in `run_modisco`; the sequences may be others than the patterns were found in. By default Fi-NeMo takes the
        contributions of the observed bases from `hypothetical`.
    modisco_h5 : Path
        What `run_modisco` wrote.
    out : Path
        The table hits.tsv that is written, in the order of sequences and places, since Fi-NeMo's own order of lines
        differs from run to run. Its positions count from the window's first base.
    sparsity : float, default .7
        Fi-NeMo's lambda (earlier its alpha): higher is fewer hits.
    options : sequence of str
        Further options of ``finemo call-hits``.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    NoMotifs
        It called no hit; nothing is written.
    ProgramFailed
        It failed, or was killed (for want of memory).
    InputError
        It is not installed, or `out` cannot be written.
    ValueError
        The arrays do not fit each other, are empty, or not finite.

    References
    ----------
    Fi-NeMo, kundajelab.
    """
    _check(bases, hypothetical)
    if "finemo" not in caller_versions():
        raise InputError("finemo", "Fi-NeMo is not installed", "pip install 'simbench_tf[finemo]'; it brings torch")
    program = program_of("finemo", "finemo")
    with _folder_beside(out) as folder:
        _write_arrays(folder, bases, hypothetical * _scale(hypothetical))
        width = str(_width(bases.shape[1], window))
        regions = ["-s", "ohe.npy", "-a", "hypothetical.npy", "-o", "regions.npz", "-w", width]
        run_program([*program, "extract-regions-modisco-fmt", *regions], folder, threads)
        hits = ["-r", "regions.npz", "-m", str(modisco_h5.resolve()), "-o", "hits", "-l", f"{sparsity:g}"]
        run_program([*program, "call-hits", *hits, *options], folder, threads)
        if not _sort_hits(folder / "hits" / _HITS_FILE):
            raise NoMotifs(out, f"Fi-NeMo called no hit in {len(bases)} sequences", "lower its sparsity")
        (folder / "hits" / _HITS_FILE).replace(out)
    return out


def _modisco_package() -> str:
    found = [name for name in _MODISCO if name in caller_versions()]
    if not found:
        raise InputError("modisco", "TF-MoDISco is not installed", "pip install 'simbench_tf[motif]'")
    if len(found) > 1:
        what = f"{' and '.join(found)} are both installed, and overwrite each other's files"
        raise InputError("modisco", what, "uninstall both, then pip install 'simbench_tf[motif]'")
    return found[0]


def _check(bases: Bases, hypothetical: Floats) -> None:
    if bases.ndim != 2 or not bases.size or hypothetical.shape != (*bases.shape, 4):
        raise ValueError(f"bases {bases.shape} and hypothetical {hypothetical.shape} must be (N, L) and (N, L, 4)")
    if not np.isfinite(hypothetical).all():
        raise ValueError("hypothetical must be finite")


def _check_signs(out: Path, bases: Bases, hypothetical: Floats) -> None:
    """TF-MoDISco draws the null of its seqlets from the window sums of either sign, and fails where one is lacking."""
    observed = (hypothetical * np.eye(5, 4, dtype=np.float32)[bases]).sum(axis=2)
    if not observed.min() < 0 < observed.max():
        what = "TF-MoDISco cannot take attributions of one sign alone: its null is drawn from both"
        raise NoMotifs(out, what, "leave out this method, or call it with another caller")


def _width(length: int, window: int | None) -> int:
    """The even width that callers cut out; of odd ones they cut out one base less and then miss it."""
    width = length if window is None else window
    if not 2 <= width <= length:
        raise ValueError(f"window must be between 2 and the {length} bases of a sequence, not {window}")
    return width // 2 * 2


def _scale(hypothetical: Floats) -> np.float32:
    """A power of 2, so that products are exact, that brings what 16 bits cannot hold (`_HALF_RANGE`) to about 1."""
    highest = float(np.abs(hypothetical).max())
    fits = highest == 0 or _HALF_RANGE[0] <= highest <= _HALF_RANGE[1]
    return np.float32(1 if fits else 2.0 ** -np.floor(np.log2(highest)))


def _write_arrays(folder: Path, bases: Bases, hypothetical: Floats) -> None:
    one_hot = np.eye(5, 4, dtype=np.int8)[bases]  # N (4) is a row of zeros
    for name, values in (("ohe", one_hot), ("hypothetical", hypothetical.astype(np.float32, copy=False))):
        np.save(folder / f"{name}.npy", np.ascontiguousarray(values.transpose(0, 2, 1)))


@contextmanager
def _folder_beside(out: Path) -> Iterator[Path]:
    """A folder for what is not whole yet, on the disk of the result, so that this can be renamed; gone afterwards."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=temporary_prefix(), dir=out.parent)
    except OSError as error:
        raise InputError(out, f"cannot be written: {error.strerror}", "choose another output folder") from error
    with folder as name:
        yield Path(name).resolve()


def _n_patterns(path: Path) -> int:
    with h5py.File(path) as h5:
        return sum(len(h5[kind]) for kind in h5)


def _sort_hits(path: Path) -> int:
    """Put the lines of Fi-NeMo's table into the order of sequence and place; how many there are."""
    header, *lines = path.read_text().splitlines()
    names = header.split("\t")
    peak, start = names.index("peak_id"), names.index("start")
    cells = sorted((line.split("\t") for line in lines), key=lambda hit: (int(hit[peak]), int(hit[start]), hit))
    path.write_text("".join("\t".join(hit) + "\n" for hit in [names, *cells]))
    return len(cells)
