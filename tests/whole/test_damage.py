"""A run whose files were damaged: single stages refuse it in one line, and `run` makes it again and says so."""

import json
import shutil

import pytest

from helpers.folders import checksums
from helpers.program import simbench
from simbench_tf.dataset import open_dataset
from simbench_tf.errors import InputError
from simbench_tf.run.manifest import read_manifest

#: A command, and a file that it reads of an earlier stage.
READ = [
    ("train", "dataset/sequences/part-00000.parquet"),
    ("attribute", "models/basset/model.keras"),
    ("attribute", "dataset/dataset.json"),
    ("oracle", "dataset/sites.parquet"),
    ("score", "references/shuffles.h5"),
    ("score", "oracle/occupancy.h5"),
    ("report", "scores/summary.csv"),
    ("report", "models/basset/history.csv"),
    ("compare", "scores/per_sequence.parquet"),
    ("export", "models/basset/metrics.json"),
]


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("gone", [False, True], ids=["flipped", "gone"])
def test_a_single_stage_refuses_what_is_damaged(copied_run, monkeypatch, capsys, gone):
    before = checksums(copied_run)
    for command, name in READ:
        path = copied_run / name
        whole = path.read_bytes()
        if gone:
            path.unlink()
        else:
            flip(path)
        code, out, err = simbench(monkeypatch, capsys, command, copied_run)
        assert (code, out, err.count("\n")) == (2, "", 1), (command, name, err)
        wrong = "is missing" if gone else "is not what was written"
        assert f"{path}: {wrong}" in err
        assert f"simbench run {copied_run / 'config.yaml'} --out {copied_run}" in err
        path.write_bytes(whole)
    assert checksums(copied_run) == before


def test_a_run_makes_again_every_damaged_file_and_says_so(copied_run, monkeypatch, capsys):
    before = checksums(copied_run)
    # models are left out: trained again they differ by rounding
    names = sorted({name for _, name in READ if not name.startswith("models/")})
    for number, name in enumerate(names):
        if number % 2:
            flip(copied_run / name)
        else:
            (copied_run / name).unlink()
    code, _, err = simbench(monkeypatch, capsys, "run", copied_run / "config.yaml", "--out", copied_run)
    assert code == 0, err
    for number, name in enumerate(names):
        wrong = "is not what was written, its checksum differs" if number % 2 else "is missing"
        assert f"{copied_run / name}: {wrong}; it is made again" in err, (name, err)
    after = checksums(copied_run)
    # times are in the manifest, one column of the summary, and with them the report
    timed = {"manifest.json", "scores/summary.csv", "report.html"}
    assert {name for name in before if before[name] != after[name]} <= timed
    code, _, err = simbench(monkeypatch, capsys, "run", copied_run / "config.yaml", "--out", copied_run)
    assert (code, err) == (0, "")


def test_what_a_run_does_not_make_again_is_left_out_with_a_line(copied_run, monkeypatch, capsys):
    """Of a model that was taken out of the configuration, say: else no stage would go on."""
    name = "attributions/others/left.h5"
    (copied_run / name).parent.mkdir(parents=True)
    (copied_run / name).write_text("left")
    records = read_manifest(copied_run)
    records[name] = {"checksum": "0" * 32, "stage": "attribute", "fingerprint": "of an earlier configuration"}
    (copied_run / "manifest.json").write_text(json.dumps(records))
    assert simbench(monkeypatch, capsys, "score", copied_run)[0] == 2
    code, _, err = simbench(monkeypatch, capsys, "run", copied_run / "config.yaml", "--out", copied_run)
    assert code == 0
    assert f"{copied_run / name}: is not what was written, its checksum differs; this run does not make it" in err
    assert name not in read_manifest(copied_run)
    assert (copied_run / name).read_text() == "left"
    assert simbench(monkeypatch, capsys, "score", copied_run)[0] == 0


def test_a_changed_configuration_is_taken_by_run_alone(copied_run, monkeypatch, capsys):
    config = copied_run / "config.yaml"
    config.write_text(config.read_text().replace("n_sequences: 8", "n_sequences: 9"))
    code, _, err = simbench(monkeypatch, capsys, "score", copied_run)
    assert code == 2
    assert "config.yaml: is not what was written, its checksum differs; take it as it is now with `simbench run" in err


def test_a_data_set_alone_is_guarded(copied_run, tmp_path, monkeypatch, capsys):
    moved = shutil.copytree(copied_run / "dataset", tmp_path / "passed on")
    flip(moved / "sites.parquet")
    with pytest.raises(InputError, match=r"sites\.parquet: is not what was written"):
        open_dataset(moved)
    code, out, _ = simbench(monkeypatch, capsys, "verify", moved)
    assert (code, out.count("\n")) == (1, 1)
    assert "sites.parquet: is not what was written" in out
