"""Files in the layouts that motif callers write, for tests of their readers."""

import h5py
import numpy as np
import pandas as pd

HITS = (
    "chr", "start", "end", "start_untrimmed", "end_untrimmed", "motif_name", "hit_coefficient",
    "hit_coefficient_global", "hit_similarity", "hit_correlation", "hit_importance", "hit_importance_sq", "strand",
    "peak_name", "peak_id",
)  # fmt: skip


def write_modisco(path, bases, patterns, window=None, subpatterns=()):
    """Results in tfmodisco-lite's layout.

    Parameters
    ----------
    bases : uint8 array (N, L)
        The sequences that it was given, before it cuts out the window.
    patterns : list of (list of (example, start, end, is_revcomp), float array (W,))
        Seqlets, with places in the whole sequence, and the size of each position's contribution.
    window : int, optional
        Central bases that starts count from; stored as newer versions do.
    subpatterns : list of (pattern, list of seqlet numbers)
    """
    length = bases.shape[1]
    first = 0 if window is None else length // 2 - window // 2
    with h5py.File(path, "w") as h5:
        if window is not None:
            h5.attrs["window_size"] = window
        for number, (seqlets, size) in enumerate(patterns):
            group = h5.create_group(f"pos_patterns/pattern_{number}")
            _write_pattern(group, bases, seqlets, size, first)
            for below, (pattern, chosen) in enumerate(subpatterns):
                if pattern == number:
                    part = [seqlets[each] for each in chosen]
                    _write_pattern(group.create_group(f"subpattern_{below}"), bases, part, size, first)


def _write_pattern(group, bases, seqlets, size, first):
    read = []
    for example, start, end, turned in seqlets:
        one_hot = np.eye(4)[bases[example, start:end]]
        read.append(one_hot[::-1, ::-1] if turned else one_hot)
    read = np.array(read)
    group["sequence"] = read.mean(axis=0)
    group["contrib_scores"] = (read * size[None, :, None]).mean(axis=0)
    below = group.create_group("seqlets")
    below["n_seqlets"] = np.array([len(seqlets)])
    for column, values in zip(("example_idx", "start", "end", "is_revcomp"), zip(*seqlets, strict=True), strict=True):
        below[column] = np.array(values) - (first if column in ("start", "end") else 0) * (column != "is_revcomp")
    below["sequence"], below["contrib_scores"] = read, read * size[None, :, None]


def write_hits(path, rows):
    """hits.tsv of Fi-NeMo from dictionaries; what one leaves out is 1."""
    lines = ["\t".join(HITS)] + ["\t".join(str(row.get(name, 1)) for name in HITS) for row in rows]
    path.write_text("\n".join(lines) + "\n")


#: Two motifs without likeness, on either strand, as words.
WORDS = {"GATA1": "AGATAAGGCA", "ETS1": "ACCGGAAGTG"}


def planted(n=150, length=100, seed=0):
    """Sequences with a site of each motif of `WORDS` on a random strand, and attributions that know them exactly.

    Returns bases (N, L) uint8, hypothetical (N, L, 4) float32 (a site's log odds, and little noise elsewhere), sites
    (row, motif, start, end, strand), and the motifs' probabilities by name.
    """
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 4, (n, length)).astype(np.uint8)
    hypothetical = rng.normal(0, 0.02, (n, length, 4))
    ppms = {name: 0.04 + 0.84 * np.eye(4)[["ACGT".index(base) for base in word]] for name, word in WORDS.items()}
    sites = []
    for row in range(n):
        halves = rng.permutation([5, length // 2 + 3])  # the half of each motif
        for (name, ppm), first in zip(ppms.items(), halves, strict=True):
            start = int(first + rng.integers(0, length // 2 - len(ppm) - 8))
            end, strand = start + len(ppm), rng.choice(["+", "-"])
            drawn = np.array([rng.choice(4, p=each) for each in ppm])
            odds = np.log2(ppm / 0.25)
            bases[row, start:end] = drawn if strand == "+" else 3 - drawn[::-1]
            hypothetical[row, start:end] += odds if strand == "+" else odds[::-1, ::-1]
            sites.append((row, name, start, end, str(strand)))
    table = pd.DataFrame(sites, columns=["row", "motif", "start", "end", "strand"])
    return bases, hypothetical.astype(np.float32), table, ppms
