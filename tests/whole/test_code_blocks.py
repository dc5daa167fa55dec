"""Code on the pages works: Python is run at a small size, YAML is held to the schema, commands to the program."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import jsonschema
import numpy as np
import pandas as pd
import pytest
import typer
import yaml

import simbench_tf as sb
from helpers.folders import REPOSITORY
from helpers.program import simbench
from simbench_tf.cli.program import app
from simbench_tf.config.schema import json_schema

PAGES = [path for pattern in ("*.md", "docs/**/*.md", "*/README.md") for path in sorted(REPOSITORY.glob(pattern))]
#: Python that is run below, by its page: what is made smaller for that.
SMALLER = {
    "docs/api.md": {"sb.train(model, ds)": "sb.train(model, ds, max_batches=2)", "shuffle:20": "shuffle:2", "100": "9"},
    "docs/attribution.md": {"220": "190", "(N, 780, 4, 4)": "(N, 45, 4, 4)"},
    "docs/motifs.md": {"[:100]": "[:5]", "length=400": "length=200"},
    "docs/perfect_models.md": {"[:10]": "[:2]"},
    "docs/scoring.md": {},
    "docs/workers.md": {},
}
#: Python that is run elsewhere, or needs what a test has not.
NOT_HERE = {
    "docs/bring_your_own.md": "tests/interchange/test_without_models.py, and of torch below",
    "docs/interchange.md": "tests/interchange/test_documented_code.py",
    "docs/scale.md": "dask-jobqueue and a Slurm cluster",
    "run_modisco(": "TF-MoDISco, and sequences for many minutes: tests/discovery/test_callers.py",
}


def blocks(kind):
    """Each block of a kind, with its page."""
    for path in PAGES:
        for block in re.findall(rf"^```{kind}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            yield path.relative_to(REPOSITORY).as_posix(), block


def python_of(page):
    return [block for name, block in blocks("python") if name == page and not any(each in block for each in NOT_HERE)]


def smaller(page, block):
    for large, small in SMALLER[page].items():
        block = block.replace(large, small)
    return block


@pytest.fixture
def with_runs(tiny_run, tmp_path, monkeypatch):
    """A folder in which runs/demo and runs/mine are a small run."""
    for name in ("demo", "mine"):
        shutil.copytree(tiny_run, tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_of_every_page_is_run_or_said_not_to_be():
    pages = {page for page, _ in blocks("python")}
    assert pages == {*SMALLER, *(page for page in NOT_HERE if page.endswith(".md"))}
    for page, smaller_by in SMALLER.items():
        text = "".join(python_of(page))
        assert [each for each in smaller_by if each not in text and "(N," not in each] == []


@pytest.mark.slow
def test_the_page_of_python(with_runs):
    (block,) = python_of("docs/api.md")
    names = {}
    exec(compile(smaller("docs/api.md", block), "api.md", "exec"), names)
    assert names["a"].scores.shape == (9, 200)
    np.testing.assert_allclose(names["a"].contributions.sum(axis=-1), names["a"].scores, atol=1e-6)


@pytest.mark.slow
def test_pairs_of_bases_and_the_audit_of_the_page_of_attribution():
    letters = np.random.default_rng(0).choice(list("ACGT"), (2, 400))
    sequences = ["".join(each) for each in letters]
    names = {"sb": sb, "model": sb.basset(seq_length=400, n_tasks=1, width=0.1), "sequences": sequences}
    for block in python_of("docs/attribution.md"):
        exec(compile(smaller("docs/attribution.md", block), "attribution.md", "exec"), names)
    assert list(names["table"]) == ["layer", "kind", "rule", "delta", "note"]
    assert names["found"].effects.shape == (2, 45, 4, 4)
    assert np.abs(names["found"].effects).max() > 0


@pytest.mark.slow
def test_the_page_of_motifs(with_runs):
    names = {}
    for block in python_of("docs/motifs.md"):
        exec(compile(smaller("docs/motifs.md", block), "motifs.md", "exec"), names)
    lines = (with_runs / "scan.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["seq_id", "start", "end", "motif", "score", "strand"]
    assert len(lines) == len(names["hits"]) + 1 > 1
    assert 0 < names["sb"].score_instances(names["called"], names["sites"], length=200).loc[0, "ap"] <= 1


@pytest.mark.slow
def test_metrics_without_the_truth_of_the_page_of_scores():
    (block,) = python_of("docs/scoring.md")
    bases = np.random.default_rng(0).integers(0, 4, (2, 200)).astype(np.uint8)
    names = {"sb": sb, "model": sb.basset(seq_length=200, n_tasks=1, width=0.05), "one_hot": sb.one_hot(bases)}
    assign, measure = block.splitlines()
    exec(compile(assign, "scoring.md", "exec"), names)
    found = eval(compile(measure, "scoring.md", "eval"), names)
    assert len(found) == 2
    assert {"deletion", "strand_consistency"} < set(found)


@pytest.mark.slow
def test_a_model_of_another_form_of_the_page_of_models():
    (block,) = (each for each in python_of("docs/bring_your_own.md") if "plain_model" in each)
    names = {}
    exec(compile(block, "bring_your_own.md", "exec"), names)
    assert names["scores"].shape == (1, 200)


@pytest.mark.slow
def test_the_page_of_perfect_models(with_runs):
    (block,) = python_of("docs/perfect_models.md")
    names = {}
    exec(compile(smaller("docs/perfect_models.md", block), "perfect_models.md", "exec"), names)
    x = sb.one_hot(names["dataset"].bases("test")[:50])
    exact, planted = (names[name].predict(x, verbose=0)[:, 0] for name in ("exact", "planted"))
    assert np.corrcoef(exact, planted)[0, 1] > 0.9


@pytest.mark.slow
def test_the_page_of_workers(tmp_path):
    (block,) = python_of("docs/workers.md")
    (tmp_path / "script.py").write_text(block)
    ran = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, cwd=REPOSITORY)
    assert ran.stdout == "[1, 2, 3]\n", ran.stderr


@pytest.mark.slow
def test_a_network_of_torch_explained_by_captum(tmp_path, monkeypatch, capsys):
    needed = "captum and torch are not installed: pip install 'simbench_tf[parity]'"
    for name in ("torch", "captum.attr"):
        pytest.importorskip(name, reason=needed)
    text = (REPOSITORY / "docs" / "bring_your_own.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])
    assert simbench(monkeypatch, capsys, "run", "mine.yaml", "--out", "runs/mine")[0] == 0
    section = text.partition("## A PyTorch network")[2]
    ((_, python), (_, commands)) = re.findall(r"```(python|sh)\n(.*?)```", section, re.DOTALL)
    import torch

    torch.manual_seed(0)
    names = {}
    exec(compile(python, "bring_your_own.md", "exec"), names)
    for line in commands.splitlines():
        code, _, err = simbench(monkeypatch, capsys, *line.split()[1:])
        assert code == 0, err
    summary = pd.read_csv("runs/mine/scores/summary.csv").query("model == 'torch_cnn'")
    assert summary["key"].tolist()[0] == "captum_ig"
    metrics = json.loads((tmp_path / "runs" / "mine" / "models" / "torch_cnn" / "metrics.json").read_text())
    assert max(each["auroc"] for each in metrics.values()) > 0.6
    assert summary["auprc"].iloc[0] > 1.2 * summary["chance_auprc"].iloc[0]


# configurations


def test_keys_and_values_of_configurations_are_those_of_the_schema():
    validator = jsonschema.Draft202012Validator(json_schema())
    seen = 0
    for page, block in blocks("yaml"):
        part = yaml.safe_load(block)
        if {"elements", "classes", "stretches"} & set(part):  # what stands within `simulation`
            part = {"simulation": {"kind": "grammar", **part}}
        whole = {"simulation": {"kind": "grammar"}, **part}
        assert [f"{page}: {error.json_path}" for error in validator.iter_errors(whole)] == []
        seen += 1
    assert seen > 8


# commands


def commands():
    """Each call of `simbench` on the pages, as words."""
    for page, block in blocks("sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "simbench":
                yield page, words[1:]


def test_commands_and_options_are_those_of_the_program():
    known = typer.main.get_command(app).commands
    options = {name: {each for param in command.params for each in param.opts} for name, command in known.items()}
    found = list(commands())
    assert len(found) > 40
    for page, (command, *words) in found:
        assert command in known, f"{page}: simbench {command}"
        given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)} - {"--debug"}
        assert given <= options[command], f"{page}: simbench {command} {' '.join(sorted(given - options[command]))}"
