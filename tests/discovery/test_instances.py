"""Called instances scored: values by hand, invariances, the truth at 1, shuffled calls at the chance shown."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from sklearn.metrics import average_precision_score

import simbench_tf as sb
from helpers.called_tables import tables
from simbench_tf import tables as schemas
from simbench_tf.discovery import cluster_agreement, fdr_curve, stated_fdr
from simbench_tf.discovery.calls import checked_tables
from simbench_tf.discovery.instances import COLUMNS, random_places


def sites_of(*rows):
    return pd.DataFrame(rows, columns=["row", "start", "end", "strand", "motif", "bits"])


SITES = sites_of(
    (0, 10, 20, "+", "GATA1", 9.0),
    (0, 45, 55, "-", "SPI1", 13.0),
    (1, 46, 56, "+", "GATA1", 9.0),
    (2, 90, 100, "-", "SPI1", 13.0),
)
CALLED = pd.DataFrame(
    [
        (0, 12, 22, "+", "p0", 5.0),  # GATA1, two bases late
        (0, 45, 55, "+", "p1", 4.0),  # SPI1, as it is; the pattern is the other strand's
        (0, 70, 80, "+", "p1", 3.0),  # nothing
        (1, 44, 56, "-", "p0", 3.0),  # GATA1, two bases early; another strand than the pattern's other call
        (2, 0, 10, "+", "p2", 1.0),  # nothing, of a name that stands nowhere
    ],
    columns=["row", "start", "end", "strand", "motif", "score"],
)


def row(table, by="all", group="all"):
    return table[(table["by"] == by) & (table["group"] == group)].iloc[0]


def test_values_by_hand():
    table = sb.score_instances(CALLED, SITES, length=100)
    assert (
        list(table) == list(COLUMNS) == [each for each in schemas.INSTANCE_COLUMNS[4:] if not each.startswith("oracle")]
    )
    found = row(table)
    assert found[["n_sites", "n_called", "n_matched"]].tolist() == [4, 5, 3]
    assert found[["precision", "recall", "f1"]].tolist() == pytest.approx([3 / 5, 3 / 4, 2 * 3 / 9])
    # thresholds 5, 4, 3 (two calls), 1: a site more each at the first three, and the fourth is never found
    assert found["ap"] == pytest.approx((1 + 1 + 3 / 4) / 4)
    # F1 at these thresholds: 2/5, 4/6, 6/8, 6/9; of the third, sequences have 2, 1 and 0 right of 5, 2 and 1 calls and
    # sites, which are .25, .5 and -.75 from three quarters of these
    assert found[["best_f1", "best_recall"]].tolist() == [0.75, 0.75]
    assert found["best_f1_se"] == pytest.approx(np.sqrt(3 / 2 * (0.25**2 + 0.5**2 + 0.75**2)) / 8)
    assert found["on_site"] == 3 / 5
    assert found["boundary_error"] == pytest.approx((2 + 2 + 0 + 0 + 2 + 0) / 6)
    # p0's strands disagree, so it is taken as it is given; p1's only matched call says that it is the other strand's
    assert found["strand_accuracy"] == pytest.approx(2 / 3)
    assert found["motif_accuracy"] == 1
    # sequence 2 has a call for its site, sequence 0 for both
    assert found["recall_cap"] == 1
    assert found[["n_clustered", "purity", "adjusted_rand"]].tolist() == [3, 1, 1]


def test_groups_by_hand():
    table = sb.score_instances(CALLED, SITES, length=100)
    columns = ["n_sites", "n_called", "n_matched"]
    assert row(table, "motif", "GATA1")[columns].tolist() == [2, 2, 2]
    assert row(table, "motif", "SPI1")[columns].tolist() == [2, 2, 1]  # p1 stands for SPI1; p2 for nothing
    assert row(table, "information", "8-10")[columns].tolist() == [2, 2, 2]
    assert row(table, "information", "12-14")[columns].tolist() == [2, 2, 1]
    assert row(table, "distance", "0-12.5")[columns].tolist() == [2, 2, 2]
    # a matched call is of its site's group; the call in nothing at 70-80 lies 25 from the centre
    assert row(table, "distance", "25-37.5")[columns].tolist() == [1, 2, 1]
    assert row(table, "distance", "37.5-50")[columns].tolist() == [1, 1, 0]
    assert row(table, "distance", "37.5-50")["recall"] == 0
    assert table[table["by"] == "motif"]["n_matched"].sum() == row(table)["n_matched"]


def test_a_call_under_a_wrong_name_is_right_in_place_and_of_its_sites_group():
    called = SITES.iloc[[0, 1]].assign(motif=["SPI1", "SPI1"], strand=["-", "-"], score=1.0)
    called.loc[0, ["start", "end"]] = [14, 24]
    table = sb.score_instances(called, SITES, length=100)
    assert row(table)[["n_matched", "precision", "motif_accuracy"]].tolist() == [2, 1, 0.5]
    assert row(table)["strand_accuracy"] == 1  # of the call with the right name
    columns = ["n_sites", "n_called", "n_matched"]
    assert row(table, "motif", "GATA1")[columns].tolist() == [2, 1, 1]
    assert row(table, "motif", "SPI1")[columns].tolist() == [2, 1, 1]
    site = SITES[:1].assign(start=10, end=20)  # 35 from the centre, and the call 39
    near = sb.score_instances(site.assign(start=6, end=16, score=1.0), site, length=100)
    assert near[near["by"] == "distance"][["group", *columns]].values.tolist() == [["25-37.5", 1, 1, 1]]


def test_calls_without_names_scores_and_strands_leave_out_what_they_cannot_tell():
    table = sb.score_instances(CALLED[["row", "start", "end"]], SITES.drop(columns=["bits", "strand"]))
    assert set(table["by"]) == {"all", "motif"}
    assert row(table)[["precision", "recall"]].tolist() == [0.6, 0.75]
    nothing = ["ap", "strand_accuracy", "motif_accuracy", "chance_recall", "purity"]
    assert row(table)[nothing].isna().all()
    assert row(table, "motif", "SPI1")[["n_called", "precision", "f1"]].isna().all()
    assert row(table, "motif", "SPI1")["recall"] == 0.5


def test_no_call_and_no_site():
    none = row(sb.score_instances(CALLED.iloc[:0], SITES, length=100))
    assert none[["n_called", "recall", "f1", "ap", "recall_cap", "chance_recall"]].tolist() == [0] * 6
    assert np.isnan(none["precision"])
    none = row(sb.score_instances(CALLED, SITES.iloc[:0], length=100))
    assert none[["n_sites", "precision", "f1"]].tolist() == [0, 0, 0]
    assert none[["recall", "ap", "recall_cap"]].isna().all()


def test_the_cap_counts_calls_of_each_sequence_and_the_window():
    assert row(sb.score_instances(CALLED[:1], SITES))["recall_cap"] == 0.25
    assert row(sb.score_instances(CALLED, SITES, window=(20, 80)))["recall_cap"] == 0.5
    assert row(sb.score_instances(CALLED, SITES, window=(46, 80)))["recall_cap"] == 0.25


def test_ids_stand_for_rows():
    by_id = [table.assign(seq_id="s" + table["row"].astype(str)).drop(columns="row") for table in (CALLED, SITES)]
    pd.testing.assert_frame_equal(sb.score_instances(*by_id, length=100), sb.score_instances(CALLED, SITES, length=100))


@given(tables())
@settings(max_examples=12)
def test_order_of_rows_and_scale_of_scores_do_not_matter(both):
    called, sites = both
    first = sb.score_instances(called, sites)
    turned = sb.score_instances(called[::-1], sites.sample(frac=1, random_state=1))
    scaled = sb.score_instances(called.assign(score=np.exp(called["score"]) - 7), sites)
    for other in (turned, scaled):
        pd.testing.assert_frame_equal(first, other)


@given(tables())
@settings(max_examples=12)
def test_reverse_complements_score_the_same(both):
    length = 40
    flipped = [
        table.assign(
            start=length - table["end"],
            end=length - table["start"],
            strand=table["strand"].map({"+": "-", "-": "+"}),
        )
        for table in both
    ]
    one, two = (
        sb.score_instances(*each, length=length, n_shuffles=0).iloc[0].drop(["purity", "adjusted_rand", "v_measure"])
        for each in (both, flipped)
    )
    pd.testing.assert_series_equal(one, two)


def many_sites(n=1500, sequences=300, length=200, seed=0):
    rng = np.random.default_rng(seed)
    start = rng.integers(0, length - 16, n)
    sites = pd.DataFrame({"row": rng.integers(0, sequences, n), "start": start, "end": start + rng.integers(8, 16, n)})
    motif = rng.choice(["CTCF", "GATA1", "SPI1"], n)
    bits = pd.Series(motif).map({"CTCF": 17.0, "GATA1": 9.0, "SPI1": 13.0})
    sites = sites.assign(motif=motif, strand=rng.choice(["+", "-"], n), bits=bits)
    return sites.drop_duplicates(["row", "start", "end"], ignore_index=True)


@pytest.mark.parametrize("names", [None, {"CTCF": "p0", "GATA1": "p1", "SPI1": "p2"}])
def test_the_truth_itself_scores_1(names):
    sites = many_sites()
    called = sites.assign(score=np.arange(len(sites)) * 1.0, qvalue=0.0)
    if names:
        called = called.assign(motif=called["motif"].map(names))
    table = sb.score_instances(called, sites, length=200, n_shuffles=1)
    ones = ["precision", "recall", "f1", "ap", "strand_accuracy", "motif_accuracy", "recall_cap"]
    assert (table[ones] == 1).all(axis=None)
    assert (table["boundary_error"] == 0).all()
    assert row(table)[["purity", "adjusted_rand", "v_measure"]].tolist() == [1, 1, 1]
    assert set(table["by"]) == {"all", "motif", "information", "distance", "stated_fdr"}


def test_shuffled_calls_lie_at_the_chance_that_is_shown():
    sites = many_sites()
    called = many_sites(900, seed=1).assign(score=1.0)
    rng = np.random.default_rng(7)  # not the seed of the chance
    width = called["end"] - called["start"]
    start = rng.integers(0, 201 - width)
    moved = called.assign(start=start, end=start + width)
    table = sb.score_instances(moved, sites, length=200)
    all_ = row(table)
    assert 0.05 < all_["chance_precision"] < 0.95
    for by in ("all", "motif", "distance"):
        for _, each in table[table["by"] == by].iterrows():
            for what, n in (("precision", each["n_called"]), ("recall", each["n_sites"])):
                chance = each[f"chance_{what}"]
                error = np.sqrt(chance * (1 - chance) / n)
                assert abs(each[what] - chance) < 4 * error, (by, each["group"], what)
    # equal scores are one threshold: precision times recall
    assert all_["ap"] == pytest.approx(all_["precision"] * all_["recall"])


def test_average_precision_is_scikit_learns_where_every_site_is_called():
    rng = np.random.default_rng(3)
    sites = many_sites(200)
    wrong = pd.DataFrame({"row": 1000 + np.arange(300), "start": 0, "end": 9, "strand": "+", "motif": "CTCF"})
    called = pd.concat([sites, wrong], ignore_index=True)
    called["score"] = rng.integers(0, 40, len(called)).astype(float)
    table = sb.score_instances(called, sites)
    truth = np.arange(len(called)) < len(sites)
    assert row(table)["ap"] == pytest.approx(average_precision_score(truth, called["score"]))


def test_random_places_keep_sequences_and_widths_and_cover_all_places():
    called = checked_tables(CALLED, SITES)[0]
    moved = random_places(called, 13, 400, random_state=0)
    for each in moved[:3]:
        pd.testing.assert_series_equal(each["end"] - each["start"], called["end"] - called["start"])
        pd.testing.assert_series_equal(each["row"], called["row"])
    starts = np.array([each["start"] for each in moved])
    wide = (called["end"] - called["start"]).to_numpy() == 12
    assert set(starts[:, wide].ravel().tolist()) == {0, 1}
    assert np.bincount(starts[:, ~wide].ravel()).min() > 1600 / 4 * 0.8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": 20}, "called has a row from 20 to 20, which is no place"),
        ({"start": -1}, "called has a row from -1 to 20, which is no place"),
        ({"strand": "x"}, 'called has the strand \'x\'; it must be "+", "-" or "."'),
        ({"row": None}, "the column row has missing values"),
        ({"end": 101}, "a call ends at 101, beyond the 100 bases of a sequence"),
        ({"qvalue": 1.5}, "the column qvalue must hold numbers between 0 and 1"),
    ],
)
def test_faulty_tables_are_told(change, message):
    called = SITES.iloc[:1].assign(**change)
    with pytest.raises(ValueError, match=message.replace("(", r"\(").replace(".", r"\.").replace("+", r"\+")):
        sb.score_instances(called, SITES, length=100)


def test_lacking_columns_are_told():
    with pytest.raises(ValueError, match="must both have a column row or seq_id"):
        sb.score_instances(SITES.drop(columns="row"), SITES)
    with pytest.raises(ValueError, match="called has no column end"):
        sb.score_instances(SITES.drop(columns="end"), SITES)
    with pytest.raises(ValueError, match="overlap must be above 0"):
        sb.score_instances(SITES, SITES, overlap=0)


# clusters


def test_clusters_by_hand():
    start = np.arange(6) * 20
    sites = pd.DataFrame({"row": 0, "start": start, "end": start + 10, "motif": ["A", "A", "A", "B", "B", "C"]})
    wide = sites.assign(start=sites["start"] - 5, end=sites["end"] + 5)[1:]
    called = pd.concat([sites[:1], wide]).assign(motif=["p", "p", "q", "q", "q", "q"], start=lambda t: t["start"])
    nowhere = pd.DataFrame({"row": [1], "start": [0], "end": [10], "motif": ["q"]})
    found = cluster_agreement(pd.concat([called, nowhere]), sites)
    assert found.n_clustered == 6
    assert found.purity == pytest.approx((2 + 2) / 6)
    # pairs: together in both 2 (AA in p; BB in q), in clusters 1 + 6, in elements 3 + 1, of 15
    expected = 7 * 4 / 15
    assert found.adjusted_rand == pytest.approx((2 - expected) / ((7 + 4) / 2 - expected))
    by_element = cluster_agreement(called, sites.assign(element=["A", "A", "x", "x", "x", "x"]))
    assert (by_element.purity, by_element.v_measure) == (1, 1)


def test_clusters_without_names_are_not_measured():
    found = cluster_agreement(SITES.drop(columns="motif"), SITES)
    assert found.n_clustered == 0
    assert np.isnan(found.purity)


# calibration


def test_q_values_are_benjamini_and_hochbergs():
    from scipy.stats import false_discovery_control

    pvalues = np.random.default_rng(0).random(50) ** 2
    np.testing.assert_allclose(stated_fdr(pd.DataFrame({"pvalue": pvalues})), false_discovery_control(pvalues))
    both = pd.DataFrame({"pvalue": [0.5], "qvalue": [0.25]})
    assert stated_fdr(both).tolist() == [0.25]
    assert stated_fdr(SITES) is None


def test_the_curve_of_a_calibrated_caller_is_the_diagonal_within_its_error():
    rng = np.random.default_rng(1)
    sites = many_sites(4000, sequences=4000, seed=2)
    local = rng.random(len(sites)) * 0.4  # chance that the call is false
    order = np.argsort(local)
    called = sites.iloc[order].assign(qvalue=np.cumsum(local[order]) / np.arange(1, len(sites) + 1))
    false = rng.random(len(sites)) < local[order]
    called["row"] = np.where(false, called["row"] + 10_000, called["row"])
    curve = fdr_curve(called, sites, [0.05, 0.1, 0.2])
    assert (abs(curve["true_fdr"] - curve["stated"]) < 4 * curve["true_fdr_se"]).all()
    table = sb.score_instances(called, sites, n_shuffles=0)
    stated = table[(table["by"] == "stated_fdr") & table["group"].isin(["0.05", "0.1", "0.2"])]
    assert (1 - stated["precision"]).tolist() == pytest.approx(curve["true_fdr"].tolist())
    with pytest.raises(ValueError, match="no column qvalue or pvalue"):
        fdr_curve(SITES, SITES)
