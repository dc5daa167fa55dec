"""Background regions for peaks: windows side by side along the genome that overlap none of the peaks.

    python examples/make_chr2_background.py            # writes examples/data/chr2_background.bed for examples/chr2.yaml
    python examples/make_chr2_background.py --region-size 1000 --out windows_1000.bed

A better background for real work is the peaks of other samples: open chromatin too, so that a model has to learn what
is special to yours.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from simbench_tf.files import whole_file
from simbench_tf.genome import open_genome, overlaps_any, read_peaks, regions_at

DATA = Path(__file__).parent / "data"


def background_windows(lengths: dict[str, int], peaks: pd.DataFrame, region_size: int) -> pd.DataFrame:
    """Windows side by side on every contig, without those that overlap a peak or the window around its summit."""
    windows = pd.concat(
        regions_at([chrom] * n, np.arange(n) * region_size + region_size // 2, region_size)
        for chrom, n in ((chrom, length // region_size) for chrom, length in lengths.items())
    )
    around_summits = regions_at(peaks["chrom"], peaks["summit"], region_size)
    return windows[~overlaps_any(windows, peaks) & ~overlaps_any(windows, around_summits)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genome", type=Path, default=DATA / "hg38_chr2_2.3Mb.fa.gz")
    parser.add_argument("--peaks", type=Path, default=DATA / "ensembl_regulatory_chr2.narrowPeak")
    parser.add_argument("--region-size", type=int, default=400)
    parser.add_argument("--out", type=Path, default=DATA / "chr2_background.bed")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as index_dir:
        lengths = open_genome(args.genome, index_dir).lengths
    windows = background_windows(lengths, read_peaks(args.peaks), args.region_size)
    with whole_file(args.out) as partial:
        windows.to_csv(partial, sep="\t", header=False, index=False)
    print(f"{args.out}: {len(windows)} windows of {args.region_size} bases")


if __name__ == "__main__":
    main()
