"""A first configuration file: for one's own peaks, or for sequences drawn from a grammar, to be changed and run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simbench_tf.config import load_config
from simbench_tf.config.commented import commented_yaml
from simbench_tf.errors import InputError
from simbench_tf.files import whole_file
from simbench_tf.genome.peak_files import read_peaks

#: Regions below which few motifs have the hits that the filter asks for, and networks soon know each one.
_FEW = 5000
_METHODS: list[dict[str, Any]] = [
    {"method": "deeplift_rescale", "references": "shuffle:10"},
    {"method": "ism"},
    {"method": "integrated_gradients", "references": "zeros", "n_steps": 20},
    {"method": "grad_x_input"},
]


def new_configuration(
    out: Path,
    genome: Path | None,
    peaks: Mapping[str, Path],
    background: Sequence[Path] = (),
    seq_length: int = 400,
    n_sequences: int = 20_000,
) -> str:
    """Write a configuration file with comments; return in a line what it is about.

    Parameters
    ----------
    out : path
        The file, which is not there yet. Paths in it are relative to its folder.
    genome : path or None
        A FASTA file; None draws sequences from a grammar instead.
    peaks : dict of str to path
        Task: its narrowPeak or BED file.
    background : sequence of path
        Regions that are no peak of a task.
    seq_length : int
        Bases.
    n_sequences : int
        How many a grammar draws.

    Raises
    ------
    InputError
        The file is there already, one of the others is missing or wrong, or a value does not fit.
    """
    if out.exists():
        raise InputError(out, "is there already, and may hold your changes", "name another file with --out")
    if genome is None:
        about = f"{n_sequences:,} sequences of {seq_length:,} bases, drawn from a grammar of motifs"
        text = _text(out, about, _grammar(seq_length, n_sequences), "GrammarSimulation", few=False)
    else:
        n_peaks = {name: len(read_peaks(path)) for name, path in peaks.items()}
        about = ", ".join(f"{count:,} peaks of {name}" for name, count in n_peaks.items())
        few = min(n_peaks.values()) < _FEW
        text = _text(
            out, about, _peaks(out, genome, peaks, background, seq_length, few=few), "PeaksSimulation", few=few
        )
    with whole_file(out) as partial:
        partial.write_text(text, encoding="utf-8")
        try:
            load_config(partial)
        except InputError as error:
            raise InputError(out if error.where == str(partial) else error.where, error.what, error.mend) from error
    return about


def _grammar(seq_length: int, n_sequences: int) -> dict[str, Any]:
    near = {"centre": seq_length / 2, "sd": seq_length / 5, "floor": 0.15}
    of_task = {"HepG2": ("HNF4A", "FOXA1"), "K562": ("GATA1", "FOS::JUN")}
    elements = [
        {"motif": motif, "rate": 0.08, "enriched": {task: 0.9}, "position": near}
        for task, motifs in of_task.items()
        for motif in motifs
    ]
    return {
        "kind": "grammar",
        "seq_length": seq_length,
        "n_sequences": n_sequences,
        "tasks": {task: {"fraction": 0.3} for task in of_task},
        "elements": [*elements, {"motif": "CTCF", "rate": 0.08, "position": near}],
    }


def _peaks(
    out: Path, genome: Path, peaks: Mapping[str, Path], background: Sequence[Path], seq_length: int, *, few: bool
) -> dict[str, Any]:
    for path in (genome, *background):
        if not path.is_file():
            raise InputError(path, "is no file", "mend the path")
    others = [_from(out, path) for path in background]
    return {
        "kind": "peaks",
        "genome": _from(out, genome),
        "peaks": {name: _from(out, path) for name, path in peaks.items()},
        **({"background": others[0] if len(others) == 1 else others} if others else {}),
        "region_size": seq_length,
        "motifs": "default",
        "scan_pvalue": 1e-4,
        "min_pos_hits": 20 if few else 100,
        "min_enrichment": 1.2,
    }


def _from(out: Path, path: Path) -> str:
    """A path as the file at `out` names it."""
    return path.as_posix() if path.is_absolute() else Path(os.path.relpath(path, out.parent)).as_posix()


def _text(out: Path, about: str, simulation: dict[str, Any], record: str, *, few: bool) -> str:
    """The text of the file: what one changes first, with what it means."""
    run = f"runs/{out.stem}"
    head = [
        f"{about[0].upper()}{about[1:]}; written by `simbench init`.",
        "",
        f"  simbench check {out}                 what is wrong with it, and what it will take",
        f"  simbench run {out} --out {run}",
        "",
        f"Every other key has a default: `simbench show {out}` writes them all out.",
    ]
    narrow = {"width": 0.25} if few else {"width": 0.5}
    settings = {
        "name": out.stem,
        "seed": 1234,
        "simulation": simulation,
        "models": [
            {"name": "basset", "architecture": "basset", "padding": "same", **narrow},
            {"name": "beluga", "architecture": "beluga", "padding": "same", **narrow},
        ],
        "training": {"batch_size": 100, "max_batches": 600 if few else 3000},
        "attribution": {"n_sequences": 100, "methods": _METHODS},
        **({"scoring": {"truth": "rescanned"}} if record == "PeaksSimulation" else {}),
    }
    return commented_yaml(settings, head, record)
