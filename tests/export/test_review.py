"""`simbench export --check`: what a maintainer of the Kipoi zoo would object to in an entry, and what is in order."""

import shutil

import numpy as np
import pytest
import yaml

from helpers.folders import REPOSITORY
from helpers.program import simbench
from simbench_tf.errors import InputError
from simbench_tf.export import EntryInfo, GroupMember, export_kipoi_group, publish
from simbench_tf.export.review import objections
from simbench_tf.models import basset

URL = "https://zenodo.org/records/123/files"
ADA = {"name": "Ada Lovelace", "github": "ada"}


def change(path, value, *keys):
    """Set a value of a YAML file, or take the key out with None."""
    described = yaml.safe_load(path.read_text())
    part = described
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    if value is None:
        del part[keys[-1]]
    path.write_text(yaml.safe_dump(described, sort_keys=False))


@pytest.fixture
def entry(tmp_path):
    """An entry that the zoo would take: one of ours with its files uploaded and people named."""
    folder = shutil.copytree(REPOSITORY / "model_zoo" / "five_lines_basset", tmp_path / "toy")
    publish(folder, URL)
    for name in ("model.yaml", "dataloader.yaml"):
        change(folder / name, [ADA], "info", "authors")
    change(folder / "model.yaml", [ADA], "info", "contributors")
    return folder


def test_a_whole_entry_meets_no_objection(entry, monkeypatch, capsys):
    assert objections(entry) == []
    code, out, _ = simbench(monkeypatch, capsys, "export", "--check", entry)
    assert (code, out) == (0, f"{entry}: a maintainer has nothing to object to\n")


MODEL, LOADER = "model.yaml", "dataloader.yaml"
MD5 = "0" * 32
BROKEN = [
    # what is changed, whether it must be mended, what is said
    ((MODEL, None, "schema"), True, "has no 'schema'"),
    ((MODEL, " ", "info", "doc"), True, "info.doc is empty"),
    ((MODEL, [], "info", "authors"), True, "info.authors names nobody"),
    ((MODEL, [{"name": "simbench_tf authors"}], "info", "authors"), True, "info.authors names nobody"),
    ((MODEL, [{"name": "A. B."}], "info", "authors"), False, "A. B. has no GitHub name; export with --author"),
    ((MODEL, [{"name": "A. B."}], "info", "contributors"), False, "has no GitHub name; export with --contributor"),
    ((MODEL, None, "info", "contributors"), False, "info.contributors has nobody"),
    ((MODEL, None, "info", "license"), False, "info.license is missing"),
    ((MODEL, "our paper", "info", "cite_as"), False, "info.cite_as holds no DOI"),
    ((MODEL, "not stated", "info", "trained_on"), False, "info.trained_on is missing"),
    ((MODEL, None, "info", "training_procedure"), False, "info.training_procedure is missing"),
    ((MODEL, None, "info", "version"), False, "info.version is missing"),
    ((MODEL, [], "info", "tags"), False, "info.tags is missing"),
    ((MODEL, "model_files/model.keras", "args", "weights"), True, "args.weights is a file of the entry"),
    ((MODEL, {"url": URL}, "args", "weights"), True, "args.weights has a url without md5"),
    ((MODEL, None, "test", "expect"), False, "test.expect is no url with md5"),
    ((MODEL, {"url": "predictions.h5", "md5": MD5}, "test", "expect"), True, "test.expect is no url with md5"),
    ((MODEL, None, "schema", "inputs", "special_type"), False, "special_type is not DNASeq"),
    ((MODEL, ["A549"], "schema", "targets", "column_labels"), True, "has 1 column_labels for 5 outputs"),
    ((MODEL, None, "schema", "targets", "column_labels"), False, "column_labels is missing"),
    ((MODEL, None, "schema", "targets", "shape"), True, "schema.targets has no shape"),
    ((MODEL, ["python=3.11"], "dependencies", "conda"), True, "dependencies.conda lacks pip"),
    ((MODEL, ["pip"], "dependencies", "conda"), False, "names no version of python"),
    ((MODEL, ["numpy==2.4.6", "kipoi==0.8.6"], "dependencies", "pip"), True, "imports tensorflow, which is not among"),
    ((MODEL, ["numpy==2.4.6", "kipoi==0.8.6"], "dependencies", "pip"), True, "name no keras"),
    ((LOADER, ["numpy>=2", "kipoi==0.8.6"], "dependencies", "pip"), False, "numpy>=2 is no exact version"),
    ((LOADER, ["numpy==2.4.6", "kipoi==0.8.6"], "dependencies", "pip"), True, "imports pyfaidx, which is not among"),
    ((LOADER, "", "info", "doc"), True, "info.doc is empty"),
    ((LOADER, None, "args", "fasta_file", "example"), True, "args.fasta_file has no example"),
    ((LOADER, "example_files/a.bed", "args", "intervals_file", "example"), True, "example is a file of the entry"),
    ((LOADER, {"url": URL}, "args", "intervals_file", "example"), True, "example is no url with md5"),
    ((LOADER, " ", "args", "resize", "doc"), True, "args.resize has no doc"),
    ((LOADER, "loader.py::Intervals", "defined_as"), True, "loader.py: is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "must", "told"), BROKEN, ids=[told for _, _, told in BROKEN])
def test_each_rule_is_held(entry, broken, must, told):
    file, value, *keys = broken
    change(entry / file, value, *keys)
    found = objections(entry)
    assert any(told in each.text and each.must == must for each in found), found
    assert all(str(entry) in each.text for each in found)
    assert [each.must for each in found] == sorted((each.must for each in found), reverse=True)


def test_the_exit_code_tells_what_must_be_mended(entry, monkeypatch, capsys):
    change(entry / MODEL, None, "info", "contributors")
    code, out, _ = simbench(monkeypatch, capsys, "export", "--check", entry)
    assert code == 0
    assert out.startswith(f"may be asked for: {entry / MODEL}: info.contributors has nobody")
    change(entry / MODEL, " ", "info", "doc")
    code, out, _ = simbench(monkeypatch, capsys, "export", entry, "--check")
    assert code == 1
    assert out.splitlines()[0].startswith(f"must be mended: {entry / MODEL}: info.doc is empty")
    assert len(out.splitlines()) == 2


def test_code_without_a_reason_or_that_is_no_python(entry):
    (entry / "model.py").write_text('"""A model."""\nimport kipoi\n')
    assert [each.text.partition(", and")[0] for each in objections(entry)] == [
        f"{entry / 'model.py'}: is an own class beside kipoi.model.*"
    ]
    (entry / "model.py").write_text("def")
    assert objections(entry)[0].text.startswith(f"{entry / 'model.py'}: is no Python")


@pytest.mark.slow
def test_a_group_is_checked_member_by_member(tmp_path):
    bases = np.random.default_rng(0).integers(0, 4, (4, 200)).astype(np.uint8)
    network = basset(seq_length=200, n_tasks=1, width=0.02, seed=2)
    members = {"a": GroupMember(network, ["H1"], "It says a."), "b": GroupMember(network, ["K562"], "b", "Adam")}
    info = EntryInfo(
        doc="Two.", authors=(ADA,), contributors=(ADA,), cite_as="https://doi.org/10.1101/1", trained_on="x"
    )
    group = export_kipoi_group(members, tmp_path / "lines", sequences=bases, info=info).folder
    found = [each.text for each in objections(group) if "example" not in each.text]
    file = group / "model-template.yaml"
    upload = "upload it to Zenodo or figshare and export with --url"
    expect = f"test.expect is no url with md5, so that nothing is compared; {upload}"
    assert found == [
        f"{file} (a): args.weights is a file of the entry, model_files/a.keras; {upload}",
        f"{file} (b): args.weights is a file of the entry, model_files/b.keras; {upload}",
        f"{file} (a): info.training_procedure is missing; tell how it was trained, with all options",
        f"{file} (a): {expect}",
        f"{file} (b): {expect}",
    ]
    publish(group, URL)
    assert [each.must for each in objections(group)] == [False]


OF_KIPOI = """
defined_as: kipoi.model.KerasModel
args: {arch: {url: "https://zenodo.org/record/1/files/a.json?download=1", md5: "md5:00000000000000000000000000000000"}}
default_dataloader: {defined_as: kipoiseq.dataloaders.SeqIntervalDl, default_args: {auto_resize_len: 500}}
info: {authors: [{name: A. Author, github: a}], doc: Melanoma., cite_as: "https://doi.org/10.1101/1", license: MIT}
dependencies: {conda: [python=3.7, pip=20.2.4], pip: [keras==2.8.0]}
schema:
  inputs: [{shape: "(500, 4)", doc: DNA}, {shape: "(500, 4)", doc: The other strand}]
  targets: {topic: {shape: "(24,)", doc: Topics, column_labels: [topics.txt]}}
"""


def test_an_entry_of_kipois_own_classes_must_have_nothing_mended(tmp_path):
    """Its loader is a package's, its arrays are lists and mappings: entries of the zoo are like that."""
    (tmp_path / "model.yaml").write_text(OF_KIPOI)
    found = objections(tmp_path)
    assert [each.text for each in found if each.must] == []
    assert len(found) == 7, [each.text for each in found]


def test_what_is_no_entry_is_told(tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="is no Kipoi entry"):
        objections(tmp_path)
    (tmp_path / "model.yaml").write_text("a: [")
    with pytest.raises(InputError, match="is no YAML"):
        objections(tmp_path)
    code, _, err = simbench(monkeypatch, capsys, "export", "--check", tmp_path / "nowhere")
    assert (code, len(err.splitlines())) == (2, 1)
