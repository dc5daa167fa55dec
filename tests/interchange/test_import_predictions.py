"""Predictions of an outside model: measured as a trained model's, by any file that says which row is which sequence."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import average_precision_score, roc_auc_score

import simbench_tf as sb
from helpers.program import simbench
from helpers.tiny_run import TINY_RUN
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.interchange.import_attributions import take_attributions
from simbench_tf.interchange.import_predictions import take_predictions
from simbench_tf.run.attributions import attributed_rows
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.models import is_measured
from simbench_tf.run.results import read_results

TASKS = list(TINY_RUN["simulation"]["tasks"])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """The configuration and folder of a run without models that has simulated, and its test split's ids and labels."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "c.yaml").write_text(yaml.safe_dump({**TINY_RUN, "models": []}))
    config, run = load_config(folder / "c.yaml"), folder / "run"
    pipeline.run(config, run)
    dataset = sb.open_dataset(run)
    return config, run, dataset.seq_ids("test"), dataset.labels("test")


def drawn(labels, seed=0):
    """Probabilities that know something of the labels, and are the same as text and as float32."""
    noise = np.random.default_rng(seed).random(labels.shape)
    return (0.3 * labels + 0.7 * noise).round(4).astype(np.float32)


def measured(labels, probabilities):
    return {
        task: {
            "auroc": pytest.approx(roc_auc_score(labels[:, n], probabilities[:, n])),
            "auprc": pytest.approx(average_precision_score(labels[:, n], probabilities[:, n])),
            "positive_fraction": pytest.approx(labels[:, n].mean()),
        }
        for n, task in enumerate(TASKS)
    }


def saved(path, probabilities, ids):
    """Write predictions as the suffix says: tables with shuffled rows and columns in another order."""
    order = np.random.default_rng(5).permutation(len(ids))
    table = pd.DataFrame(probabilities[order][:, ::-1], columns=TASKS[::-1]).assign(seq_id=ids[order])
    if path.suffix == ".npy":
        np.save(path, probabilities)
    elif path.suffix == ".npz":
        np.savez(path, predictions=probabilities[order], ids=np.array(ids[order], "S"))
    elif path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".tsv", ".parquet"])
def test_each_format_gives_the_metrics_of_the_test_split(simulated, tmp_path, suffix):
    config, run, ids, labels = simulated
    probabilities = drawn(labels)
    path = take_predictions(config, run, saved(tmp_path / f"p{suffix}", probabilities, ids), model_name=f"cnn{suffix}")
    assert path == run / "models" / f"cnn{suffix}" / "metrics.json"
    assert json.loads(path.read_text()) == measured(labels, probabilities)
    assert read_manifest(run)[f"models/cnn{suffix}/metrics.json"]["stage"] == "train"


def test_a_table_may_have_one_task_alone_and_no_ids(simulated, tmp_path):
    config, run, _, labels = simulated
    probabilities = drawn(labels)
    pd.DataFrame({"K562": probabilities[:, 1]}).to_csv(tmp_path / "p.csv", index=False)
    path = take_predictions(config, run, tmp_path / "p.csv", model_name="one_task")
    assert json.loads(path.read_text()) == {"K562": measured(labels, probabilities)["K562"]}


def test_the_report_says_how_good_the_network_is(tmp_path, monkeypatch, capsys):
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({**TINY_RUN, "models": []}))
    config, run = load_config(tmp_path / "c.yaml"), tmp_path / "run"
    pipeline.run(config, run)
    dataset = sb.open_dataset(run)
    labels = dataset.labels("test")
    rows = attributed_rows(dataset, config, "K562")
    np.save(tmp_path / "captum.npy", np.random.default_rng(0).normal(size=(len(rows), dataset.seq_length)))
    take_attributions(config, run, tmp_path / "captum.npy", model_name="cnn", task="K562")
    pipeline.score(config, run)
    pipeline.report(config, run)
    assert read_results(config, run).metrics == {}
    assert "<h2>The models</h2>" not in (run / "report.html").read_text()

    path = saved(tmp_path / "p.csv", drawn(labels), dataset.seq_ids("test"))
    code, out, _ = simbench(monkeypatch, capsys, "score", run, "--predictions", path, "--model-name", "cnn")
    assert code == 0
    assert out.startswith(f"taken: {run / 'models' / 'cnn' / 'metrics.json'}\n")
    pipeline.report(config, run)
    results = read_results(config, run)
    expected = measured(labels, drawn(labels))
    found = {task: {name: values[name] for name in expected[task]} for task, values in results.metrics["cnn"].items()}
    assert found == expected
    assert {"oracle_auroc", "oracle_auprc"} <= set(results.metrics["cnn"]["K562"])  # beside the ceiling
    assert results.histories == {}
    assert "<h2>The models</h2>" in (run / "report.html").read_text()

    # of another data set it says nothing
    assert is_measured(run, "cnn")
    pipeline.simulate(load_config(tmp_path / "c.yaml", ["seed=8"]), run)
    with pytest.warns(UserWarning, match="metrics.json: left out, it is not of the test split as it is now; take it"):
        assert not is_measured(run, "cnn")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(HepG2=2.5), "holds 2.5 for HepG2 of {first}, which is no probability; give values from 0"),
        (lambda t: t.assign(HepG2=-0.1), "holds -0.1 for HepG2 of {first}, which is no probability"),
        (lambda t: t.assign(K562="high"), "holds nan for K562 of {first}, which is no probability"),
        (
            lambda t: t.rename(columns={"K562": "K563"}),
            "has a column 'K563', which is no task of the run; did you mean",
        ),
        (lambda t: t[["seq_id"]], "has no column of a task; add HepG2, K562"),
        (lambda t: t.iloc[1:], "lacks 1 of the {n} sequences of the test split, '{first}' the first; predict all of"),
        (
            lambda t: t.assign(seq_id=["x", *t.seq_id[1:]]),
            "names 'x', which is no sequence of the test split; leave it",
        ),
        (lambda t: pd.concat([t, t[:1]]), "names '{first}' twice; give each sequence once"),
        (
            lambda t: t.iloc[1:].drop(columns="seq_id"),
            "has {less} rows without ids, the test split {n} sequences; predict",
        ),
    ],
)
def test_tables_that_do_not_fit_say_so(simulated, tmp_path, change, message):
    config, run, ids, labels = simulated
    path = tmp_path / "p.csv"
    change(pd.DataFrame(drawn(labels), columns=TASKS).assign(seq_id=ids)).to_csv(path, index=False)
    with pytest.raises(InputError) as error:
        take_predictions(config, run, path, model_name="faulty")
    expected = message.format(first=ids[0], n=len(ids), less=len(ids) - 1)
    assert str(error.value).startswith(f"{path}: {expected}")
    assert "\n" not in str(error.value)
    assert not (run / "models" / "faulty").exists()


def test_arrays_and_files_that_do_not_fit_say_so(simulated, tmp_path):
    config, run, ids, labels = simulated
    n = len(labels)

    def message(name, model_name="faulty"):
        with pytest.raises(InputError) as error:
            take_predictions(config, run, tmp_path / name, model_name=model_name)
        return str(error.value).removeprefix(f"{tmp_path / name}: ")

    np.save(tmp_path / "wide.npy", np.zeros((n, 3)))
    assert message("wide.npy") == f"has the shape ({n}, 3) for the tasks HepG2, K562; give ({n}, 2)"
    np.save(tmp_path / "text.npy", np.full((n, 2), "a"))
    assert message("text.npy") == "holds <U1, not numbers; write float32"
    np.savez(tmp_path / "named.npz", mine=np.zeros((n, 2)))
    assert message("named.npz").startswith("has no array predictions, probabilities or arr_0 (it holds mine); name it")
    np.savez(tmp_path / "ids.npz", predictions=np.zeros((n, 2)), seq_id=ids[1:])
    assert message("ids.npz") == f"names {n - 1} sequences, but has {n} rows; give one id per row"
    assert message("none.csv") == "is missing; name a file that exists"
    (tmp_path / "empty.csv").write_text("")
    assert message("empty.csv").startswith("cannot be read: ")
    assert message("p.txt").startswith("is no file of predictions that is read here; give one of .npy or .npz or ")
    np.save(tmp_path / "p.npy", drawn(labels))
    assert message("p.npy", None).startswith("--model-name: is needed, the run has no models")
    assert message("p.npy", "../x").startswith("--model-name: '../x' cannot be a folder's name")


def test_a_run_with_models_measures_them_itself(tiny_config, copied_run, tmp_path):
    np.save(tmp_path / "p.npy", np.zeros((3, 2)))
    with pytest.raises(InputError, match="--predictions: is of runs without models, this one has basset, and measures"):
        take_predictions(load_config(tiny_config), copied_run, tmp_path / "p.npy", model_name="mine")
