"""`simbench verify`: whole runs pass; what is changed, missing or refers to nothing is named in a line."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from helpers.program import simbench
from simbench_tf import tables
from simbench_tf.dataset import write_dataset
from simbench_tf.dataset.files import description_checksum
from simbench_tf.errors import InputError
from simbench_tf.files import checksum
from simbench_tf.motifs import Motif
from simbench_tf.run.verify import problems

ZOO = Path(__file__).parents[2] / "model_zoo"


@pytest.fixture
def run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


def recorded(run, name):
    """Record a file as it now is, also in dataset.json: what is wrong with it then is not its checksum."""
    manifest = run / "manifest.json"
    records = json.loads(manifest.read_text())
    records[name]["checksum"] = checksum(run / name)
    if name.startswith("dataset/"):
        description = json.loads((run / "dataset" / "dataset.json").read_text())
        del description["checksum"]
        description["checksums"][name.removeprefix("dataset/")] = checksum(run / name)
        description["checksum"] = description_checksum(description)
        (run / "dataset" / "dataset.json").write_text(json.dumps(description))
        records["dataset/dataset.json"]["checksum"] = checksum(run / "dataset" / "dataset.json")
    manifest.write_text(json.dumps(records))


def test_a_whole_run_and_its_data_set_have_no_problem(run, monkeypatch, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert list(problems(run)) == []
    assert list(problems(run / "dataset")) == []
    code, out, err = simbench(monkeypatch, capsys, "verify", run)
    assert (code, err) == (0, "")
    assert "nothing is missing or changed" in out
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_every_recorded_file_that_is_flipped_or_gone_is_named(run, monkeypatch, capsys):
    for name in json.loads((run / "manifest.json").read_text()):
        file = run / name
        whole = file.read_bytes()
        changed = bytearray(whole)
        changed[len(changed) // 2] ^= 4
        file.write_bytes(bytes(changed))
        assert f"{file}: is not what was written, its checksum differs" in next(problems(run))
        file.unlink()
        assert f"{file}: is missing" in next(problems(run))
        file.write_bytes(whole)
    (run / "report.html").unlink()
    code, out, _ = simbench(monkeypatch, capsys, "verify", run)
    assert code == 1
    assert out.count("\n") == 1


def test_a_site_must_read_as_it_says_and_lie_in_a_sequence(run):
    name = "dataset/sites.parquet"
    sites = pq.read_table(run / name)
    table = sites.to_pandas()
    for column, value, said in [
        ("matched", "AAAAAAAAA", "does not read AAAAAAAAA"),
        ("seq_id", "nobody", "a site lies in nobody, which is no sequence"),
        ("motif", "M99", "the motif 'M99', which motifs.meme has not"),
        ("strand", "x", "strand must be + or -"),
    ]:
        wrong = table.copy()
        wrong.loc[3, column] = value
        pq.write_table(pa.Table.from_pandas(wrong, schema=sites.schema, preserve_index=False), run / name)
        recorded(run, name)
        found = list(problems(run))
        assert len(found) == 1
        assert said in found[0]
        assert list(problems(run / "dataset")) == found


def test_regions_of_two_splits_that_overlap_are_named(tmp_path):
    for overlap in (0, 1):
        places = [("train", 100), ("valid", 300), ("test", 110 - overlap), ("test", 500)]
        rows = [
            {"seq_id": f"{split}{start}", "split": split, "sequence": "ACGTACGTAC", "A": 1, "chrom": "chr1"}
            | {"start": start, "end": start + 10}
            for split, start in places
        ]
        sequences = pa.Table.from_pylist(rows, tables.sequence_schema(["A"]))
        parts = [(sequences, tables.SITES_SCHEMA.empty_table())]
        write_dataset(
            tmp_path / "d",
            name="d",
            kind="text",
            tasks=["A"],
            motifs=[Motif("m", "T", np.full((4, 4), 0.25), 10.0)],
            parts=parts,
        )
        found = list(problems(tmp_path / "d"))
        said = f"{tmp_path / 'd'}: 1 regions of test overlap one of train, first test109; hold out whole chromosomes"
        assert [line.startswith(said) for line in found] == [True] * overlap


def test_an_attribution_must_be_of_the_data_set_and_a_score_of_an_attribution(run):
    (name,) = {path.relative_to(run).as_posix() for path in run.glob("attributions/*/HepG2/grad_x_input*.h5")}
    with h5py.File(run / name, "r+") as h5:
        ids = h5["seq_id"][:]
        ids[1] = b"nobody"
        h5["seq_id"][:] = ids
        h5["scores"][2, 5] = np.nan
    recorded(run, name)
    found = list(problems(run))
    assert ["scores that are no numbers" in found[0], "'nobody', which is no sequence" in found[1]] == [True, True]
    assert len(found) == 2
    with h5py.File(run / name, "r+") as h5:
        del h5["scores"]
    recorded(run, name)
    assert "cannot be read" in next(problems(run))
    (run / name).unlink()
    records = json.loads((run / "manifest.json").read_text())
    del records[name]
    (run / "manifest.json").write_text(json.dumps(records))
    found = list(problems(run))
    assert len(found) == 2  # summary.csv and per_sequence.parquet
    assert all("of which there are no attributions" in each for each in found)


def test_a_score_must_be_of_a_known_sequence(run):
    name = "scores/per_sequence.parquet"
    table = pd.read_parquet(run / name)
    table.loc[0, "seq_id"] = "nobody"
    table.to_parquet(run / name, index=False)
    recorded(run, name)
    assert ["names the sequence 'nobody', which the data set has not" in each for each in problems(run)] == [True]


@pytest.mark.parametrize("entry", ["five_lines_basset", "five_lines_beluga"])
def test_entries_of_the_zoo_are_whole(entry, tmp_path):
    assert list(problems(ZOO / entry)) == []
    copied = shutil.copytree(ZOO / entry, tmp_path / entry)
    (copied / "model_files" / "model.keras").unlink()
    (copied / "dataloader.yaml").write_text("args: [")
    first, second = problems(copied)
    assert "model.keras: is missing, model.yaml names it" in first
    assert "dataloader.yaml: cannot be read" in second
    (copied / "model.yaml").write_text("defined_as: model.KerasSequenceModel\nargs: {weights: ../../x/model.keras}\n")
    assert any("which lies outside the entry" in each for each in problems(copied))


def test_another_folder_is_told(tmp_path):
    with pytest.raises(InputError, match="is no run, data set or Kipoi entry"):
        list(problems(tmp_path))
