"""Write what needs the repository's address: badges of notebooks, their cells that install the package, the citation.

The one place of the address is setup.cfg: a line `Source = ADDRESS` in `project_urls`.

python docs/make_badges.py           # --check holds the notebooks to the address

While there is no address, notebooks have neither badge nor cell, and this says so. With one, each notebook of examples/
installs the package where it runs on Colab, and nowhere else; of an address on GitHub, which alone Colab opens, each
has a badge. Scripts and notebooks are changed in the same way, and nothing is executed. The links of README on PyPI and
the site's link to the repository follow setup.cfg by themselves.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from repository_address import ROOT, repository_address
from written_page import write_or_check_all

EXAMPLES = ROOT / "examples"
#: The tag of the cell that installs.
CELL = "install-on-colab"
_BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
_BADGE_LINE = re.compile(rf"^(?:# )?\[!\[[^\]]*\]\({re.escape(_BADGE)}\)\]\([^)]*\)$")
_INSTALL_IN_SCRIPT = re.compile(rf'^# %% tags=\["{CELL}"\]\n.*?\n\n(?=# %%)', re.MULTILINE | re.DOTALL)
_ON_COLAB = re.compile(r"(?<=<!-- on Colab -->\n).*?(?=\n<!-- until here -->)", re.DOTALL)
_CITED = re.compile(r"^repository-code: .*\n", re.MULTILINE)


def badge(address: str, name: str) -> str | None:
    """The badge that opens a notebook on Colab; None where the repository is not on GitHub.

    Examples
    --------
    >>> badge("https://gitlab.com/us/it", "quickstart")
    >>> badge("https://github.com/us/it", "quickstart").rpartition("(")[2]
    'https://colab.research.google.com/github/us/it/blob/main/examples/quickstart.ipynb)'
    """
    parts = urlsplit(address)
    if parts.hostname != "github.com":
        return None
    opens = f"https://colab.research.google.com/github/{parts.path.strip('/')}/blob/main/examples/{name}.ipynb"
    return f"[![Open in Colab]({_BADGE})]({opens})"


def install_code(address: str) -> str:
    """Code that installs the package where a notebook runs on Colab."""
    return "\n".join(
        [
            "# on Colab, whose machines lack the package; anywhere else this does nothing",
            "import subprocess",
            "import sys",
            "",
            'if "google.colab" in sys.modules:',
            f'    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "git+{address}"], check=True)',
        ]
    )


def with_badge(first_cell: str, line: str | None, mark: str = "") -> str:
    """The text of a notebook's first cell with this badge below its title, or without any.

    `mark` begins each line, as ``# `` does in a script.
    """
    lines = first_cell.split("\n")
    for at in [at for at, each in enumerate(lines) if _BADGE_LINE.match(each)]:
        del lines[at - 1 : at + 1]  # with the empty line above
    if line is not None:
        lines[1:1] = [mark.rstrip(), mark + line]
    return "\n".join(lines)


def script_with(text: str, name: str, address: str | None) -> str:
    """A script of examples/ with what the address gives, or without."""
    text = _INSTALL_IN_SCRIPT.sub("", text)
    head, start, rest = text.partition("# %% [markdown]\n")
    first, end, others = rest.partition("\n\n# %%")
    first = with_badge(first, None if address is None else badge(address, name), "# ")
    cell = "" if address is None else f'\n\n# %% tags=["{CELL}"]\n{install_code(address)}'
    return f"{head}{start}{first}{cell}{end}{others}"


def notebook_with(text: str, name: str, address: str | None) -> str:
    """A notebook of examples/ with what the address gives, or without; its outputs stay."""
    notebook = nbformat.reads(text, as_version=4)
    first, *others = [cell for cell in notebook.cells if CELL not in cell.metadata.get("tags", [])]
    first.source = with_badge(first.source, None if address is None else badge(address, name))
    made = (
        []
        if address is None
        else [nbformat.v4.new_code_cell(install_code(address), id=CELL, metadata={"tags": [CELL]})]
    )
    notebook.cells = [first, *made, *others]
    return nbformat.writes(notebook) + "\n"


def citation_with(text: str, address: str | None) -> str:
    """CITATION.cff with the address of the code, or without."""
    text = _CITED.sub("", text)
    return (
        text if address is None else re.sub(r"^(license: .*\n)", rf"\1repository-code: {address}\n", text, flags=re.M)
    )


def words_on_colab(address: str | None) -> str:
    """What examples/README.md says of Colab."""
    if address is None:
        return (
            "There are no buttons that open these on Colab, since no public address of this repository is known. On "
            "Colab, or anywhere\nelse, `!pip install PATH_OR_URL_OF_THIS_REPOSITORY` in a first cell does what the "
            "line above does."
        )
    if badge(address, "") is None:
        return f"On Colab the first cell of each installs the package from {address}."
    return "Each opens on Colab by the button below its title; its first cell installs the package there."


def made(address: str | None) -> dict[Path, str]:
    """What each file holds with this address."""
    citation, examples = ROOT / "CITATION.cff", EXAMPLES / "README.md"
    files = {citation: citation_with(citation.read_text(encoding="utf-8"), address)}
    files[examples] = _ON_COLAB.sub(lambda _: words_on_colab(address), examples.read_text(encoding="utf-8"))
    for notebook in sorted(EXAMPLES.glob("*.ipynb")):
        script = notebook.with_suffix(".py")
        for path, change in ((script, script_with), (notebook, notebook_with)):
            files[path] = change(path.read_text(encoding="utf-8"), path.stem, address)
    return files


if __name__ == "__main__":
    known = repository_address()
    if known is None:
        print("setup.cfg names no repository (`Source = ADDRESS` in project_urls): no badges, no cells that install")
    elif badge(known, "") is None:
        print(f"{known}: Colab opens notebooks on GitHub only, so they have cells that install and no badges")
    write_or_check_all(made(known), "the address in setup.cfg")
