"""Attribution files: rows that are done are kept when a job is killed, references are made once, arrays are kept."""

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import h5py
import numpy as np
import pytest

from helpers.folders import checksums
from simbench_tf import pipeline
from simbench_tf.attribution.references import make_references, parse_references, sequences_as_references
from simbench_tf.config import MethodSettings, load_config
from simbench_tf.dataset import open_dataset
from simbench_tf.dna import one_hot
from simbench_tf.run.attributions import attributed_rows, attribution_files
from simbench_tf.run.manifest import read_manifest
from simbench_tf.run.parts import PartsFolder, parts_of, read_parts, write_part
from simbench_tf.run.references import n_shuffles, read_references, references_file
from simbench_tf.stages import attribute_chunks

#: Enough sequences for several chunks of 16, and a method that makes shuffles.
METHODS = "[{method: integrated_gradients, references: 'shuffle:2', n_steps: 2}, {method: saliency}]"
SETTINGS = [
    "attribution.n_sequences=40",
    "attribution.tasks=[HepG2]",
    f"attribution.methods={METHODS}",
    "scoring.nulls=false",
]


@pytest.fixture
def run(tiny_run, tmp_path):
    """A run whose attributions are still to be made."""
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    shutil.rmtree(folder / "attributions")
    shutil.rmtree(folder / "references")
    return folder


@pytest.fixture
def config(tiny_config):
    return load_config(tiny_config, SETTINGS)


class KilledError(Exception):
    pass


def stopping_after(n_chunks, seen):
    """Make an ordered map that ends in the midst of the work, and notes the rows it was given."""

    def map_in_order(function, items):
        for number, item in enumerate(items):
            if number == n_chunks:
                raise KilledError
            seen.append(len(item[0]))
            yield function(item)

    return map_in_order


def test_a_killed_job_goes_on_at_the_sequence_it_reached(run, config, tmp_path, monkeypatch):
    monkeypatch.setattr(attribute_chunks, "WRITE_INTERVAL_SECONDS", 0.0)
    unbroken = shutil.copytree(run, tmp_path / "unbroken")
    seen = []
    pipeline.attribute(config, unbroken, stopping_after(None, seen))
    assert sum(seen) == 2 * 40
    broken = []
    with pytest.raises(KilledError):
        pipeline.attribute(config, run, stopping_after(2, broken))
    (folder,) = (run / "attributions").rglob("*.parts")
    assert [part.stop for part in read_parts(PartsFolder(folder, key_of(folder)))] == [16, 32]
    left = []
    pipeline.attribute(config, run, stopping_after(None, left))
    assert (sum(broken), sum(left)) == (32, 8 + 40)
    assert checksums(run / "attributions") == checksums(unbroken / "attributions")
    assert not list(run.rglob("*.parts"))


def key_of(folder):
    with h5py.File(next(folder.iterdir())) as h5:
        return h5.attrs["fingerprint"]


def test_the_places_of_cuts_play_no_part(run, config, tmp_path, monkeypatch):
    """Parts of one chunk each, or all in one, give the same bytes."""
    other = shutil.copytree(run, tmp_path / "other")
    pipeline.attribute(config, run)
    monkeypatch.setattr(attribute_chunks, "WRITE_INTERVAL_SECONDS", 0.0)
    pipeline.attribute(config, other)
    assert checksums(other / "attributions") == checksums(run / "attributions")


def test_parts_of_other_settings_are_not_gone_on_from(run, config, tiny_config, monkeypatch):
    monkeypatch.setattr(attribute_chunks, "WRITE_INTERVAL_SECONDS", 0.0)
    with pytest.raises(KilledError):
        pipeline.attribute(config, run, stopping_after(2, []))
    changed, seen = load_config(tiny_config, [*SETTINGS, "attribution.output=probability"]), []
    pipeline.attribute(changed, run, stopping_after(None, seen))
    assert sum(seen) == 2 * 40


def test_parts_follow_one_another(tmp_path):
    arrays = {"scores": np.ones((16, 3), np.float32), "seconds": np.ones(1, np.float32)}
    for first in (0, 16, 48):
        write_part(PartsFolder(tmp_path, "a"), first, arrays)
    write_part(PartsFolder(tmp_path, "b"), 32, arrays)
    # rows 32 to 48 were made from something else, so those after them are no use either
    assert [part.first for part in read_parts(PartsFolder(tmp_path, "a"))] == [0, 16]
    left = sorted(tmp_path.iterdir())
    assert [path.name[:19] for path in left] == ["000000000-000000016", "000000016-000000032"]
    # of damaged rows nothing is taken, nor of those of an earlier version, whose names hold no checksum
    content = bytearray(left[1].read_bytes())
    content[len(content) // 2] ^= 1
    left[1].write_bytes(content)
    left[0].rename(tmp_path / "000000000-000000016.h5")
    assert read_parts(PartsFolder(tmp_path, "a")) == []
    assert list(tmp_path.iterdir()) == []


KILLED_PROGRAM = """
import sys
from pathlib import Path
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.stages import attribute_chunks
attribute_chunks.WRITE_INTERVAL_SECONDS = 0.0
pipeline.attribute(load_config(sys.argv[1], sys.argv[3:]), Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_job_that_is_really_killed_ends_with_the_same_bytes(run, tiny_config, tmp_path):
    settings = [
        "attribution.n_sequences=60",
        "attribution.tasks=[HepG2]",
        "attribution.methods=[{method: ism, fast: false}]",
        "scoring.nulls=false",
    ]
    unbroken = shutil.copytree(run, tmp_path / "unbroken")
    pipeline.attribute(load_config(tiny_config, settings), unbroken)
    command = [sys.executable, "-c", KILLED_PROGRAM, str(tiny_config), str(run), *settings]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(run.rglob("*.parts/0*.h5")):
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((run / "attributions").rglob("ism*.h5"))
    kept = {path.name: path.stat().st_mtime_ns for path in run.rglob("*.parts/0*.h5")}
    assert kept
    seen = []
    pipeline.attribute(load_config(tiny_config, settings), run, stopping_after(None, seen))
    assert sum(seen) == 60 - max(int(name[10:19]) for name in kept)
    assert checksums(run / "attributions") == checksums(unbroken / "attributions")


# references


def test_shuffles_are_made_once_for_all(run, tiny_config):
    methods = (
        "[{method: deeplift_rescale, references: 'shuffle:3'}, {method: integrated_gradients, references: 'shuffle:2'},"
        " {method: integrated_gradients, references: zeros}, {method: saliency}]"
    )
    config = load_config(tiny_config, ["attribution.n_sequences=6", f"attribution.methods={methods}"])
    assert [n_shuffles(method) for method in config.attribution.methods] == [3, 2, 0, 0]
    pipeline.attribute(config, run)
    dataset = open_dataset(run / "dataset")
    rows = [attributed_rows(dataset, config, task) for task in config.tasks]
    seq_ids = np.asarray(dataset.seq_ids("test"))
    with h5py.File(references_file(run)) as h5:
        assert h5["seq_id"].asstr()[:].tolist() == seq_ids[np.unique(np.concatenate(rows))].tolist()
        assert h5["bases"].shape[1:] == (3, 200)
    bases = dataset.bases("test")[rows[1]]
    for n in (2, 3):
        made = make_references(parse_references(f"shuffle:{n}"), bases, config.seed)
        read = sequences_as_references(read_references(references_file(run), seq_ids[rows[1]], n))
        assert np.array_equal(read, made)
    assert read_manifest(run)["references/shuffles.h5"]["stage"] == "attribute"


def test_what_is_read_gives_what_is_made(run, config, tiny_config):
    """Attributions with stored references are those that `attribute` gives when it makes them itself."""
    import keras

    from simbench_tf.attribution import attribute

    pipeline.attribute(config, run)
    dataset = open_dataset(run / "dataset")
    x = one_hot(dataset.bases("test")[attributed_rows(dataset, config, "HepG2")])
    model = keras.saving.load_model(run / "models" / "basset" / "model.keras")
    expected = attribute(model, x, "integrated_gradients", references="shuffle:2", random_state=7, n_steps=2)
    with h5py.File(attribution_files(config, run)[0].path) as h5:
        np.testing.assert_allclose(h5["scores"][:], expected.scores, rtol=0, atol=1e-6 * abs(expected.scores).max())


def test_no_references_no_file(run, tiny_config):
    settings = ["attribution.methods=[{method: saliency}]", "attribution.n_sequences=4"]
    pipeline.attribute(load_config(tiny_config, settings), run)
    assert not references_file(run).exists()


def test_default_references_count():
    assert n_shuffles(MethodSettings(method="expected_gradients")) == 20


# arrays


def test_arrays_are_kept_where_a_method_defines_them(run, tiny_config):
    methods = "[{method: deeplift_rescale, references: 'shuffle:2'}, {method: gradcam}, {method: grad_x_input}]"
    names = ["contributions", "hypothetical", "positive", "negative", "convergence_delta"]
    settings = ["attribution.n_sequences=20", f"attribution.methods={methods}", "attribution.tasks=[K562]"]
    config = load_config(tiny_config, [*settings, f"attribution.arrays={names}".replace("'", "")])
    pipeline.attribute(config, run)
    kept = {}
    for file in attribution_files(config, run):
        with h5py.File(file.path) as h5:
            kept[file.method.method] = {name: h5[name][:] for name in h5 if name != "seq_id"}
    assert set(kept["gradcam"]) == {"scores", "contributions"}
    assert set(kept["grad_x_input"]) == {"scores", "contributions", "hypothetical"}
    deeplift = kept["deeplift_rescale"]
    assert set(deeplift) == {"scores", *names}
    np.testing.assert_allclose(deeplift["positive"] + deeplift["negative"], deeplift["scores"], atol=1e-6)
    np.testing.assert_allclose(deeplift["contributions"].sum(axis=2), deeplift["scores"], atol=1e-6)
    assert deeplift["convergence_delta"].shape == (20,)
    assert abs(deeplift["convergence_delta"]).max() < 1e-4 * abs(deeplift["scores"]).sum(axis=1).max()


def test_the_folder_of_parts_stands_beside_its_file(tmp_path):
    assert parts_of(tmp_path / "ism@none.h5") == tmp_path / "ism@none.parts"


# how long it takes


def test_chunks_that_load_or_compile_are_not_timed(config, tiny_run, monkeypatch):
    dataset = open_dataset(tiny_run / "dataset")
    job = attribute_chunks.job_of(attribution_files(config, tiny_run)[0], config)
    bases = dataset.bases("test")[:40]
    monkeypatch.setattr(attribute_chunks, "_WARM", set())
    took = [attribute_chunks._attribute(job, chunk)[1] for chunk in attribute_chunks._chunks(job, bases, None, 0)]
    # 16, 16 and 8 sequences: the first loads, and the last has a shape of its own
    assert np.isnan(took[0])
    assert took[1] > 0
    assert np.isnan(took[2])
    assert np.isnan(attribute_chunks._attribute(job._replace(target=1), (bases[:16], None))[1]), (
        "another task is another job"
    )


class Scored(NamedTuple):
    scores: np.ndarray


def test_what_is_told_of_time_holds_no_compilation(config, tiny_run, monkeypatch):
    """A method that is slow whenever it is called anew, as those that compile are."""
    dataset, compiled = open_dataset(tiny_run / "dataset"), set()
    bases, job = dataset.bases("test"), attribute_chunks.job_of(attribution_files(config, tiny_run)[0], config)
    clock = [0.0]

    def slow_at_first(model, one_hot, **_settings):
        clock[0] += 1.0 if one_hot.shape in compiled else 100.0
        compiled.add(one_hot.shape)
        return Scored(one_hot.sum(axis=-1))

    monkeypatch.setattr("simbench_tf.attribution.attribute", slow_at_first)
    monkeypatch.setattr(attribute_chunks.time, "perf_counter", lambda: clock[0])
    for n in (8, 16, 40, 100):
        monkeypatch.setattr(attribute_chunks, "_WARM", set())
        compiled.clear()
        took = [attribute_chunks._attribute(job, chunk) for chunk in attribute_chunks._chunks(job, bases[:n], None, 0)]
        timed = [seconds / len(result["scores"]) for result, seconds in took if not np.isnan(seconds)]
        assert (timed or [attribute_chunks.seconds_per_sequence(job, bases[:n], None)])[0] == pytest.approx(
            1 / min(n, 16)
        )
