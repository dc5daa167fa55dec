"""A configuration that would overwrite results of another is refused, and says what they are and what they took."""

import pytest

from helpers.folders import checksums
from helpers.program import simbench
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.errors import InputError
from simbench_tf.run.manifest import read_manifest
from simbench_tf.stages.overwritten import check_overwrites, overwritten


def lost(config, run):
    return {each.stage: each.n_files for each in overwritten(config, run)}


def recorded(run, *starts):
    return sum(name.startswith(starts) for name in read_manifest(run))


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["models.0.seeds=1"],
        ["attribution.methods=[{method: saliency}]"],  # one more file, and those of other methods stay
        ["scoring.truth=rescanned"],
        ["training.checkpoint_interval=7"],
    ],
    ids=str,
)
def test_nothing_is_lost_where_nothing_is_made_again(tiny_config, tiny_run, changes):
    config = load_config(tiny_config, changes)
    assert lost(config, tiny_run) == {}
    check_overwrites(config, tiny_run)


def test_another_data_set_loses_everything(tiny_config, tiny_run):
    everything = lost(load_config(tiny_config, ["seed=8"]), tiny_run)
    records = read_manifest(tiny_run).values()
    expected = {
        stage: sum(r["stage"] == stage for r in records) for stage in ("simulate", "train", "attribute", "oracle")
    }
    assert everything == expected


def test_another_training_loses_the_model_and_its_attributions(tiny_config, tiny_run):
    config = load_config(tiny_config, ["training.max_batches=5"])
    attributed = recorded(tiny_run, "attributions/basset/", "nulls/basset/")
    assert lost(config, tiny_run) == {"train": 3, "attribute": attributed}


def test_other_sequences_lose_the_attributions_and_the_oracle(tiny_config, tiny_run):
    config = load_config(tiny_config, ["attribution.n_sequences=5"])
    assert lost(config, tiny_run) == {
        "attribute": recorded(tiny_run, "attributions/basset/"),
        "oracle": recorded(tiny_run, "oracle/"),
    }


def test_a_folder_that_is_no_run_loses_nothing(tiny_config, tmp_path):
    check_overwrites(load_config(tiny_config), tmp_path / "new")


def test_what_is_told_is_what_is_made_again(tiny_config, copied_run):
    """The files that a run with the configuration writes anew are those that were listed."""
    config = load_config(tiny_config, ["training.max_batches=5"])
    listed = sum(lost(config, copied_run).values())
    before = read_manifest(copied_run)
    pipeline.run(config, copied_run)
    after = read_manifest(copied_run)
    again = [n for n in before if n in after and before[n]["fingerprint"] != after[n]["fingerprint"]]
    assert listed == sum(before[name]["stage"] in ("simulate", "train", "attribute", "oracle") for name in again)


@pytest.mark.parametrize("command", ["run", "simulate"])
def test_the_program_refuses_and_leaves_everything(tiny_config, tiny_run, monkeypatch, capsys, command):
    before = checksums(tiny_run)
    code, _, err = simbench(monkeypatch, capsys, command, "rules", "--out", tiny_run)
    assert code == 2
    assert err.count("\n") == 1
    assert "which would be lost: the data set (" in err
    assert "models (3 files, " in err
    assert "add --overwrite to make them again, or choose another folder with --out" in err
    assert checksums(tiny_run) == before


def test_the_program_does_it_where_it_is_told_to(tiny_config, copied_run, monkeypatch, capsys):
    with pytest.raises(InputError):
        pipeline.run(load_config(tiny_config, ["seed=8"]), copied_run, overwrite=False)
    set_ = ["--set", "seed=8", "--set", "simulation.n_sequences=100"]
    code, out, _ = simbench(monkeypatch, capsys, "simulate", tiny_config, "--out", copied_run, *set_, "--overwrite")
    assert (code, out) == (0, f"dataset: {copied_run / 'dataset'}\n")


def test_a_model_of_kipoi_that_is_new_hides_nothing_that_is_lost(tiny_config, tiny_run):
    new = "models=[{name: basset, architecture: basset, width: 0.03}, {name: theirs, kipoi: kipoi/Basset}]"
    assert lost(load_config(tiny_config, [new]), tiny_run) == {}
    config = load_config(tiny_config, [new, "attribution.n_sequences=5"])
    assert lost(config, tiny_run)["attribute"] == recorded(tiny_run, "attributions/basset/")
