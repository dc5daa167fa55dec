"""Shared words against plain sets of text, and what splits share against what was put in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simbench_tf.dna import decode, encode
from simbench_tf.dna.shared_kmers import canonical_kmers, kmer_set, share_known
from simbench_tf.genome.leakage import between_splits


def words(text: str, k: int) -> list[str]:
    """Words without an N, each as the first of itself and its reverse complement in the alphabet."""
    found = [text[start : start + k] for start in range(len(text) - k + 1)]
    turned = str.maketrans("ACGT", "TGCA")
    return [min(word, word[::-1].translate(turned)) for word in found if "N" not in word]


@given(st.lists(st.text("ACGTN", min_size=12, max_size=12), min_size=1, max_size=5), st.sampled_from([1, 2, 5, 12, 13]))
def test_words_are_those_of_the_text(texts: list[str], k: int) -> None:
    bases = encode(texts)
    assert canonical_kmers(bases, k).shape == (len(texts), max(13 - k, 0))
    expected = sorted({word for text in texts for word in words(text, k)})
    # two bits a base keep the order of the alphabet
    assert kmer_set(bases, k).tolist() == [int("".join(str("ACGT".index(a)) for a in word), 4) for word in expected]
    known = set(words(texts[0], k))
    shares = [sum(word in known for word in words(text, k)) / max(len(words(text, k)), 1) for text in texts]
    np.testing.assert_allclose(share_known(bases, kmer_set(bases[:1], k), k), shares)


def test_long_words_of_many_sequences() -> None:
    rng = np.random.default_rng(1)
    bases = rng.integers(0, 4, (600, 80)).astype(np.uint8)
    bases[500:] = 3 - bases[:100, ::-1]
    texts = decode(bases)
    for k in (30, 31):
        assert kmer_set(bases, k).size == len({word for text in texts for word in words(text, k)}) == 500 * (81 - k)
    np.testing.assert_array_equal(share_known(bases[:500], kmer_set(bases[500:])), np.arange(500) < 100)
    with pytest.raises(ValueError, match="words have 1 to 31 letters, not 32"):
        canonical_kmers(bases, 32)


def test_what_splits_share_is_counted() -> None:
    rng = np.random.default_rng(4)
    bases = rng.integers(0, 4, (90, 100)).astype(np.uint8)
    start = np.arange(90) * 1_000
    bases[60, 20:50] = bases[0, 50:80]  # one word of 30
    bases[61, 10:75] = 3 - bases[1, 10:75][::-1]  # 36 of 71 words, on the other strand
    bases[62] = bases[2]
    start[63] = start[30] + 99  # one base of a region of valid
    sequences = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 100})
    sequences["split"] = np.repeat(["train", "valid", "test"], 30)
    order = rng.permutation(90)
    found = between_splits(sequences.iloc[order], bases[order])
    assert found.to_numpy().tolist() == [
        ["train", "valid", 30, 0, 0, 0],
        ["train", "test", 30, 0, 3, 2],
        ["valid", "test", 30, 1, 0, 0],
    ]
    without = between_splits(sequences[["split"]], bases)
    assert without["overlapping"].isna().all()
    assert without["sharing"].tolist() == [0, 3, 0]
    assert between_splits(sequences[:10], bases[:10]).empty
