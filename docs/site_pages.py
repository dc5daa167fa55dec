"""Pages of the site (mkdocs.yml) that are not in docs/: README and its like, notebooks, sources that pages name.

Hooks of mkdocs. Links between pages are written as GitHub follows them, from file to file of the repository; here they
are turned to where each file stands on the site. Formulas become MathML, so that no page needs a script for them.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert as mathml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter
from repository_address import repository_address

ROOT = Path(__file__).parents[1]
#: Pages that stand elsewhere in the repository, and their places on the site.
ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "code_of_conduct.md",
    "benchmarks/README.md": "benchmarks.md",
    "model_zoo/README.md": "model_zoo.md",
    "examples/README.md": "examples.md",
    "examples/data/README.md": "example_data.md",
    "examples/plugin/README.md": "example_plugin.md",
    "examples/any_model/README.md": "example_any_model.md",
}
#: Sources that are shown as pages, by the name of their language; others that a page names can be fetched as they are.
SHOWN = {
    ".py": "python",
    ".yaml": "yaml",
    ".toml": "toml",
    ".cfg": "ini",
    ".j2": "jinja",
    ".sh": "sh",
    ".smk": "python",
}
#: Front matter of pages that no search should find.
UNSEARCHED = "---\nsearch:\n  exclude: true\nhide:\n  - toc\n---\n\n"
# a link's target in Markdown, or that of HTML, which notebooks and READMEs hold; not within a line of code
_LINK = re.compile(r'(?P<before>\]\(|(?:src|href)=")(?P<target>[^)\s"#]*)(?P<anchor>#[^)\s"]*)?(?P<after>[)"])')
_CODE = re.compile(r"(^(?P<fence>```+|~~~+).*?^(?P=fence)\s*?$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the repository on every page, where its address is known."""
    address = repository_address()
    if address is not None:
        config.repo_url, config.repo_name = address, address.partition("://")[2]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what stands outside docs/: pages, notebooks, and then what any of them links to."""
    for path, place in ELSEWHERE.items():
        if (ROOT / path).exists():
            _add(files, config, path, place, (ROOT / path).read_text(encoding="utf-8"))
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        _add_notebook(files, config, path)
    places = _places(files)
    waiting = [path for file in list(files.documentation_pages()) for path in _linked(_origin(file), file)]
    while waiting:
        path = waiting.pop()
        if path not in places:
            places[path] = _add_source(files, config, path)
            if (ROOT / path).is_dir():
                waiting += [each for each in _listed(path) if each not in places]
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository to their places on the site."""
    del config
    places, origin, here = _places(files), _origin(page.file), page.file.src_uri

    def turned(link: re.Match[str]) -> str:
        path = _in_repository(origin, link["target"])
        if path is None or path not in places:
            return link[0]
        target = posixpath.relpath(places[path], posixpath.dirname(here) or ".")
        if link["before"] != "](":  # mkdocs looks after links in Markdown alone
            target = files.src_uris[places[path]].url_relative_to(page.file)
        return f"{link['before']}{target}{link['anchor'] or ''}{link['after']}"

    return _outside_code(markdown, lambda text: _LINK.sub(turned, text))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn formulas into MathML, which browsers show by themselves."""
    del page, config, files

    def shown(formula: re.Match[str]) -> str:
        text = formula[3].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        return mathml(text, display="block" if formula[2] == "[" else "inline")

    return _FORMULA.sub(shown, html)


# where files of the repository stand on the site


def _add(files: Files, config: MkDocsConfig, origin: str, place: str, content: str | bytes) -> None:
    file = File.generated(config, place, content=content)
    file.origin = origin  # type: ignore[attr-defined]
    files.append(file)


def _origin(file: File) -> str:
    """The file of the repository that a file of the site is made from."""
    return getattr(file, "origin", f"docs/{file.src_uri}")


def _places(files: Files) -> dict[str, str]:
    # scripts in docs/ are no files of the site: where a page names one, it is shown as a source
    return {_origin(file): file.src_uri for file in files if not file.inclusion.is_excluded()}


def _in_repository(origin: str, target: str) -> str | None:
    """The file or folder of the repository that a link leads to; None where it leads elsewhere."""
    if not target or "://" in target or target.startswith(("mailto:", "data:", "/")):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    return path if not path.startswith("..") and (ROOT / path).exists() else None


def _linked(origin: str, file: File) -> Iterator[str]:
    """Files and folders of the repository that a page links to."""
    text = _CODE.sub("", file.content_string)
    for link in _LINK.finditer(text):
        path = _in_repository(origin, link["target"])
        if path is not None:
            yield path


def _outside_code(text: str, change: Any) -> str:
    """Change what is not code: `re.split` with one group returns text and code by turns."""
    done, at = [], 0
    for code in _CODE.finditer(text):
        done += [change(text[at : code.start()]), code[0]]
        at = code.end()
    return "".join([*done, change(text[at:])])


# notebooks and sources


def _add_notebook(files: Files, config: MkDocsConfig, path: Path) -> None:
    """Add a notebook as a page, with its figures beside it."""
    text, resources = _exporter().from_filename(str(path))
    images = {name: f"{path.stem}_{name}" for name in resources["outputs"]}
    for name, image in images.items():
        text = text.replace(f"]({name})", f"]({image})")
        _add(files, config, f"{path.name}/{name}", f"tutorials/{image}", resources["outputs"][name])
    # how a table of pandas looks is the theme's affair
    text = re.sub(r"<style scoped>.*?</style>\s*", "", text, flags=re.DOTALL)
    text = text.replace('<table border="1" class="dataframe">', "<table>")
    note = f"*A notebook with its outputs; its script is [{path.stem}.py]({path.stem}.py).*\n\n"
    head, _, rest = text.partition("\n\n")
    _add(files, config, f"examples/{path.name}", f"tutorials/{path.stem}.md", f"{head}\n\n{note}{rest}")


@functools.cache
def _exporter() -> MarkdownExporter:
    return MarkdownExporter()


def _add_source(files: Files, config: MkDocsConfig, path: str) -> str:
    """Add a source that a page names: shown, listed, or to be fetched; returns its place."""
    place = f"source/{path}"
    if (ROOT / path).is_dir():
        # as everywhere from where the page's origin stands, which here is the folder above
        listed = "\n".join(f"- [{Path(each).name}]({Path(path).name}/{Path(each).name})" for each in _listed(path))
        place = f"{place}/index.md"
        _add(files, config, path, place, f"{UNSEARCHED}# {path}\n\n{listed}\n")
        return place
    language = SHOWN.get(Path(path).suffix)
    if language is None:
        _add(files, config, path, place, (ROOT / path).read_bytes())
        return place
    text = (ROOT / path).read_text(encoding="utf-8")
    _add(files, config, path, f"{place}.md", f"{UNSEARCHED}# {path}\n\n````{language}\n{text}\n````\n")
    return f"{place}.md"


def _listed(folder: str) -> list[str]:
    """Files of a folder, without those of its folders."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / folder).iterdir() if path.is_file())
