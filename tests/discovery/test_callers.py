"""Motif callers run for real on planted motifs: what they find is read letter by letter, and faults are told."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from helpers.callers import planted
from simbench_tf.discovery import Sequences, callers, read_found, score_instances, score_motifs
from simbench_tf.discovery.callers import NoMotifs, as_hypothetical, run_finemo, run_modisco
from simbench_tf.discovery.child import ProgramFailed, program_of, run_program
from simbench_tf.errors import InputError
from simbench_tf.motifs import Motif

LENGTH = 239
BASES, HYPOTHETICAL, SITES, PPMS = planted(150, LENGTH)
SEQUENCES = Sequences(np.array([f"s{row}" for row in range(len(BASES))]), BASES, np.arange(len(BASES)))


@pytest.fixture(scope="module")
def modisco(tmp_path_factory):
    pytest.importorskip("modiscolite")
    return run_modisco(BASES, HYPOTHETICAL, tmp_path_factory.mktemp("callers") / "modisco.h5")


def words(instances):
    """What each call reads on its strand."""
    for call in instances.itertuples():
        read = BASES[call.row, call.start : call.end]
        yield read if call.strand == "+" else 3 - read[::-1]


def test_modisco_finds_planted_motifs_at_their_places(modisco):
    found = read_found(modisco, SEQUENCES)
    assert found.window == (0, LENGTH - 1)  # it cuts out an even width
    true = [Motif(name, name, ppm, 20.0) for name, ppm in PPMS.items()]
    table = score_motifs(found.motifs, true)
    assert set(table["status"][table["kind"] == "true"]) <= {"found", "split"}  # by the version of what clusters
    assert set(table["status"][table["kind"] == "found"]) == {"true"}
    assert (table[["start_error", "end_error"]] == 0).all(axis=None)
    scores = score_instances(found.instances, SITES, length=LENGTH, window=found.window).iloc[0]
    assert scores["n_called"] >= 100
    # it aligns a few seqlets wrongly, of sites that were drawn far from their motif
    assert (scores[["precision", "strand_accuracy", "motif_accuracy"]] > 0.95).all()
    assert scores["boundary_error"] < 0.2


def test_motifs_are_the_frequencies_of_their_own_calls(modisco):
    found = read_found(modisco, SEQUENCES)
    for motif in found.motifs:
        read = np.array(list(words(found.instances[found.instances["motif"] == motif.motif_id])))
        np.testing.assert_allclose(np.eye(4)[read].mean(axis=0), motif.ppm, atol=1e-12)


def test_places_count_from_the_sequence_where_modisco_looks_at_a_window(modisco, tmp_path):
    path = run_modisco(BASES, HYPOTHETICAL, tmp_path / "m.h5", window=180)
    for subpatterns in (False, True):
        found = read_found(path, SEQUENCES, subpatterns=subpatterns)
        assert found.window == (29, 209)
        scores = score_instances(found.instances, SITES, length=LENGTH, window=found.window).iloc[0]
        assert scores["n_called"] >= 50
        assert scores["precision"] > 0.95


def test_the_same_input_gives_the_same_bytes(modisco, tmp_path):
    again = run_modisco(BASES, HYPOTHETICAL, tmp_path / "modisco.h5", threads=2)
    assert again.read_bytes() == modisco.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["modisco.h5"]


def test_too_few_sequences_and_one_sign_give_no_motif(tmp_path):
    pytest.importorskip("modiscolite")
    out = tmp_path / "m.h5"
    with pytest.raises(NoMotifs, match=r"m.h5: TF-MoDISco found no motif in 20 sequences; it wants some 1,000"):
        run_modisco(BASES[:20], HYPOTHETICAL[:20], out)
    with pytest.raises(NoMotifs, match="cannot take attributions of one sign alone"):
        run_modisco(BASES, abs(HYPOTHETICAL), out)
    with pytest.raises(ProgramFailed, match=r"modisco: failed with exit code 2: .*--nonsense"):
        run_modisco(BASES[:20], HYPOTHETICAL[:20], out, options=["--nonsense"])
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_finemo_calls_hits_at_their_places(modisco, tmp_path):
    pytest.importorskip("finemo")
    tiny = HYPOTHETICAL * np.float32(1e-7)  # 16 bits, as it keeps them, would lose these
    hits = run_finemo(BASES, tiny, modisco, tmp_path / "hits.tsv")
    # of a motif that modisco split, both patterns have a hit on a site
    calls = read_found(hits, SEQUENCES).instances.drop_duplicates(["row", "start", "end"])
    scores = score_instances(calls, SITES, length=LENGTH).iloc[0]
    assert (scores[["precision", "strand_accuracy", "motif_accuracy"]] > 0.98).all()
    assert scores["recall"] > 0.7
    assert scores["boundary_error"] < 0.1
    with pytest.raises(NoMotifs, match="Fi-NeMo called no hit in 150 sequences; lower its sparsity"):
        run_finemo(BASES, tiny, modisco, tmp_path / "none.tsv", sparsity=0.999)


def test_callers_that_are_not_installed_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(callers, "caller_versions", dict)
    with pytest.raises(InputError, match=r"TF-MoDISco is not installed; pip install 'simbench_tf\[motif\]'"):
        run_modisco(BASES, HYPOTHETICAL, tmp_path / "m.h5")
    with pytest.raises(
        InputError, match=r"Fi-NeMo is not installed; pip install 'simbench_tf\[finemo\]'; it brings torch"
    ):
        run_finemo(BASES, HYPOTHETICAL, tmp_path / "m.h5", tmp_path / "hits.tsv")
    both = {"modisco": "2.5.2", "modisco-lite": "3.0.0"}
    monkeypatch.setattr(callers, "caller_versions", lambda: both)
    with pytest.raises(InputError, match="modisco and modisco-lite are both installed, and overwrite each other's"):
        run_modisco(BASES, HYPOTHETICAL, tmp_path / "m.h5")


@pytest.mark.parametrize(
    ("bases", "hypothetical", "window", "message"),
    [
        (BASES, HYPOTHETICAL[:9], None, r"must be \(N, L\) and \(N, L, 4\)"),
        (BASES[:0], HYPOTHETICAL[:0], None, r"must be \(N, L\) and \(N, L, 4\)"),
        (BASES, HYPOTHETICAL * np.float32(np.nan), None, "hypothetical must be finite"),
        (BASES, HYPOTHETICAL, LENGTH + 1, "window must be between 2 and the 239 bases"),
    ],
)
def test_arrays_that_do_not_fit_are_told(tmp_path, bases, hypothetical, window, message, monkeypatch):
    monkeypatch.setattr(callers, "caller_versions", lambda: {"modisco": "2.5.2"})
    monkeypatch.setattr(callers, "program_of", lambda package, name: [name])
    with pytest.raises(ValueError, match=message):
        run_modisco(bases, hypothetical, tmp_path / "m.h5", window=window)


def test_scores_alone_stand_at_the_observed_base():
    one_hot = np.eye(5, 4, dtype=np.float32)[[[0, 4, 3]]]
    got = as_hypothetical(np.array([[1.5, 2.0, -1.0]]), one_hot)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got.sum(axis=2), [[1.5, 0, -1]])
    np.testing.assert_array_equal(got[0, 2], [0, 0, 0, -1])


# programs


def test_programs_have_few_threads_and_no_gpu(tmp_path):
    code = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['CUDA_VISIBLE_DEVICES'] == '', os.getcwd())"
    run_program([sys.executable, "-c", code], tmp_path, threads=3)
    assert (tmp_path / "log.txt").read_text().split() == ["3", "True", str(tmp_path)]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("raise ValueError('first\\n\\nlast line')", "failed with exit code 1: last line; it may not take such"),
        ("import os; os.kill(os.getpid(), 9)", r"failed with exit code 137 \(it was killed\); it may want more memory"),
    ],
)
def test_failures_are_told_in_one_line(tmp_path, code, message):
    with pytest.raises(ProgramFailed, match=message) as error:
        run_program([sys.executable, "-c", code], tmp_path)
    assert "\n" not in str(error.value)


def test_packages_without_the_program_are_told(monkeypatch):
    assert program_of("pytest", "pytest")[-1].endswith(("pytest", "pytest.exe"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="nonsense: is no program of the installed pytest; pip install"):
        program_of("pytest", "nonsense")


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_programs_end_with_what_began_them(tmp_path, number):
    # a program that begins another, as callers do, and tells both numbers
    program = (
        "import os, subprocess, sys, time; other = subprocess.Popen(['sleep', '60']);"
        " print(os.getpid(), other.pid, flush=True); time.sleep(60)"
    )
    own = (
        "import sys; from pathlib import Path; from simbench_tf.discovery.child import run_program;"
        f" run_program([sys.executable, '-c', {program!r}], Path({str(tmp_path)!r}))"
    )
    ours = subprocess.Popen([sys.executable, "-c", own], stderr=subprocess.DEVNULL)
    log = tmp_path / "log.txt"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pids = [int(each) for each in log.read_text().split()]
    assert all(map(alive, pids))
    os.kill(ours.pid, number)
    ours.wait(timeout=30)
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_planted_sites_read_as_their_motifs():
    for name, ppm in PPMS.items():
        read = np.array(list(words(SITES[SITES["motif"] == name])))
        assert (np.eye(4)[read].mean(axis=0).argmax(axis=1) == ppm.argmax(axis=1)).all()
