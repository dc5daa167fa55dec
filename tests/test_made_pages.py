"""Pages that are made from the code are those of the code; what is told of a method or metric is told of each."""

import re

import pytest
import typer
from test_findings import script

from simbench_tf.attribution import methods
from simbench_tf.attribution.averaged import Copies
from simbench_tf.attribution.facts import FACTS, SETTINGS, meaning
from simbench_tf.cli.program import app
from simbench_tf.score import METRICS
from simbench_tf.score.facts import METRIC_FACTS


def ours():
    """Methods of this package: others may be installed beside it."""
    return {name: each for name, each in methods().items() if each.function.__module__.startswith("simbench_tf.")}


@pytest.mark.parametrize("name", ["make_commands", "make_metrics"])
def test_the_page_is_that_of_the_code(name):
    made = script(name)
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), f"python docs/{name}.py"


def test_pages_of_methods_are_those_of_the_code_and_of_the_tables():
    made = script("make_methods").pages()
    assert {path.stem for path in made} == {"methods", *ours()}
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, "python docs/make_methods.py"
    folder = next(path for path in made if path.parent.name == "methods").parent
    assert set(folder.iterdir()) == {path for path in made if path.parent == folder}, "a page of no method is left"


def test_every_method_setting_and_metric_is_told_of_and_no_other():
    assert set(FACTS) == set(ours())
    used = {(name, setting) for name, each in ours().items() for setting in (*each.settings, *Copies._fields)}
    assert all(meaning(name, setting) for name, setting in used)
    assert set(SETTINGS) <= {setting for _, setting in used} | {f"{name}.{setting}" for name, setting in used}
    assert set(METRIC_FACTS) == set(METRICS)
    for facts in (*FACTS.values(), *METRIC_FACTS.values()):
        assert facts.formula.count("{") == facts.formula.count("}")
    assert all(re.search(r"<https://\S+>$", facts.paper) for facts in FACTS.values())


def test_every_command_and_option_is_on_its_page():
    page = script("make_commands").PAGE.read_text(encoding="utf-8")
    program = typer.main.get_command(app)
    for name, command in program.commands.items():
        (section,) = re.findall(rf"^### {name}$(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL)
        options = [each.opts[0] for each in command.params if each.param_type_name == "option"]
        assert re.findall(r"^\| (?:`|<code>)(--?[a-z0-9-]+)", section, re.MULTILINE) == options


def test_figures_of_a_method_are_means_over_tasks_of_the_kept_tables():
    """Of `saliency` on five_lines, by hand from the table's rows."""
    made = script("make_methods")
    rows = [line.split(",") for line in (made.RESULTS / "five_lines" / "summary.csv").read_text().splitlines()]
    auprc = rows[0].index("auprc")
    found = [float(row[auprc]) for row in rows[1:] if row[0] == "beluga" and row[2] == "saliency@none"]
    assert len(found) == 5
    page = (made.DOCS / "methods" / "saliency.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| \[five_lines\].*", page, re.MULTILINE)
    assert row.split("|")[4].strip() == f"{sum(found) / 5:.2f}"
