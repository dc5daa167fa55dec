"""Warming (`simbench doctor --warm`): numba compiles what a run uses, by small runs that nothing is kept of."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simbench_tf import pipeline
from simbench_tf.compiled import compiled_functions, compiling_seconds
from simbench_tf.config import check_config
from simbench_tf.dna import decode
from simbench_tf.parallel import Track, silent

#: What both runs have: too little to learn anything by, and every part that is compiled.
_REST = {
    "models": [{"name": "basset", "architecture": "basset", "width": 0.03}],
    "training": {"batch_size": 20, "max_batches": 2, "precision": "float32"},
    "attribution": {
        "n_sequences": 4,
        "methods": [{"method": "integrated_gradients", "references": "shuffle:2", "n_steps": 2}],
    },
    "discovery": {"filters": False},
}
_DRAWN = {
    "simulation": {
        "kind": "grammar",
        "seq_length": 170,
        "n_sequences": 200,
        "tasks": {"A": {"fraction": 0.4}, "B": {"fraction": 0.4}},
        "elements": [
            {"motif": "HNF4A", "rate": 0.3, "enriched": {"A": 1.5}, "position": {"centre": 85, "sd": 40, "floor": 0.1}},
            {"name": "near", "pair": ["SOX2", "POU5F1"], "gap": [0, 3], "rate": 0.3},
            {"motif": "GATA1", "rate": 0.8},
            {"motif": "SPI1", "rate": 0.8},
        ],
        "rules": [{"task": "B", "when": "GATA1 without SPI1"}],
    },
    **_REST,
}
_PEAK_STEP, _N_PEAKS = 500, 240


class Warmed(NamedTuple):
    """What warming did.

    Attributes
    ----------
    seconds : float
        That numba compiled for; 0 where everything was there.
    folder : str or None
        Below which it is kept for the next process; None where no such folder can be written.
    """

    seconds: float
    folder: str | None


def warm(track: Track = silent) -> Warmed:
    """Compile what runs use, by one small run of drawn sequences and one of peaks, in a temporary folder.

    Parameters
    ----------
    track : callable
        ``track(description, total)`` is a context manager that yields ``advance(n)``.

    Returns
    -------
    Warmed
    """
    before = compiling_seconds()
    with tempfile.TemporaryDirectory(prefix="simbench-warm-") as name, _quiet():
        folder = Path(name)
        for kind, raw in (("drawn", _DRAWN), ("peaks", {**_peaks(folder), **_REST})):
            config = check_config({"name": kind, "seed": 1, **raw}, folder / "warm.yaml")
            pipeline.run(config, folder / kind, track=track)
    paths = (each.stats.cache_path for each in compiled_functions() if each.signatures)
    folders = {path for path in paths if path}
    return Warmed(compiling_seconds() - before, os.path.commonpath(folders) if folders else None)


def _peaks(folder: Path) -> dict[str, Any]:
    """Write a genome of random letters and two files of its regions; return the settings that name them."""
    bases = np.random.default_rng(1).integers(4, size=(1, _PEAK_STEP * (_N_PEAKS + 1))).astype(np.uint8)
    (folder / "genome.fa").write_text(f">chr1\n{decode(bases)[0]}\n", encoding="utf-8")
    starts = range(_PEAK_STEP // 2, _PEAK_STEP * _N_PEAKS, _PEAK_STEP)
    for name, first in (("peaks", 0), ("background", 1)):
        lines = (f"chr1\t{start}\t{start + 100}\n" for start in starts[first::2])
        (folder / f"{name}.bed").write_text("".join(lines), encoding="utf-8")
    files = {"genome": "genome.fa", "peaks": {"A": "peaks.bed"}, "background": "background.bed"}
    return {"simulation": {"kind": "peaks", **files, "region_size": 170, "min_pos_hits": 0, "min_enrichment": 0}}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the small runs tell of themselves off the terminal, but for the line that says that numba compiles."""
    all_of_ours, compiler = logging.getLogger("simbench_tf"), logging.getLogger("simbench_tf.compiled")
    levels = all_of_ours.level, compiler.level
    try:
        all_of_ours.setLevel(logging.ERROR)
        compiler.setLevel(logging.INFO)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        all_of_ours.setLevel(levels[0])
        compiler.setLevel(levels[1])
