"""Motif callers on the attributions of one file: what each found, as files and as tables.

``seqlets`` is our own (`discovery.seqlets`), ``modisco`` TF-MoDISco and ``finemo`` Fi-NeMo (`discovery.callers`); any
other is another package's (`discovery.plugged_callers`).
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.config import Config
from simbench_tf.config.discovery import CALLERS, Caller, Discovery
from simbench_tf.discovery import Found, Sequences, base_pvalues, call_seqlets, read_found
from simbench_tf.discovery.callers import NoMotifs, as_hypothetical, caller_versions, run_finemo, run_modisco
from simbench_tf.discovery.plugged_callers import call_plugged
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.hdf5 import read_h5, whole_h5
from simbench_tf.interchange.export_attributions import genome_stretches, write_bigwig
from simbench_tf.motifs import write_meme
from simbench_tf.plugins import version_of
from simbench_tf.run.attributions import AttributionFile, read_attributions, seq_id_bytes
from simbench_tf.stages.null_attributions import read_null

#: Called instances as BED (name, score, strand), and every caller's motifs.
INSTANCES, MOTIFS = "instances.bed", "motifs.meme"
#: Our own caller's candidates, whatever their q-value, and p-values of bases.
CANDIDATES, PVALUES = "seqlets.tsv", "pvalues.h5"
#: Minus the decimal logarithm of these along the genome, where sequences have a place there.
TRACK = "pvalues.bw"
#: What the two callers that we did not write leave.
PATTERNS, HITS = "modisco.h5", "hits.tsv"
#: Instances that a caller of another package returned.
CALLS = "calls.tsv"
#: Where a caller found nothing, why.
NOTHING = "nothing.txt"

#: Packages whose version decides what a caller finds.
_PACKAGES: dict[str, tuple[str, ...]] = {
    "seqlets": (),
    "modisco": ("modisco", "modisco-lite"),
    "finemo": ("modisco", "modisco-lite", "finemo"),
}


class Explained(NamedTuple):
    """What a caller is given: attributions of a task's explained sequences, and where null ones are.

    Attributes
    ----------
    file : AttributionFile
    sequences : Sequences
    null : Path, optional
    chromosomes : dict, optional
        Name and length of each, where the sequences have a place in a genome.
    """

    file: AttributionFile
    sequences: Sequences
    null: Path | None
    chromosomes: dict[str, int] | None = None


def check_callers(discovery: Discovery) -> None:
    """Check that the callers of a configuration are installed, before anything is computed.

    Raises
    ------
    InputError
        One is not.
    """
    known = caller_versions()
    if "modisco" in discovery.callers and not any(name in known for name in _PACKAGES["modisco"]):
        mend = "pip install 'simbench_tf[motif]', or take it out of discovery.callers"
        raise InputError("discovery.callers", "names modisco, and TF-MoDISco is not installed", mend)
    if "finemo" in discovery.callers and "finemo" not in known:
        mend = "pip install 'simbench_tf[finemo]', which brings torch, or take it out of discovery.callers"
        raise InputError("discovery.callers", "names finemo, and Fi-NeMo is not installed", mend)


def versions_of(caller: Caller) -> dict[str, str]:
    """Versions of the packages that a caller is made of."""
    if caller not in CALLERS:
        return version_of("caller", caller)
    known = caller_versions()
    return {name: known[name] for name in _PACKAGES[caller] if name in known}


def call(caller: Caller, explained: Explained, config: Config, folder: Path, patterns: Path) -> list[Path]:
    """Run a caller and write what it found into a folder; returns its files.

    Parameters
    ----------
    caller : {"seqlets", "modisco", "finemo"} or a name that another package brings
    explained : Explained
    config : Config
    folder : Path
        RUN/motifs/MODEL/TASK/KEY/CALLER.
    patterns : Path
        TF-MoDISco's file, which it writes and Fi-NeMo reads.

    Raises
    ------
    InputError
        A caller failed, or is not installed.
    """
    assert config.discovery is not None
    folder.mkdir(parents=True, exist_ok=True)
    if caller == "seqlets":
        return _call_seqlets(explained, config.discovery, folder)
    bases = explained.sequences.bases[explained.sequences.rows]
    if caller not in CALLERS:
        return _call_plugged(caller, explained, bases, config.discovery, folder)
    hypothetical = _hypothetical(explained.file, bases, config.discovery.hypothetical)
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    nothing = folder / NOTHING
    try:
        if caller == "modisco":
            files = [run_modisco(bases, hypothetical, patterns, n_seqlets=config.discovery.n_seqlets, threads=threads)]
        elif not patterns.is_file():
            raise NoMotifs(patterns, "TF-MoDISco found no motif whose hits Fi-NeMo could look for")
        else:
            files = [run_finemo(bases, hypothetical, patterns, folder / HITS, threads=threads)]
    except NoMotifs as error:
        with whole_file(nothing) as partial:
            partial.write_text(f"{error.what}\n", encoding="utf-8")
        return [nothing]
    found = read_found(files[0], explained.sequences, window=_even(explained.sequences.length))
    files.append(_write_instances(folder, found.instances, explained.sequences))
    if found.motifs:
        write_meme(found.motifs, folder / MOTIFS)
        files.append(folder / MOTIFS)
    return files


def read_calls(caller: Caller, folder: Path, sequences: Sequences) -> Found:
    """Read what a caller found, as it is scored: of our own caller all candidates, with what rate each states."""
    if (folder / NOTHING).is_file():
        empty = pd.DataFrame({"row": np.empty(0, np.int64), "start": 0, "end": 0, "strand": ".", "score": 0.0})
        return Found(empty, [] if caller == "modisco" else None)
    if caller not in ("modisco", "finemo"):
        file = CANDIDATES if caller == "seqlets" else CALLS
        table = pd.read_csv(folder / file, sep="\t", dtype={"seq_id": str, "motif": str, "strand": str})
        rows = pd.Index(sequences.seq_ids[sequences.rows]).get_indexer(table["seq_id"])
        return Found(table.assign(row=rows), None)
    return read_found(folder / (PATTERNS if caller == "modisco" else HITS), sequences, window=_even(sequences.length))


def _call_plugged(
    caller: Caller, explained: Explained, bases: npt.NDArray[np.uint8], discovery: Discovery, folder: Path
) -> list[Path]:
    """Run a caller of another package; write its calls as a table and as BED."""
    scores, seq_ids = read_attributions(explained.file.path)
    hypothetical = _hypothetical(explained.file, bases, wanted=True)
    called = call_plugged(caller, discovery.settings.get(caller, {}), bases, scores, hypothetical)
    called.insert(0, "seq_id", np.asarray(seq_ids)[called["row"]])
    with whole_file(folder / CALLS) as partial:
        called.drop(columns="row").to_csv(partial, sep="\t", index=False, float_format="%.6g")
    return [folder / CALLS, _write_instances(folder, called, explained.sequences)]


def _even(length: int) -> int:
    """The width that callers look at: of an odd one, one base less."""
    return length // 2 * 2


def _call_seqlets(explained: Explained, discovery: Discovery, folder: Path) -> list[Path]:
    """Call seqlets; write those at the stated rate as BED, all candidates as a table, and p-values of bases."""
    assert explained.null is not None
    scores, seq_ids = read_attributions(explained.file.path)
    null = read_null(explained.null)
    called = call_seqlets(scores, null, fdr=1, width=discovery.width)
    called.insert(0, "seq_id", np.asarray(seq_ids)[called["row"]])
    with whole_file(folder / CANDIDATES) as partial:
        called.drop(columns="row").to_csv(partial, sep="\t", index=False, float_format="%.6g")
    pvalues = base_pvalues(scores, null, width=discovery.width)
    with whole_h5(folder / PVALUES) as h5:
        h5.create_dataset("pvalues", data=pvalues, compression="gzip")
        h5.create_dataset("seq_id", data=seq_id_bytes(seq_ids))
    kept = called[called["qvalue"] <= discovery.fdr].assign(motif="seqlet")
    files = [folder / CANDIDATES, folder / PVALUES, _write_instances(folder, kept, explained.sequences)]
    return files + _write_track(folder, pvalues, seq_ids, explained)


def _write_track(
    folder: Path, pvalues: npt.NDArray[np.float32], seq_ids: list[str], explained: Explained
) -> list[Path]:
    """Write p-values of bases as a track for genome browsers, where that can be: bigWig needs pyBigWig."""
    loci = explained.sequences.loci
    if loci is None or explained.chromosomes is None or find_spec("pyBigWig") is None:
        return []
    places = loci.iloc[pd.Index(explained.sequences.seq_ids).get_indexer(pd.Index(seq_ids))]
    stretches = genome_stretches(places["chrom"].to_numpy(), places["start"].to_numpy(), -np.log10(pvalues))
    write_bigwig(folder / TRACK, explained.chromosomes, stretches)
    return [folder / TRACK]


def _hypothetical(file: AttributionFile, bases: npt.NDArray[np.uint8], wanted: bool) -> npt.NDArray[np.float32]:
    """Hypothetical contributions that a file keeps, where they are wanted; else the scores of the observed bases."""
    with read_h5(file.path) as h5:
        if wanted and "hypothetical" in h5:
            return np.asarray(h5["hypothetical"][:])
        return as_hypothetical(h5["scores"][:], one_hot(bases))


def _write_instances(folder: Path, called: pd.DataFrame | None, sequences: Sequences) -> Path:
    """Write calls as BED, in the genome's coordinates where the sequences have a place there."""
    assert called is not None
    at = pd.Index(sequences.seq_ids).get_indexer(pd.Index(called["seq_id"]))
    chrom, first = sequences.seq_ids[at], np.zeros(len(at), np.int64)
    if sequences.loci is not None:
        loci = sequences.loci.iloc[at]
        chrom, first = loci["chrom"].to_numpy(), loci["start"].to_numpy(np.int64)
    bed = pd.DataFrame(
        {
            "chrom": chrom,
            "start": first + called["start"].to_numpy(np.int64),
            "end": first + called["end"].to_numpy(np.int64),
            "name": called["motif"].to_numpy(object),
            "score": called["score"].to_numpy(np.float64),
            "strand": called["strand"].to_numpy(object),
        }
    )
    with whole_file(folder / INSTANCES) as partial:
        bed.to_csv(partial, sep="\t", index=False, header=False, float_format="%.6g")
    return folder / INSTANCES
