"""Found motifs against true ones: values by hand, invariances, split, merged and false ones, ends, chance."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simbench_tf as sb
from simbench_tf import tables
from simbench_tf.discovery.motif_match import COLUMNS, Alignment, align_motifs
from simbench_tf.motifs import Motif, load_motifs
from simbench_tf.motifs.files import UNIFORM

FLANK = np.full((3, 4), 0.25)


def motif(name, ppm):
    return Motif(name, name, np.asarray(ppm, float), 20.0)


def word(text, sharp=0.85):
    """A motif of a word."""
    rest = (1 - sharp) / 3
    return np.full((len(text), 4), rest) + (sharp - rest) * np.eye(4)[["ACGT".index(base) for base in text]]


ppms = st.integers(0, 2**32 - 1).map(
    lambda seed: np.random.default_rng(seed).dirichlet([0.4] * 4, np.random.default_rng(seed).integers(3, 12))
)


def plain_correlation(first, second):
    """Pearson's correlation over all positions of both, at every shift and strand; a lacking position is uniform."""
    best = -1.0
    for turned in (second, second[::-1, ::-1]):
        for offset in range(-len(second) + 1, len(first)):
            low, high = min(0, offset), max(len(first), offset + len(second))
            one, two = np.full((2, high - low, 4), 0.25)
            one[-low : len(first) - low] = first
            two[offset - low : offset + len(second) - low] = turned
            best = max(best, np.corrcoef(one.ravel(), two.ravel())[0, 1])
    return best


@given(ppms, ppms)
@settings(max_examples=40)
def test_the_correlation_is_the_best_of_pearsons_over_shifts_and_strands(first, second):
    assert align_motifs(first, second).correlation == pytest.approx(plain_correlation(first, second))
    assert align_motifs(second, first).correlation == pytest.approx(align_motifs(first, second).correlation)


@given(ppms, ppms)
@settings(max_examples=40)
def test_strands_and_flanks_that_tell_nothing_do_not_matter(first, second):
    background = (0.3, 0.2, 0.2, 0.3)
    flank = np.tile(background, (4, 1))
    right = align_motifs(first, second, background).correlation
    for one, two in ((first, second[::-1, ::-1]), (first[::-1, ::-1], second), (first, np.vstack([flank, second]))):
        assert align_motifs(one, two, background).correlation == pytest.approx(right)


def test_alignments_by_hand():
    gata = word("AGATAA")
    assert align_motifs(gata, np.vstack([FLANK, gata])) == Alignment(1.0, "+", -3)
    assert align_motifs(gata, gata[2:]) == Alignment(pytest.approx(np.sqrt(4 / 6)), "+", 2)
    assert align_motifs(gata, np.vstack([FLANK, gata, FLANK[:1]])[::-1, ::-1]) == Alignment(1.0, "-", -3)
    assert align_motifs(gata, FLANK) == Alignment(0.0, "+", 0)


def test_the_truth_is_found_whole():
    true = load_motifs()[:12]
    table = sb.score_motifs(true, true, n_shuffles=2)
    assert list(table) == list(COLUMNS) == list(tables.FOUND_MOTIF_COLUMNS[4:])
    assert table["correlation"].tolist() == pytest.approx([1.0] * 24)
    assert (table["best"] == table["motif"]).all()
    assert table["status"].tolist() == ["found"] * 12 + ["true"] * 12
    assert (table[["start_error", "end_error"]] == 0).all(axis=None)
    assert (table["strand"] == "+").all()
    assert (table["chance_correlation"] < 0.9).all()


def test_ends_and_strands_of_cut_motifs():
    gata = motif("GATA1", word("TTAGATAAGG"))
    short = motif("p0", gata.ppm[1:-2])
    long = motif("p0", np.vstack([FLANK, gata.ppm, FLANK[:1]]))
    row = sb.score_motifs([short], [gata], n_shuffles=0).iloc[0]
    assert row[["start_error", "end_error", "strand"]].tolist() == [1, -2, "+"]
    row = sb.score_motifs([long], [gata], n_shuffles=0).iloc[0]
    assert row[["start_error", "end_error", "strand"]].tolist() == [-3, 1, "+"]
    turned = motif("p0", gata.ppm[1:-2][::-1, ::-1])
    row = sb.score_motifs([turned], [gata], n_shuffles=0).iloc[0]
    # in the strand of the true motif
    assert row[["start_error", "end_error", "strand"]].tolist() == [1, -2, "-"]


def test_split_merged_missed_and_false():
    gata, spi, other = motif("GATA1", word("AGATAAG")), motif("SPI1", word("GGAAGTG")), motif("CTCF", word("CCACTAGG"))
    near = motif("GATA2", word("AGATAAG", 0.75))  # so like GATA1 that one found motif is the best of both
    one, two = (motif(f"p{i}", word("AGATAAG", sharp)) for i, sharp in enumerate((0.8, 0.9)))
    noise = motif("p2", word("TCTCTCTC"))
    table = sb.score_motifs([one, two, noise], [gata, spi, other], n_shuffles=0).set_index("motif")
    assert table["status"].to_dict() == {
        "GATA1": "split", "SPI1": "missed", "CTCF": "missed", "p0": "true", "p1": "true", "p2": "false",
    }  # fmt: skip
    assert table["n_matches"].to_dict()["GATA1"] == 2
    table = sb.score_motifs([one, motif("p1", spi.ppm)], [gata, near, spi], n_shuffles=0).set_index("motif")
    assert table["status"].to_dict() == {
        "GATA1": "found", "GATA2": "found", "SPI1": "found", "p0": "merged", "p1": "true",
    }  # fmt: skip


def test_nothing_found_and_nothing_true():
    gata = motif("GATA1", word("AGATAAG"))
    none = sb.score_motifs([], [gata])
    assert none[["status", "n_matches"]].values.tolist() == [["missed", 0]]
    assert none[["best", "correlation", "chance_correlation"]].isna().all(axis=None)
    assert sb.score_motifs([gata], [])["status"].tolist() == ["false"]
    assert sb.score_motifs([], []).empty


def test_shuffled_motifs_lie_at_the_chance_that_is_shown():
    true = load_motifs()[:6]
    rng = np.random.default_rng(11)
    values = []
    for _ in range(30):
        shuffled = [each._replace(ppm=rng.permutation(each.ppm)) for each in true]
        values.append(sb.score_motifs(shuffled, true, n_shuffles=0)["correlation"].to_numpy())
    shown = sb.score_motifs(true, true, n_shuffles=30)["chance_correlation"].to_numpy()
    error = np.std(values, axis=0, ddof=1) * np.sqrt(2 / 30)
    assert (abs(np.mean(values, axis=0) - shown) < 4 * error + 1e-9).all()


def test_the_background_says_nothing():
    gata = motif("GATA1", word("AGATAAG"))
    background = (0.3, 0.2, 0.2, 0.3)
    flanked = motif("p0", np.vstack([np.tile(background, (30, 1)), gata.ppm]))
    with_it, without = (
        sb.score_motifs([flanked], [gata], background=each, n_shuffles=0)["correlation"][0]
        for each in (background, UNIFORM)
    )
    assert with_it == pytest.approx(1)
    assert without < 0.99


def test_order_of_found_motifs_does_not_matter():
    true, found = load_motifs()[:5], load_motifs()[3:9]
    one, two = (sb.score_motifs(each, true, n_shuffles=0) for each in (found, found[::-1]))
    order = ["kind", "motif"]
    pd.testing.assert_frame_equal(
        one.sort_values(order).reset_index(drop=True), two.sort_values(order).reset_index(drop=True)
    )
