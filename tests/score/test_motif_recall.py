"""Recall of motifs equals its plain definition, finds what it should, and finds noise at its stated rate."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from simbench_tf.score.motif_recall import motif_recall

LENGTH = 48


def site(row, start, width=6, motif="GATA1", strand="+", bits=9.0):
    return {"row": row, "motif": motif, "start": start, "end": start + width, "strand": strand, "bits": bits}


def covered(sites, row, length):
    inside = np.zeros(length, bool)
    for each in sites[sites["row"] == row].itertuples():
        inside[each.start : each.end] = True
    return inside


def plainly_found(scores, sites, quantile):
    """1 or 0 a site, NaN where its sequence has no window outside all sites."""
    found = []
    for each in sites.itertuples():
        size, inside = np.abs(scores[each.row]), covered(sites, each.row, scores.shape[1])
        width = each.end - each.start
        starts = range(scores.shape[1] - width + 1)
        means = [size[s : s + width].mean() for s in starts if not inside[s : s + width].any()]
        if not means:
            found.append(np.nan)
            continue
        found.append(float(size[each.start : each.end].mean() > np.quantile(means, quantile, method="inverted_cdf")))
    return np.array(found)


def plain_auprc(scores, sites, group):
    values = []
    for row in group["row"].unique():
        mine, inside = covered(group, row, scores.shape[1]), covered(sites, row, scores.shape[1])
        used = mine | ~inside
        if not mine[used].all():
            values.append(average_precision_score(mine[used], np.abs(scores[row])[used]))
    return np.mean(values) if values else np.nan


def plain_groups(sites, length):
    quarter = length / 8
    away = ((sites["start"] + sites["end"]) / 2 - length / 2).abs()
    ring = np.minimum(away // quarter, 3)
    yield "motif", sites["motif"]
    yield "strand", sites["strand"]
    yield "distance", ring.map(lambda number: f"{number * quarter:g}-{(number + 1) * quarter:g}")
    names = ["under 8", "8-10", "10-12", "12-14", "14-16", "16 and over"]
    yield "information", sites["bits"].map(lambda bits: names[int(np.clip(bits // 2 - 3, 0, 5))])


@st.composite
def scored_sites(draw):
    n, length = draw(st.integers(1, 4)), draw(st.sampled_from([16, 24, 40]))
    rows = [
        site(
            draw(st.integers(0, n - 1)),
            draw(st.integers(0, length - 8)),
            draw(st.integers(1, 8)),
            draw(st.sampled_from("ABC")),
            draw(st.sampled_from("+-")),
            draw(st.sampled_from([7.5, 8.0, 11.0, 13.9, 14.0, 16.0, 30.0])),
        )
        for _ in range(draw(st.integers(1, 10)))
    ]
    # whole numbers: sums are exact, so plain and fast code agree on what ties
    scores = np.random.default_rng(draw(st.integers(0, 2**32))).integers(-9, 10, (n, length))
    return scores.astype(np.float32), pd.DataFrame(rows)


@settings(max_examples=30)
@given(drawn=scored_sites(), quantile=st.sampled_from([0.5, 0.75, 0.95]))
def test_it_equals_the_plain_definition(drawn, quantile):
    scores, sites = drawn
    table = motif_recall(scores, sites, quantile).set_index(["by", "group"])
    found = plainly_found(scores, sites, quantile)
    n_groups = 0
    for by, names in plain_groups(sites, scores.shape[1]):
        for name in names.unique():
            mine = (names == name).to_numpy()
            line = table.loc[(by, name)]
            judged = mine & ~np.isnan(found)
            assert line["n_sites"] == judged.sum()
            np.testing.assert_allclose(line["recall"], found[judged].mean() if judged.any() else np.nan)
            np.testing.assert_allclose(line["auprc"], plain_auprc(scores, sites, sites[mine]), rtol=1e-12)
            n_groups += 1
    assert len(table) == n_groups


def test_sites_that_stand_out_are_found_and_sites_of_other_motifs_do_not_count_against():
    rng = np.random.default_rng(0)
    scores = rng.normal(scale=0.01, size=(20, LENGTH))
    rows = [site(row, 4, motif="A") for row in range(20)] + [site(row, 30, motif="B") for row in range(20)]
    scores[:, 4:10], scores[:, 30:36] = -1.0, 2.0
    table = motif_recall(scores, pd.DataFrame(rows))
    assert (table["recall"] == 1).all()
    assert (table["auprc"] == 1).all()  # of A too, though B's bases are above it
    scores[:, 4:10] = 0
    missed = motif_recall(scores, pd.DataFrame(rows)).set_index(["by", "group"])
    assert missed.loc[("motif", "A"), "recall"] == 0
    assert missed.loc[("motif", "B"), "recall"] == 1


def test_noise_finds_little_more_than_the_share_beyond_the_quantile():
    # 4,000 sites, one a sequence: a standard error near .0037
    scores = np.random.default_rng(1).normal(size=(4000, 400))
    line = motif_recall(scores, pd.DataFrame([site(row, 40) for row in range(4000)])).iloc[0]
    assert line["recall_se"] < 0.004
    assert 0.05 - 3 * line["recall_se"] < line["recall"] < 0.06 + 3 * line["recall_se"]


@pytest.mark.parametrize("constant", [0.0, 0.1, -0.7])
def test_constant_attributions_find_nothing(constant):
    sites = pd.DataFrame([site(0, 5, 7), site(0, 30, 11)])
    table = motif_recall(np.full((1, LENGTH), constant), sites)
    assert (table["recall"] == 0).all()
    # chance: the share of true bases among those compared
    assert table.loc[table["by"] == "motif", "auprc"].item() == pytest.approx(18 / LENGTH)


def test_a_sequence_without_background_says_nothing():
    sites = pd.DataFrame([site(0, 0, LENGTH), site(1, 0, 6, motif="B")])
    table = motif_recall(np.ones((2, LENGTH)), sites).set_index(["by", "group"])
    line = table.loc[("motif", "GATA1")]
    assert line["n_sites"] == 0
    assert line[["recall", "recall_se", "auprc"]].isna().all()
    assert table.loc[("strand", "+"), "n_sites"] == 1


def test_errors_have_the_sequence_as_the_unit():
    # two sites a sequence, both found or neither: as many observations as sequences
    rng = np.random.default_rng(2)
    scores = rng.normal(scale=0.01, size=(40, LENGTH))
    scores[:10, [*range(4, 10), *range(30, 36)]] = 1.0
    scores[10:, [*range(4, 10), *range(30, 36)]] = 0.0
    both = pd.DataFrame([site(row, start) for row in range(40) for start in (4, 30)])
    line = motif_recall(scores, both).iloc[0]
    assert (line["n_sites"], line["recall"]) == (80, 0.25)
    assert line["recall_se"] == pytest.approx(np.sqrt(0.25 * 0.75 / 40), rel=0.01)
    one = motif_recall(scores, both[both["start"] == 4]).iloc[0]
    assert one["recall_se"] == pytest.approx(np.std([1] * 10 + [0] * 30, ddof=1) / np.sqrt(40))


def test_no_sites_no_rows():
    empty = pd.DataFrame([site(0, 0)]).iloc[:0]
    table = motif_recall(np.ones((3, LENGTH)), empty)
    assert list(table) == ["by", "group", "n_sites", "recall", "recall_se", "auprc"]
    assert table.empty


def test_misuse_is_told():
    sites = pd.DataFrame([site(0, 5)])
    with pytest.raises(ValueError, match="quantile"):
        motif_recall(np.ones((1, LENGTH)), sites, 1.0)
    for wrong in (site(1, 5), site(-1, 5), site(0, LENGTH - 5), site(0, -1)):
        with pytest.raises(ValueError, match="outside"):
            motif_recall(np.ones((1, LENGTH)), pd.DataFrame([wrong]))


def test_with_the_sign_a_site_with_negative_credit_is_not_found():
    scores = np.array([[0.1, -0.9, -0.8, 0.1, 0.2, 0.3, 0.0, 0.1]])
    sites = pd.DataFrame({"row": [0], "motif": "M", "start": 1, "end": 3, "strand": "+", "bits": 9.0})
    by_size, by_sign = (motif_recall(scores, sites, signed=signed).iloc[0] for signed in (False, True))
    assert (by_size["recall"], by_sign["recall"]) == (1.0, 0.0)
    # the lowest two of eight: found as the seventh and the eighth
    assert (by_size["auprc"], by_sign["auprc"]) == (1.0, pytest.approx((1 / 7 + 2 / 8) / 2))
