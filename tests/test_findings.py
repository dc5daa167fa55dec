"""docs/make_findings.py: the page is that of the kept tables, and its figures are what they are said to be."""

import importlib.util
import re

import numpy as np
import pandas as pd
import pytest

from helpers.folders import REPOSITORY
from simbench_tf.dataset import open_dataset
from simbench_tf.run.results import AttributedSequences


@pytest.fixture(scope="module")
def findings():
    return script("make_findings")


@pytest.fixture(scope="module")
def keep_results(findings):
    return script("keep_results")


def script(name):
    """A script of docs/, which finds those beside it."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "docs"))
        spec.loader.exec_module(module)
    return module


def test_gains_of_averages_are_means_of_paired_differences():
    spec = importlib.util.spec_from_file_location("averaging", REPOSITORY / "benchmarks" / "averaging.py")
    averaging = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(averaging)
    rng = np.random.default_rng(1)
    models, keys = [*(f"net-seed{number}" for number in (1, 2, 3)), "net-ensemble"], ["plain", "both", "moved"]
    index = pd.MultiIndex.from_product([models, ["a", "b"], keys, range(6)], names=["model", "task", "key", "seq_id"])
    values = pd.Series(rng.random(len(index)), index, name="auprc")
    settings = pd.DataFrame({"key": keys, "method": "m", "strands": ["one", "both", "one"], "shifts": [0, 0, 2]})
    found = averaging.gains(values.reset_index(), settings).set_index("averaging")
    members, plain = values[models[:3]], values[models[:3]].xs("plain", level="key")
    assert found["cost"].to_dict() == {
        **{"none": 1, "both strands": 2, "shifts 2": 5},
        **{"ensemble": 3, "ensemble, both strands": 6, "ensemble, shifts 2": 15},
    }
    for way, key in (("none", "plain"), ("both strands", "both"), ("shifts 2", "moved")):
        mean = members.xs(key, level="key").mean()
        assert found.loc[way, "auprc"] == pytest.approx(mean)
        assert found.loc[way, "gain"] == pytest.approx(mean - plain.mean())
        together = f"ensemble, {way}" if way != "none" else "ensemble"
        of_ensemble = values["net-ensemble"].xs(key, level="key").mean()
        assert found.loc[together, "auprc"] == pytest.approx(of_ensemble)
        assert found.loc[together, "gain"] == pytest.approx(of_ensemble - plain.mean())


def test_the_page_is_that_of_the_kept_tables(findings):
    assert findings.PAGE.read_text(encoding="utf-8") == findings.page(), "make it again by docs/make_findings.py"


@pytest.mark.parametrize(
    ("differences", "alone", "or_level"),
    [
        ([(0.1, 0.01), (0.2, 0.04)], "confirmed", "confirmed"),
        ([(0.1, 0.01), (0.2, 0.06)], "depends", "confirmed"),
        ([(0.1, 0.5), (-0.2, 0.06)], "not confirmed", "confirmed"),
        ([(0.1, 0.01), (-0.2, 0.01)], "depends", "depends"),
        ([(-0.1, 0.01), (-0.2, 0.01)], "the opposite", "the opposite"),
        ([(-0.1, 0.01), (-0.2, 0.5)], "not confirmed", "depends"),
    ],
)
def test_verdicts_on_claims(findings, differences, alone, or_level):
    table = pd.DataFrame(differences, columns=["difference", "p_holm"])
    assert findings.verdict(table) == alone
    assert findings.verdict(table, or_level=True) == or_level


def test_networks_of_a_run(keep_results, tiny_run):
    table = keep_results.networks_of(tiny_run)
    assert list(table) == [
        *("model", "task", "auroc", "auprc", "oracle_auroc", "oracle_auprc", "share"),
        *("n_sequences_seen", "machine", "minutes"),
    ]
    assert table[["model", "task"]].to_numpy().tolist() == [["basset", "HepG2"], ["basset", "K562"]]
    ceilings = pd.read_csv(tiny_run / "oracle" / "ceilings.csv").set_index("task")
    np.testing.assert_allclose(table["oracle_auroc"], ceilings.loc[table["task"], "auroc"])
    shares = (table["auroc"] - 0.5) / (table["oracle_auroc"] - 0.5)
    np.testing.assert_allclose(table["share"], shares, atol=1e-9)
    n_train = len(open_dataset(tiny_run / "dataset").labels("train"))
    assert 600 < n_train < 650
    assert (table["n_sequences_seen"] == n_train + 11 * 50).all(), "an epoch of 13 batches, and 11 of another"
    assert table["machine"].str.fullmatch(r"\d+ CPU cores, float32").all()


def test_agreement_is_between_trainings_from_different_seeds_alone(findings):
    methods = pd.Index(list("abcd"))
    one = pd.DataFrame({"m-2-seed1": [1, 2, 3, 4], "m-2-seed2": [4, 3, 2, 1]}, methods)
    other = pd.DataFrame({"m-9-seed1": [1, 2, 3, 4], "m-9-seed2": [1, 2, 3, 4]}, methods)
    assert findings._agreement(other, other) == 1
    assert findings._agreement(one, one) == -1
    # seed 1 of the short with seed 2 of the long, which it equals, and seed 2 with seed 1, which is its opposite
    assert findings._agreement(one, other) == 0
    swapped = other.assign(**{"m-9-seed2": [2, 1, 3, 4]})
    assert findings._agreement(swapped, swapped) == pytest.approx(1 - 2 / 6)


def test_what_is_found_of_weak_and_strong_sites(keep_results, tiny_run, monkeypatch):
    """Six sites of four bases, the weakest to the strongest, and a method that knows the strong and half of others."""
    sites = pd.DataFrame(
        {"row": range(6), "start": 2, "end": 6, "motif": "M", "score": [3.0, 1.0, 2.0, 6.0, 4.0, 5.0], "counted": True}
    )
    uncounted = sites.iloc[[0]].assign(start=10, end=14, score=9.0, counted=False)
    scores = np.zeros((6, 20), np.float32)
    scores[:, 4:8] = 1.0  # two bases of each site, and two beside it
    scores[[3, 5]] = 0.0
    scores[[3, 5], 2:6] = -1.0  # the two strongest, whole, and negative
    bases = np.zeros((6, 20), np.uint8)
    each = AttributedSequences("m", "K562", list("abcdef"), bases, pd.concat([sites, uncounted]), {"k": scores})
    monkeypatch.setattr(keep_results, "read_sequences", lambda _config, _run: [each])
    table = keep_results.recall_by_strength(tiny_run)
    assert table[["model", "task", "key"]].drop_duplicates().to_numpy().tolist() == [["m", "K562", "k"]]
    assert dict(zip(table["strength"], table["recall"], strict=True)) == {"weak": 0.5, "middling": 0.5, "strong": 1.0}
    assert table["n"].tolist() == [2, 2, 2]


#: Rows of the table of five_lines in docs/results.md, by the keys of its methods.
FIVE_LINES_ROWS = {
    "DeepLIFT, Rescale or genomics default, 10 shuffles": ["deeplift_rescale@shuffle10", "deeplift_genomics@shuffle10"],
    "in-silico mutagenesis": ["ism@none"],
    "DeepLIFT RevealCancel, 10 shuffles": ["deeplift_revealcancel@shuffle10"],
    "saliency": ["saliency@none"],
    "gradient x input": ["grad_x_input@none"],
    "integrated gradients, zeros": ["integrated_gradients@zeros"],
    "DeepLIFT Rescale, zeros": ["deeplift_rescale@zeros"],
    "GradCAM, first layer": ["gradcam@none+layer=first"],
    "positions of training sites, no network": ["null_position"],
}


def test_the_table_of_five_lines_in_the_results():
    summary = pd.read_csv(REPOSITORY / "results" / "five_lines" / "summary.csv")
    means = summary.pivot_table("auprc", "key", "model")
    page = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"\| auPRC of true motif bases, five lines .*?\n\n", page, re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()[2:]]
    assert [row[0] for row in rows] == list(FIVE_LINES_ROWS)
    for name, *figures in rows:
        for key in FIVE_LINES_ROWS[name]:
            assert figures == [f"{means[model][key]:.2f}" for model in ("basset", "beluga")]


def test_the_zoo_says_what_its_networks_reach():
    reached = pd.read_csv(REPOSITORY / "results" / "five_lines.csv").set_index(["model", "task"])
    page = (REPOSITORY / "model_zoo" / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("| [`")
    ]
    said = {re.match(r"\[`five_lines_(\w+)`", row[0])[1]: row[3].split("<br>") for row in rows}
    for model in ("basset", "beluga"):
        of_tasks = reached.loc[model].iterrows()
        told = [f"{task} {row.auroc:.3f} ({row.oracle_auroc:.3f}, {row.share:.0%})" for task, row in of_tasks]
        assert said[model] == told


#: Rows of the table of recipes in docs/training.md, by the names in benchmarks/recipes.py.
RECIPE_ROWS = {
    "constant .001, batches of 200": "constant, 200",
    "constant .001, batches of 100": "constant, 100",
    "constant .001, batches of 50": "constant, 50",
    "constant .001 after a warm-up, batches of 50": "warm-up, 50",
    "constant .002, batches of 100": "constant .002, 100",
    "constant .0005, batches of 100": "constant .0005, 100",
    "cosine, from .001, batches of 100": "cosine, 100",
    "cosine, from .002, batches of 100": "cosine .002, 100",
    "linear, from .002, batches of 50": "linear .002, 50",
    "constant .001, average of weights .99, batches of 100": "average .99, 100",
    "constant .001, average of weights .99, batches of 50": "average .99, 50",
    "constant .001, average of weights .995, batches of 50": "average .995, 50",
}


def test_the_table_of_recipes_is_that_of_the_study():
    measured = pd.read_csv(REPOSITORY / "results" / "recipes.csv").pivot_table("reached", "recipe", "network")
    page = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"\| 90,000 sequences \|.*?\n\n", page, re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()[2:]]
    assert [row[0] for row in rows] == list(RECIPE_ROWS)
    for name, *figures in rows:
        reached = measured.loc[RECIPE_ROWS[name], ["basset", "beluga"]]
        assert figures == ["" if np.isnan(value) else f"{value:.3f}".lstrip("0") for value in reached]


def test_callers_are_counted_by_their_best_f1(findings):
    rows = [
        ("K562", "a", "seqlets", 0.5, None), ("K562", "a", "finemo", 0.6, None), ("K562", "a", "modisco", 0.4, 2),
        ("K562", "b", "seqlets", 0.7, None), ("K562", "b", "finemo", 0.6, None), ("K562", "b", "modisco", 0.65, 4),
        ("H1", "ism@none", "seqlets", 0.9, None), ("H1", "ism@none", "finemo", 0.6, None),
    ]  # fmt: skip
    found = pd.DataFrame(rows, columns=["task", "key", "caller", "best_f1", "n_found"]).assign(
        model="m", best_f1_se=0.01, n_true=4, oracle_best_f1=0.9, versions="finemo 0.41"
    )
    text = script("discovery_tables").callers(found)
    assert "of 3 attributions first by F1 at the best threshold are our seqlets 2 times, Fi-NeMo 1 times" in text
    assert "TF-MoDISco 0 times" in text
    assert "calls reach 0.90 on K562, 0.90 on H1" in text
    assert "| m | H1 | in-silico mutagenesis | 0.900 ± 0.010 | 0.600 ± 0.010 | – |" in text
    assert text.count("(2 of 4)") == text.count("(4 of 4)") == 1
