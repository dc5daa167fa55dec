"""Folders for Hugging Face and Zenodo: figures, the lines that load the model, checksums; whole or not at all."""

import hashlib
import json
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
import yaml

from helpers.folders import checksums
from simbench_tf.config import load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.dna import one_hot
from simbench_tf.errors import InputError
from simbench_tf.export import export_huggingface, export_run, export_zenodo
from simbench_tf.export.describe_run import _configuration
from simbench_tf.run.results import read_ceilings, read_metrics

pytestmark = pytest.mark.slow

ADA = {"name": "Lovelace, Ada", "github": "ada", "orcid": "0000-0002-1825-0097"}
GRACE = {"name": "Grace Hopper", "github": "grace"}
WHO = {"authors": [ADA], "contributors": [GRACE]}
DOI = "10.5281/zenodo.123"


@pytest.fixture(scope="module")
def shared(tiny_run, tmp_path_factory):
    """A folder for each place, and the Kipoi entry that fetches its files from the record."""
    folder = tmp_path_factory.mktemp("shared")
    url = "https://zenodo.org/records/123/files"
    return {
        "huggingface": export_huggingface(tiny_run, "basset", folder / "hub" / "small", **WHO).folder,
        "zenodo": export_zenodo(tiny_run, "basset", folder / "record" / "small", doi=DOI, **WHO).folder,
        "kipoi": export_run(tiny_run, "basset", folder / "zoo" / "small", doi=DOI, url=url, **WHO).folder,
    }


def header_of(folder):
    _, header, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(header), text


def test_the_card_holds_the_figures_of_the_run(shared, tiny_run):
    header, text = header_of(shared["huggingface"])
    assert (header["license"], header["library_name"]) == ("mit", "keras")
    assert {"genomics", "simulated-data", "basset"} < set(header["tags"])
    metrics, ceilings = read_metrics(tiny_run, "basset"), read_ceilings(tiny_run)
    (index,) = header["model-index"]
    assert [each["dataset"]["config"] for each in index["results"]] == list(metrics)
    for result, (task, one) in zip(index["results"], metrics.items(), strict=True):
        values = {each["type"]: each["value"] for each in result["metrics"]}
        assert values == {"roc_auc": one["auroc"], "average_precision": one["auprc"]}
        ceiling = ceilings.loc[task, "auroc"]
        share = round(100 * (one["auroc"] - 0.5) / (ceiling - 0.5))
        assert f"| {task} | {one['auroc']:.3f} | {ceiling:.3f} | {share}% | {one['auprc']:.3f} |" in text
    assert "Made by Ada Lovelace, with Grace Hopper." in text


def test_the_hubs_own_reader_reads_the_card(shared, tiny_run):
    hub = pytest.importorskip("huggingface_hub", reason="reads model cards")
    data = hub.ModelCard.load(shared["huggingface"] / "README.md").data
    read = [(each.dataset_config, each.metric_type, each.metric_value) for each in data.eval_results]
    metrics = read_metrics(tiny_run, "basset")
    assert read == [
        (task, kind, one[name])
        for task, one in metrics.items()
        for kind, name in (("roc_auc", "auroc"), ("average_precision", "auprc"))
    ]


def test_the_lines_of_the_cards_load_the_model_without_this_package(shared, tiny_run, tmp_path):
    """They are executed as they stand, in copies of the folders, and agree with the run's own model."""
    program = [
        "import os, sys",
        "sys.modules['simbench_tf'] = None  # an import of it would fail",
        "import numpy as np",
    ]
    for place in ("huggingface", "zenodo"):
        folder = shutil.copytree(shared[place], tmp_path / place)
        (snippet,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
        (folder / "snippet.py").write_text(snippet, encoding="utf-8")
        program += [f"os.chdir({str(folder)!r})", "names = {}", "exec(open('snippet.py').read(), names)"]
        program += ["np.save('predictions.npy', names['predictions'])"]
    ran = subprocess.run([sys.executable, "-c", "\n".join(program)], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    dataset = open_dataset(tiny_run / "dataset")
    expected = keras.saving.load_model(tiny_run / "models" / "basset" / "model.keras", compile=False)
    expected = expected.predict(one_hot(dataset.bases("test")[:8]), verbose=0)
    assert np.ptp(expected, axis=0).min() > 1e-4, "a constant would agree with anything"
    for place in ("huggingface", "zenodo"):
        np.testing.assert_allclose(np.load(tmp_path / place / "predictions.npy"), expected, atol=1e-6, rtol=0)
        written = pd.read_csv(shared[place] / "example_predictions.csv")[dataset.tasks].to_numpy()
        np.testing.assert_allclose(written, expected, atol=1e-6, rtol=0)
    assert ran.stdout.splitlines()[:2] == [
        f"{task} {round(float(value), 3)}" for task, value in zip(dataset.tasks, expected[0], strict=True)
    ]


def test_programs_and_simbench_read_what_lies_beside(shared, tiny_run):
    config = json.loads((shared["huggingface"] / "config.json").read_text())
    assert (config["tasks"], config["seq_length"], config["alphabet"]) == (["HepG2", "K562"], 200, "ACGT")
    assert config["architecture"] == "Basset, width 0.03"
    assert config["metrics"]["K562"]["oracle_auroc"] == read_ceilings(tiny_run).loc["K562", "auroc"]
    again, before = load_config(shared["zenodo"] / "run.yaml"), load_config(tiny_run / "config.yaml")
    for name in ("name", "seed", "simulation", "models", "training"):
        assert getattr(again, name) == getattr(before, name)


def test_a_record_has_a_dois_metadata_a_citation_and_checksums(shared):
    folder = shared["zenodo"]
    record = json.loads((folder / ".zenodo.json").read_text(encoding="utf-8"))
    assert record["creators"] == [{"name": "Lovelace, Ada", "orcid": ADA["orcid"]}]
    assert record["contributors"] == [{"name": "Grace Hopper", "type": "Other"}]
    assert (record["doi"], record["license"], record["access_right"]) == (DOI, "MIT", "open")
    assert record["related_identifiers"][-1] == {
        "identifier": "10.1101/gr.200535.115",
        "relation": "cites",
        "scheme": "doi",
    }
    citation = yaml.safe_load((folder / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["cff-version"], citation["type"], citation["doi"]) == ("1.2.0", "software", DOI)
    assert (citation["title"], citation["version"]) == (record["title"], record["version"])
    assert citation["authors"][0]["given-names"] == "Ada"
    assert [each["year"] for each in citation["references"]] == [2021, 2016]
    sums = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    assert sums == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    listed = set(re.findall(r"^\| `(.+?)` \|", (folder / "README.md").read_text(), re.MULTILINE))
    assert listed == files - {"README.md"} | {"SHA256SUMS"}


def test_a_papers_doi_is_what_the_record_belongs_to(tiny_run, tmp_path):
    folder = export_zenodo(tiny_run, "basset", tmp_path / "a", doi="https://doi.org/10.1101/1").folder
    record = json.loads((folder / ".zenodo.json").read_text())
    assert "doi" not in record
    assert record["related_identifiers"][0] == {
        "identifier": "10.1101/1",
        "relation": "isSupplementTo",
        "scheme": "doi",
    }
    with pytest.raises(InputError, match="doi: 'zenodo' is no DOI"):
        export_zenodo(tiny_run, "basset", tmp_path / "b", doi="zenodo")


def test_the_record_holds_what_the_kipoi_entry_fetches_byte_for_byte(shared):
    described = yaml.safe_load((shared["kipoi"] / "model.yaml").read_text())
    loader = yaml.safe_load((shared["kipoi"] / "dataloader.yaml").read_text())
    remote = [described["args"]["weights"], described["test"]["expect"]]
    remote += [loader["args"][name]["example"] for name in ("fasta_file", "intervals_file")]
    assert described["info"]["cite_as"] == f"https://doi.org/{DOI}"
    for each in remote:
        content = (shared["zenodo"] / each["url"].rpartition("/")[2]).read_bytes()
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == each["md5"]


def test_files_of_peaks_lose_their_folders(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "simulation: {kind: peaks, genome: /home/a/hg38.fa, peaks: {K562: /home/a/k562.bed}, motifs: /home/a/m.meme}\n"
        "models: [{name: mine, python: '/home/a/net.py:build'}]\n"
    )
    config = load_config(tmp_path / "c.yaml")
    found = _configuration(config, config.replicates[0])
    assert "/home" not in json.dumps(found)
    assert str(tmp_path) not in json.dumps(found)
    simulation = found["simulation"]
    assert (simulation["genome"], simulation["peaks"]["K562"], simulation["motifs"]) == (
        "hg38.fa",
        "k562.bed",
        "m.meme",
    )
    assert found["models"][0]["python"] == "net.py:build"


@pytest.mark.parametrize(("place", "export"), [("huggingface", export_huggingface), ("zenodo", export_zenodo)])
def test_a_folder_is_replaced_whole_or_not_at_all(shared, tiny_run, tmp_path, monkeypatch, place, export):
    folder = shutil.copytree(shared[place], tmp_path / "small")
    before = checksums(folder)
    options = {"overwrite": True, **WHO} | ({"doi": DOI} if place == "zenodo" else {})
    with pytest.raises(InputError, match="exists already"):
        export(tiny_run, "basset", folder)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(f"simbench_tf.export.{place}.write_beside", full_disk)
        with pytest.raises(InputError, match="small: cannot be written: No space left on device"):
            export(tiny_run, "basset", folder, **options)
    assert checksums(folder) == before
    (folder / "left over").touch()
    export(tiny_run, "basset", folder, **options)
    assert checksums(folder) == before, "the same model gives the same bytes"
    assert [path.name for path in tmp_path.iterdir()] == ["small"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "README.md").touch()
    with pytest.raises(InputError, match=r"is no folder for .*, so it is not overwritten"):
        export(tiny_run, "basset", tmp_path / "thesis", **options)
