"""The examples that bring something of one's own run at a small size: peaks, a model and a method, a Kipoi entry."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.folders import REPOSITORY

pytestmark = pytest.mark.slow

EXAMPLES = REPOSITORY / "examples"
OWN = ["your_own_peaks", "your_own_model_and_method", "share_through_kipoi"]


def run(script: Path, **sizes: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MPLBACKEND": "agg", "TF_CPP_MIN_LOG_LEVEL": "3", **sizes}
    return subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)


def test_your_own_peaks_runs(shared_data):
    sizes = {"MAX_BATCHES": "13", "N_EXPLAINED": "3", "FIT_SEQUENCES": "300", "N_DRAWN": "400"}
    ran = run(EXAMPLES / "your_own_peaks.py", **sizes)
    assert ran.returncode == 0, ran.stderr
    assert "counted sites: test auROC 0.65" in ran.stdout
    assert "fitted to 300 regions" in ran.stdout


def test_your_own_peaks_says_what_is_missing(tmp_path):
    examples = tmp_path / "project" / "examples"
    examples.mkdir(parents=True)
    for name in ("your_own_peaks.py", "chr2.yaml"):
        shutil.copy(EXAMPLES / name, examples)
    ran = run(examples / "your_own_peaks.py")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "There is no hg38_chr2_2.3Mb.fa.gz and no ensembl_regulatory_chr2.narrowPeak where examples/chr2.yaml looks: "
        "write your own paths into it."
    )
    assert "Traceback" not in ran.stderr


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
