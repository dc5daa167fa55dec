"""Make every notebook here anew from its script, with outputs: ``python examples/make_notebooks.py``."""

from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
SCRIPTS = ["quickstart"]


def make(name: str) -> None:
    notebook = jupytext.read(HERE / f"{name}.py")
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(HERE)}}).execute()
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        # when a cell ran is no part of what it shows
        cell.metadata.pop("execution", None)
        # nor is what native libraries write at start-up
        cell["outputs"] = [output for output in cell.get("outputs", []) if output.get("name") != "stderr"]
    nbformat.write(notebook, HERE / f"{name}.ipynb")


if __name__ == "__main__":
    for script in SCRIPTS:
        make(script)
        print(HERE / f"{script}.ipynb")
