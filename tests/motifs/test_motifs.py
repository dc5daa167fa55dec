from __future__ import annotations

import gzip
import importlib.util
import itertools
import re
import sys
from pathlib import Path

import Bio.motifs
import numpy as np
import pandas as pd
import pytest

import simbench_tf
from helpers.folders import REPOSITORY
from simbench_tf.errors import InputError
from simbench_tf.motifs import (
    Motif,
    find_motif,
    information_content,
    load_motifs,
    pwm,
    read_motifs,
    scan,
    scanning,
    score_sites,
    write_meme,
)

DATA = Path(simbench_tf.__file__).parent / "data"
TOOLS = REPOSITORY / "tools"
UNIFORM = (0.25, 0.25, 0.25, 0.25)
SKEWED = (0.4, 0.2, 0.25, 0.15)
HUMAN = [
    [0.3057, 0.1898, 0.2614, 0.2431],
    [0.3434, 0.2737, 0.0619, 0.3210],
    [0.2723, 0.2209, 0.2737, 0.2331],
    [0.1929, 0.2218, 0.2796, 0.3057],
]


@pytest.fixture(scope="module")
def default() -> list[Motif]:
    return load_motifs("default")


def random_bases(seed: int, n: int, length: int, background=UNIFORM, n_share: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    bases = rng.choice(4, size=(n, length), p=background).astype(np.uint8)
    bases[rng.random((n, length)) < n_share] = 4
    return bases


def random_motif(seed: int, width: int, sharpness: float = 0.3, n_sites: float = 100.0) -> Motif:
    ppm = np.random.default_rng(seed).dirichlet([sharpness] * 4, size=width)
    return Motif(f"m{seed}", f"TF{seed}", ppm, n_sites)


def word_motif(name: str, word: str) -> Motif:
    """A motif that knows one word only."""
    return Motif(name, name, np.eye(4)[["ACGT".index(letter) for letter in word]], 50.0)


def turned(bases: np.ndarray) -> np.ndarray:
    """The reverse complement; N stays N."""
    return np.array([3, 2, 1, 0, 4], np.uint8)[bases[..., ::-1]]


def exact_tail(matrix: np.ndarray, background) -> tuple[np.ndarray, np.ndarray]:
    """Every score a word can have, ascending, and P(score or more): position by position, with equal scores merged."""
    scores, chances = np.zeros(1, np.int64), np.ones(1)
    for column in np.rint(matrix.astype(float) * 256).astype(np.int64):
        sums = (scores[:, None] + column).ravel()
        weights = (chances[:, None] * np.asarray(background)).ravel()
        lowest = sums.min()
        merged = np.bincount(sums - lowest, weights)
        scores = np.flatnonzero(np.bincount(sums - lowest))
        chances, scores = merged[scores], scores + lowest
    return scores / 256, np.cumsum(chances[::-1])[::-1].clip(max=1)


def plain_scan(bases: np.ndarray, motifs: list[Motif], pvalue: float, background) -> pd.DataFrame:
    """The reference: every window of every row scored on both strands, in numpy, with its own p-values."""
    frames = []
    for motif in motifs:
        width = len(motif.ppm)
        windows = np.lib.stride_tricks.sliding_window_view(bases, width, axis=1)
        for strand in "+-":
            frequencies = background if strand == "+" else background[::-1]
            matrix = pwm(motif, frequencies)
            words = windows if strand == "+" else turned(windows)
            padded = np.hstack([matrix, np.full((width, 1), -np.inf, np.float32)])
            scores = padded[np.arange(width), words].sum(axis=2)
            possible, tail = exact_tail(matrix, frequencies)
            passing = possible[tail <= pvalue]
            if not len(passing):
                continue
            row, start = np.nonzero(scores >= passing[0])
            score = scores[row, start]
            columns = {"row": row, "start": start, "score": score, "pvalue": tail[np.searchsorted(possible, score)]}
            frames.append(
                pd.DataFrame(columns).assign(motif=motif.motif_id, tf=motif.tf, end=start + width, strand=strand)
            )
    table = pd.concat(frames).sort_values(["row", "start", "motif", "strand"], ignore_index=True)
    return table[["row", "motif", "tf", "start", "end", "strand", "score", "pvalue"]]


class TestScan:
    def test_equals_a_plain_scan_for_every_default_motif(self, default):
        bases = random_bases(1, 30, 250, n_share=0.004)
        # the best word of each motif, on either strand, so that each is seen to match
        for number, motif in enumerate(default):
            word = motif.ppm.argmax(axis=1).astype(np.uint8)
            at = 25 * (number % 9)
            bases[number % 30, at : at + len(word)] = word if number % 2 else turned(word)
        expected = plain_scan(bases, default, 1e-4, UNIFORM)
        found = scan(bases, default, 1e-4)
        assert len(expected) > 400
        assert (bases == 4).any()
        pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-9)
        assert (found["score"] == expected["score"]).all()

    @pytest.mark.parametrize("background", [UNIFORM, SKEWED, tuple(np.linalg.matrix_power(np.array(HUMAN), 200)[0])])
    @pytest.mark.parametrize("pvalue", [1e-3, 0.05, 1.0])
    def test_equals_a_plain_scan_at_any_level_and_background(self, background, pvalue):
        motifs = [random_motif(seed, width) for seed, width in enumerate([1, 4, 7, 12, 19])]
        bases = random_bases(2, 7, 90, n_share=0.01)
        expected = plain_scan(bases, motifs, pvalue, background)
        found = scan(bases, motifs, pvalue, background)
        pd.testing.assert_frame_equal(found, expected, rtol=1e-9)

    def test_sees_the_first_and_the_last_window_and_none_across_rows(self):
        motif = word_motif("m", "ACCGTAAC")
        bases = np.zeros((3, 20), np.uint8)
        word = motif.ppm.argmax(axis=1)
        bases[0, :8] = bases[0, 12:] = word
        bases[1, 16:], bases[2, :4] = word[:4], word[4:]
        found = scan(bases, [motif], 1.6e-5)
        assert found[["row", "start", "end", "strand"]].values.tolist() == [[0, 0, 8, "+"], [0, 12, 20, "+"]]

    def test_a_palindrome_matches_on_both_strands_with_one_score(self):
        motif = word_motif("m", "GCACGTGC")
        bases = random_bases(3, 5, 60)
        bases[2, 11:19] = motif.ppm.argmax(axis=1)
        found = scan(bases, [motif], 1.6e-5)
        assert found[["row", "start", "strand"]].values.tolist() == [[2, 11, "+"], [2, 11, "-"]]
        assert found["score"][0] == found["score"][1]
        assert found["pvalue"].tolist() == [4.0**-8] * 2

    def test_a_window_with_n_never_matches(self):
        bases = random_bases(4, 20, 100, n_share=0.05)
        found = scan(bases, [random_motif(1, 6)], 1.0)
        windows = np.lib.stride_tricks.sliding_window_view(bases, 6, axis=1)
        assert len(found) == 2 * (windows < 4).all(axis=2).sum()
        assert (windows[found["row"], found["start"]] < 4).all()

    def test_is_the_same_in_blocks_of_any_size(self, default, monkeypatch):
        bases = random_bases(5, 37, 120)
        whole = scan(bases, default[:20], 1e-3)
        monkeypatch.setattr(scanning, "_BLOCK_BASES", 121 * 5)
        assert len(whole) > 100
        pd.testing.assert_frame_equal(scan(bases, default[:20], 1e-3), whole)

    def test_empty_results_have_the_columns_and_types_of_full_ones(self):
        full = scan(random_bases(6, 4, 50), [random_motif(1, 6)], 0.1)
        for bases, motifs in [
            (np.empty((0, 50), np.uint8), [random_motif(1, 6)]),
            (random_bases(6, 4, 5), [random_motif(1, 6)]),
            (random_bases(6, 4, 50), []),
            (random_bases(6, 4, 50), [random_motif(1, 6)._replace(ppm=np.full((6, 4), 0.25))]),
        ]:
            empty = scan(bases, motifs, 1e-6)
            assert len(empty) == 0
            assert (empty.dtypes == full.dtypes).all()

    def test_refuses_what_it_cannot_scan(self):
        motif = random_motif(1, 6)
        with pytest.raises(ValueError, match=re.escape("uint8 (N, L)")):
            scan(np.zeros(20, np.uint8), [motif])
        with pytest.raises(ValueError, match="not int64"):
            scan(np.zeros((2, 20), np.int64), [motif])
        for pvalue in (0.0, 1.5, float("nan")):
            with pytest.raises(ValueError, match="pvalue"):
                scan(np.zeros((2, 20), np.uint8), [motif], pvalue)
        for background in [(0.5, 0.5, 0.5, 0.5), (0.5, 0.5, 0.0, 0.0), (0.2, 0.3, 0.5)]:
            with pytest.raises(ValueError, match="four positive base frequencies"):
                scan(np.zeros((2, 20), np.uint8), [motif], 1e-4, background)


class TestPvalues:
    @pytest.mark.parametrize("width", [1, 3, 7])
    @pytest.mark.parametrize("background", [UNIFORM, SKEWED])
    def test_equal_the_share_of_all_words_that_score_as_much(self, width, background):
        motif = random_motif(10 + width, width)
        words = np.array(list(itertools.product(range(4), repeat=width)), np.uint8)
        for strand, read, frequencies in [("+", words, background), ("-", turned(words), background[::-1])]:
            scores = pwm(motif, frequencies)[np.arange(width), read].sum(axis=1)
            chances = np.array(background)[words].prod(axis=1)
            order = np.argsort(scores)
            tail = np.cumsum(chances[order][::-1])[::-1]
            expected = tail[np.searchsorted(scores[order], scores)]
            score, pvalue = score_sites(words, np.full(len(words), strand), motif, background)
            assert (score == scores).all()
            np.testing.assert_allclose(pvalue, expected, rtol=1e-9)

    @pytest.mark.parametrize("background", [UNIFORM, SKEWED])
    def test_are_the_rate_of_false_positives(self, default, background):
        # 200,000 separate windows a motif and strand, some 1,000 hits: sd 3%, so a rate 25% off is found 998 times in
        # 1,000; 2 x 20 counts leave a chance of 1 in 40,000 that a sound scan fails for a seed drawn anew
        n, level = 200_000, 5e-3
        for number, motif in enumerate(default[::15]):
            bases = random_bases(100 + number, n, len(motif.ppm), background)
            found = scan(bases, [motif], level, background)
            for strand in "+-":
                frequencies = background if strand == "+" else background[::-1]
                tail = exact_tail(pwm(motif, frequencies), frequencies)[1]
                attained = tail[tail <= level].max()
                assert attained > 0.9 * level
                count = (found["strand"] == strand).sum()
                assert abs(count - n * attained) < 5 * np.sqrt(n * attained * (1 - attained))

    def test_lose_no_digits_when_they_are_tiny(self):
        # one word of 4^30
        motif = word_motif("m", "ACGTTGCAAC" * 3)
        pvalue = score_sites(motif.ppm.argmax(axis=1)[None].astype(np.uint8), ["+"], motif)[1]
        np.testing.assert_allclose(pvalue, 4.0**-30, rtol=1e-12)

    def test_are_the_same_from_scan_and_score_sites(self, default):
        bases = random_bases(7, 50, 200)
        found = scan(bases, default[:30], 1e-3, SKEWED)
        for motif in default[:30]:
            hits = found[found["motif"] == motif.motif_id]
            windows = np.array([bases[hit.row, hit.start : hit.end] for hit in hits.itertuples()], np.uint8)
            assert len(windows) > 1
            score, pvalue = score_sites(windows, hits["strand"].to_numpy(), motif, SKEWED)
            assert (score == hits["score"]).all()
            assert (pvalue == hits["pvalue"]).all()

    def test_of_a_site_with_n_is_one(self):
        score, pvalue = score_sites(np.array([[0, 4, 1]], np.uint8), ["-"], random_motif(1, 3))
        assert score.tolist() == [-np.inf]
        assert pvalue.tolist() == [1.0]

    def test_refuse_sites_that_do_not_fit(self):
        motif = random_motif(1, 3)
        with pytest.raises(ValueError, match=re.escape("windows (n, 3)")):
            score_sites(np.zeros((2, 4), np.uint8), ["+", "-"], motif)
        with pytest.raises(ValueError, match="strands must be"):
            score_sites(np.zeros((2, 3), np.uint8), ["+", "."], motif)


class TestMatrices:
    @pytest.mark.parametrize("background", [UNIFORM, SKEWED])
    def test_pwm_is_biopythons_to_half_a_step(self, background):
        counts = np.random.default_rng(0).integers(0, 50, (9, 4)).astype(float)
        counts[:, 3] = 200 - counts[:, :3].sum(axis=1)
        theirs = Bio.motifs.Motif(counts=dict(zip("ACGT", counts.T.tolist(), strict=True)))
        shares = dict(zip("ACGT", background, strict=True))
        normal = theirs.counts.normalize({base: 0.1 * share for base, share in shares.items()})
        odds = normal.log_odds(shares)
        ours = pwm(Motif("m", "m", counts / 200, 200.0), background)
        assert ours.dtype == np.float32
        assert np.abs(ours - np.array([odds[base] for base in "ACGT"]).T).max() <= 1 / 512 + 1e-6
        assert (ours * 256 == np.rint(ours * 256)).all()

    def test_pwm_needs_a_pseudocount(self):
        with pytest.raises(ValueError, match="pseudocount"):
            pwm(random_motif(1, 4), pseudocount=0.0)

    def test_information_content_is_bits_against_uniform(self):
        motif = Motif("m", "m", np.array([[0.5, 0.25, 0.125, 0.125], [0, 0, 1, 0]]), 20.0)
        np.testing.assert_allclose(information_content(motif), [0.25, 2.0], atol=1e-12)


COUNTS = np.array([[4, 16, 0, 0], [19, 0, 1, 0], [0, 20, 0, 0], [0, 0, 20, 0], [1, 2, 3, 14]], float)
ROWS = [" ".join(f"{count:g}" for count in row) for row in COUNTS.T]
MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF MA0004.1 Arnt
letter-probability matrix: alength= 4 w= 5 nsites= 20 E= 0
  0.20 0.80 0.00 0.00
  0.95 0.00 0.05 0.00
  0.00 1.00 0.00 0.00
  0.00 0.00 1.00 0.00
  0.05 0.10 0.15 0.70
URL http://jaspar.genereg.net/matrix/MA0004.1
"""
JASPAR = ">MA0004.1\tArnt\n" + "".join(f"{base}  [ {row} ]\n" for base, row in zip("ACGT", ROWS, strict=True))
PFM = ">MA0004.1 Arnt\n" + "\n".join(ROWS) + "\n"
HOMER = ">CACGT\tMA0004.1\t6.05\t-100\t0\tT:20.0(5%),B:3(1%),P:1e-9\n" + "".join(
    "\t".join(f"{p:.3f}" for p in row) + "\n" for row in COUNTS / 20
)


def same(first: list[Motif], second: list[Motif]) -> bool:
    return len(first) == len(second) and all(
        a[:2] == b[:2] and np.array_equal(a.ppm, b.ppm) and a.n_sites == b.n_sites
        for a, b in zip(first, second, strict=True)
    )


class TestFiles:
    @pytest.mark.parametrize("ends", ["\n", "\r\n"])
    @pytest.mark.parametrize(
        ("text", "tf"), [(MEME, "Arnt"), (JASPAR, "Arnt"), (PFM, "Arnt"), (HOMER, "MA0004.1")], ids=lambda x: x[:5]
    )
    def test_all_formats_give_the_same_motif(self, tmp_path, text, tf, ends):
        path = tmp_path / "motifs"
        path.write_bytes(text.replace("\n", ends).encode())
        (motif,) = read_motifs(path)
        assert (motif.motif_id, motif.tf, motif.n_sites) == ("MA0004.1", tf, 20.0)
        np.testing.assert_allclose(motif.ppm, COUNTS / 20, atol=1e-12)
        packed = tmp_path / "packed"
        packed.write_bytes(gzip.compress(path.read_bytes()))
        assert same(read_motifs(packed), [motif])

    def test_a_bare_matrix_is_named_by_its_file(self, tmp_path):
        path = tmp_path / "my motif.pfm"
        path.write_text("\n".join(ROWS))
        (motif,) = read_motifs(path)
        assert (motif.motif_id, motif.tf) == ("my_motif", "my_motif")
        np.testing.assert_allclose(motif.ppm, COUNTS / 20)

    @pytest.mark.parametrize(
        ("name", "motif_id", "tf"),
        [
            (
                "ELF1(ETS)/Jurkat-ELF1-ChIP-Seq(SRA014231)/Homer",
                "ELF1(ETS)/Jurkat-ELF1-ChIP-Seq(SRA014231)/Homer",
                "ELF1",
            ),
            ("1-TGASTCA,BestGuess:AP-1(bZIP)/ThioMac-PU.1-ChIP-Seq(GSE21512)/Homer(0.98)", "1-TGASTCA", "AP-1"),
        ],
    )
    def test_homer_names(self, tmp_path, name, motif_id, tf):
        path = tmp_path / "homer"
        path.write_text(f">ACGTA\t{name}\t7.5\n" + "0.25\t0.25\t0.25\t0.25\n" * 5)
        (motif,) = read_motifs(path)
        assert (motif.motif_id, motif.tf, motif.n_sites) == (motif_id, tf, 20.0)

    def test_a_homer_row_in_three_decimals_is_made_to_sum_to_one(self, tmp_path):
        path = tmp_path / "homer"
        path.write_text(">A\tm\t7.5\n0.333\t0.333\t0.333\t0.002\n")
        (motif,) = read_motifs(path)
        np.testing.assert_allclose(motif.ppm, [[0.333 / 1.001, 0.333 / 1.001, 0.333 / 1.001, 0.002 / 1.001]])

    def test_the_full_text_of_meme_is_read_too(self, tmp_path):
        path = tmp_path / "meme.txt"
        path.write_text(
            "*" * 20 + "\nMEME version 5.5.0\n" + "*" * 20 + "\nALPHABET= ACGT\n"
            "MOTIF ACG MEME-1\twidth =   2  sites =  7\n" + "-" * 20 + "\n"
            "letter-probability matrix: alength= 4 w= 2 nsites= 7 E= 1.0e-003\n"
            " 1.000000  0.000000  0.000000  0.000000\n 0.000000  0.500000  0.500000  0.000000\n" + "-" * 20 + "\n"
        )
        (motif,) = read_motifs(path)
        assert (motif.motif_id, motif.tf, motif.n_sites) == ("ACG", "ACG", 7.0)
        assert motif.ppm.tolist() == [[1, 0, 0, 0], [0, 0.5, 0.5, 0]]

    @pytest.mark.parametrize(
        ("heading", "motif_id", "tf"),
        [
            ("MOTIF  1 MEME\twidth =   5  sites =  20  llr = 90  E-value = 1.0e-010", "1", "1"),  # 4.10
            ("MOTIF  2\twidth =    5   sites =  20", "2", "2"),  # before that
            ("MOTIF CACGTG MEME-1\twidth =   5  sites =  20  llr = 90", "CACGTG", "CACGTG"),  # 5
            ("MOTIF 1-CACGTG STREME-1", "1-CACGTG", "1-CACGTG"),
            ("MOTIF CACRTG DREME-12", "CACRTG", "CACRTG"),
            ("MOTIF MA0004.1 Arnt", "MA0004.1", "Arnt"),
            ("  MOTIF MA0004.1 Arnt JASPAR", "MA0004.1", "Arnt"),
            ("MOTIF MA0004.1", "MA0004.1", "MA0004.1"),
        ],
    )
    def test_a_factor_is_never_a_word_of_a_programs_heading(self, tmp_path, heading, motif_id, tf):
        path = tmp_path / "meme.txt"
        path.write_text(MEME.replace("MOTIF MA0004.1 Arnt", heading))
        (motif,) = read_motifs(path)
        assert (motif.motif_id, motif.tf) == (motif_id, tf)

    DNA = (
        'A "Adenine" CC0000 ~ T "Thymine" 008000\nC "Cytosine" 0000CC ~ G "Guanine" FFB300\n'
        'N "Any base" = ACGT\nX = ACGT\nV "Not T" CCCCCC = ACG\nU = T\nEND ALPHABET\n'
    )

    @pytest.mark.parametrize("name", ["", ' "DNA"', ' "DNA" DNA-LIKE', " DNA-LIKE"])
    def test_dna_declared_letter_by_letter_is_dna(self, tmp_path, name):
        path = tmp_path / "meme.txt"
        path.write_text(MEME.replace("ALPHABET= ACGT\n", f"ALPHABET{name}\n{self.DNA}"))
        (motif,) = read_motifs(path)
        np.testing.assert_allclose(motif.ppm, COUNTS / 20, atol=1e-12)

    @pytest.mark.parametrize(
        "lines",
        [
            DNA.replace('T "Thymine"', 'U "Uracil"').replace("U = T", "T = U"),  # RNA
            'm "5-Methylcytosine" A0A0A0 ~ 1 "Guanine:5-Methylcytosine" 606060\n' + DNA,
        ],
    )
    def test_other_alphabets_declared_letter_by_letter_are_refused(self, tmp_path, lines):
        path = tmp_path / "meme.txt"
        path.write_text(MEME.replace("ALPHABET= ACGT\n", f'ALPHABET "DNA" DNA-LIKE\n{lines}'))
        with pytest.raises(InputError, match=r"meme\.txt:3: .*only DNA motifs \(ACGT\) can be used"):
            read_motifs(path)

    def test_indented_lines_are_read(self, tmp_path):
        path = tmp_path / "meme.txt"
        path.write_text("\n".join("  " + line for line in MEME.splitlines()))
        (motif,) = read_motifs(path)
        np.testing.assert_allclose(motif.ppm, COUNTS / 20, atol=1e-12)

    GATA = np.array([[1, 1, 97, 1], [97, 1, 1, 1], [1, 1, 1, 97], [97, 1, 1, 1]], float)

    @pytest.mark.parametrize("header", [">GATA\n", ""])
    def test_four_rows_of_four_are_not_read_transposed(self, tmp_path, header):
        def written(matrix, letters=("", "", "", "")):
            path = tmp_path / "m.pfm"
            rows = (f"{letter} {' '.join(map(str, row))}" for letter, row in zip(letters, matrix, strict=True))
            path.write_text(header + "\n".join(rows))
            return path

        # a row per base is told by positions that sum alike, or by its letters
        for path in (written(self.GATA.T), written(self.GATA.T, "ACGT"), written(self.GATA.T + np.eye(4, 1))):
            (motif,) = read_motifs(path)
            assert motif.ppm.argmax(axis=1).tolist() == [2, 0, 3, 0]
        # one row per position, as probabilities or counts, or no telling since both ways sum alike
        gatc = np.roll(np.eye(4) * 90 + 2, 1, axis=0)
        for matrix in (self.GATA, self.GATA / 100, gatc):
            with pytest.raises(InputError, match=r"m\.pfm:1: motif \w+ has four rows of four numbers"):
                read_motifs(written(matrix))
        (motif,) = read_motifs(written(gatc, "ACGT"))
        assert motif.ppm.argmax(axis=1).tolist() == gatc.argmax(axis=0).tolist()
        (motif,) = read_motifs(written(np.eye(4) * 9))  # either way is the same
        assert motif.ppm.argmax(axis=1).tolist() == [0, 1, 2, 3]

    def test_a_byte_order_mark_and_another_encoding_beside_the_names_do_not_matter(self, tmp_path):
        path = tmp_path / "m"
        for text in (MEME.replace("URL", "URL caf\xe9"), HOMER, JASPAR):
            path.write_bytes(b"\xef\xbb\xbf" + text.encode("latin-1"))
            assert read_motifs(path)[0].motif_id == "MA0004.1"
        path.write_bytes(MEME.replace("Arnt", "caf\xe9").encode("latin-1"))
        with pytest.raises(InputError, match=r"m:10: the motif's name is not text"):
            read_motifs(path)

    def test_what_is_written_reads_back_to_the_same_bits(self, tmp_path):
        motifs = [random_motif(seed, 5 + seed, n_sites=1e6 + seed) for seed in range(9)]
        path = tmp_path / "motifs.meme"
        write_meme(motifs, path, SKEWED)
        assert same(read_motifs(path), motifs)
        with path.open() as handle:
            theirs = Bio.motifs.parse(handle, "minimal")
        # Biopython reads it as well, and turns the probabilities into whole counts of nsites
        assert [motif.name.split()[0] for motif in theirs] == [motif.motif_id for motif in motifs]
        assert [len(motif) for motif in theirs] == [len(motif.ppm) for motif in motifs]
        for motif, own in zip(theirs, motifs, strict=True):
            np.testing.assert_allclose(np.array([motif.pwm[base] for base in "ACGT"]).T, own.ppm, atol=5e-6)
        assert list(theirs.background.values()) == pytest.approx(SKEWED)

    def test_sites_are_written_whole(self, tmp_path):
        path = tmp_path / "motifs.meme"
        write_meme(
            [random_motif(seed, 5, n_sites=n)._replace(motif_id=f"{n}") for seed, n in enumerate([0.2, 7.6])], path
        )
        assert [motif.n_sites for motif in read_motifs(path)] == [1.0, 8.0]

    def test_a_name_with_a_gap_is_not_written(self, tmp_path):
        with pytest.raises(ValueError, match="whitespace"):
            write_meme([random_motif(1, 5)._replace(tf="two words")], tmp_path / "motifs.meme")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("text", "line", "what"),
        [
            ("", "", "is empty"),
            (" \n\n", "", "is empty"),
            ("chr1\t100\t200\n", ":1", "does not begin a MEME, JASPAR or HOMER file"),
            ("A tale of two matrices\n", ":1", "does not begin a MEME, JASPAR or HOMER file"),
            (">chr1\nACGTACGT\n", ":1", "motif chr1 has 1 rows"),
            ("MEME version 4\n", "", "holds no motif"),
            (MEME.replace("ALPHABET= ACGT", "ALPHABET= ACDEFGHIKLMNPQRSTVWY"), ":3", "only DNA motifs"),
            (MEME.replace("MOTIF MA0004.1 Arnt", "MOTIF"), ":10", "without a name"),
            (MEME.replace("0.00 1.00 0.00", "0.00 0.00 0.00"), ":14", "position 3 of motif MA0004.1 sums to 0"),
            (MEME.replace("0.95", "-0.95"), ":13", "'-0.95' is no count or probability"),
            (MEME.replace("0.95", "much"), ":13", "'much' is no count or probability"),
            (MEME.replace("0.95", "nan"), ":13", "'nan' is no count or probability"),
            (MEME.replace("0.95", "0.55"), ":13", "position 2 of motif MA0004.1 sums to 0.6, not 1"),
            (MEME.replace("0.95 0.00", "0.95"), ":13", "has 3 numbers"),
            (MEME.replace("w= 5", "w= 6"), ":17", "'URL' is no count"),
            (MEME.replace("w= 5", "w= 9"), ":11", "should have 9 positions"),
            (MEME.replace("w= 5", "w= 4"), ":16", "is one row more than w= 4"),
            (MEME.split("letter-prob")[0], ":10", "motif MA0004.1 has 0 letter-probability matrices"),
            (MEME + MEME.split("+ -")[1], ":23", "motif MA0004.1 was already given in line 10"),
            (JASPAR + JASPAR, ":6", "motif MA0004.1 was already given in line 1"),
            (JASPAR.replace("\tArnt", "").replace("MA0004.1", ""), ":1", "motif without a name"),
            (JASPAR.replace("T  [", "G  ["), ":5", "has the row of G"),
            (JASPAR.replace(" 14 ]", " x ]"), ":5", "'x' is no count"),
            (JASPAR.replace(" 14 ]", " -14 ]"), ":5", "'-14' is no count"),
            (JASPAR.replace(" 14 ]", " ]"), ":5", "has 4 counts, the row of A 5"),
            (JASPAR.replace("4 19", "4 0").replace("0 1 0", "0 0 0"), ":1", "position 2 of motif MA0004.1 sums to 0"),
            (PFM.rsplit("\n", 2)[0], ":1", "has 3 rows"),
            (re.sub(r"\d+", lambda n: f"{int(n[0]) / 20}", PFM[15:]), ":1", "holds probabilities (its columns sum to"),
            (HOMER + HOMER, ":7", "was already given in line 1"),
            (HOMER.replace("0.950", "-0.950"), ":3", "'-0.950' is no count"),
            (HOMER.replace("1.000", "0.000"), ":4", "position 3 of motif MA0004.1 sums to 0"),
            (HOMER.split("\n")[0], ":1", "has no positions"),
            (HOMER + ">ACG\tsecond\n" + "0.25\t0.25\t0.25\t0.25\n", ":7", "is no HOMER header"),
        ],
    )  # fmt: skip
    def test_bad_input_is_one_line_that_names_the_place(self, tmp_path, text, line, what):
        path = tmp_path / "bad"
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            read_motifs(path)
        message = str(caught.value)
        assert message.startswith(f"{path}{line}: ")
        assert what in message
        assert "\n" not in message
        assert caught.value.mend

    def test_files_that_cannot_be_read(self, tmp_path):
        whole = gzip.compress(MEME.encode() * 20)
        for name, content, what in [
            ("absent", None, "cannot be read: No such file or directory; check the path"),
            ("cut.gz", whole[: len(whole) // 2], "cut short"),
            ("binary", bytes(range(128, 256)), "is not text"),
        ]:
            if content is not None:
                (tmp_path / name).write_bytes(content)
            with pytest.raises(InputError, match=what):
                load_motifs(tmp_path / name)
        with pytest.raises(InputError, match="cannot be read"):
            read_motifs(tmp_path)


class TestNames:
    def test_case_and_order_do_not_matter(self, default):
        assert find_motif(default, "tal1::gata1").motif_id == find_motif(default, "MA0140.2").motif_id == "MA0140.2"
        assert find_motif(default, "ma0139.1").tf == "CTCF"

    def test_an_unknown_name_is_answered_with_the_nearest(self, default):
        with pytest.raises(InputError, match="GABP: no motif of this id or name; the nearest is GABPA"):
            find_motif(default, "GABP")
        with pytest.raises(InputError, match="no motifs to choose from"):
            find_motif([], "GABP")

    def test_a_name_of_several_is_refused(self):
        twins = [random_motif(1, 5)._replace(tf="SP1"), random_motif(2, 5)._replace(tf="SP1")]
        with pytest.raises(InputError, match="sp1: 2 motifs have this name: m1, m2; name one by its id"):
            find_motif(twins, "sp1")
        assert find_motif(twins, "m2").motif_id == "m2"


class TestDefaultCompendium:
    # every factor that the simulations of the five cell lines speak of
    NAMED = """CTCF SP1 KLF1 KLF4 NRF1 ELK4 GABPA NFYA YY1 FOS::JUN JUN CEBPB TEAD1 TEAD4 FOXA1 FOXA2 SPI1 IRF1 IRF4
    RUNX1 RUNX3 NFKB1 RELA EBF1 BATF POU5F1::SOX2 POU5F1 SOX2 ZIC3 HNF4A HNF1A GATA1 TAL1::GATA1 NFE2"""

    def test_holds_the_factors_that_drive_accessibility(self, default):
        for name in self.NAMED.split():
            assert find_motif(default, name)

    def test_is_what_it_says(self, default):
        assert 100 <= len(default) <= 150
        assert min(len(motif.ppm) for motif in default) >= 8
        assert len({motif.tf for motif in default}) == len({motif.motif_id for motif in default}) == len(default)
        assert all(re.fullmatch(r"MA\d{4}\.\d", motif.motif_id) for motif in default)
        assert all(re.fullmatch(r"[A-Z0-9-]+(::[A-Z0-9-]+)?", motif.tf) for motif in default)
        assert all(np.abs(motif.ppm.sum(axis=1) - 1).max() < 1e-9 for motif in default)
        ctcf = find_motif(default, "CTCF")
        assert "".join("ACGT"[base] for base in ctcf.ppm.argmax(axis=1)) == "TGGCCACCAGGGGGCGCTA"

    def test_says_where_it_comes_from(self):
        for name in ("NOTICE", "jaspar2022_default.meme"):
            text = (DATA / name).read_text()
            assert "CC BY 4.0" in text
            assert "10.1093/nar/gkab1113" in text

    def test_is_made_again_to_the_same_bytes(self, tmp_path):
        pytest.importorskip("pyjaspar")
        spec = importlib.util.spec_from_file_location("make_default_motifs", TOOLS / "make_default_motifs.py")
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        script.main(tmp_path / "again.meme")
        assert (tmp_path / "again.meme").read_bytes() == (DATA / "jaspar2022_default.meme").read_bytes()
        with pytest.raises(ValueError, match="CTCF"):
            script.choose_motifs([])


class TestJaspar:
    def test_releases_come_through_pyjaspar(self):
        pytest.importorskip("pyjaspar")
        motifs = load_motifs("jaspar:2022")
        assert len(motifs) == 841
        assert find_motif(motifs, "MA0697.2").tf == "Zic3"
        assert len(find_motif(load_motifs("jaspar:2024"), "MA0139.2").ppm) == 15
        with pytest.raises(InputError, match=r"jaspar:1999: no such release; .*jaspar:2022"):
            load_motifs("jaspar:1999")

    def test_without_pyjaspar_the_mend_is_told(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyjaspar", None)
        with pytest.raises(InputError, match=re.escape("pip install simbench_tf[jaspar]")):
            load_motifs("jaspar:2022")


@pytest.mark.parametrize("letters", ["a" * 400_000, "1" * 400_000, "w" * 400_000 + "x"])
def test_a_long_word_in_meme_takes_no_time(tmp_path, letters):
    """Each letter of a word was tried as the start of a key: this test would take an hour."""
    path = tmp_path / "m.meme"
    head = "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1\n"
    path.write_text(f"{head}letter-probability matrix: alength= 4 {letters} w= 1\n .1 .2 .3 .4\n")
    assert [motif.motif_id for motif in read_motifs(path)] == ["M1"]
    path.write_text(f"{head}letter-probability matrix: nsites= {'9' * 400}\n .1 .2 .3 .4\n")
    with pytest.raises(InputError, match=r"m\.meme:6: holds a number that is too large"):
        read_motifs(path)


@pytest.mark.parametrize(
    "row", ["T [ 1 2" + " " * 100_000 + "x", "T [" + " " * 100_000, " " * 100_000 + "]]", "1 " * 50_000 + "x"]
)
def test_a_long_row_in_jaspar_takes_no_time(tmp_path, row):
    """Each way to share spaces between the parts of a row was tried: this test would take longer than anybody waits."""
    path = tmp_path / "m.jaspar"
    path.write_text(f">M1\nA [1 2]\nC [1 2]\nG [1 2]\n{row}\n")
    with pytest.raises(InputError, match=r"m\.jaspar"):
        read_motifs(path)
    path.write_text(f"{row}\nC [1 2]\n")
    with pytest.raises(InputError, match=r"m\.jaspar"):
        read_motifs(path)
