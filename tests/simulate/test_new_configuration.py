"""`simbench init`: the file that it writes is one that runs, from peaks and a genome or from answers."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.program import simbench
from simbench_tf.config import load_config

DATA = Path(__file__).parents[2] / "examples" / "data"
GENOME, PEAKS, OTHERS = "hg38_chr2_2.3Mb.fa.gz", "ensembl_regulatory_chr2.narrowPeak", "chr2_background.bed"


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in (GENOME, PEAKS, OTHERS):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(DATA / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*options):
    return ("init", "--out", "my/own.yaml", *options)


def test_peaks_and_a_genome_become_a_configuration_that_is_without_fault(here, monkeypatch, capsys):
    given = ("--genome", f"data/{GENOME}", "--peaks", f"reg=data/{PEAKS}", "--background", f"data/{OTHERS}")
    code, out, err = simbench(monkeypatch, capsys, *init(*given, "--seq-length", "200"))
    assert code == 0, err
    assert out.startswith("my/own.yaml: 260 peaks of reg\nnext: `simbench check my/own.yaml`")
    config = load_config(here / "my" / "own.yaml")
    assert config.simulation.peaks["reg"].samefile(DATA / PEAKS)
    assert config.simulation.genome.samefile(DATA / GENOME)
    assert config.simulation.region_size == 200
    assert config.simulation.min_pos_hits == 20, "they are few"
    code, out, _ = simbench(monkeypatch, capsys, "check", "my/own.yaml")
    assert code == 0
    assert out.startswith("no fault found: peaks of 200 bases, 1 task, 2 models, 4 methods\n")
    assert simbench(monkeypatch, capsys, "simulate", "my/own.yaml", "--out", "run")[0] == 0
    code, _, err = simbench(monkeypatch, capsys, *init(*given))
    assert (code, err) == (
        2,
        "error: my/own.yaml: is there already, and may hold your changes; name another file with --out\n",
    )


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        (["", "300"], "grammar"),
        ([f"data/{PEAKS}", f"data/{GENOME}", f"data/{OTHERS}", ""], "peaks"),
    ],
)
def test_questions_on_a_terminal_become_one_too(here, answers, kind):
    terminal, theirs = pty.openpty()
    program = [sys.executable, "-m", "simbench_tf.cli", *init()]
    with subprocess.Popen(program, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as begun:
        os.close(theirs)
        os.write(terminal, "".join(f"{answer}\n" for answer in answers).encode())
        out, err = begun.communicate(timeout=120)
        os.close(terminal)
    assert begun.returncode == 0, err
    assert out.strip().startswith(b"my/own.yaml: ")
    config = load_config(here / "my" / "own.yaml")
    assert config.simulation.kind == kind
    assert config.simulation.length == (300 if kind == "grammar" else 400)
    assert config.tasks == (["HepG2", "K562"] if kind == "grammar" else ["ensembl_regulatory_chr2"])


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "--genome: is missing, and there is no terminal to ask on; add --genome and --peaks"),
        (("--genome", f"data/{GENOME}"), "--peaks: is missing; peaks and their genome go together"),
        (("--peaks", f"data/{PEAKS}"), "--genome: is missing; peaks and their genome go together"),
        (("--genome", "no.fa", "--peaks", f"data/{PEAKS}"), "no.fa: is no file; mend the path"),
        (("--genome", f"data/{GENOME}", "--peaks", f"a/b=data/{PEAKS}"), "my/own.yaml: "),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(here, monkeypatch, capsys, options, line):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    code, out, err = simbench(monkeypatch, capsys, *init(*options))
    said = [each for each in err.splitlines() if each.startswith("error: ")]
    assert (code, out) == (2, "")
    assert said[0].startswith(f"error: {line}")
    assert "partial" not in said[0]
    assert not list(here.glob("my/*"))
