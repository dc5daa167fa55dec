"""benchmarks/discovery.py and the page's tables of it: what is drawn, counted and kept, and what sentences say."""

import importlib.util

import numpy as np
import pandas as pd
import pytest

from helpers.folders import REPOSITORY
from simbench_tf.config import GrammarSimulation
from simbench_tf.motifs import load_motifs
from simbench_tf.simulate.grammar import build_grammar, draw


def script(folder, name):
    """A script of a folder, which finds those beside it."""
    spec = importlib.util.spec_from_file_location(f"{folder}_{name}", REPOSITORY / folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / folder))
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def study():
    return script("benchmarks", "discovery")


@pytest.fixture(scope="module")
def tables():
    return script("docs", "discovery_tables")


@pytest.fixture(scope="module")
def grammar():
    settings = GrammarSimulation(kind="grammar", seq_length=60, n_sequences=10)
    return build_grammar(settings, load_motifs("default"))


def test_positives_and_the_sites_of_their_task_alone(study, grammar, monkeypatch):
    monkeypatch.setattr(study, "CHUNK", 40)
    drawn = study.draw_positives(grammar, 3, "K562", 50)
    whole = draw(grammar, 3, 0, len(drawn.positives) + len(drawn.negatives))
    label = whole.sequences["K562"].to_numpy() == 1
    assert len(drawn.positives) == label.sum() >= 50
    ids = np.array(whole.sequences["seq_id"].to_pylist())[label]
    sites = whole.sites.to_pandas().query("element == 'GATA1' and seq_id in @ids")
    assert len(sites) > 10
    assert ids[drawn.sites["row"]].tolist() == sites["seq_id"].tolist()
    columns = ["start", "end", "strand", "motif"]
    assert drawn.sites[columns].to_numpy().tolist() == sites[columns].to_numpy().tolist()
    assert len(drawn.others) == len(whole.sites.to_pandas().query("element != 'GATA1' and seq_id in @ids")) > 3


def test_the_first_positives_are_the_same_whatever_their_number(study, grammar, monkeypatch):
    monkeypatch.setattr(study, "CHUNK", 40)
    few, many = (study.draw_positives(grammar, 3, "K562", n) for n in (10, 80))
    assert len(few.positives) < len(many.positives)
    np.testing.assert_array_equal(few.positives, many.positives[: len(few.positives)])


def test_every_question_asks_one_thing_of_a_common_setting(study):
    (common,) = set(study.settings_of(["number"], 2_000)) & set(study.settings_of(["window"], 2_000))
    for question in ("number", "input", "method", "window"):
        asked = list(study.settings_of([question], 5_000))
        assert common in asked
        assert len(set(asked)) == len(asked) > 1
        assert {sum(a != b for a, b in zip(each, common, strict=True)) for each in asked} == {0, 1}
    numbers = [each.n_sequences for each in study.settings_of(["number"], 5_000)]
    assert numbers == [500, 1_000, 2_000, 5_000]
    assert len(set(study.settings_of(["rates"], 0))) == 2 * 2 * 4


def test_a_call_is_false_where_it_stands_on_no_site(study):
    sites = pd.DataFrame({"row": [0, 1], "start": 10, "end": 20, "motif": "M", "element": "M"})
    # half of the shorter's bases suffice; one base less does not
    called = pd.DataFrame({"row": [0, 1, 1], "start": [15, 16, 12], "end": [25, 26, 17]})
    rate, error = study.share_off(called, sites)
    assert rate == pytest.approx(1 / 3)
    assert error > 0
    assert all(map(np.isnan, study.share_off(called.iloc[:0], sites)))


def test_scores_of_calls_beside_sites_are_those_of_the_package(study):
    sites = pd.DataFrame({"row": [0, 1], "start": 10, "end": 20, "strand": "+", "motif": "M", "element": "M"})
    called = sites.assign(score=[2.0, 1.0], start=[10, 40], end=[20, 50])
    bases = np.zeros((2, 60), np.uint8)
    scored = study.scored_calls(called, study.Drawn(bases, sites, sites.iloc[:0], bases))
    for name in ("true_fdr", "precision", "recall", "f1", "ap"):
        assert scored[name] == 0.5, name
    assert scored["n_called"] == 2
    assert scored["on_other"] == 0
    elsewhere = sites.iloc[1:].assign(start=40, end=50, motif="other")
    scored = study.scored_calls(called, study.Drawn(bases, sites, elsewhere, bases))
    assert scored["true_fdr"] == scored["on_other"] == 0.5, "a false call, which is the network's"


def test_rows_that_are_there_are_known_and_others_stay(study, tmp_path):
    out = tmp_path / "results" / "study.csv"
    patterns, rates = next(study.settings_of(["window"], 0)), next(study.settings_of(["rates"], 0))
    assert not study.is_done(out, rates)
    study.add_rows(out, [rates._asdict() | {"stated": rate, "n_called": 7} for rate in study.STATED])
    assert study.is_done(out, rates)
    assert not study.is_done(out, patterns)
    assert not study.is_done(out, rates._replace(null="negatives"))
    study.add_rows(out, [patterns._asdict() | {"n_found": 4}])
    assert study.is_done(out, patterns)
    assert not study.is_done(out, patterns._replace(window=100))
    table = pd.read_csv(out, keep_default_na=False)
    assert list(table) == [*study.Setting._fields, *study.RESULTS]
    assert table["stated"].tolist() == ["0.05", "0.1", "0.2", ""]


def test_the_kept_table_is_of_the_studys_settings(study, tables):
    kept = pd.read_csv(tables.TABLE, keep_default_na=False)
    assert list(kept) == [*study.Setting._fields, *study.RESULTS]
    asked = {tuple(map(str, each)) for each in study.settings_of(list(study.QUESTIONS), max(study.NUMBERS))}
    assert {tuple(map(str, row)) for row in kept[list(study.Setting._fields)].to_numpy()} <= asked
    assert not kept.duplicated([*study.Setting._fields, "stated"]).any()


def row(**given):
    common = {"caller": "modisco", "network": "trained", "input": "hypothetical", "n_sequences": 2_000, "window": 0}
    common |= {
        "method": "deeplift_rescale@shuffle5",
        "n_found": 4,
        "n_true": 4,
        "n_patterns": 5,
        "n_other": 2,
        "n_false": 1,
    }
    common |= {"n_merged": 0, "n_called": 1_000, "precision": 0.8, "recall": 0.5, "recall_cap": 0.6, "f1": 0.6}
    return common | {"ap": 0.4, "processor_seconds": 90.0, "peak_mb": 900.0} | given


def test_how_many_are_enough_is_the_fewest_that_find_the_most(tables):
    rows = [row(n_sequences=n, n_found=k, f1=f) for n, k, f in ((5_000, 3, 0.7), (500, 2, 0.4), (1_000, 3, 0.5))]
    text = tables.number(tables.at_hand(pd.DataFrame([*rows, row(window=100, n_found=4)]), "n_sequences"))
    assert text.startswith(
        "3 of 4 motifs are found from 1,000 sequences, and no more from 5,000; of the patterns 2 are"
    )
    assert "from 0.40 at 500 to 0.70." in text
    assert [line.split(" | ")[0] for line in text.splitlines()[4:]] == ["| 500", "| 1,000", "| 5,000"]


def test_methods_are_told_by_the_f1_of_their_calls(tables):
    rows = [row(method="grad_x_input@none", f1=0.3, n_found=1), row(), row(n_sequences=500, f1=0.9)]
    text = tables.methods(tables.at_hand(pd.DataFrame(rows), "method"))
    assert text.startswith("By F1 of the calls DeepLIFT Rescale (shuffle5) is first (0.60, 4 of 4 motifs), ")
    assert "gradient × input last (0.30, 1 of 4)." in text


@pytest.mark.parametrize(("true", "held"), [(0.05, True), (0.07, True), (0.0701, False), (0.0, True)])
def test_a_rate_is_held_within_two_standard_errors(tables, true, held):
    assert tables.is_held(pd.Series({"stated": 0.05, "true_fdr": true, "true_fdr_se": 0.01})) is held


def test_rates_without_a_call_are_not_counted_as_held(tables):
    rate = {"network": "trained", "method": tables.METHOD, "null": "negatives", "on_other": 0.0, "true_fdr_se": 0.01}
    cases = [(0.05, 0, np.nan), (0.1, 90, 0.11), (0.2, 99, 0.23)]
    rows = [rate | {"stated": stated, "n_called": n, "true_fdr": true} for stated, n, true in cases]
    text = tables.rates(pd.DataFrame(rows))
    assert "in 1 of 2 cases (1 more without a call) with negatives; calls at 0.05 are 0 by negatives (" in text
    assert text.splitlines()[-1].endswith("| – (no call) | 0.110 ± 0.010 (0.00; 90) | 0.230 ± 0.010 (0.00; 99) |")


def test_what_the_page_of_methods_says_of_modisco_is_of_the_study(tables):
    page = (REPOSITORY / "docs" / "which_method.md").read_text(encoding="utf-8")
    (row,) = (line for line in page.splitlines() if line.startswith("| you will run TF-MoDISco"))
    evidence, cost = row.split(" | ")[2:]
    kept = pd.read_csv(tables.TABLE).fillna({"null": ""})
    patterns = tables.at_hand(kept[kept["caller"] == "modisco"], "n_sequences").set_index("n_sequences")
    few, many = patterns.loc[500], patterns.loc[2_000]
    assert few["n_found"] == many["n_found"]
    assert f"{few['n_found']:.0f} of {few['n_true']:.0f} motifs from 500 sequences as from 2,000" in evidence
    assert f"{few['n_false']:.0f} false patterns from 500, {many['n_false']:.0f} from 2,000" in evidence
    own = kept[(kept["null"] == "stretches") & (kept["network"] == "trained") & (kept["method"] == tables.METHOD)]
    seqlets = own.set_index("stated").loc[0.1]
    central = tables.at_hand(kept[kept["caller"] == "modisco"], "window").set_index("window").loc[200]
    assert f"(`-w 200`) {central['n_found']:.0f} motifs and {central['n_false']:.0f} false" in evidence
    scores = tables.at_hand(kept[kept["caller"] == "modisco"], "input").set_index("input").loc["scores"]
    for told in (
        f"F1 of sites {few['f1']:.2f} and {many['f1']:.2f}, and {scores['f1']:.2f} where it gets the observed bases'",
        f"of our seqlets at a stated rate of .1 {seqlets['f1']:.2f}",
    ):
        assert told.replace("0.", ".") in evidence
    assert f"{100 * seqlets['true_fdr']:.0f}% of them false" in evidence
    integrated = kept[(kept["caller"] == "modisco") & (kept["method"] == "integrated_gradients@zeros")].iloc[0]
    told = f"from zeros: {integrated['n_found']:.0f} of {integrated['n_true']:.0f} motifs, F1 {integrated['f1']:.2f}"
    assert told.replace("0.", ".") in evidence
    seconds = [each["processor_seconds"] for each in (few, many)]
    assert cost.startswith(f"{seconds[0]:.0f} s for 500 sequences, {seconds[1]:.0f} s for 2,000")
