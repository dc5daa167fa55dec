"""Make the notebooks here anew from their scripts, with outputs: ``python examples/make_notebooks.py [NAME]...``."""

import argparse
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
SCRIPTS = [
    "quickstart",
    "backpropagation",
    "saturation",
    "integrated_gradients_paths",
    "perfect_models",
    "your_own_peaks",
    "what_may_i_believe",
    "your_own_model_and_method",
    "share_through_kipoi",
    "reading_a_report",
    "rules",
    "dynamics",
]


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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="script without its ending; default all of them")
    names = parser.parse_args().names or SCRIPTS
    if unknown := sorted(set(names) - set(SCRIPTS)):
        parser.error(f"no script {unknown[0]}: choose among {', '.join(SCRIPTS)}")
    for script in names:
        make(script)
        print(HERE / f"{script}.ipynb")
