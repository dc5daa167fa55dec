"""The page for coding assistants says what this program has: each command, method, column and name, and no other."""

import re

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from typer.main import get_command

import simbench_tf as sb
from helpers.program import simbench
from simbench_tf import tables
from simbench_tf.attribution import methods
from simbench_tf.cli.program import app
from simbench_tf.cli.skill import skill_page
from simbench_tf.config import check_config

CODE = re.compile(r"`([^`]+)`")


@pytest.fixture(scope="module")
def page():
    return skill_page()


def section(page, title):
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


def test_it_is_printed_whole_with_its_header(page, monkeypatch, capsys):
    code, out, _ = simbench(monkeypatch, capsys, "skill")
    assert code == 0
    assert out == page
    assert yaml.safe_load(out.split("---\n")[1])["name"] == "simbench"
    assert sb.__version__ in out
    assert "{{" not in out


def test_every_command_that_it_names_is_one_with_the_options_that_it_names(page):
    commands = get_command(app).commands
    named = re.findall(r"simbench (?!\d)([a-z][a-z-]*)((?: [^`\n|]+)?)`", page)
    assert {name for name, _ in named} == set(commands)
    for name, rest in named:
        known = {option for parameter in commands[name].params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, name


def test_every_method_and_public_name_is_there(page):
    assert re.findall(r"^- `(\w+)`", section(page, "Methods"), re.MULTILINE) == list(methods())
    assert re.findall(r"`sb\.(\w+)`", page) == sb.__all__


def test_every_column_of_the_summary_is_explained_and_no_other(page):
    rows = re.findall(r"^\| (`[^|]+) \|", section(page, "What the columns mean"), re.MULTILINE)
    explained = {name for row in rows for name in CODE.findall(row) if name != "_se"}
    errors = {name for name in tables.SUMMARY_COLUMNS if name.endswith("_se")}  # explained together
    assert explained - errors == set(tables.SUMMARY_COLUMNS) - errors
    of_pairs = section(page, "What the columns mean").split("`comparisons.csv`")[1]
    assert set(CODE.findall(of_pairs)) <= set(tables.COMPARISON_COLUMNS)


def test_nulls_are_dropped_as_it_says(page, tiny_run):
    summary = pd.read_csv(tiny_run / "scores" / "summary.csv")
    (code,) = re.findall(r"`(summary\[.*\])`", page)
    kept = eval(code, {"summary": summary})  # the page's own line
    assert set(kept["method"]) == {"grad_x_input", "integrated_gradients"}
    assert len(kept) < len(summary)


def test_the_code_runs_and_the_files_are_those_of_a_run(page, tiny_run, monkeypatch):
    code = page.split("```python\n")[1].split("```")[0].replace("runs/demo", str(tiny_run))
    names = {}
    exec(code, names)
    assert names["mask"].any()
    for name in re.findall(r"RUN/([\w./]+)", page):
        assert (tiny_run / name.replace("MODEL", "basset")).is_file(), name
    assert "auprc" in pq.read_schema(tiny_run / "scores" / "per_sequence.parquet").names


def test_its_pieces_of_configuration_are_taken(page, tmp_path):
    for name in ("hg38.fa", "k562.narrowPeak"):
        (tmp_path / name).touch()
    pieces = [yaml.safe_load(each) for each in CODE.findall(page) if re.match(r"(simulation|models|discovery): ", each)]
    assert len(pieces) == 3
    for piece in pieces:
        check_config({"simulation": {"kind": "grammar"}, **piece}, tmp_path / "c.yaml")
    methods_ = [yaml.safe_load(each) for each in CODE.findall(page) if each.startswith("{method: ")]
    config = check_config(
        {"simulation": {"kind": "grammar"}, "attribution": {"methods": methods_}}, tmp_path / "c.yaml"
    )
    assert [each.settings for each in config.attribution.methods] == [{"n_steps": 5}, {"n_steps": 20}]
