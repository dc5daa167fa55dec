"""The examples run, at a small size, and the committed notebooks are those of the scripts beside them."""

import os
import re
import subprocess
import sys

import jupytext
import pytest

from helpers.folders import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def python(script, *arguments, **environment):
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    environment = {**os.environ, "MPLBACKEND": "agg", **environment}
    return subprocess.run(command, check=True, env=environment, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_quickstart_runs():
    python("quickstart.py", N_SEQUENCES="1500", MAX_BATCHES="10")


# each holds what it says to the numbers it finds
@pytest.mark.slow
def test_backpropagation_runs():
    python("backpropagation.py", N_STEPS="300")


@pytest.mark.slow
def test_saturation_runs():
    python("saturation.py", N_STEPS="16", MAX_COPIES="6")


@pytest.mark.slow
def test_integrated_gradients_paths_runs():
    sizes = {"N_SEQUENCES": "300", "N_EXPLAINED": "6", "N_REFERENCES": "2", "MOST_STEPS": "10", "MOST_REFERENCES": "5"}
    python("integrated_gradients_paths.py", **sizes)


@pytest.mark.slow
def test_perfect_models_runs():
    python("perfect_models.py", MAX_BATCHES="20", N_EXPLAINED="8")  # rules are asked of five sequences or more


@pytest.mark.slow
@pytest.mark.parametrize("name", ["reading_a_report", "rules", "dynamics"])
def test_notebooks_on_a_run_of_their_own_run(name):
    python(f"{name}.py", N_SEQUENCES="1000", MAX_BATCHES="200")


@pytest.mark.slow
def test_a_plain_keras_script_trains_on_our_data(tiny_run):
    assert "auroc" in python("train_keras.py", tiny_run / "dataset", "--max-batches", 5).lower()


def test_there_are_notebooks():
    assert NOTEBOOKS


def test_the_page_names_every_notebook_and_the_line_that_opens_them():
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| \[(\w+)\]\((\w+)\.ipynb\)", page, re.MULTILINE)
    assert {name for name, _ in named} == {file for _, file in named} == {path.stem for path in NOTEBOOKS}
    (opened,) = re.findall(r"jupyter lab (\S+)", page)
    assert (REPOSITORY / opened).is_file()
    scripts = {path.stem for path in EXAMPLES.glob("*.py") if "jupytext" in path.read_text(encoding="utf-8")}
    assert scripts - {"make_notebooks"} == {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_those_of_their_scripts_and_carry_outputs(path):
    notebook, script = jupytext.read(path), jupytext.read(path.with_suffix(".py"))
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in script.cells]
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
