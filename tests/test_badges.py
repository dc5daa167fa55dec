"""One line of setup.cfg gives the notebooks badges and cells that install; without it nothing of them is there."""

import json
import subprocess
import sys

import jupytext
import nbformat
import pytest
from test_findings import script

from helpers.folders import REPOSITORY

GITHUB, ELSEWHERE = "https://github.com/us/it", "https://codes.example.org/us/it"
NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))


@pytest.fixture(scope="module")
def badges():
    return script("make_badges")


def test_what_is_committed_is_that_of_the_address_in_setup_cfg():
    command = [sys.executable, "docs/make_badges.py", "--check"]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert len(NOTEBOOKS) > 8


@pytest.mark.parametrize("address", [GITHUB, ELSEWHERE])
def test_every_notebook_and_its_script_get_the_same_cells_and_lose_them_again(badges, address):
    for path in NOTEBOOKS:
        name, plain_script = path.stem, path.with_suffix(".py").read_text(encoding="utf-8")
        before = path.read_text(encoding="utf-8")
        made_script = badges.script_with(plain_script, name, address)
        made_notebook = badges.notebook_with(before, name, address)
        cells = [(cell.cell_type, cell.source) for cell in nbformat.reads(made_notebook, as_version=4).cells]
        assert [(cell.cell_type, cell.source) for cell in jupytext.reads(made_script, "py:percent").cells] == cells
        opens = f"(https://colab.research.google.com/github/us/it/blob/main/examples/{name}.ipynb)"
        assert cells[0][1].count(opens) == (address == GITHUB)
        assert f'"git+{address}"' in cells[1][1]
        # outputs stay, another address takes the place of the first, and without one all is as it was
        outputs = [cell.get("outputs") for cell in json.loads(made_notebook)["cells"]]
        assert outputs[:1] + outputs[2:] == [cell.get("outputs") for cell in json.loads(before)["cells"]]
        for change, text, plain in (
            (badges.script_with, made_script, plain_script),
            (badges.notebook_with, made_notebook, before),
        ):
            assert change(change(text, name, ELSEWHERE), name, address) == text
            assert change(text, name, None) == plain


def test_the_cell_installs_on_colab_and_does_nothing_elsewhere(badges, monkeypatch):
    ran = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: ran.append(command))
    exec(badges.install_code(GITHUB), {})
    assert ran == []
    monkeypatch.setitem(sys.modules, "google.colab", object())
    exec(badges.install_code(GITHUB), {})
    assert ran == [[sys.executable, "-m", "pip", "install", "--quiet", f"git+{GITHUB}"]]


def test_citation_and_words_follow_the_address(badges):
    made = badges.made(GITHUB)
    assert f"\nrepository-code: {GITHUB}\n" in made[REPOSITORY / "CITATION.cff"]
    assert "by the button below its title" in made[REPOSITORY / "examples" / "README.md"]
    assert "by the button" not in badges.made(ELSEWHERE)[REPOSITORY / "examples" / "README.md"]
    for path, text in badges.made(None).items():
        assert text == path.read_text(encoding="utf-8")
