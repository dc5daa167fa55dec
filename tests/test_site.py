"""The site builds strictly, each link and figure on it is there, and it asks nothing of another server."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import simbench_tf
from helpers.folders import REPOSITORY

pytestmark = pytest.mark.slow


class Page(HTMLParser):
    """What a page links to, what it loads, and its ids."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        of_tag = dict(attrs)
        self.ids |= {of_tag[key] for key in ("id", "name") if of_tag.get(key)}
        if tag == "a" and of_tag.get("href"):
            self.links.append(of_tag["href"])
        elif tag == "link" and of_tag.get("rel") not in ("canonical", "alternate", "prev", "next"):
            self.loaded.append(of_tag["href"])
        elif of_tag.get("src"):
            self.loaded.append(of_tag["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}


def lost(pages, page, address):
    """Whether an address within the site leads nowhere."""
    target, anchor = urldefrag(address)
    if re.match(r"[a-z]+:", target):
        return False
    path = (page.parent / unquote(target)).resolve() if target else page
    path = path / "index.html" if path.is_dir() else path
    known = not anchor or path not in pages or unquote(anchor) in pages[path].ids
    return not (path.exists() and known)


def test_links_and_figures_are_there(pages):
    assert len(pages) > 60
    found = {
        f"{page}: {address}"
        for page, each in pages.items()
        for address in (*each.links, *each.loaded)
        if lost(pages, page, address)
    }
    assert found == set()


def test_a_link_that_leads_nowhere_is_found(pages, site):
    page = site / "findings" / "index.html"
    assert not lost(pages, page, "../scoring/#rules")
    assert lost(pages, page, "../scoring/#no-such-heading")
    assert lost(pages, page, "../no_such_page/")


def test_pages_load_nothing_from_other_servers(pages, site):
    asked = {address for each in pages.values() for address in each.loaded if "//" in address}
    asked |= {
        address
        for sheet in site.rglob("*.css")
        for address in re.findall(
            r"(?:url\(|@import )[\"']?((?:https?:)?//[^)\"']+)", sheet.read_text(encoding="utf-8")
        )
    }
    assert asked == set()


def test_every_notebook_is_a_page_with_its_figures(site):
    for notebook in (REPOSITORY / "examples").glob("*.ipynb"):
        page = (site / "tutorials" / notebook.stem / "index.html").read_text(encoding="utf-8")
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
        n_figures = sum("image/png" in data for data in outputs)
        assert page.count("<img") == n_figures > 0


def test_every_public_name_is_documented(site):
    page = (site / "api" / "index.html").read_text(encoding="utf-8")
    documented = set(re.findall(r'<h3 id="simbench_tf\.(?:[\w.]+\.)?(\w+)"', page))
    assert set(simbench_tf.__all__) - documented == set()
    assert "doc-module" not in page, "a module that has a function's name stands in its place"


def test_formulas_are_shown_without_a_script(site):
    page = (site / "methods" / "integrated_gradients" / "index.html").read_text(encoding="utf-8")
    assert "<mfrac>" in page
    assert "\\frac" not in page
