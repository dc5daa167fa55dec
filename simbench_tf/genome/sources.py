"""Sources of public data: the server path of each file that presets name, and the `simbench fetch` set it is in.

The DNase peaks are ENCODE's uniformly processed ones of the five cell lines of Prakash, Shrikumar and Kundaje (MLCB
2021), on hg19. The paper took the experiments ENCSR000ELW (A549), ENCSR000EMT (GM12878), ENCSR794OFW (H1), ENCSR149XIL
(HepG2) and ENCSR000EOT (K562); these files are the peaks of the same lines that ENCODE's analysis group called by one
procedure for all.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from simbench_tf.errors import InputError

SERVER = "https://hgdownload.soe.ucsc.edu"


#: Where `simbench fetch` puts files and presets look for them: a folder of the working directory.
DATA_FOLDER = Path("data")
_LINES = {"A549": "A549", "GM12878": "Gm12878", "H1": "H1hesc", "HepG2": "Hepg2", "K562": "K562"}
_PEAKS = "goldenPath/hg19/encodeDCC/wgEncodeAwgDnaseUniform/wgEncodeAwgDnaseUwduke{}UniPk.narrowPeak.gz"
_HG19, _HG38 = (f"goldenPath/{assembly}/bigZips/{assembly}.fa.gz" for assembly in ("hg19", "hg38"))
PEAKS = {line: _PEAKS.format(spelt) for line, spelt in _LINES.items()}
"""Cell line -> its DNase peaks, as a path on the server."""
PUBLISHED_MD5 = {_HG19: "806c02398f5ac5da8ffd6da2d1d5d1a9", _HG38: "1c9dcaddfa41027f17cd8f7a82c7293b"}
"""File -> the MD5 in UCSC's md5sum.txt beside it; of the peaks none is known here, their first checksum is recorded."""
SETS = {"hg38": (_HG38,), "hg19": (_HG19,), "encode-five": (_HG19, *PEAKS.values())}
"""Name of a set -> its files, as paths on the server."""


def check_fetched(files: Mapping[str, Path]) -> None:
    """Check that the public files that a configuration names are there; for a missing one, say how to fetch it.

    A missing file of any other name is not checked here: its reader reports it.

    Parameters
    ----------
    files : mapping of str to path
        Key of the configuration -> the file that it names.

    Raises
    ------
    InputError
        Naming the first such file, its key and the command.

    Examples
    --------
    >>> check_fetched({"simulation.genome": Path("data/hg38.fa.gz")})
    Traceback (most recent call last):
    simbench_tf.errors.InputError: data/hg38.fa.gz: is no file, but simulation.genome names it; fetch it with
    `simbench fetch hg38`
    """
    known = {Path(file).name for of_set in SETS.values() for file in of_set}
    missing = {key: path for key, path in files.items() if path.name in known and not path.is_file()}
    if missing:
        key, first = next(iter(missing.items()))
        command = _command({path.name for path in missing.values() if path.parent == first.parent}, first.parent)
        it = "it" if len(missing) == 1 else "them"
        raise InputError(first, f"is no file, but {key} names it", f"fetch {it} with `{command}`")


def _command(names: set[str], folder: Path) -> str:
    """The command that fetches files of these names: the smallest set that holds all of them, or else the most."""

    def left_out_and_size(what: str) -> tuple[int, int]:
        return len(names - {Path(file).name for file in SETS[what]}), len(SETS[what])

    elsewhere = "" if folder.absolute() == DATA_FOLDER.absolute() else f" --out {shlex.quote(str(folder))}"
    return f"simbench fetch {min(SETS, key=left_out_and_size)}{elsewhere}"
