"""How like real regions are draws of a grammar that was fitted to them, and what each mend of the grammar does to it.

python benchmarks/likeness.py             # results/likeness.csv, half an hour

The real regions are those of examples/chr2.yaml: 260 regulatory ones among all windows of 2.3 Mb of chromosome 2. Each
grammar is fitted to the regions of the train and valid splits, and its draws are held against all windows of the test
split, and against its regulatory ones alone (measures that end in _regulatory). Mends add up, in the order of `MENDS`.

For scale, the windows are held against their own dinucleotide shuffles, too: what is told of these, no grammar that
knows composition and sites can hide.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from simbench_tf.attribution.references import shuffled
from simbench_tf.config import PeaksSimulation, load_config
from simbench_tf.motifs import Motif
from simbench_tf.score.likeness import Measure, by_words, classifier_measure
from simbench_tf.simulate.fit import fit_grammar
from simbench_tf.simulate.fit.classes import suited_order
from simbench_tf.simulate.fit.spacings import enriched_spacings
from simbench_tf.simulate.grammar import build_grammar, draw_bases
from simbench_tf.simulate.peaks.scanning import Scanned, scan_regions
from simbench_tf.stages.twin import FITTED_SPLITS, N_CLASSES, N_STRETCHES, by_network, measures, rows_alike, transfer

ROOT = Path(__file__).resolve().parents[1]
#: What each mend adds to the one before: settings of `fit_grammar`; a background order of 0 is the suited one.
MENDS: dict[str, dict[str, Any]] = {
    "none": {"background_order": 3},
    "background": {"background_order": 0},
    "classes": {"n_classes": N_CLASSES},
    "stretches": {"n_stretches": N_STRETCHES},
    "motifs": {"refit_motifs": True},
    "pairs": {"pairs": True},
}
#: What stands in the place of a mend where windows are held against their own shuffles.
SHUFFLES = "shuffles"
#: Windows that a network is trained to tell apart, as few as there are regulatory ones, besides all.
FEW_WINDOWS = 300


class Regions(NamedTuple):
    """Windows, uint8 (N, L), their labels, uint8 (N, 1), and whether they may be fitted, bool (N,)."""

    bases: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    fitted: npt.NDArray[np.bool_]


def main() -> None:
    """Fit, draw and measure with each mend, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "likeness.csv")
    parser.add_argument("--fitted", type=int, default=1_000, help="regions that rates are fitted to")
    parser.add_argument("--drawn", type=int, default=5_000, help="sequences drawn from each grammar")
    parser.add_argument("--passes", type=int, default=40, help="of EM, at most")
    parser.add_argument("--min-pos-hits", type=int, default=50, help="of a motif that is fitted, in regulatory regions")
    options = parser.parse_args()
    config = load_config(ROOT / "examples" / "chr2.yaml", [f"simulation.min_pos_hits={options.min_pos_hits}"])
    assert isinstance(config.simulation, PeaksSimulation)
    with tempfile.TemporaryDirectory() as index_dir:
        scanned = scan_regions(config.simulation, config.seed, index_dir)
    regions = _regions(scanned, config.tasks)
    motifs = [motif for motif, kept in zip(scanned.motifs, scanned.kept, strict=True) if kept]
    scan_with = config.simulation.scan_pvalue, scanned.background
    rows, settings, draws = [], {}, {}
    for mend in (*MENDS, SHUFFLES):
        begun = time.process_time()
        if mend == SHUFFLES:
            draws[mend] = (
                shuffled(regions.bases[~regions.fitted], 1, config.seed)[:, 0],
                regions.labels[~regions.fitted],
            )
        else:
            settings |= MENDS[mend]
            draws[mend] = _drawn(regions, motifs, config.tasks, config.seed, settings, *scan_with, options)
        print(f"{mend}: {time.process_time() - begun:.0f} CPU s to fit and draw", file=sys.stderr, flush=True)
        found = measures(regions.bases[~regions.fitted], draws[mend][0], motifs, *scan_with, config.seed)
        found += _of_regulatory(regions, *draws[mend], config.seed)
        rows += [{"mend": mend, **each._asdict()} for each in found]
        pd.DataFrame(rows).to_csv(options.out, index=False, float_format="%.5g")
    for mend in draws:
        rows += [{"mend": mend, **each._asdict()} for each in _by_networks(regions, *draws[mend], config.seed)]
        pd.DataFrame(rows).to_csv(options.out, index=False, float_format="%.5g")


def _regions(scanned: Scanned, tasks: list[str]) -> Regions:
    labels = scanned.regions[tasks].to_numpy()
    known = np.isin(labels, (0, 1)).all(axis=1)
    fitted = scanned.regions["split"].isin(FITTED_SPLITS).to_numpy(np.bool_)
    return Regions(scanned.bases[known], labels[known].astype(np.uint8), fitted[known])


def _drawn(
    regions: Regions,
    motifs: list[Motif],
    tasks: list[str],
    seed: int,
    settings: dict[str, Any],
    pvalue: float,
    background: npt.NDArray[np.float64],
    options: argparse.Namespace,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Sequences of a grammar fitted with these settings, labelled in the proportions of the held-out windows."""
    bases = regions.bases[regions.fitted]
    more = {"pairs": enriched_spacings(bases, motifs, pvalue, background)} if settings.get("pairs") else {}
    order = settings["background_order"] or suited_order(
        bases.size, max(settings.get("n_classes", 1), settings.get("n_stretches", 1))
    )
    fit = fit_grammar(
        bases,
        regions.labels[regions.fitted],
        motifs,
        tasks,
        seed=seed,
        max_sequences=options.fitted,
        max_passes=options.passes,
        tolerance=0.2,
        **{**settings, "background_order": order, **more},
    )
    drawn, labels = draw_bases(build_grammar(fit.simulation, fit.motifs), seed, 0, options.drawn)
    rows = rows_alike(labels, regions.labels[~regions.fitted], seed)
    return drawn[rows], labels[rows]


def _of_regulatory(
    regions: Regions, drawn: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], seed: int
) -> list[Measure]:
    real = regions.bases[~regions.fitted & (regions.labels[:, 0] == 1)]
    return [classifier_measure("classifier_words_regulatory", real, drawn[labels[:, 0] == 1], by_words, seed)]


def _by_networks(
    regions: Regions, drawn: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], seed: int
) -> list[Measure]:
    held_out = ~regions.fitted
    real, few = regions.bases[held_out], np.random.default_rng(seed).permutation(int(held_out.sum()))[:FEW_WINDOWS]
    train = regions.bases[regions.fitted], regions.labels[regions.fitted, 0]
    held_against = (real, regions.labels[held_out, 0]), (drawn, labels[:, 0])
    return [
        classifier_measure("classifier_cnn_few", real[few], drawn, by_network, seed),
        classifier_measure("classifier_cnn", real, drawn, by_network, seed),
        transfer("network_regulatory", train, *held_against, seed),
    ]


if __name__ == "__main__":
    main()
