"""The motifs stage: callers on every attribution file, their scores, what is made again and what stays."""

import re
from importlib.util import find_spec

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

import simbench_tf as sb
from helpers.peaks_run import make_peaks_run
from helpers.program import simbench
from simbench_tf import pipeline, tables
from simbench_tf.config import Discovery, Scoring, load_config
from simbench_tf.errors import InputError
from simbench_tf.motifs import read_motifs
from simbench_tf.run.attributions import attribution_files, read_attributions
from simbench_tf.run.folder import config_of
from simbench_tf.run.manifest import read_manifest
from simbench_tf.stages.call_scores import place_of
from simbench_tf.stages.motif_callers import Explained, call, versions_of
from simbench_tf.stages.motifs import forget
from simbench_tf.stages.null_attributions import null_sequences, read_null

pytestmark = pytest.mark.slow

CONFIG = {
    "name": "small",
    "seed": 3,
    "simulation": {
        "kind": "grammar",
        "seq_length": 120,
        "n_sequences": 3000,
        "tasks": {"HepG2": {"fraction": 0.4}, "K562": {"fraction": 0.4}},
        "elements": [
            {"motif": "HNF4A", "rate": 0.15, "enriched": {"HepG2": 0.9}},
            {"motif": "GATA1", "rate": 0.15, "enriched": {"K562": 0.9}},
            {"motif": "NFE2", "rate": 0.15, "enriched": {"K562": 0.9}},
        ],
        "splits": {"valid": 0.1, "test": 0.4},
    },
    "models": [{"name": "planted", "architecture": "planted"}],
    "attribution": {
        "n_sequences": 400,
        "tasks": ["K562"],
        "methods": [
            {"method": "deeplift_rescale", "references": "frequency"},
            {"method": "grad_x_input"},
        ],
    },
    "scoring": {"nulls": False},
    "discovery": {},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("motifs")
    (folder / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    run = folder / "run"
    pipeline.run(load_config(folder / "c.yaml"), run)
    return folder / "c.yaml", run


def instances_of(run):
    return pd.read_csv(run / "scores" / "instances.csv", keep_default_na=False, na_values=[""])


def test_every_attribution_file_has_its_calls_beside_the_best_that_can_be_made(made):
    _, run = made
    table = instances_of(run)
    assert list(table.columns) == list(tables.INSTANCE_COLUMNS)
    whole = table[table["by"] == "all"]
    assert whole["key"].tolist() == ["deeplift_rescale@frequency", "grad_x_input@none"]
    assert set(whole["caller"]) == {"seqlets"}
    # weak sites are beyond any caller, and no caller is above the exact posterior
    assert 0.9 < whole["oracle_ap"].iloc[0] < 1
    assert (whole["best_f1"] < whole["oracle_best_f1"]).all()
    assert whole["best_f1"].iloc[0] > 0.75
    by_motif = table[table["by"] == "motif"]
    assert by_motif["oracle_best_recall"].between(by_motif["best_recall"], 1).sum() >= 3
    # the truth of a task: HNF4A is none of K562's
    assert by_motif["group"].nunique() == 2


def test_a_stated_rate_of_false_calls_is_held(made):
    _, run = made
    stated = instances_of(run).query("by == 'stated_fdr' and key == 'deeplift_rescale@frequency'").set_index("group")
    for rate in (0.05, 0.1, 0.2):
        line = stated.loc[rate] if rate in stated.index else stated.loc[f"{rate:g}"]
        error = np.sqrt(rate / line["n_called"])
        assert line["n_called"] > 100
        assert 1 - line["on_site"] < rate + 3 * error


def test_what_is_written_beside_the_scores(made):
    _, run = made
    folder = run / "motifs" / "planted" / "K562" / "deeplift_rescale@frequency" / "seqlets"
    dataset = sb.open_dataset(run / "dataset")
    bed = pd.read_csv(folder / "instances.bed", sep="\t", header=None)
    candidates = pd.read_csv(folder / "seqlets.tsv", sep="\t")
    kept = candidates[candidates["qvalue"] <= 0.05]
    assert bed[[0, 1, 2]].values.tolist() == kept[["seq_id", "start", "end"]].values.tolist()
    with h5py.File(folder / "pvalues.h5") as h5:
        pvalues, ids = h5["pvalues"][:], h5["seq_id"].asstr()[:]
    assert pvalues.shape == (len(ids), 120)
    # bases of true sites have low ones
    rows = np.flatnonzero(np.isin(dataset.seq_ids("test"), ids))
    mask = dataset.mask("test", task="K562")[rows]
    assert np.median(pvalues[mask]) < 0.05 < np.median(pvalues[~mask])
    # kernels that are the motifs give the motifs; after an exponential, sharper ones
    filters = pd.read_csv(run / "scores" / "motifs.csv")
    true = filters[filters["kind"] == "true"]
    assert sorted(true["motif"]) == sorted(
        each.motif_id for each in read_motifs(run / "dataset" / "motifs.meme") if each.tf in ("GATA1", "NFE2")
    )
    assert (true["correlation"] > 0.9).all()


def test_a_second_call_makes_nothing_again_and_another_rate_only_the_calls(made):
    _, run = made
    config = config_of(run)
    before = read_manifest(run)
    pipeline.motifs(config, run)
    after = read_manifest(run)
    assert {name: each["checksum"] for name, each in before.items()} == {
        name: each["checksum"] for name, each in after.items()
    }
    null = run / "motifs" / "planted" / "K562" / "grad_x_input@none" / "null.h5"
    stamp = null.stat().st_mtime_ns
    other = config.model_copy(update={"discovery": config.discovery.model_copy(update={"fdr": 0.2})})
    bed = null.parent / "seqlets" / "instances.bed"
    n_before = len(bed.read_text().splitlines())
    pipeline.motifs(other, run)
    assert null.stat().st_mtime_ns == stamp
    assert len(bed.read_text().splitlines()) >= n_before
    pipeline.motifs(config, run)
    assert len(bed.read_text().splitlines()) == n_before


def test_rows_of_a_file_stay_and_what_is_no_longer_asked_for_goes(made, monkeypatch, capsys):
    _, run = made
    config = config_of(run)
    own = run / "motifs" / "planted" / "K562" / "grad_x_input@none" / "seqlets" / "seqlets.tsv"
    code, _, err = simbench(monkeypatch, capsys, "score", run, "--motifs", own, "--name", "again")
    assert code == 0, err
    table = instances_of(run)
    again = table[table["key"] == "again"].reset_index(drop=True)
    mine = table[(table["key"] == "grad_x_input@none")].reset_index(drop=True)
    assert set(again["caller"]) == {"file"}
    numbers = ["by", "n_sites", "n_matched", "ap", "best_f1", "oracle_best_f1"]
    pd.testing.assert_frame_equal(again[numbers], mine[numbers], rtol=1e-4)

    fewer = config.model_copy(
        update={"attribution": config.attribution.model_copy(update={"methods": config.attribution.methods[:1]})}
    )
    pipeline.motifs(fewer, run)
    assert set(instances_of(run)["key"]) == {"deeplift_rescale@frequency", "again"}
    assert not own.exists()
    none = config.model_copy(update={"discovery": None})
    forget(none, run)
    assert set(instances_of(run)["key"]) == {"again"}
    assert not (run / "motifs").exists()
    table = run / "scores" / "instances.csv"
    stamp, bytes_ = table.stat().st_mtime_ns, table.read_bytes()
    forget(none, run)
    assert table.stat().st_mtime_ns == stamp
    # of another truth they are no neighbours of what is scored from now on
    with pytest.warns(UserWarning, match="of other data or settings"):
        forget(none.model_copy(update={"scoring": Scoring(motifs="all")}), run)
    assert not table.exists()
    table.write_bytes(bytes_)
    with pytest.warns(UserWarning, match="of other data or settings"):
        pipeline.motifs(config, run)
    code, _, err = simbench(
        monkeypatch, capsys, "score", run, "--motifs", run / own.relative_to(run), "--name", "again"
    )
    assert code == 0, err
    pipeline.motifs(config, run)
    assert set(instances_of(run)["key"]) == {"deeplift_rescale@frequency", "grad_x_input@none", "again"}


@pytest.mark.parametrize("kind", ["stretches", "shuffles", "negatives", "background"])
def test_null_sequences_of_every_kind(made, kind):
    _, run = made
    config = config_of(run)
    dataset = sb.open_dataset(run / "dataset")
    rows = place_of(config, run, dataset, "K562").sequences.rows
    asked = config.model_copy(update={"discovery": config.discovery.model_copy(update={"null_sequences": kind})})
    null = null_sequences(asked, run, dataset, "K562", rows)
    assert null.bases.shape == (len(rows), 120)
    assert null.bases.max() < 4
    same = (null.bases == dataset.bases("test")[rows]).all(axis=1)
    assert not same.any()
    if kind == "negatives":
        bases, labels = dataset.bases("test"), dataset.labels("test")[:, dataset.tasks.index("K562")]
        known = {each.tobytes(): label for each, label in zip(bases, labels, strict=True)}
        assert {known[each.tobytes()] for each in null.bases} == {0}
    if kind == "background":
        # draws without a site hold next to no match of the motifs: a tenth of the positives' hits
        motifs = read_motifs(run / "dataset" / "motifs.meme")
        assert len(sb.scan(null.bases, motifs, 1e-5)) < 0.1 * len(sb.scan(dataset.bases("test")[rows], motifs, 1e-5))


def test_the_null_is_what_the_method_says_of_the_null_sequences(made):
    _, run = made
    config, dataset = config_of(run), sb.open_dataset(run / "dataset")
    file = attribution_files(config, run)[1]
    rows = place_of(config, run, dataset, "K562").sequences.rows
    null = null_sequences(config, run, dataset, "K562", rows)
    kept = read_null(run / "motifs" / "planted" / "K562" / file.key / "null.h5")
    assert np.isnan(kept[~null.counts]).all()
    import keras

    model = keras.saving.load_model(file.model_file)
    scores = sb.attribute(model, sb.one_hot(null.bases[:8]), method="grad_x_input", target=file.target).scores
    counted = null.counts[:8]
    np.testing.assert_allclose(kept[:8][counted], scores[counted], rtol=1e-4, atol=1e-6)


def with_callers(config, *callers):
    """The same run with other callers, on the attributions of its first method alone."""
    discovery = config.discovery.model_copy(update={"callers": list(callers), "filters": False})
    attribution = config.attribution.model_copy(update={"methods": config.attribution.methods[:1]})
    return config.model_copy(update={"discovery": discovery, "attribution": attribution})


def test_modisco_runs_as_it_is(made):
    pytest.importorskip("modiscolite")
    _, run = made
    config = config_of(run)
    asked = with_callers(config, "modisco")
    pipeline.motifs(asked, run)
    folder = run / "motifs" / "planted" / "K562" / "deeplift_rescale@frequency" / "modisco"
    ((package, version),) = versions_of("modisco").items()
    records = {name: each for name, each in read_manifest(run).items() if "/modisco/" in name}
    called = [each for name, each in records.items() if not name.endswith(".csv")]
    assert {each["versions"] for each in called} == {f"{package} {version}"}
    table = instances_of(run).query("by == 'all' and caller == 'modisco'")
    motifs = pd.read_csv(run / "scores" / "motifs.csv")
    assert table["n_called"].iloc[0] == len((folder / "instances.bed").read_text().splitlines()) > 0
    found = {each.motif_id for each in read_motifs(folder / "motifs.meme")}
    assert found == set(motifs[motifs["kind"] == "found"]["motif"])
    pipeline.motifs(config, run)


def test_finemo_runs_on_the_motifs_of_modisco(made):
    pytest.importorskip("finemo")
    _, run = made
    config = config_of(run)
    asked = with_callers(config, "modisco", "finemo")
    pipeline.motifs(asked, run)
    folder = run / "motifs" / "planted" / "K562" / "deeplift_rescale@frequency" / "finemo"
    table = instances_of(run).query("by == 'all'").set_index("caller")
    assert table.loc["finemo", "n_called"] == len((folder / "instances.bed").read_text().splitlines()) > 0
    # a hit is cut to the motif where a seqlet is as long as its window
    assert table.loc["finemo", "best_f1"] > table.loc["modisco", "best_f1"] > 0.2
    records = [each for name, each in read_manifest(run).items() if "/finemo/" in name and not name.endswith(".csv")]
    assert {each["versions"] for each in records} == {
        ", ".join(f"{name} {version}" for name, version in versions_of("finemo").items())
    }
    pipeline.motifs(config, run)


def test_calls_in_peaks_have_their_place_in_the_genome(tmp_path):
    config, run, dataset = make_peaks_run(tmp_path)
    file = attribution_files(config, run)[0]
    scores, seq_ids = read_attributions(file.path)
    scores[2, 20:30] += 9
    with h5py.File(file.path, "r+") as h5:
        h5["scores"][:] = scores
        # only what is looked at matters: the null of another run's sequences would do as well
        null = np.random.default_rng(1).normal(size=(400, 40)).astype(np.float32)
    with h5py.File(tmp_path / "null.h5", "w") as h5:
        h5["scores"] = null
    asked = config.model_copy(update={"discovery": Discovery(width=5)})
    sequences = place_of(config, run, dataset, file.task).sequences
    chromosomes = {"chr2": 2_000, "chr10": 2_000}
    explained = Explained(file, sequences, tmp_path / "null.h5", chromosomes)
    files = call("seqlets", explained, asked, tmp_path / "out", tmp_path / "none")
    chrom, start, end, name, *_ = next(line.split("\t") for line in files[2].read_text().splitlines())
    region = re.fullmatch(r"(chr\d+):(\d+)-(\d+)", seq_ids[2])
    assert (chrom, name) == (region[1], "seqlet")
    assert abs(int(start) - int(region[2]) - 20) < 4
    assert abs(int(end) - int(region[2]) - 30) < 4
    if find_spec("pyBigWig"):
        import pyBigWig

        with h5py.File(files[1]) as h5:
            expected = -np.log10(h5["pvalues"][2])
        with pyBigWig.open(str(files[3])) as track:
            values = track.values(region[1], int(region[2]), int(region[3]))
        # where regions overlap the track has their mean
        assert np.isclose(values, expected, rtol=1e-4).sum() >= 15
        assert np.argmax(values) in range(18, 32)


def test_what_is_wrong_is_told(made, tmp_path, monkeypatch, capsys):
    path, run = made
    none = config_of(run).model_copy(update={"discovery": None})
    with pytest.raises(InputError, match="was not asked for motif discovery"):
        pipeline.motifs(none, run)
    for setting, message in [
        ("discovery={callers: [finemo]}", "looks for modisco's motifs; add modisco"),
        ("discovery={callers: [seqlets, seqlets]}", "names one twice"),
        ("discovery={callers: [meme]}", "caller: 'meme' is not known; known: seqlets, modisco, finemo"),
        ("discovery={fdr: 1}", "discovery.fdr"),
    ]:
        with pytest.raises(InputError, match=message):
            load_config(path, [setting])
    code, _, err = simbench(monkeypatch, capsys, "motifs", tmp_path)
    assert code == 2
    assert len(err.splitlines()) == 1
