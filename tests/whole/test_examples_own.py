"""The examples that bring something of one's own run at a small size: peaks, a model and a method, a Kipoi entry."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from helpers.folders import REPOSITORY

pytestmark = pytest.mark.slow

EXAMPLES = REPOSITORY / "examples"
OWN = ["your_own_peaks", "what_may_i_believe", "your_own_model_and_method", "share_through_kipoi"]


def run(script: Path, *arguments: str | Path, **sizes: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3", **sizes}
    return subprocess.run([sys.executable, script, *arguments], env=environment, capture_output=True, text=True)


def test_your_own_peaks_runs():
    sizes = {"MAX_BATCHES": "13", "N_EXPLAINED": "3", "FIT_SEQUENCES": "300", "N_DRAWN": "400"}
    ran = run(EXAMPLES / "your_own_peaks.py", **sizes)
    assert ran.returncode == 0, ran.stderr
    assert "counted sites: test auROC 0.65" in ran.stdout
    assert "fitted to 300 regions" in ran.stdout


FEW = {"MIN_POS_HITS": "60"}  # motifs, so that the fit is short


def test_what_may_i_believe_runs():
    ran = run(EXAMPLES / "what_may_i_believe.py", N_DRAWN="1500", MAX_BATCHES="12", N_EXPLAINED="30", EPOCHS="1", **FEW)
    assert ran.returncode == 0, ran.stderr
    assert "measures lie inside" in ran.stdout
    assert "believed by: small" in ran.stdout


def test_chr2_needs_nothing_but_the_examples_from_wherever_it_is_called(tmp_path):
    shutil.copytree(EXAMPLES, tmp_path / "clone" / "examples", ignore=shutil.ignore_patterns("*.ipynb", "*.fai"))
    simbench = [sys.executable, "-m", "simbench_tf.cli", "simulate", "clone/examples/chr2.yaml", "--out", "run"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run(simbench, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    log = pd.read_csv(tmp_path / "run" / "dataset" / "motif_log.csv")
    assert log["kept"].sum() > 20
    description = json.loads((tmp_path / "run" / "dataset" / "dataset.json").read_text())
    # five of the 260 regions hold no motif
    assert sum(description["counts"].values()) * description["positive_fraction"]["regulatory"] == pytest.approx(255)


def test_the_background_of_chr2_is_what_its_script_writes(tmp_path):
    ran = run(EXAMPLES / "make_chr2_background.py", "--out", tmp_path / "windows.bed")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "windows.bed").read_bytes() == (EXAMPLES / "data" / "chr2_background.bed").read_bytes()


def test_your_own_model_and_method_runs():
    ran = run(EXAMPLES / "your_own_model_and_method.py", N_SEQUENCES="600", MAX_BATCHES="10", N_EXPLAINED="3")
    assert ran.returncode == 0, ran.stderr


def test_share_through_kipoi_runs():
    ran = run(EXAMPLES / "share_through_kipoi.py", N_SEQUENCES="150")
    assert ran.returncode == 0, ran.stderr
    assert "240 alleles of 80 records" in ran.stdout


@pytest.mark.parametrize("name", OWN)
def test_notebooks_are_small_and_name_no_folder_of_the_machine_that_made_them(name):
    path = EXAMPLES / f"{name}.ipynb"
    assert path.stat().st_size < 600_000
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(?:tmp|home|root|work)/", text)
    assert str(EXAMPLES) not in text
