"""Importance of sites in a run: what is computed once, kept when a call is killed, and dropped when not asked for."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from helpers.folders import checksums, times
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline, tables
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.interchange.import_attributions import take_attributions
from simbench_tf.parallel import silent
from simbench_tf.run.attributions import attribution_files, read_attributions
from simbench_tf.run.parts import PartsFolder
from simbench_tf.run.results import read_table
from simbench_tf.score.shapley import shapley_interactions
from simbench_tf.stages import site_importance as stage

ELEMENTS = [
    {"motif": "HNF4A", "rate": 0.1, "enriched": {"HepG2": 1.2}},
    {"motif": "GATA1", "rate": 0.4, "enriched": {"HepG2": 0.6, "K562": 1.5}},
    {"motif": "FOXA1", "rate": 0.2, "enriched": {"HepG2": 0.8}},
    {"motif": "CTCF", "rate": 0.8},
]
CONFIG = {
    **TINY_RUN,
    "simulation": {**TINY_RUN["simulation"], "seq_length": 150, "n_sequences": 600, "elements": ELEMENTS},
    "models": [
        {"name": "exact", "architecture": "oracle"},
        {"name": "planted", "architecture": "planted"},
        {**TINY_RUN["models"][0], "padding": "same"},
    ],
    "training": {"batch_size": 50, "max_batches": 4, "precision": "float32"},
    "attribution": {"n_sequences": 40, "tasks": ["HepG2"], "methods": [{"method": "ism"}]},
    "scoring": {"site_importance": True, "nulls": False},
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A run of three models, and of random numbers as another tool's attributions of one of them."""
    folder = tmp_path_factory.mktemp("sites")
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    config, run = load_config(folder / "c.yaml"), folder / "run"
    pipeline.run(config, run)
    file = next(each for each in attribution_files(config, run) if each.model == "exact")
    shape = read_attributions(file.path)[0].shape
    np.savez(folder / "random.npz", scores=np.random.default_rng(0).normal(size=shape).astype(np.float32))
    take_attributions(config, run, folder / "random.npz", model="exact", task="HepG2", name="random")
    pipeline.run(config, run)
    return run


@pytest.mark.slow
def test_mutagenesis_of_the_oracle_has_the_order_and_random_numbers_have_none(scored):
    table = pd.read_csv(scored / "scores" / "site_importance.csv")
    assert tuple(table) == tables.SITE_IMPORTANCE_COLUMNS
    lines = table.set_index(["model", "key"])
    assert len(lines) == 4
    assert set(lines["n_sites"]) == {len(pd.read_parquet(scored / "oracle" / "site_values.parquet"))}
    exact, random, planted, untaught = (
        lines.loc[place]
        for place in (("exact", "ism@none"), ("exact", "random"), ("planted", "ism@none"), ("basset", "ism@none"))
    )
    assert exact["rank_correlation"] > 0.6
    assert exact["correlation"] > 0.7
    assert planted["rank_correlation"] > 0.6
    assert abs(random["rank_correlation"]) < 4 * random["rank_correlation_se"]
    assert random["scaled_error"] > 0.9
    # the exact posterior is what the truth is made by; of a network hardly trained the order is another
    assert exact["model_rank_correlation"] == pytest.approx(1)
    assert exact["model_rank_correlation"] > planted["model_rank_correlation"] > 0.6
    assert untaught["model_rank_correlation"] < 0.5
    # it says of its own sites what it says, right or wrong
    assert untaught["against_model_rank_correlation"] > untaught["model_rank_correlation"]


@pytest.mark.slow
def test_values_sum_to_what_all_sites_add_and_pairs_are_of_one_sequence(scored):
    values = pd.read_parquet(scored / "oracle" / "site_values.parquet")
    pairs = pd.read_parquet(scored / "oracle" / "site_pairs.parquet")
    raised = values.groupby("element")["HepG2"].mean()
    assert raised["HNF4A"] > 0.5 > 0.2 > abs(raised["CTCF"])
    counts = values["seq_id"].value_counts()
    assert len(pairs) == (counts * (counts - 1) // 2).sum()
    assert (pairs["first_start"] <= pairs["second_start"]).all()
    own = pd.read_parquet(scored / "scores" / "site_values" / "exact.parquet")
    pd.testing.assert_frame_equal(own[list(values)[:6]], values[list(values)[:6]])
    few = values["seq_id"].map(counts) <= stage.MOST_SITES_OF_MODELS
    np.testing.assert_allclose(own.loc[few, "HepG2"], values.loc[few, "HepG2"], atol=1e-5)
    assert own.loc[~few, "HepG2"].isna().all()


@pytest.mark.slow
def test_a_second_run_makes_nothing_again_and_a_new_method_the_table_alone(scored, tmp_path):
    run = shutil.copytree(scored, tmp_path / "run")
    before = times(run)
    pipeline.run(load_config(run / "config.yaml"), run)
    after = times(run)
    assert {name for name in before if after[name] != before[name]} <= {"config.yaml"}
    config, theirs = load_config(run / "config.yaml"), tmp_path / "zeros.npz"
    file = next(each for each in attribution_files(config, run) if each.model == "planted")
    np.savez(theirs, scores=np.zeros(read_attributions(file.path)[0].shape, np.float32))
    take_attributions(config, run, theirs, model="planted", task="HepG2", name="zeros")
    pipeline.run(config, run)
    changed = {name for name, time in times(run).items() if before.get(name) != time}
    assert "scores/site_importance.csv" in changed
    assert not [name for name in changed if "site_values" in name or "site_pairs" in name]
    zeros = read_table(run / "scores" / "site_importance.csv").set_index("key").loc["zeros"]
    assert np.isnan(zeros["rank_correlation"])
    assert zeros["scaled_error"] == 1
    assert "Is the credit right?" in (run / "report.html").read_text()


@pytest.mark.slow
def test_what_is_not_asked_for_any_more_is_dropped_and_nothing_is_scored_again(scored, tmp_path):
    run = shutil.copytree(scored, tmp_path / "run")
    pipeline.run(load_config(run / "config.yaml", ["models=[{name: exact, architecture: oracle}]"]), run)
    assert [path.name for path in (run / "scores" / "site_values").iterdir()] == ["exact.parquet"]
    summary = times(run)["scores/summary.csv"]
    pipeline.run(load_config(run / "config.yaml", ["scoring.site_importance=false"]), run)
    assert not [name for name in times(run) if "site_values" in name or "site_pairs" in name or "importance" in name]
    assert times(run)["scores/summary.csv"] == summary
    assert "Is the credit right?" not in (run / "report.html").read_text()


# what needs no run


def game(n_sequences=40):
    """Sites of random sequences, which are worth what their bases weigh, and more where the first base is there."""
    rng, length = np.random.default_rng(2), 30
    bases = rng.integers(4, size=(n_sequences, length)).astype(np.uint8)
    row = np.sort(rng.integers(n_sequences, size=3 * n_sequences))
    start = rng.integers(0, length - 4, len(row))
    sites = pd.DataFrame({"seq_id": [f"s{each}" for each in row], "row": row, "start": start, "end": start + 4})
    sites = sites.sort_values(["row", "start"], ignore_index=True)
    weights = rng.normal(size=(length, 4, 2))

    def outputs(letters):
        sums = np.einsum("nlc,lct->nt", letters, weights)
        return sums + sums**2

    return stage._Game(bases, sites, outputs, 2)


def test_a_killed_call_goes_on_where_it_was_and_ends_the_same(tmp_path, monkeypatch):
    whole = stage._computed(game(), PartsFolder(tmp_path / "whole.parts", "key"), "sites", silent)
    asked, write_part = [], stage.write_part

    def killed(*arguments):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(write_part(*arguments))
        return asked[-1]

    parts = PartsFolder(tmp_path / "cut.parts", "key")
    monkeypatch.setattr(stage, "write_part", killed)
    with pytest.raises(KeyboardInterrupt):
        stage._computed(game(), parts, "sites", silent)
    monkeypatch.setattr(stage, "write_part", write_part)
    kept = times(parts.path)
    assert len(kept) == 2
    resumed = stage._computed(game(), parts, "sites", silent)
    assert {name: times(parts.path)[name] for name in kept} == kept
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values)
    assert checksums(tmp_path / "whole.parts") == checksums(parts.path)
    other = stage._computed(game(), PartsFolder(parts.path, "other"), "sites", silent)
    assert not set(kept.values()) & set(times(parts.path).values())
    np.testing.assert_array_equal(other["scores"], whole["scores"])


def test_each_sequence_is_a_game_of_its_own(tmp_path):
    played = game()
    found = stage._computed(played, PartsFolder(tmp_path / "x.parts", "key"), "sites", silent)
    assert found["scores"].shape == found["error"].shape == (len(played.sites), 2)
    row = played.sites["row"].to_numpy()
    assert (row[found["pair"][:, 0]] == row[found["pair"][:, 1]]).all()
    sequence = next(each for each in np.unique(row) if (row == each).sum() == 3)
    places = np.flatnonzero(row == sequence)
    letters = stage.one_hot(played.bases[[sequence]])[0]
    worth = []
    for coalition in range(8):
        kept = np.ones(30, bool)
        for place in places:
            kept[played.sites["start"][place] : played.sites["end"][place]] = False
        for number, place in enumerate(places):
            if coalition >> number & 1:
                kept[played.sites["start"][place] : played.sites["end"][place]] = True
        worth.append(played.outputs((letters * kept[:, None])[None])[0])
    total = found["scores"][places].sum(axis=0)
    np.testing.assert_allclose(total, worth[7] - worth[0])
    mine = np.isin(found["pair"][:, 0], places)
    together = shapley_interactions(np.array(worth))
    np.testing.assert_allclose(found["together"][mine], together[np.triu_indices(3, 1)], atol=1e-9)


def test_credit_is_held_against_the_truth_the_own_sites_and_the_model():
    sites = pd.DataFrame(
        {
            "row": [0, 0, 0, 0, 1, 1, 1],
            "credit": [3.0, 2.0, 1.0, 9.0, 1.0, 2.0, 3.0],
            "value": [3.0, 2.0, 1.0, 0.0, 1.0, 2.0, 3.0],
            "model": [1.0, 2.0, 3.0, 4.0, np.nan, np.nan, np.nan],
            "own": [True, True, True, False, True, True, True],
        }
    )
    line = stage.credit_of(sites)
    # ranks 3 2 1 4 against 4 3 2 1: the sum of squared differences is 12, so 1 - 6 12 / 60; and 1
    assert line["rank_correlation"] == pytest.approx((-0.2 + 1) / 2)
    assert line["own_sites_rank_correlation"] == pytest.approx(1)
    assert line["model_rank_correlation"] == pytest.approx(-1)
    assert line["against_model_rank_correlation"] == pytest.approx(0.2)
    assert set(line) == set(tables.SITE_IMPORTANCE_COLUMNS[3:])


def test_it_needs_data_of_a_grammar(tmp_path):
    peaks = {"kind": "peaks", "genome": "g.fa", "peaks": {"K562": "k.narrowPeak"}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"simulation": peaks, "scoring": {"site_importance": True}}))
    message = r"c.yaml: scoring.site_importance needs data of kind grammar, not peaks: .* unknown; leave it out$"
    with pytest.raises(InputError, match=message) as error:
        load_config(tmp_path / "c.yaml")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["motif", "first_start", "K562_error"])
def test_tasks_are_not_called_like_its_columns(tmp_path, name):
    simulation = {"kind": "grammar", "tasks": {name: {}, "K562": {}}}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"simulation": simulation}))
    assert name in load_config(tmp_path / "c.yaml").tasks
    with pytest.raises(InputError, match=f"task name '{name}' is a column of scoring.site_importance; call the task"):
        load_config(tmp_path / "c.yaml", ["scoring.site_importance=true"])
