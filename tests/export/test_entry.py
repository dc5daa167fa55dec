"""Kipoi entries as files: what is in them, what is refused, and that they appear whole or not at all."""

import ast
import hashlib
import json
import re
import zipfile
from importlib import metadata

import h5py
import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from jinja2 import Template

from helpers.folders import checksums
from simbench_tf import tables
from simbench_tf.config import Training, load_config, write_config
from simbench_tf.dataset import write_dataset
from simbench_tf.dna import decode, one_hot, reverse_complement
from simbench_tf.errors import InputError
from simbench_tf.export import (
    EntryInfo,
    GroupMember,
    export_kipoi,
    export_kipoi_group,
    export_run,
    export_run_group,
    publish,
)
from simbench_tf.models import basset, beluga
from simbench_tf.motifs import load_motifs

LENGTH = 200
TASKS = ["HepG2", "K562"]
INFO = EntryInfo(doc="A small Basset.", authors=("A. Author",), cite_as="https://doi.org/10.1/2")


@pytest.fixture(scope="module")
def model():
    network = basset(seq_length=LENGTH, n_tasks=2, width=0.03, seed=1)
    logits = network.get_layer("logits")
    logits.set_weights([weight * 5 for weight in logits.get_weights()])
    return network


@pytest.fixture(scope="module")
def sequences() -> list[str]:
    return ["".join(row) for row in np.random.default_rng(0).choice(list("ACGT"), (12, LENGTH))]


@pytest.fixture(scope="module")
def entry(model, sequences, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo") / "toy"
    return export_kipoi(model, folder, task_names=TASKS, sequences=sequences, info=INFO).folder


def read_yaml(path):
    return yaml.safe_load(path.read_text())


def test_an_entry_is_described_by_what_it_holds(entry):
    description = read_yaml(entry / "model.yaml")
    assert description["args"] == {"weights": "model_files/model.keras"}
    assert description["info"]["authors"] == [{"name": "A. Author"}]
    assert description["info"]["cite_as"] == INFO.cite_as
    assert description["schema"]["inputs"]["shape"] == "(200, 4)"
    assert description["schema"]["inputs"]["special_type"] == "DNASeq"
    assert description["schema"]["targets"]["column_labels"] == TASKS
    assert description["schema"]["targets"]["shape"] == "(2,)"
    assert all(re.search(r"==[\w.]+$", each) for each in description["dependencies"]["pip"]), "exact versions"
    for package in ("tensorflow", "keras", "numpy"):
        assert f"{package}=={metadata.version(package)}" in description["dependencies"]["pip"]
    dataloader = read_yaml(entry / "dataloader.yaml")
    assert f"pyfaidx=={metadata.version('pyfaidx')}" in dataloader["dependencies"]["pip"]
    assert dataloader["output_schema"]["inputs"]["shape"] == "(200, 4)"
    assert [name for name, told in dataloader["args"].items() if not told.get("optional")] == [
        "fasta_file",
        "intervals_file",
    ]


def test_an_entry_stands_alone(entry):
    for name in ("model.py", "dataloader.py"):
        tree = ast.parse((entry / name).read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not {each.split(".")[0] for each in imported} & {"simbench_tf", "kipoiseq"}


def test_the_example_is_small_and_holds_what_the_model_says_of_it(entry, model, sequences):
    example = entry / "example_files"
    assert sum(path.stat().st_size for path in example.iterdir()) < 25_000
    contig = "".join((example / "genome.fa").read_text().splitlines()[1:])
    rows = [line.split("\t") for line in (example / "intervals.bed").read_text().splitlines()]
    assert [row[5] for row in rows] == ["+", "-"] * 4
    texts = [contig[int(row[1]) : int(row[2])] for row in rows]
    assert texts == sequences[:8]
    x = one_hot([text if row[5] == "+" else reverse_complement(text) for text, row in zip(texts, rows, strict=True)])
    with h5py.File(example / "predictions.h5") as h5:
        np.testing.assert_array_equal(h5["inputs"][:], x)
        np.testing.assert_allclose(h5["preds"][:], model.predict(x, verbose=0), atol=1e-6)


def test_float16_halves_the_file_and_states_the_largest_change(sequences, tmp_path):
    layers = [keras.layers.Flatten(), keras.layers.Dense(64, "relu"), keras.layers.Dense(2, "sigmoid")]
    wide = keras.Sequential([keras.Input((LENGTH, 4)), *layers])
    arguments = {"task_names": TASKS, "sequences": sequences, "info": INFO}
    whole = export_kipoi(wide, tmp_path / "whole", **arguments)
    half = export_kipoi(wide, tmp_path / "half", float16=True, **arguments)
    sizes = [(entry.folder / "model_files" / "model.keras").stat().st_size for entry in (half, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    x = one_hot(sequences)
    read_back = keras.saving.load_model(half.folder / "model_files" / "model.keras", compile=False)
    assert {str(weight.dtype) for weight in read_back.weights} == {"float32"}
    for before, after in zip(wide.get_weights(), read_back.get_weights(), strict=True):
        np.testing.assert_array_equal(before.astype(np.float16), after)
    change = np.abs(wide.predict(x, verbose=0) - read_back.predict(x, verbose=0)).max()
    assert whole.largest_change == 0
    assert half.largest_change == pytest.approx(change, abs=2e-7)
    assert 0 < change < 0.01
    doc = read_yaml(half.folder / "model.yaml")["info"]["doc"]
    assert doc.startswith("A small Basset. Weights are stored as float16")
    assert f"of 12 sequences no prediction changed by more than {half.largest_change:.2g}." in doc
    with h5py.File(half.folder / "example_files" / "predictions.h5") as h5:
        np.testing.assert_allclose(h5["preds"][0], read_back.predict(x[:1], verbose=0)[0], atol=1e-6)


def test_a_weight_beyond_float16_is_refused_and_nothing_is_left(model, sequences, tmp_path):
    large = keras.models.clone_model(model)
    large.get_layer("logits").bias.assign([1e5, 0])
    with pytest.raises(InputError, match="exceed its range"):
        export_kipoi(large, tmp_path / "e", task_names=TASKS, sequences=sequences, info=INFO, float16=True)
    assert not list(tmp_path.iterdir())


def test_mixed_precision_is_exported_as_float32_and_without_its_optimizer(sequences, tmp_path):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = beluga(seq_length=400, n_tasks=1, width=0.01, seed=2)
    finally:
        keras.config.set_dtype_policy(policy)
    mixed.compile("adam", "binary_crossentropy")
    longer = [text * 2 for text in sequences]
    entry = export_kipoi(mixed, tmp_path / "e", task_names=["H1"], sequences=longer, info=INFO).folder
    stored = keras.saving.load_model(entry / "model_files" / "model.keras")
    assert {layer.compute_dtype for layer in stored.layers} == {"float32"}
    with zipfile.ZipFile(entry / "model_files" / "model.keras") as archive:
        assert not json.loads(archive.read("config.json"))["compile_config"]
    for before, after in zip(mixed.get_weights(), stored.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_model_that_lists_its_input_is_given_arrays_without_a_warning(sequences, tmp_path):
    inputs = keras.Input((LENGTH, 4))
    listed = keras.Model([inputs], [keras.layers.Dense(1, "sigmoid")(keras.layers.Flatten()(inputs))])
    entry = export_kipoi(listed, tmp_path / "e", task_names=["H1"], sequences=sequences, info=INFO).folder
    stored = keras.saving.load_model(entry / "model_files" / "model.keras")
    assert stored(one_hot(sequences[:1])).shape == (1, 1)


# who made it


def test_authors_contributors_and_version(model, sequences, tmp_path):
    people = {
        "authors": ("A. Author", {"name": "B. Author", "github": "bauthor"}),
        "contributors": ({"name": "C. Contributor", "email": "c@example.org"},),
        "version": "1.2",
    }
    info = EntryInfo(doc="x", **people)
    export_kipoi(model, tmp_path / "one", task_names=TASKS, sequences=sequences, info=info)
    export_kipoi_group(
        {"a": GroupMember(model, TASKS, "x")}, tmp_path / "group", sequences=sequences, info=info, overwrite=True
    )
    template = (tmp_path / "group" / "model-template.yaml").read_text()
    (row,) = pd.read_csv(tmp_path / "group" / "models.tsv", sep="\t").to_dict("records")
    for described in (read_yaml(tmp_path / "one" / "model.yaml"), yaml.safe_load(Template(template).render(**row))):
        assert described["info"]["authors"] == [{"name": "A. Author"}, people["authors"][1]]
        assert described["info"]["contributors"] == [people["contributors"][0]]
        assert described["info"]["version"] == "1.2"
        assert described["dependencies"]["conda"][1] == "pip"
        assert "expect" not in described["test"]
    assert read_yaml(tmp_path / "one" / "dataloader.yaml")["info"]["authors"][1]["github"] == "bauthor"
    export_kipoi(model, tmp_path / "two", task_names=TASKS, sequences=sequences, info=INFO)
    assert "contributors" not in read_yaml(tmp_path / "two" / "model.yaml")["info"]


@pytest.mark.parametrize("person", [{"github": "x"}, {"name": " "}, {"name": "x", "orcid": "1"}, " "])
def test_people_without_a_name_are_refused(person):
    with pytest.raises(InputError, match=r"info\.authors: "):
        EntryInfo(doc="x", authors=(person,))


# publishing, groups


def md5_of(path):
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_publishing_names_the_address_and_the_md5(model, sequences, tmp_path):
    entry = export_kipoi(
        model, tmp_path / "toy", task_names=TASKS, sequences=sequences, info=INFO, url="https://zenodo.org/r/1/"
    )
    upload = entry.uploads[0]
    assert {each.path.name: each.url for each in entry.uploads} == {
        "model.keras": "https://zenodo.org/r/1/toy.keras",
        "predictions.h5": "https://zenodo.org/r/1/toy-predictions.h5",
        "genome.fa": "https://zenodo.org/r/1/toy-genome.fa",
        "intervals.bed": "https://zenodo.org/r/1/toy-intervals.bed",
    }
    remote = {each.path.name: {"url": each.url, "md5": md5_of(each.path)} for each in entry.uploads}
    md5 = md5_of(upload.path)
    assert read_yaml(entry.folder / "model.yaml")["args"]["weights"] == remote["model.keras"]
    assert read_yaml(entry.folder / "model.yaml")["test"]["expect"] == remote["predictions.h5"]
    arguments = read_yaml(entry.folder / "dataloader.yaml")["args"]
    for argument, name in (("fasta_file", "genome.fa"), ("intervals_file", "intervals.bed")):
        assert arguments[argument]["example"] == {**remote[name], "name": name}
    before = read_yaml(entry.folder / "model.yaml")
    publish(entry.folder, "https://elsewhere.org")
    after = read_yaml(entry.folder / "model.yaml")
    assert after["args"]["weights"] == {"url": "https://elsewhere.org/toy.keras", "md5": md5}
    assert {**before, "args": 0, "test": 0} == {**after, "args": 0, "test": 0}
    with pytest.raises(InputError, match="is no address"):
        publish(entry.folder, "zenodo")
    with pytest.raises(InputError, match="is no Kipoi entry"):
        publish(tmp_path, "https://zenodo.org")
    upload.path.unlink()
    with pytest.raises(InputError, match="the weights are missing"):
        publish(entry.folder, "https://zenodo.org")


def test_a_group_has_a_line_a_model(model, sequences, tmp_path):
    one_task = basset(seq_length=LENGTH, n_tasks=1, width=0.02, seed=2)
    variants = {
        "both": GroupMember(model, TASKS, "Doc # one\nwith two lines", "Adam"),
        "one": GroupMember(one_task, ["H1"], 'It says "one".'),
    }
    group = export_kipoi_group(variants, tmp_path / "lines", sequences=sequences, info=INFO, float16=True)
    assert group.largest_change > 0
    table = pd.read_csv(group.folder / "models.tsv", sep="\t", comment="#", dtype=str)
    assert table["model"].tolist() == ["both", "one"]
    assert table["tasks"].tolist() == ["HepG2,K562", "H1"]
    assert table["doc"][0].startswith("Doc no. one with two lines. Weights are stored as float16")
    assert table["doc"][1].startswith('It says "one".')
    assert (group.folder / "test_subset.txt").read_text() == "both\none\n"
    with h5py.File(group.folder / "example_files" / "one.h5") as h5:
        assert h5["preds"].shape == (8, 1)
    uploads = publish(group.folder, "https://web.org/x")
    assert [upload.url.removeprefix("https://web.org/x/") for upload in uploads] == [
        "lines-both.keras",
        "lines-one.keras",
        "lines-both-predictions.h5",
        "lines-one-predictions.h5",
        "lines-genome.fa",
        "lines-intervals.bed",
    ]
    table = pd.read_csv(group.folder / "models.tsv", sep="\t", comment="#", dtype=str)
    assert table["md5"].tolist() == [md5_of(upload.path) for upload in uploads[:2]]
    assert table["expect_md5"].tolist() == [md5_of(upload.path) for upload in uploads[2:4]]
    assert table["expect"].tolist() == [upload.url for upload in uploads[2:4]]
    with pytest.raises(InputError, match="cannot be a name"):
        export_kipoi_group({"a/b": variants["one"]}, tmp_path / "x", sequences=sequences, info=INFO)
    with pytest.raises(InputError, match="a group needs a model"):
        export_kipoi_group({}, tmp_path / "x", sequences=sequences, info=INFO)
    for name, task, message in (("NA", "H1", "kipoi reads 'NA' as nan"), ("one", "293", "kipoi reads '293' as 293")):
        with pytest.raises(InputError, match=message):
            export_kipoi_group(
                {name: GroupMember(one_task, [task], "x")}, tmp_path / "x", sequences=sequences, info=INFO
            )
        assert not (tmp_path / "x").exists()


# whole or not at all


def test_what_is_there_is_replaced_only_when_asked_and_only_an_entry(model, sequences, tmp_path):
    arguments = {"task_names": TASKS, "sequences": sequences}
    folder = tmp_path / "toy"
    export_kipoi(model, folder, info=INFO, **arguments)
    with pytest.raises(InputError, match="exists already"):
        export_kipoi(model, folder, info=INFO, **arguments)
    (folder / "left over").touch()
    export_kipoi(model, folder, info=EntryInfo(doc="Anew."), overwrite=True, **arguments)
    assert read_yaml(folder / "model.yaml")["info"]["doc"] == "Anew."
    assert not (folder / "left over").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").touch()
    with pytest.raises(InputError, match="is no Kipoi entry, so it is not overwritten"):
        export_kipoi(model, tmp_path / "thesis", info=INFO, overwrite=True, **arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis", "toy"]


def test_a_failing_export_leaves_the_old_entry(model, sequences, tmp_path, monkeypatch):
    folder = tmp_path / "toy"
    export_kipoi(model, folder, task_names=TASKS, sequences=sequences, info=INFO)
    before = checksums(folder)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("simbench_tf.export.entry_files.write_example", full_disk)
    with pytest.raises(InputError, match="toy: cannot be written: No space left on device"):
        export_kipoi(model, folder, task_names=TASKS, sequences=sequences, info=INFO, overwrite=True)
    assert checksums(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        export_kipoi(model, tmp_path / "file" / "toy", task_names=TASKS, sequences=sequences, info=INFO)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"task_names": ["H1"]}, "task_names: 1 names for output of shape"),
        ({"task_names": ["a,b", "c"]}, "task_names: 'a,b' cannot be a name"),
        ({"task_names": ["a", "a"]}, "each once"),
        ({"sequences": ["ACGT"] * 2}, "takes input of shape"),
        ({"sequences": ["A" * LENGTH]}, "give at least two of one length"),
        ({"url": "here"}, "is no address"),
    ],
)
def test_what_does_not_fit_is_told(model, sequences, tmp_path, changed, message):
    arguments = {"task_names": TASKS, "sequences": sequences, "info": INFO, **changed}
    with pytest.raises(InputError, match=re.escape(message)):
        export_kipoi(model, tmp_path / "e", **arguments)
    assert not list(tmp_path.iterdir())


def test_models_of_another_form_and_empty_fields_are_refused(sequences, tmp_path):
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(InputError, match="must be functional or Sequential"):
        export_kipoi(Subclassed(), tmp_path / "e", task_names=["a"], sequences=sequences, info=INFO)
    for field, value in (("doc", " "), ("authors", ()), ("license", "")):
        with pytest.raises(InputError, match=f"info.{field}: is empty"):
            EntryInfo(**{"doc": "d", field: value})


# from a run


@pytest.fixture(scope="module")
def run(tmp_path_factory, model, tiny_config):
    """A run of two models as far as training, with known metrics."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    own = {"architecture": "basset", "width": 0.03}
    models = json.dumps([{"name": "basset", **own}, {"name": "other", **own}])
    config = load_config(tiny_config, [f"models={models}"])
    write_config(config, folder / "config.yaml")
    bases = np.random.default_rng(8).integers(0, 4, (30, LENGTH)).astype(np.uint8)
    rows = [
        {
            "seq_id": f"s{i}",
            "split": "train" if i < 20 else "test",
            "sequence": text,
            "HepG2": i % 2,
            "K562": i % 3 == 0,
        }
        for i, text in enumerate(decode(bases))
    ]
    sequences = pa.Table.from_pylist([{**row, "K562": int(row["K562"])} for row in rows], tables.sequence_schema(TASKS))
    write_dataset(
        folder / "dataset", name="tiny", kind="grammar", tasks=TASKS, motifs=load_motifs("default")[:1],
        parts=[(sequences, tables.SITES_SCHEMA.empty_table())], notes={"elements": {}},
    )  # fmt: skip
    metrics = {"auroc": 0.8125, "auprc": None, "positive_fraction": 0.5}
    for name in ("basset", "other"):
        (folder / "models" / name).mkdir(parents=True)
        model.save(folder / "models" / name / "model.keras")
        (folder / "models" / name / "metrics.json").write_text(json.dumps(dict.fromkeys(TASKS, metrics)))
    return folder


def test_a_model_of_a_run_tells_of_its_data_training_and_metrics(run, model):
    entry = export_run(run, "basset").folder
    assert entry == run / "kipoi" / "basset"
    info = read_yaml(entry / "model.yaml")["info"]
    assert info["doc"].startswith("Basset (Kelley et al. 2016, https://doi.org/10.1101/gr.200535.115), width 0.03,")
    assert "HepG2 auROC 0.812, auPRC undefined (positives: 0.500)" in info["doc"]
    told = "Data set tiny: sequences of 200 bases drawn from a motif grammar of 3 elements (JASPAR 2022, CC BY 4.0); "
    assert info["trained_on"].startswith(told + "20 train")
    assert "with seed 7." in info["trained_on"]
    assert info["cite_as"] == "https://doi.org/10.1101/gr.200535.115"
    assert json.loads((entry / "metrics.json").read_text())["K562"] == {
        "auroc": 0.8125,
        "auprc": None,
        "positive_fraction": 0.5,
    }
    assert "batches of 50" in info["training_procedure"]
    assert "at most 24 batches" in info["training_procedure"]
    unsaid = {"learning_rate", "batch_size", "max_batches", "patience"}  # in other words
    unsaid |= {"checkpoint_interval", "tensorboard", "steps_per_execution"}  # without effect
    for option in Training.model_fields.keys() - unsaid:
        assert f"; {option} " in info["training_procedure"]
    contig = (entry / "example_files" / "genome.fa").read_text()
    first = np.random.default_rng(8).integers(0, 4, (30, LENGTH)).astype(np.uint8)[20:21]
    assert contig.splitlines()[1] == decode(first)[0][:60]
    group = export_run_group(run, None, run / "kipoi" / "lines", authors=["B. Author"]).folder
    assert pd.read_csv(group / "models.tsv", sep="\t")["model"].tolist() == ["basset", "other"]
    assert '{"name": "B. Author"}' in (group / "model-template.yaml").read_text()


def test_a_run_that_is_none_or_lacks_the_model_is_told(run, tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        export_run(tmp_path, "basset")
    with pytest.raises(InputError, match="holds no trained model; trained are: basset, other"):
        export_run(run, "beluga")
    with pytest.raises(InputError, match="has no trained model"):
        export_run_group(tmp_path, None, tmp_path / "group")
