"""examples/plugin is installed as a user installs it, without a network, and a run uses all that it brings."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from helpers.folders import REPOSITORY

pytestmark = pytest.mark.slow

PLUGIN = REPOSITORY / "examples" / "plugin"
BROUGHT = {
    "method": "occlusion", "metric": "window_auprc", "architecture": "dilated", "simulator": "planted_words",
    "caller": "islands",
}  # fmt: skip


@pytest.fixture(scope="module")
def simbench(tmp_path_factory):
    """The command line, where the package is installed."""
    folder = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(PLUGIN, folder / "source")  # pip builds in the folder of the source
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, *pip, "--target", folder / "site", source], check=True)
    paths = [str(REPOSITORY), str(folder / "site")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3", "COLUMNS": "200"}

    def run(*arguments):
        command = [sys.executable, "-m", "simbench_tf.cli", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return run


def test_the_lists_name_what_it_brings(simbench):
    doctor, methods = simbench("doctor").stdout, simbench("methods").stdout
    for kind, name in BROUGHT.items():
        assert f"{kind} {name}" in doctor
        assert name in methods
    assert "simbench-example 0.1.0" in doctor


def test_a_run_uses_all_that_it_brings(simbench, tmp_path):
    config = yaml.safe_load((PLUGIN / "run.yaml").read_text())
    config["simulation"] |= {"n_sequences": 600, "seq_length": 60}
    config["training"]["max_batches"] = 120
    config["attribution"]["n_sequences"] = 12
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    ran = simbench("run", tmp_path / "run.yaml", "--out", tmp_path / "run")
    assert ran.returncode == 0, ran.stderr
    summary = pd.read_csv(tmp_path / "run" / "scores" / "summary.csv").set_index("key")
    # windows hide whole words, so a word is found
    assert summary.loc["occlusion@none+width=6", "auprc"] > 0.7
    assert summary.loc["occlusion@none+width=6", "window_auprc"] > summary.loc["null_position", "window_auprc"] + 0.2
    assert summary["window_auprc"].notna().all()
    instances = pd.read_csv(tmp_path / "run" / "scores" / "instances.csv")
    called = instances[(instances["caller"] == "islands") & (instances["by"] == "all")].set_index("key")
    assert called.loc["occlusion@none+width=6", "best_f1"] > 2 * called.loc["occlusion@none+width=6", "chance_f1"]
    assert (tmp_path / "run" / "models" / "dilated" / "architecture.json").is_file()
    report = (tmp_path / "run" / "report.html").read_text()
    assert "planted_words" in report
    title = "window auprc (width 7)"
    assert f"<li>{title}, of simbench-example 0.1.0: The auPRC of bases after |attribution| is averaged" in report
    assert f">{title}</th>" in report
    shown = f"{summary.loc['occlusion@none+width=6', 'window_auprc']:.3f} ± "
    assert f'<td class="number">{shown}' in report
    assert report.count(f": {title}</figcaption>") == summary["task"].nunique()
    # a received run asks for no trust, since who has the package installed it; and all is fresh
    again = simbench("run", tmp_path / "run" / "config.yaml", "--out", tmp_path / "run")
    assert again.returncode == 0, again.stderr
    assert "train:" not in again.stderr
    assert simbench("verify", tmp_path / "run").returncode == 0
