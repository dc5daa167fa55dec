"""Files in the layouts that motif callers write, for tests of their readers."""

import h5py
import numpy as np

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
